"""Time and memory of one evaluation, from a thumbnail to a poster: in one piece, in tiles, and as `stylize` chooses.

    uv run python benchmarks/size.py                       # a table, 256 to 4096 px; about ten minutes on two cores
    uv run python benchmarks/size.py --json                # and the ratios as one last line
    uv run python benchmarks/size.py --sizes 512 2048 --backbone vgg19
    uv run python benchmarks/size.py --quick               # tiny sizes, to see that everything runs

Each row is a process of its own, because a process never gives back its peak. It runs three steps of `optimize` on a
4 : 3 picture and times the second and third; memory is the peak of the whole process, libraries included, reckoned up
to the pairs of past steps that L-BFGS would keep in a full run. Compared are pixels: seconds per million of them.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import pairwise

import stylelib
from stylelib import cost, gallery, load_backbone
from stylelib.images import resize_to
from stylelib.objective import Objective

CONTENT, STYLE = "coffee", "flow_strokes"
ASPECT = 3 / 4
STEPS = 24  # of a full run at its last scale; as many pairs, or fewer, are kept
REFERENCE = 1024  # px, in one piece: what a pixel costs there is 1
WAYS = {"whole": cost.Way(), "tiles": cost.Way(cost.TILE, cost.FEW_PAIRS), "chosen": None}


def one(size: int, name: str, way: str) -> dict[str, float]:
    """Seconds of an evaluation and peak memory of this process, in GiB."""
    backbone = load_backbone(name, pretrained=name == "slim")
    shape = round(size * ASPECT), size
    content, style = (resize_to(gallery.load(picture), shape) for picture in (CONTENT, STYLE))

    def objective_at(scale: int, make=Objective) -> Objective:
        smaller = round(scale * ASPECT), scale
        return make(backbone, resize_to(content, smaller), resize_to(style, smaller))

    chosen = WAYS[way] or cost.fitting_way(objective_at, backbone.mean.device, shape, size, STEPS)
    times, before = [], time.perf_counter()
    for _ in stylelib.optimize(content, objective_at(size, chosen.make), 3, history=chosen.pairs):
        times.append(time.perf_counter() - before)
        before = time.perf_counter()
    pairs = min(chosen.pairs, STEPS) - 2  # two are there already
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "size": size,
        "seconds": min(times[1:]),
        "gib": (peak + 2 * pairs * content.nbytes) / 2**30,
        "tiled": chosen.tile is not None,
    }


def measure(size: int, name: str, way: str) -> dict[str, float]:
    """`one`, in a process of its own."""
    command = [sys.executable, __file__, "--one", str(size), name, way]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def megapixels(size: int) -> float:
    return size * round(size * ASPECT) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--backbone", default="slim")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["whole", "tiles", "chosen"])
    parser.add_argument("--json", action="store_true", help="end with one line, an object with the ratios")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: a dry run, whose figures mean nothing")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        size, name, way = options.one
        print(json.dumps(one(int(size), name, way)))
        return
    sizes, reference_size = ([64, 128], 64) if options.quick else (options.sizes, REFERENCE)
    reference = measure(reference_size, options.backbone, "whole")["seconds"] / megapixels(reference_size)
    print(f"{options.backbone}; a pixel in one piece at {reference_size} px costs 1\n")
    print("| size | megapixels | way | seconds | a pixel costs | GiB |\n|---|---|---|---|---|---|")
    rows = []
    for size in sizes:
        for way in options.ways:
            row = measure(size, options.backbone, way)
            row["pixel"] = row["seconds"] / megapixels(size) / reference
            figures = f"{row['seconds']:.3g} | {row['pixel']:.2f} | {row['gib']:.2f}"
            print(f"| {size} | {megapixels(size):.2f} | {way} | {figures} |", flush=True)
            rows.append(row | {"way": way})
    chosen = [row for row in rows if row["way"] == "chosen"]
    if options.json:
        print(
            json.dumps(
                {
                    "backbone": options.backbone,
                    "largest": sizes[-1],
                    "pixel_at_largest_over_reference": rows[-1]["pixel"],
                    "gib_at_largest": rows[-1]["gib"],
                    "worst_growth_over_linear": max(
                        (after["seconds"] / megapixels(after["size"]))
                        / (before["seconds"] / megapixels(before["size"]))
                        for before, after in pairwise(chosen)
                    )
                    if len(chosen) > 1
                    else None,
                }
            )
        )


if __name__ == "__main__":
    main()
