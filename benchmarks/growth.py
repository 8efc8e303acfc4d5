"""Does memory grow from transfer to transfer, as in a lab's long day with one kernel? From frame to frame of a film?

    uv run python benchmarks/growth.py              # 100 transfers in one piece, 30 in tiles, 1000 frames
    uv run python benchmarks/growth.py --json       # and the figures as one last line
    uv run python benchmarks/growth.py --quick      # a few, to see that everything runs

Prints the resident memory of the process after every tenth transfer, every fiftieth frame. The first ten or fifty fill
caches of torch and of the allocator; after that it may not grow by more than 5 %, or the exit status is 1.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import psutil
import torch

import stylelib
from stylelib import cost, gallery, scenes
from stylelib.clips import Frame, open_clip, save_clip

ALLOWED = 0.05
WARM, WARM_FILM = 10, 50  # transfers, frames before growth is counted
WAYS = {"whole": cost.Way(), "tiles": cost.Way(tile=64)}
FULL = (("whole", 100), ("tiles", 30), ("film", 1000))
QUICK = (("whole", 20), ("tiles", 20), ("film", 100))
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
            rows.append({"count": index, "mib": resident(), "tensors": tensors()})
    return rows


def run_film(count: int, size: int, steps: int) -> list[dict[str, float]]:
    """The frames of a film, from a file to a file; a row after each fiftieth."""
    rows, scene = [], scenes.pan(size=size, step=0.03)
    with tempfile.TemporaryDirectory() as folder:
        clip, film = Path(folder, "clip.mp4"), Path(folder, "film.mp4")
        filmed = (Frame(scene.frame(index), Fraction(index, 25)) for index in range(count))
        save_clip(filmed, clip, open_clip([scene.frame(0)]))
        style = gallery.load("flow_strokes", size)
        for index, _ in enumerate(stylelib.stylize_video(clip, style, film, size=size, steps=steps), start=1):
            if index % WARM_FILM == 0:
                rows.append({"count": index, "mib": resident(), "tensors": tensors()})
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
    parser.add_argument("--quick", action="store_true", help="few of each; they say nothing about growth")
    parser.add_argument("--one", nargs=4, metavar=("WAY", "COUNT", "SIZE", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        way, *numbers = options.one
        measured = run_film if way == "film" else partial(run, way)
        print(json.dumps(measured(*map(int, numbers))))
        return 0
    figures = {}
    for way, count in QUICK if options.quick else FULL:
        rows = measure(way, count, options.size, options.steps)
        for row in rows:
            print(f"{way:6} {row['count']:4} {row['mib']:7.1f} MiB  {row['tensors']:5} tensors")
        figures[way] = rows[-1]["mib"] / rows[0]["mib"] - 1
        print(f"{way:6} grew by {figures[way]:.1%} after the first {rows[0]['count']}")
    if options.json:
        print(json.dumps(figures))
    return 0 if options.quick else int(max(figures.values()) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
