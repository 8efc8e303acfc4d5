"""Paints the pictures of the README and of lesson 10: photographs of scikit-image in styles of this project.

uv run python tools/make_readme_pictures.py           # writes all to images/result, some minutes
uv run python tools/make_readme_pictures.py weights   # only that one

All are slim's but half of teacher.jpg, for which torchvision downloads squeezenet1_0, 5 MB, if it is not here.
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import ImageOps
from torchvision.transforms.v2 import functional as TF

from stylelib import gallery, load_backbone, plots, stylize
from stylelib.files import replacing

FOLDER = Path(__file__).resolve().parent.parent / "images" / "result"
PAIRS = [
    ("astronaut", "flow_strokes"),
    ("chelsea", "marbling"),
    ("coffee", "waves"),
    ("stereo_motorcycle", "geometric"),
]
WEIGHTS = (0.5, 4, 32, 256, 2048)
DPI = 110
PANEL = 320  # pixels; the middle of each picture is shown as a square


def panel(image):
    """The largest square in the middle, (1, 3, PANEL, PANEL)."""
    square = ImageOps.fit(TF.to_pil_image(image[0]), (PANEL, PANEL))
    return TF.to_dtype(TF.to_image(square), scale=True)[None]


def overview() -> Figure:
    """Four photographs, four styles, and each photograph in one of them."""
    rows = {"content": {}, "style": {}, "result": {}}
    for content_name, style_name in PAIRS:
        content, style = gallery.load(content_name, 512), gallery.load(style_name, 512)
        rows["content"][content_name] = panel(content)
        rows["style"][style_name] = panel(style)
        rows["result"][f"{content_name} + {style_name}"] = panel(stylize(content, style).image)
    titled = {title: image for row in rows.values() for title, image in row.items()}
    return plots.pictures(titled, columns=len(PAIRS), height=2.6)


def weights() -> Figure:
    """The same picture with style weights from hardly styled to little but style."""
    content, style = gallery.load("astronaut", 512), gallery.load("flow_strokes", 512)
    results = {f"style weight {w}": panel(stylize(content, style, style_weight=w).image) for w in WEIGHTS}
    return plots.pictures(results, height=2.2)


def teacher() -> Figure:
    """A style, slim's picture in it, and its teacher's with the same style weight; no titles, lesson 10 has them."""
    content, style = gallery.load("rocket", 512), gallery.load("marbling", 512)
    painted = [stylize(content, style, backbone=load_backbone(name)).image for name in ("slim", "squeezenet1_0")]
    row = torch.cat([panel(image) for image in (style, *painted)], dim=-1)
    figure = Figure(figsize=(row.shape[-1] / DPI, row.shape[-2] / DPI))
    figure.figimage(row[0].permute(1, 2, 0))
    return figure


def main() -> None:
    pictures = {paint.__name__: paint for paint in (overview, weights, teacher)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=pictures, help="which; without any, all of them")
    FOLDER.mkdir(exist_ok=True)
    for name in parser.parse_args().names or pictures:
        path = FOLDER / f"{name}.jpg"
        with replacing(path) as beside:
            pictures[name]().savefig(beside, dpi=DPI, pil_kwargs={"quality": 88})
        print(f"wrote {path.name} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
