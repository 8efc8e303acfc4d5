"""Collects pictures for `tools/train_slim.py` from packages of Debian: wallpapers, textures, drawings, stamps.

    uv run python tools/training_pictures.py FOLDER

The packages are those of Debian 12. apt-get and dpkg fetch and unpack them one after the other, without installing
anything: 1.4 GB in all, as much disk for the largest, and some 30 MB of WebP files that stay in FOLDER. Their licenses
are free, but many: train with the pictures, and read the packages' copyright files before you hand any on.

Many kinds matter more than many pictures, so each package gives at most a stated number, drawn at random. Famous
paintings stay out: with them it could not be said any more that slim never saw what it is judged by.
"""

import argparse
import re
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

PACKAGES = {  # package → the most pictures of it
    "gnome-backgrounds": 30,
    "lomiri-wallpapers": 30,
    "mate-backgrounds": 30,
    "openclipart-png": 110,
    "opencv-doc": 100,
    "plasma-workspace-wallpapers": 60,
    "supertuxkart-data": 170,
    "tuxpaint-stamps-default": 80,
    "ukui-wallpapers": 30,
    "wesnoth-1.16-data": 260,
}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SMALLEST, HUGE = 256, 6000  # pixels of the short side
LARGEST = 640  # of the short side, too: larger pictures are reduced
# Names of files: paintings and painters, plasma's wallpapers once more, opencv's 26 views of one chessboard.
UNWANTED = re.compile(
    r"painting|gogh|starry|munch|monet_|picasso|hokusai|vermeer|mona_?lisa|screenshot|(left|right)\d\d", re.IGNORECASE
)
DIAGRAMS = "html"  # a folder of opencv-doc: 1,600 class diagrams


def unpacked(package: str, folder: Path) -> Path:
    """Downloads a package of Debian and unpacks it below `folder`. Nothing is installed."""
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg", "-x", archive, folder / "tree"], check=True)
    return folder / "tree"


def wanted(tree: Path, rng: np.random.Generator) -> Iterator[Path]:
    """The picture files below `tree` that are no painting, no diagram and no link, in random order."""
    files = sorted(file for file in tree.rglob("*") if file.suffix.lower() in SUFFIXES and not file.is_symlink())
    for index in rng.permutation(len(files)):
        if not UNWANTED.search(files[index].name) and DIAGRAMS not in files[index].parts:
            yield files[index]


def opened(file: Path, rng: np.random.Generator) -> Image.Image | None:
    """The picture in RGB, reduced to `LARGEST`, transparent ones on a random plain color; None if it will not do."""
    try:
        with Image.open(file) as picture:
            short = min(picture.size)
            if not SMALLEST <= short <= HUGE:
                return None
            scale = min(1, LARGEST / short)
            size = [round(side * scale) for side in picture.size]
            picture = picture.convert("RGBA").resize(size, Image.Resampling.BOX)
    except (OSError, Image.DecompressionBombError):  # damaged; or so huge that Pillow does not open it
        return None
    ground = Image.new("RGBA", picture.size, (*map(int, rng.integers(256, size=3)), 255))
    return Image.alpha_composite(ground, picture).convert("RGB")


def collect(tree: Path, most: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    """At most `most` pictures from below `tree`."""
    pictures = (opened(file, rng) for file in wanted(tree, rng))
    return islice((picture for picture in pictures if picture), most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for package, most in PACKAGES.items():
        rng = np.random.default_rng(options.seed)  # a package that has changed changes no other
        count = 0
        with TemporaryDirectory() as folder:
            for picture in collect(unpacked(package, Path(folder)), most, rng):
                picture.save(options.folder / f"{package}_{count:03}.webp", quality=90)
                count += 1
        print(f"{package}: {count}", flush=True)


if __name__ == "__main__":
    main()
