"""What is set for speed before torch is imported: how its threads wait, and what becomes of memory that is let go.

`import stylelib` does it. The first is set in the environment, so that it also holds for what this process starts:
JupyterLab's kernels, in which lessons import torch first.
"""

import ctypes
import os
from contextlib import suppress

# torch's threads wait for each other in a busy loop. On a machine that does something else too, a browser or a second
# transfer, they then keep each other from working. Asleep they do not, but waking up takes as long as a small step of
# the work. So they first look for a moment whether it goes on. GNU's OpenMP, which torch brings along on Linux, looks
# so many times, about 30 microseconds. LLVM's, of conda, macOS and Windows, looks for so many milliseconds; it may, as
# it lets others work meanwhile. Not "PASSIVE": where a second thread computes too, as the studio's does, GNU's would
# look not even once. They read this when torch is first imported; benchmarks/README.md has what other settings cost.
WAITING = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
# The C library gives large blocks back to the system at once, which then has to hand out and clear the same pages again
# and again: 10,000 of them in each evaluation of slim at 512 pixels. What is let go is kept for the next one instead,
# unless the block alone is larger than this.
KEPT = 2**28  # bytes
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
NO_LIMIT = 2**31 - 1


def prepare() -> None:
    """Sets what the user has not set."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    keep_memory()


def keep_memory() -> bool:
    """Tells the C library to keep what is let go; returns whether it has done so. Only glibc, of Linux, knows how."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT) and mallopt(M_TRIM_THRESHOLD, NO_LIMIT))


def give_memory_back() -> None:
    """Has the C library give back all that it keeps: after work of another kind or size than what comes next."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
