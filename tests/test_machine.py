"""What `import stylelib` sets before torch is imported, here and in JupyterLab's kernels."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from stylelib import machine

ROOT = Path(__file__).parent.parent


def run(code, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in machine.WAITING}
    process = subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, check=True, capture_output=True, text=True
    )
    return process.stdout.strip()


def test_threads_wait_as_users_want_or_else_as_we_set():
    code = f"import os, sys, stylelib; print(*(os.environ[n] for n in {list(machine.WAITING)}), 'torch' in sys.modules)"
    assert run(code) == " ".join([*machine.WAITING.values(), "False"]), "torch reads it when it is imported"
    own = dict.fromkeys(machine.WAITING, "7")
    assert run(code, **own) == " ".join([*own.values(), "False"])


def test_kernels_of_jupyterlab_inherit_it():
    config = ROOT / "stylelib" / "data" / "jupyter_server_config.py"
    code = f"""
import os, types
c = types.SimpleNamespace(ServerApp=types.SimpleNamespace())
exec(open({str(config)!r}).read(), {{"get_config": lambda: c}})
print(*(os.environ[name] for name in {list(machine.WAITING)}), c.ServerApp.allow_root)
"""
    assert run(code) == " ".join([*machine.WAITING.values(), "True"])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_is_let_go_is_used_again():
    """Counted by the system: pages of 4 KiB that it hands out for ten vectors of 60 MB, one after the other."""
    code = """
import resource, torch
{}
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(15_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages())
"""
    assert int(run(code.format("import stylelib"))) < 15_000 < 100_000 < int(run(code.format("")))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_kept_memory_is_given_back_on_demand():
    code = """
import psutil, stylelib.machine, torch
def resident():
    return psutil.Process().memory_info().rss / 2**20
before = resident()
vectors = [torch.ones(2_500_000) for _ in range(20)]  # 191 MiB in all
del vectors
kept = resident() - before
stylelib.machine.give_memory_back()
print(kept, resident() - before)
"""
    kept, left = map(float, run(code).split())
    assert kept > 180 and left < 20


def test_elsewhere_memory_is_left_alone(monkeypatch):
    def windows(name):
        raise TypeError

    monkeypatch.setattr(machine.ctypes, "CDLL", windows)
    assert machine.keep_memory() is False
    machine.give_memory_back()
