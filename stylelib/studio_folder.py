"""The studio's folder: finished pictures, each a file that holds its own settings, and pictures that were brought."""

import hashlib
import io
import re
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from pathlib import Path

from PIL import Image
from PIL.ExifTags import Base
from torch import Tensor

from . import encoding
from .decoding import ImageError
from .images import load_image, to_picture
from .studio_recipe import Recipe

ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif"}
OPTIONS = {".jpg": {"quality": 95, "subsampling": 0}, ".tif": {"compression": "tiff_deflate"}}
NUMBER = re.compile(r"(\d{4,})_.*\.png")


@dataclass(frozen=True)
class Entry:
    """A finished picture: its file, and what it was made of."""

    file: Path
    recipe: Recipe

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        number, content, style = self.file.name.split("_")[0], short(self.recipe.content), short(self.recipe.style)
        return f"{int(number)}: {content}, {style}".replace("_", " ")


class Folder:
    """A folder of finished pictures. It is made when the first one comes.

    Args:
        path: of the folder.
    """

    def __init__(self, path: str | PathLike):
        self.path = Path(path)

    def add(self, image: Tensor, recipe: Recipe) -> Entry:
        """Writes a finished picture, whole or not at all. Raises `ImageError` where that cannot be done."""
        self._make(self.path)
        taken = [int(match[1]) for file in self.path.iterdir() if (match := NUMBER.fullmatch(file.name))]
        name = f"{max(taken, default=0) + 1:04d}_{short(recipe.content)}_{short(recipe.style)}.png"
        encoding.write_bytes(encode(image, recipe, ".png"), self.path / name)
        return Entry(self.path / name, recipe)

    def entries(self) -> list[Entry]:
        """The finished pictures, the oldest first. Files without settings are passed over."""
        files = self.path.glob("*.png") if self.path.is_dir() else []
        found = [(file, settings(file)) for file in sorted(files) if NUMBER.fullmatch(file.name)]
        return [Entry(file, recipe) for file, recipe in found if recipe]

    def export(self, entry: Entry, ending: str) -> Path:
        """The same picture in another format beside it, .jpg or .tif, with its settings."""
        file = entry.file.with_suffix(ending)
        if file != entry.file:
            encoding.write_bytes(encode(load_image(entry.file), entry.recipe, ending), file)
        return file

    def keep(self, name: str, data: bytes) -> Path:
        """Keeps a picture that somebody brought, if it is one; the name that it gets tells it from all others.

        Raises:
            ImageError: not a picture that can be read here, or no place for it.
        """
        file = io.BytesIO(data)
        file.name = name
        load_image(file, 64)  # all of it: a file may be cut off
        brought = self.path / "sources"
        self._make(brought)
        stem = re.sub(r"[^A-Za-z0-9]+", "_", Path(name).stem).strip("_")[:24] or "picture"
        ending = re.sub(r"[^A-Za-z0-9.]", "", Path(name).suffix.lower()) or ".img"
        kept = brought / f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}{ending}"
        encoding.write_bytes(data, kept)
        return kept

    def brought(self) -> list[Path]:
        """The pictures that somebody brought."""
        return sorted(file for file in (self.path / "sources").glob("*-*.*") if not file.name.startswith("."))

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"Cannot make the folder {folder}: {error.strerror or error}.") from error


def encode(image: Tensor, recipe: Recipe, ending: str) -> bytes:
    """A picture file with its settings in the EXIF data, where PNG, JPEG and TIFF all can have them."""
    exif = Image.Exif()
    exif[Base.ImageDescription], exif[Base.Software] = recipe.to_json(), f"stylelib {version('stylelib')}"
    file = io.BytesIO()
    kind = Image.registered_extensions()[ending]
    to_picture(image).save(file, format=kind, exif=exif, **OPTIONS.get(ending, {}))
    return file.getvalue()


def settings(file: str | PathLike) -> Recipe | None:
    """The recipe that a picture file of the studio holds; None of another one."""
    try:
        with Image.open(file) as picture:
            return Recipe.from_json(picture.getexif()[Base.ImageDescription])
    except Exception:  # there is hardly a type that Pillow does not raise on a broken file, which has no settings then
        return None


def short(name: str) -> str:
    """A gallery's name, or a file's without its checksum."""
    return re.sub(r"-[0-9a-f]{8}$", "", Path(name).stem)
