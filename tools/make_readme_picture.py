"""Paints the picture at the top of the README: photographs of scikit-image in styles of this project, with slim.

uv run python tools/make_readme_picture.py        # writes images/result/overview.jpg, about a minute
"""

from pathlib import Path

from PIL import ImageOps
from torchvision.transforms.v2 import functional as TF

from stylelib import gallery, plots, stylize

OUT = Path(__file__).resolve().parent.parent / "images" / "result" / "overview.jpg"
PAIRS = [
    ("astronaut", "flow_strokes"),
    ("chelsea", "marbling"),
    ("coffee", "waves"),
    ("stereo_motorcycle", "geometric"),
]
PANEL = 320  # pixels; the middle of each picture is shown as a square


def panel(image):
    """The largest square in the middle, (1, 3, PANEL, PANEL)."""
    square = ImageOps.fit(TF.to_pil_image(image[0]), (PANEL, PANEL))
    return TF.to_dtype(TF.to_image(square), scale=True)[None]


def main() -> None:
    rows = {"content": {}, "style": {}, "result": {}}
    for content_name, style_name in PAIRS:
        content, style = gallery.load(content_name, 512), gallery.load(style_name, 512)
        rows["content"][content_name] = panel(content)
        rows["style"][style_name] = panel(style)
        rows["result"][f"{content_name} + {style_name}"] = panel(stylize(content, style).image)
    titled = {title: image for row in rows.values() for title, image in row.items()}
    OUT.parent.mkdir(exist_ok=True)
    plots.pictures(titled, columns=len(PAIRS), height=2.6).savefig(OUT, dpi=110, pil_kwargs={"quality": 88})
    print(f"wrote {OUT.name} ({OUT.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
