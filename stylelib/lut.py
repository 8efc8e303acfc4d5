"""Color maps as tables: a .cube file, which photo and film editors read."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from . import files
from .color import ColorMap
from .decoding import name_of
from .files import replacing

POINTS = 33  # along each axis; what most editors write
DOMAIN = {"DOMAIN_MIN": "000", "DOMAIN_MAX": "111"}  # the range of colors that a table is for: 0 to 1 in each channel


class LutError(ValueError):
    """A .cube file that cannot be read or written. The message is one sentence that says why and what to do."""


def sample(move: ColorMap, points: int = POINTS) -> Tensor:
    """The map at points³ colors: (3, points, points, points), dimensions channel, blue, green, red; in [0, 1]."""
    blue, green, red = torch.meshgrid(*[torch.linspace(0, 1, points)] * 3, indexing="ij")
    lattice = torch.stack([red, green, blue]).reshape(1, 3, points, points**2)
    return move(lattice).clamp(0, 1).reshape(3, points, points, points)


def apply(table: Tensor, image: Tensor) -> Tensor:
    """Looks the colors of an image (1, 3, H, W) up, trilinear between the points of the table."""
    places = (2 * image.clamp(0, 1) - 1).permute(0, 2, 3, 1)[:, None]  # x, y, z are red, green, blue
    return grid_sample(table[None].to(image), places, mode="bilinear", align_corners=True)[:, :, 0]


def save(table: Tensor, file: str | PathLike, title: str = "stylelib") -> None:
    """Writes a table as text: red runs fastest, then green, then blue (Adobe, *Cube LUT Specification* 1.0, 2013)."""
    if Path(file).suffix.lower() != ".cube":
        raise LutError(f"A color table is saved as .cube; {file} ends otherwise.")
    rows = [" ".join(f"{value:.6f}" for value in row) for row in table.flatten(1).T.tolist()]
    lines = [f'TITLE "{title}"', f"LUT_3D_SIZE {table.shape[1]}", *rows]
    try:
        with replacing(file) as beside:
            beside.write_text("\n".join(lines) + "\n", encoding="ascii")
    except OSError as error:
        raise LutError(f"Cannot write {file}: {error.strerror or error}.") from error


def load(file: str | PathLike) -> Tensor:
    """Reads a 3-D table of any size from 2 to 256 points. Raises `LutError` for anything else."""
    name = name_of(file)
    try:
        files.check_plain(file)
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise LutError(f"Cannot read {name}: {error.strerror or error}.") from error
    except ValueError:  # UnicodeDecodeError is one
        raise LutError(f"{name} is not a .cube file, which is text; export it as .cube.") from None
    rows, words = [], {}
    for line in text.splitlines():
        first, *rest = line.split() or "#"
        if (row := _numbers([first, *rest])) is not None:
            rows.append(row)
        elif not first.startswith("#"):
            words[first] = rest
    if any(_numbers(words.get(key, wanted)) != list(map(float, wanted)) for key, wanted in DOMAIN.items()):
        raise LutError(f"{name} maps another range than 0 to 1; export it for that range.")
    size = " ".join(words.get("LUT_3D_SIZE", []))
    points = int(size) if re.fullmatch("[0-9]{1,3}", size) else 0
    if not (2 <= points <= 256 and len(rows) == points**3 and all(len(row) == 3 for row in rows)):
        raise LutError(f"{name} holds no complete 3-D table; export it as a 3-D .cube.")
    table = torch.tensor(rows).T.reshape(3, points, points, points)
    if not bool(torch.isfinite(table).all()):
        raise LutError(f"{name} holds values that are no numbers; export it again.")
    return table


def _numbers(words: Sequence[str]) -> list[float] | None:
    """The words as numbers, if all are."""
    try:
        return [float(word) for word in words]
    except ValueError:
        return None
