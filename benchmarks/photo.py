"""Photographic transfer beside its opponents: whose colors, whose picture?

    uv run --with color-matcher python benchmarks/photo.py --sheet out/sheets
    uv run --with color-matcher python benchmarks/photo.py --pictures a.jpg b.jpg c.jpg   # your own

Four measures, means over all ordered pairs of the pictures at 512 pixels, and one line per pair for the default:

color      lower is better   sliced Wasserstein-1 distance in CIE Lab from the result to the style: 64 directions,
                             20,000 pixels of each; two draws from one picture differ by 0.1 to 0.4
structure  higher, to 1      SSIM between the Sobel magnitudes of lightness, result and content, each over its own mean
clipped    lower             share of channel values at 0 or 255, less the content's own
grain      near 1            standard deviation of lightness less its 3 × 3 median, result over content

Opponents: `skimage.exposure.match_histograms`, and `color-matcher` if it is installed. That package is GPL: a tool of
this benchmark alone. Its results are clipped to [0, 255], not stretched as its own normalizer does.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import median_filter
from skimage.color import rgb2lab
from skimage.exposure import match_histograms
from skimage.filters import sobel
from skimage.metrics import structural_similarity

from stylelib import gallery, photo

PICTURES = ("astronaut", "coffee", "chelsea", "rocket")
MEASURES = ("color", "structure", "clipped", "grain")
DIRECTIONS, DRAWN = 64, 20_000
OURS = tuple(photo.METHODS)
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def color(result: np.ndarray, style: np.ndarray) -> float:
    rng = np.random.default_rng(0)
    sides = rng.normal(size=(3, DIRECTIONS))
    sides /= np.linalg.norm(sides, axis=0)
    ordered = []
    for picture in (result, style):
        pixels = rgb2lab(picture).reshape(-1, 3)
        drawn = pixels[rng.choice(len(pixels), DRAWN, replace=len(pixels) < DRAWN)]
        ordered.append(np.sort(drawn @ sides, axis=0))
    return float(np.abs(ordered[0] - ordered[1]).mean())


def structure(result: np.ndarray, content: np.ndarray) -> float:
    edges = [sobel(rgb2lab(picture)[..., 0]) for picture in (result, content)]
    edges = [magnitude / max(magnitude.mean(), 1e-9) for magnitude in edges]
    return float(structural_similarity(*edges, data_range=max(edges[1].max(), 1e-9)))


def clipped(result: np.ndarray, content: np.ndarray) -> float:
    at_the_end = [np.isin(picture, (0, 255)).mean() for picture in (result, content)]
    return float(max(0, at_the_end[0] - at_the_end[1]))


def grain(result: np.ndarray, content: np.ndarray) -> float:
    lightness = [rgb2lab(picture)[..., 0] for picture in (result, content)]
    noise = [np.std(values - median_filter(values, size=3)) for values in lightness]
    return float(noise[0] / noise[1]) if noise[1] else float("nan")


def measure(result: np.ndarray, content: np.ndarray, style: np.ndarray) -> dict[str, float]:
    values = color(result, style), structure(result, content), clipped(result, content), grain(result, content)
    return dict(zip(MEASURES, values, strict=True))


def methods() -> dict[str, Method]:
    """Name → function of two uint8 RGB pictures. The opponents first."""
    found: dict[str, Method] = {"match_histograms": lambda c, s: rounded(match_histograms(c, s, channel_axis=-1))}
    if find_spec("color_matcher"):
        from color_matcher import ColorMatcher

        for name in ("mkl", "hm-mkl-hm", "reinhard"):
            found[f"color-matcher {name}"] = lambda c, s, name=name: rounded(
                ColorMatcher().transfer(src=c.astype(float), ref=s.astype(float), method=name)
            )
    return found | {name: lambda c, s, name=name: ours(c, s, name) for name in OURS}


def ours(content: np.ndarray, style: np.ndarray, method: str) -> np.ndarray:
    images = [torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None] for picture in (content, style)]
    return rounded(255 * photo.transfer_photo(*images, method=method)[0].permute(1, 2, 0).numpy())


def rounded(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 255).round().astype(np.uint8)


def read(name: str, size: int) -> np.ndarray:
    """Uint8 RGB, scaled with a filter that cannot overshoot, so that scaling clips nothing."""
    path = gallery.path(name) if name in gallery.names() else Path(name)
    picture = Image.open(path).convert("RGB")
    scale = size / max(picture.size)
    return np.asarray(picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BILINEAR))


def sheet(rows: list[list[tuple[str, np.ndarray]]], side: int = 240) -> Image.Image:
    """Rows of pictures under their titles."""
    result = Image.new("RGB", (side * max(map(len, rows)), (side + 14) * len(rows)), "white")
    draw = ImageDraw.Draw(result)
    for y, row in enumerate(rows):
        for x, (title, picture) in enumerate(row):
            small = Image.fromarray(picture)
            small.thumbnail((side - 4, side - 2))
            draw.text((x * side + 2, y * (side + 14)), title, fill="black")
            result.paste(small, (x * side, y * (side + 14) + 13))
    return result


def table(scores: dict[str, dict[tuple[str, str], dict[str, float]]]) -> str:
    lines = [f"{'':24}" + "".join(f"{name:>11}" for name in (*MEASURES, "seconds"))]
    for name, pairs in scores.items():
        means = [np.mean([values[key] for values in pairs.values()]) for key in (*MEASURES, "seconds")]
        lines.append(f"{name:24}" + "".join(f"{value:11.3f}" for value in means))
    return "\n".join(lines)


def better_pairs(scores: dict) -> int:
    """On how many pairs the default's color is at most 0.75 × and its structure at least - 0.05 of the linear map's."""
    against = scores.get("color-matcher mkl", scores["linear"])
    pairs = ((scores["smooth"][pair], against[pair]) for pair in against)
    return sum(s["color"] <= 0.75 * m["color"] and s["structure"] >= m["structure"] - 0.05 for s, m in pairs)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", nargs="+", default=PICTURES, help="names of the gallery, or files")
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sheet", type=Path, help="folder for one contact sheet per content")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON: the default's means")
    options = parser.parse_args(arguments)

    pictures = {Path(name).stem: read(name, options.size) for name in options.pictures}
    chosen = {name: method for name, method in methods().items() if name in (options.methods or methods())}
    scores: dict[str, dict] = {name: {} for name in chosen}
    for content in pictures:
        rows = []
        for style in (name for name in pictures if name != content):
            row = [(f"{content}", pictures[content]), (f"style {style}", pictures[style])]
            for name, method in chosen.items():
                start = time.perf_counter()
                result = method(pictures[content], pictures[style])
                seconds = time.perf_counter() - start
                scores[name][content, style] = measure(result, pictures[content], pictures[style])
                values = scores[name][content, style]
                row.append((f"{name} {values['color']:.2f} {values['structure']:.3f}", result))
                values["seconds"] = seconds
            rows.append(row)
        if options.sheet:
            options.sheet.mkdir(parents=True, exist_ok=True)
            sheet(rows).save(options.sheet / f"{content}.jpg", quality=92)
    print(f"{len(pictures) * (len(pictures) - 1)} pairs at {options.size} pixels\n{table(scores)}")
    for pair in itertools.permutations(pictures, 2):
        print("\n" + " in the colors of ".join(pair))
        for name in scores:
            print(f"{name:24}" + "".join(f"{scores[name][pair][key]:11.3f}" for key in MEASURES))
    if {"smooth", "linear"} <= set(scores):
        print(f"\nbetter than the linear map: {better_pairs(scores)} of {len(scores['smooth'])} pairs")
    if options.json:
        means = {key: float(np.mean([v[key] for v in scores["smooth"].values()])) for key in MEASURES}
        print(json.dumps(means | {"better": better_pairs(scores)}))


if __name__ == "__main__":
    main()
