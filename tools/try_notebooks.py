"""Every lesson, blank and solved, run as a lab runs them: often, in any order, several at once, and from bad places.

    uv run python tools/try_notebooks.py                     # all ways once; 52 min, three at a time, on two busy cores
    uv run python tools/try_notebooks.py repeat --times 10 --jobs 4
    uv run python tools/try_notebooks.py interrupted 04 05   # only these lessons

Ways:
    repeat       in place, all in random order; what each cell says must be what is stored, as nbval compares it
    elsewhere    the notebook alone, copied into an empty folder
    readonly     in a copy of the checkout in which nothing can be written (as root on Linux only: a read-only mount)
    warnings     with each warning that is raised in our own code, or in a cell, as an error
    interrupted  stopped (the square button) at a random moment, then run again from the cell that was stopped

Prints a line for each failure and a table; the exit status is 1 if there was one.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

import stylelib  # noqa: F401 (sets what kernels inherit; see stylelib/machine.py)

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 600  # four at once on two cores take their time
STRICT = r"""
import warnings
warnings.filterwarnings("error", module=r"(stylelib|__main__)(\.|$)")
"""
# Root may write anything, whatever the permissions say; into a read-only mount not even root.
MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def compare(notebook: Path, prefix: tuple[str, ...] = (), **environment: str) -> str:
    """Runs a notebook with nbval where it lies; what failed, or nothing."""
    command = [*prefix, sys.executable, "-m", "pytest", "-q", "--nbval", f"--nbval-cell-timeout={CELL_SECONDS}"]
    command += ["-c", os.devnull, "--rootdir", str(notebook.parent), "-p", "no:cacheprovider", "-p", "no:xdist"]
    with tempfile.TemporaryDirectory() as folder:
        # Without the reader's own answers, which would change what a lesson prints.
        environment = (
            os.environ | {"STYLELIB_FOLDER": str(Path(folder) / "nowhere"), "IPYTHONDIR": folder} | environment
        )
        done = subprocess.run([*command, str(notebook)], env=environment, capture_output=True, text=True, cwd=folder)
    return "" if done.returncode == 0 else done.stdout[-1500:] + done.stderr[-500:]


def repeat(notebook: Path, chance: random.Random) -> str:
    return compare(notebook)


def elsewhere(notebook: Path, chance: random.Random) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(shutil.copy(notebook, folder)))


def readonly(notebook: Path, chance: random.Random) -> str:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "notebooks")
        shutil.copytree(notebook.parent, copy, ignore=shutil.ignore_patterns("studio_pictures", "my_stylelib.py"))
        if os.name == "posix" and os.geteuid() == 0:
            return compare(copy / notebook.name, ("unshare", "--mount", "sh", "-c", MOUNT, str(copy)))
        copy.chmod(0o555)
        try:
            return compare(copy / notebook.name)
        finally:
            copy.chmod(0o755)


def warned(notebook: Path, chance: random.Random) -> str:
    with tempfile.TemporaryDirectory() as folder:
        startup = Path(folder, "profile_default", "startup")
        startup.mkdir(parents=True)
        (startup / "strict.py").write_text(STRICT, encoding="utf-8")
        return compare(notebook, IPYTHONDIR=folder)


def interrupted(notebook: Path, chance: random.Random) -> str:
    """Stops one cell, any of those that compute, after a random part of the time that it would take."""
    read = nbformat.read(notebook, as_version=4)
    cells = [index for index, cell in enumerate(read.cells) if cell.cell_type == "code"]
    client = NotebookClient(read, timeout=CELL_SECONDS, kernel_manager_class=KernelManager, record_timing=False)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"STYLELIB_FOLDER": str(Path(folder) / "nowhere"), "IPYTHONDIR": folder}
        with client.setup_kernel(cwd=folder, env=environment):
            stopped, wait = chance.choice(cells[1:]), chance.uniform(0, 2)
            try:
                for index in cells[: cells.index(stopped)]:
                    client.execute_cell(read.cells[index], index)
                timer = threading.Timer(wait, client.km.interrupt_kernel)
                timer.start()
                with contextlib.suppress(CellExecutionError):  # KeyboardInterrupt, or what it led to
                    client.execute_cell(read.cells[stopped], stopped)
                timer.cancel()
                timer.join()
                for index in cells[cells.index(stopped) :]:
                    client.execute_cell(read.cells[index], index)
            except CellExecutionError as error:
                return f"stopped cell {read.cells[stopped].id!r} after {wait:.2f} s; then: {str(error)[-1200:]}"
    return ""


WAYS: dict[str, Callable[[Path, random.Random], str]] = {
    "repeat": repeat,
    "elsewhere": elsewhere,
    "readonly": readonly,
    "warnings": warned,
    "interrupted": interrupted,
}


def lessons(numbers: list[str]) -> list[Path]:
    """The blank lessons and the solved ones; only those with these numbers, if there are any."""
    found = sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")])
    return [path for path in found if not numbers or path.name[:2] in numbers]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", help=f"{', '.join(WAYS)}, and numbers of lessons, 04 (default: all)")
    parser.add_argument("--times", type=int, default=1, help="how often each lesson runs in each way")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at once, each in one thread")
    parser.add_argument("--seed", type=int, default=0, help="of the order and of the moments")
    options = parser.parse_args()
    numbers = [word for word in options.ways if word.isdigit()]
    ways = [word for word in options.ways if not word.isdigit()] or list(WAYS)
    if unknown := [word for word in ways if word not in WAYS]:
        parser.error(f"no way is called {unknown[0]!r}; there are {', '.join(WAYS)}.")
    if not (found := lessons(numbers)):
        parser.error(f"there is no lesson {', '.join(numbers)}.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tasks = [(way, path, number) for way in ways for path in found for number in range(options.times)]
    random.Random(options.seed).shuffle(tasks)
    began, failed = time.monotonic(), Counter()

    def attempt(task: tuple[str, Path, int]) -> None:
        way, path, number = task
        name = path.relative_to(ROOT / "notebooks").as_posix()
        failure = WAYS[way](path, random.Random(f"{options.seed} {way} {name} {number}"))
        if failure:
            failed[way] += 1
            tqdm.write(f"{way}, {name}, time {number + 1}: {failure}")

    with ThreadPoolExecutor(options.jobs) as pool:
        list(tqdm(pool.map(attempt, tasks), total=len(tasks), unit="run"))
    print(f"seed {options.seed}, {options.jobs} at once, {(time.monotonic() - began) / 60:.0f} min\n")
    print("| way | runs | failed |\n|---|---|---|")
    for way in ways:
        print(f"| {way} | {len(found) * options.times} | {failed[way]} |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
