"""Notebooks are tested as in JupyterLab, and without their reader's own answers, which would change what they print."""

import os

import pytest

import stylelib  # noqa: F401 (sets what kernels inherit; see stylelib/machine.py)

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several: more threads than cores would hinder each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item):
    """Where nbval starts a notebook's kernel, this has it look for my_stylelib.py in a folder that has none."""
    with pytest.MonkeyPatch.context() as patch:
        if item.path.suffix == ".ipynb":
            patch.setenv("STYLELIB_FOLDER", str(item.path.parent / "nowhere"))
        return (yield)
