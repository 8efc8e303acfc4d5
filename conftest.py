"""Notebooks are tested as in JupyterLab, and without their reader's own answers, which would change what they print."""

import os

import pytest

import stylelib  # noqa: F401 (sets what kernels inherit; see stylelib/machine.py)

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several: more threads than cores would hinder each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their number: made anew by each process they may differ, as a color profile does, which holds
    the second it was made, and processes that name tests differently cannot share them."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item):
    """Where nbval starts a notebook's kernel, this has it look for my_stylelib.py in a folder that has none."""
    with pytest.MonkeyPatch.context() as patch:
        if item.path.suffix == ".ipynb":
            patch.setenv("STYLELIB_FOLDER", str(item.path.parent / "nowhere"))
        return (yield)
