"""Does memory grow from transfer to transfer, as in a lab's long day with one kernel?

    uv run python benchmarks/growth.py              # 100 transfers in one piece, then 30 in tiles, in one process each
    uv run python benchmarks/growth.py --json       # and the figures as one last line
    uv run python benchmarks/growth.py --quick      # a few, to see that everything runs

Prints the resident memory of the process after every tenth transfer. The first ten fill caches of torch and of the
allocator; after that it may not grow by more than 5 %, or the exit status is 1.
"""

import argparse
import gc
import json
import subprocess
import sys
from itertools import cycle, islice

import psutil
import torch

import stylelib
from stylelib import cost, gallery

ALLOWED = 0.05
WARM = 10  # transfers before growth is counted
WAYS = {"whole": cost.Way(), "tiles": cost.Way(tile=64)}
COLORS = ("style", "content", "matched")


def resident() -> float:
    """Memory of this process now, in MiB."""
    return psutil.Process().memory_info().rss / 2**20


def tensors() -> int:
    """How many tensors are alive that Python knows of."""
    gc.collect()
    return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())


def run(way: str, count: int, size: int, steps: int) -> list[dict[str, float]]:
    """Transfers of pictures in turn, of every choice of colors; a row after each tenth."""
    cost.fitting_way = lambda *arguments: WAYS[way]
    rows = []
    pairs = zip(cycle(gallery.photographs()), cycle(gallery.styles()), cycle(COLORS), strict=False)
    for index, (content, style, color) in enumerate(islice(pairs, count), start=1):
        stylelib.stylize(gallery.load(content, size), gallery.load(style, size), size=size, steps=steps, color=color)
        if index % WARM == 0:
            rows.append({"transfers": index, "mib": resident(), "tensors": tensors()})
    return rows


def measure(way: str, *numbers: int) -> list[dict[str, float]]:
    """`run`, in a process of its own."""
    command = [sys.executable, __file__, "--one", way, *map(str, numbers)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="all figures as the last line")
    parser.add_argument("--quick", action="store_true", help="few transfers; they say nothing about growth")
    parser.add_argument("--one", nargs=4, metavar=("WAY", "COUNT", "SIZE", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        way, *numbers = options.one
        print(json.dumps(run(way, *map(int, numbers))))
        return 0
    figures = {}
    for way, count in (("whole", 20), ("tiles", 20)) if options.quick else (("whole", 100), ("tiles", 30)):
        rows = measure(way, count, options.size, options.steps)
        for row in rows:
            print(f"{way:6} {row['transfers']:4} transfers  {row['mib']:7.1f} MiB  {row['tensors']:5} tensors")
        figures[way] = rows[-1]["mib"] / rows[0]["mib"] - 1
        print(f"{way:6} grew by {figures[way]:.1%} after the first {WARM}")
    if options.json:
        print(json.dumps(figures))
    return 0 if options.quick else int(max(figures.values()) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
