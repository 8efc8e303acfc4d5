"""How long each lesson takes as it is shipped, beside the import of torch on the same machine.

    uv run python benchmarks/lessons.py                          # all of them; a few minutes
    uv run python benchmarks/lessons.py notebooks/04*.ipynb
    uv run python benchmarks/lessons.py --json                   # and the ratios as one last line

Kernel start included, no lesson should take more than six times what `python -c "import torch"` takes: 18 seconds where
that is 3. The exit status is 1 if one does. CPU seconds are those of all threads together; a busy machine changes them
less. Memory is the kernel's at its peak, without JupyterLab and browser.
"""

import stylelib  # noqa: F401 (kernels inherit what it sets, as from JupyterLab)

# isort: split

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

LESSONS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
AIM = 6.0  # times the import of torch
COST = """
import pathlib, psutil, re, sys
process = psutil.Process()
if sys.platform == "linux":  # ru_maxrss would be that of the parent, if it was larger when it started the kernel
    peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
elif sys.platform == "darwin":
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
else:
    peak = process.memory_info().peak_wset
print(sum(process.cpu_times()[:2]), peak / 1e9)
"""


def import_seconds(repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def lesson_cost(path: Path) -> tuple[float, float, float]:
    """Seconds from the start of the kernel to the end of the last cell; its seconds of all processors; GB of memory.

    In an empty folder, without a learner's answers.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(COST))
    *lesson, (place, cost) = enumerate(notebook.cells)
    client = NotebookClient(notebook, timeout=600)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with client.setup_kernel(cwd=folder, env=os.environ | {"STYLELIB_FOLDER": folder, "IPYTHONDIR": folder}):
            for index, cell in lesson:
                client.execute_cell(cell, index)
            seconds = time.perf_counter() - start
            client.execute_cell(cost, place)
    processors, memory = map(float, cost.outputs[0].text.split())
    return seconds, processors, memory


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", type=Path, default=LESSONS, help="notebooks; all lessons by default")
    parser.add_argument("--json", action="store_true", help="end with one line, an object: lesson → ratio")
    options = parser.parse_args(arguments)
    unit = import_seconds()
    print(f'python -c "import torch" takes {unit:.1f} s here\n')
    print("| lesson | seconds | ÷ import of torch | CPU seconds | GB |\n|---|---|---|---|---|")
    ratios = {}
    for path in options.lessons:
        seconds, processors, memory = lesson_cost(path)
        ratios[path.stem] = seconds / unit
        print(
            f"| {path.stem} | {seconds:.1f} | {ratios[path.stem]:.1f} | {processors:.1f} | {memory:.2f} |", flush=True
        )
    if options.json:
        print(json.dumps({"import_torch_seconds": unit, **ratios}))
    return int(max(ratios.values()) > AIM)


if __name__ == "__main__":
    sys.exit(main())
