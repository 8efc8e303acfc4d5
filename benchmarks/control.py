"""Does every control do what it says? Colors, regions, masks, stroke size, blending, and what they cost.

    uv run python benchmarks/control.py                    # a table; about three minutes on two cores
    uv run python benchmarks/control.py --json             # and the figures as one last line
    uv run python benchmarks/control.py --only color cost  # sections: color, regions, mask, stroke, blend, cost
    uv run python benchmarks/control.py --sheets FOLDER    # and the pictures, to be looked at
    uv run python benchmarks/control.py --quick            # tiny, to see that everything runs

Each figure is the worst of three pairs. How it is measured stands in the function that measures it; no network that
made the pictures judges them where a measure without one will do.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stylelib import Objective, Style, gallery, load_backbone, save_image, stylize
from stylelib.color import luminance, to_gray, to_lab
from stylelib.images import resize, resize_to
from stylelib.masks import polygon, soften

# A photograph and two styles each. None of them served to choose anything that is measured here.
PAIRS = [("rocket", "mosaic", "waves"), ("astronaut", "points", "hatching"), ("coffee", "geometric", "flow_strokes")]
SECTIONS = ("color", "regions", "mask", "stroke", "blend", "cost")
BARS = {
    "color_ab_over_plain": "≤ 0.25",
    "color_luminance_style_over_plain": "≤ 1.15",
    "regions_swd_over_plain": "≤ 1.25",
    "regions_other_over_own": "≥ 2",
    "mask_outside_steps": "≤ 1",
    "stroke_2_over_1": "≥ 1.6",
    "stroke_smallest_ratio": "> 1",
    "blend_monotonic": "1",
    "blend_ends_off": "≤ 0.03",
    "cost_two_styles": "≤ 1.1",
    "cost_two_regions": "≤ 1.4",
}
SCALES = (0.5, 1.0, 2.0, 4.0)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass
class Bench:
    """Pictures, and runs that several sections share."""

    size: int
    steps: int
    repeats: int
    pairs: list[tuple[str, str, str]]

    def __post_init__(self):
        self.backbone = load_backbone("slim")
        self.picture = cache(lambda name: gallery.load(name, size=2 * self.size))
        self.plain = cache(lambda content, style: self.run(content, self.picture(style)))
        self.sheets: dict[str, list[list[Tensor]]] = {}

    def content(self, name: str) -> Tensor:
        return resize(self.picture(name), self.size)

    def style(self, name: str) -> Tensor:
        return resize(self.picture(name), self.size)

    def run(self, content: str, style, **options) -> Tensor:
        options = {"backbone": self.backbone, "size": self.size, "steps": self.steps} | options
        return stylize(self.picture(content), style, **options).image

    def halves(self, name: str) -> tuple[Tensor, Tensor]:
        """Two regions that a slanted line parts."""
        height, width = self.content(name).shape[-2:]
        left = polygon([(0, 0), (0.6 * width, 0), (0.4 * width, height), (0, height)], (height, width))
        return left, 1 - left


# --- the measures


def color_distance(image: Tensor, other: Tensor) -> float:
    """Sliced Wasserstein distance of the a and b of CIE Lab: the mean over 32 directions."""
    lines = F.normalize(torch.randn(2, 32, generator=torch.Generator().manual_seed(0)), dim=0)
    levels = torch.linspace(0, 1, 512)
    shadows = [torch.quantile(to_lab(each)[0, 1:].flatten(1).T @ lines, levels, dim=0) for each in (image, other)]
    return (shadows[0] - shadows[1]).abs().mean().item()


def patch_distance(image: Tensor, style: Tensor, mask: Tensor | None = None, levels: int = 3, count: int = 4096):
    """Sliced Wasserstein distance of 7 × 7 patches on a pyramid; of those that lie inside the mask altogether."""
    total = 0.0
    for level in range(levels):
        generator = torch.Generator().manual_seed(level)
        lines = F.normalize(torch.randn(147, 64, generator=generator), dim=0)
        shadows = []
        for picture, where in ((image, mask), (style, None)):
            patches = F.unfold(picture, 7)[0].T
            if where is not None:
                patches = patches[F.unfold(where, 7)[0].amin(0) > 0.99]
            chosen = torch.randint(len(patches), (count,), generator=generator)
            shadows.append((patches[chosen] @ lines).sort(dim=0).values)
        total += float((shadows[0] - shadows[1]).abs().mean())
        image, style = F.avg_pool2d(image, 2), F.avg_pool2d(style, 2)
        mask = None if mask is None else F.avg_pool2d(mask, 2)
    return total / levels


def correlation_length(change: Tensor) -> float:
    """Pixels after which the lightness of a painted change is half as much like itself.

    Where the autocorrelation, averaged over all directions, falls below 1/2; linear between whole pixels. Waves longer
    than an eighth of the picture are taken out first: they are light and shade, not strokes.
    """
    height, width = change.shape[-2:]
    wave = torch.fft.fft2(change[0, 0] - change.mean())
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None] * height, torch.fft.fftfreq(width) * width)
    correlation = torch.fft.ifft2((wave * (frequency > 8)).abs().square()).real
    correlation = correlation / correlation[0, 0]
    rows = torch.fft.fftfreq(height)[:, None] * height
    columns = torch.fft.fftfreq(width) * width
    distance = torch.hypot(rows, columns).round().long().clamp(max=64)
    sums = torch.zeros(65).scatter_add_(0, distance.flatten(), correlation.flatten())
    curve = sums / torch.zeros(65).scatter_add_(0, distance.flatten(), torch.ones(distance.numel()))
    first = int((curve < 0.5).nonzero()[0])
    return first - (0.5 - curve[first].item()) / (curve[first - 1] - curve[first]).item()


def style_loss(bench: Bench, image: Tensor, style: Tensor) -> float:
    with torch.no_grad():
        return Objective(bench.backbone, style=style)(image)["style"].item()


# --- the sections: each gives name → one figure for each pair


def color(bench: Bench) -> Iterator[tuple[str, float]]:
    for photograph, name, _ in bench.pairs:
        plain, content = bench.plain(photograph, name), bench.content(photograph)
        kept = bench.run(photograph, bench.picture(name), color="content")
        yield "color_ab_over_plain", color_distance(kept, content) / color_distance(plain, content)
        gray = to_gray(bench.style(name))
        reached = [style_loss(bench, to_gray(image), gray) for image in (kept, plain)]
        yield "color_luminance_style_over_plain", reached[0] / reached[1]
        matched = bench.run(photograph, bench.picture(name), color="matched")
        bench.sheets.setdefault("color", []).append([content, bench.style(name), plain, kept, matched])


def regions(bench: Bench) -> Iterator[tuple[str, float]]:
    for photograph, *names in bench.pairs:
        masks = bench.halves(photograph)
        styles = [Style(bench.picture(name), where=mask) for name, mask in zip(names, masks, strict=True)]
        image = bench.run(photograph, styles)
        for name, other, mask in zip(names, names[::-1], masks, strict=True):
            own = patch_distance(image, bench.style(name), mask)
            plain = patch_distance(bench.plain(photograph, name), bench.style(name), mask)
            yield "regions_swd_over_plain", own / plain
            yield "regions_other_over_own", patch_distance(image, bench.style(other), mask) / own
        bench.sheets.setdefault("regions", []).append(
            [bench.content(photograph), *map(bench.style, names), image, bench.plain(photograph, names[0])]
        )


def mask(bench: Bench) -> Iterator[tuple[str, float]]:
    for photograph, name, _ in bench.pairs:
        content = bench.content(photograph)
        hard = bench.halves(photograph)[0]
        soft = soften(hard, 0.02 * bench.size)
        image = bench.run(photograph, Style(bench.picture(name), where=soft))
        outside = (soft == 0).expand_as(image)
        yield "mask_outside_steps", (255 * (image - content).abs()[outside].max()).item()
        bench.sheets.setdefault("mask", []).append([content, bench.style(name), soft.expand_as(content), image])


def stroke(bench: Bench) -> Iterator[tuple[str, float]]:
    for photograph, name, _ in bench.pairs:
        content = bench.content(photograph)
        images = [bench.run(photograph, Style(bench.picture(name), scale=scale)) for scale in SCALES]
        lengths = [correlation_length(luminance(image) - luminance(content)) for image in images]
        print(f"  {photograph} + {name}: correlation lengths", *(f"{length:.2f}" for length in lengths))
        yield "stroke_2_over_1", lengths[2] / lengths[1]
        yield "stroke_smallest_ratio", min(after / before for before, after in pairwise(lengths))
        bench.sheets.setdefault("stroke", []).append([content, *images])


def blend(bench: Bench) -> Iterator[tuple[str, float]]:
    for photograph, *names in bench.pairs:
        images = [
            bench.run(photograph, [Style(bench.picture(names[0]), 1 - share), Style(bench.picture(names[1]), share)])
            for share in SHARES
        ]
        losses = [[style_loss(bench, image, bench.style(name)) for image in images] for name in names]
        rising = all(a < b for a, b in pairwise(losses[0])) and all(a > b for a, b in pairwise(losses[1]))
        print(f"  {photograph}: style loss to {names[0]}", *(f"{loss:.4f}" for loss in losses[0]))
        print(f"  {photograph}: style loss to {names[1]}", *(f"{loss:.4f}" for loss in losses[1]))
        yield "blend_monotonic", float(rising)
        single = [style_loss(bench, bench.plain(photograph, name), bench.style(name)) for name in names]
        yield "blend_ends_off", max(abs(losses[0][0] / single[0] - 1), abs(losses[1][-1] / single[1] - 1))
        bench.sheets.setdefault("blend", []).append(images)


def cost(bench: Bench) -> Iterator[tuple[str, float]]:
    """Median seconds of a forward and a backward pass; taken in turn, so that a disturbance hits all alike."""
    for photograph, *names in bench.pairs[:1]:
        content, styles = bench.content(photograph), [bench.style(name) for name in names]
        where = bench.halves(photograph)
        objectives = {
            "plain": Objective(bench.backbone, content, styles[0]),
            "cost_two_styles": Objective(bench.backbone, content, styles),
            "cost_two_regions": Objective(
                bench.backbone, content, [Style(style, where=mask) for style, mask in zip(styles, where, strict=True)]
            ),
        }
        works = {name: evaluation(objective, content) for name, objective in objectives.items()}
        seconds = medians(works, bench.repeats)
        print("  seconds of an evaluation:", *(f"{name} {value:.4f}" for name, value in seconds.items()))
        for name in ("cost_two_styles", "cost_two_regions"):
            yield name, seconds[name] / seconds["plain"]


def evaluation(objective: Objective, image: Tensor) -> Callable[[], None]:
    pixels = image.clone().requires_grad_()

    def run() -> None:
        pixels.grad = None
        objective(pixels)["total"].backward()

    return run


def medians(works: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 2):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if repeat > 1:  # the first warm up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


# --- the report


def worst(name: str, figures: list[float]) -> float:
    """The figure farthest on the wrong side of its bar."""
    return min(figures) if BARS[name].startswith((">", "≥", "1")) else max(figures)


def holds(name: str, figure: float) -> bool:
    sign, _, bar = BARS[name].rpartition(" ")
    return {"≤": figure <= float(bar), "≥": figure >= float(bar), ">": figure > float(bar), "": figure == 1.0}[sign]


def sheet(rows: list[list[Tensor]], size: int) -> Tensor:
    """Pictures in rows and columns, each in a square of its own."""
    canvas = torch.ones(1, 3, len(rows) * (size + 8), max(map(len, rows)) * (size + 8))
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            height, width = picture.shape[-2:]
            top, left = row * (size + 8), column * (size + 8)
            canvas[..., top : top + height, left : left + width] = resize_to(picture, (height, width))
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    bench = Bench(64, 12, 2, PAIRS[:1]) if options.quick else Bench(256, 120, 15, PAIRS)
    results: dict[str, float] = {}
    for section in options.only:
        start = time.perf_counter()
        figures: dict[str, list[float]] = {}
        for name, figure in globals()[section](bench):
            figures.setdefault(name, []).append(figure)
        for name, values in figures.items():
            results[name] = worst(name, values)
            verdict = "ok" if holds(name, results[name]) else "NOT REACHED"
            print(f"{name:34} {results[name]:8.3f}   {BARS[name]:8} {verdict:12}", *(f"{v:.3f}" for v in values))
        print(f"  ({section}: {time.perf_counter() - start:.0f} s)", flush=True)
    for name, rows in bench.sheets.items() if options.sheets else ():
        save_image(sheet(rows, bench.size), options.sheets / f"{name}.png")
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
