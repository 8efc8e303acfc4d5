"""Every content in every style, on one large sheet, and each picture as a file of its own: for looking.

    uv run python tools/contact_sheet.py sheet                      # photographs × the project's styles
    uv run python tools/contact_sheet.py sheet --contents photos/*.jpg --styles paintings/*.jpg

Writes sheet/CONTENT+STYLE.jpg and sheet/sheet.jpg. Six contents in eight styles take about ten minutes on two cores.
Pictures that are there already are kept, so a run that was cut off goes on where it stopped.
"""

import argparse
from pathlib import Path

from torch import Tensor
from torchvision.transforms.v2 import functional as TF
from torchvision.utils import make_grid
from tqdm import tqdm

from stylelib import gallery, load_image, save_image, stylize
from stylelib.images import resize

# People, an animal, a building site of the sky, things, machines, letters: what people photograph.
CONTENTS = ("astronaut", "chelsea", "rocket", "coffee", "stereo_motorcycle", "page")
STYLES = sorted(path.stem for path in gallery.STYLES.glob("*.jpg"))
THUMBNAIL = 256  # pixels, the long side; shorter sides are padded with white


def load(name: str, size: int) -> Tensor:
    """An image of the gallery, or else of a file."""
    return gallery.load(name, size) if name in gallery.names() else load_image(name, size)


def thumbnail(image: Tensor) -> Tensor:
    small = resize(image, THUMBNAIL)[0]
    height, width = small.shape[-2:]
    left, top = (THUMBNAIL - width) // 2, (THUMBNAIL - height) // 2
    return TF.pad(small, [left, top, THUMBNAIL - width - left, THUMBNAIL - height - top], fill=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--contents", nargs="+", default=CONTENTS, help="names of the gallery, or files")
    parser.add_argument("--styles", nargs="+", default=STYLES, help="names of the gallery, or files")
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)

    white = thumbnail(load(options.contents[0], options.size)).mul(0).add(1)
    cells = [white, *(thumbnail(load(style, options.size)) for style in options.styles)]
    pairs = [(content, style) for content in options.contents for style in options.styles]
    for content, style in tqdm(pairs):
        if style == options.styles[0]:
            cells.append(thumbnail(load(content, options.size)))
        path = options.folder / f"{Path(content).stem}+{Path(style).stem}.jpg"
        if not path.exists():
            result = stylize(load(content, options.size), load(style, options.size), size=options.size)
            save_image(result.image, path)
        cells.append(thumbnail(load_image(path)))
    save_image(make_grid(cells, nrow=len(options.styles) + 1, pad_value=1.0)[None], options.folder / "sheet.jpg")


if __name__ == "__main__":
    main()
