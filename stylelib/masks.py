"""Regions of a picture.

A *mask* is a float32 tensor (1, 1, H, W) in [0, 1]: 1 inside the region, 0 outside, and between the two at a soft edge.
"""

import io
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, max_pool2d, pad

from .color import luminance
from .decoding import PictureFile, decode, name_of, open_picture
from .images import ImageWarning, load_alpha, load_image

BORDER = 0.25  # of the receptive field must lie inside: its middle does most of the seeing
ENOUGH = 0.25  # of a region must be left at a layer when the positions near its border are dropped


RARE = 0.002  # of the pixels; fewer have the color of a smoothed edge, not of a region
MOST_REGIONS = 12
HUGE = 2 * 4096**2  # pixels; a mask with more would take gigabytes, and is read at long side HUGE_AT
HUGE_AT = 1400  # a quarter of its side at most, so that less than all of it becomes floats


class MaskError(ValueError):
    """A mask that is none, or that covers nothing. The message is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Sight:
    """How a layer sees the picture.

    Attributes:
        shape: (h, w) of its feature maps.
        step: pixels from one position to the next.
        field: side of the receptive field in pixels.
        before: how many of them lie above (left of) the pixel at which the position's step begins.
    """

    shape: tuple[int, int]
    step: int
    field: int
    before: int


def load_mask(file: PictureFile) -> Tensor:
    """Reads a mask from a picture: white counts, black and transparent do not, what lies between counts in part.

    A huge one is read smaller: the picture that it is for will hardly be that large.

    Raises:
        ImageError: as `load_image`.
        MaskError: a picture that is black all over.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)  # a white shape on nothing is one color once it lies on white
        size = _manageable(file)
        mask = load_image(_rewound(file), size).mean(1, keepdim=True)
    if (alpha := load_alpha(_rewound(file), size)) is not None:
        mask = (mask - (1 - alpha)).clamp(0, 1)  # color × alpha + (1 - alpha) was read
    if not bool(mask.max() > 0):
        raise MaskError(
            f"The mask {name_of(file)} is black all over, so it covers nothing; paint white where it should count."
        )
    return mask


def load_regions(file: PictureFile) -> Tensor:
    """Reads a picture of regions for `regions`: an image (1, 3, H, W). Of a huge one every so many pixels are read.

    Raises:
        ImageError: as `load_image`.
    """
    if (size := _manageable(file)) is None:
        return load_image(_rewound(file))
    picture = open_picture(_rewound(file))
    decode(picture, name_of(file))
    shape = [max(1, side * size // max(picture.size)) for side in picture.size]
    # The nearest: a mean of two regions would have the color of neither, and may have that of a third.
    few, smaller = picture.resize(shape, Image.Resampling.NEAREST), io.BytesIO()
    few.convert("RGBA" if few.has_transparency_data else "RGB").save(smaller, "PNG")
    return load_image(_rewound(smaller))


def _manageable(file: PictureFile) -> int | None:
    """The size at which a picture is read that would take gigabytes at its own; None for any other."""
    return HUGE_AT if math.prod(open_picture(_rewound(file)).size) > HUGE else None


def _rewound(file: PictureFile) -> PictureFile:
    """A file from its beginning: an open one has been read to its end."""
    if hasattr(file, "seek"):
        file.seek(0)
    return file


def regions(image: Tensor) -> dict[str, Tensor]:
    """The regions of a picture that has one color for each: color, written as #rrggbb, → mask.

    Pixels of a rare color, as along smoothed edges, go to the region of the nearest color.

    Args:
        image: (1, 3, H, W).

    Raises:
        MaskError: so many colors that it is no such picture.
    """
    steps = (image * 255).round().to(torch.int64)[0]
    codes = (steps[0] * 256 + steps[1]) * 256 + steps[2]
    found, counts = codes.unique(return_counts=True)
    colors = found[counts >= RARE * codes.numel()]
    if not 1 <= len(colors) <= MOST_REGIONS:
        raise MaskError(
            f"A picture of regions has one color for each, {MOST_REGIONS} at most; this one has {len(found)} colors. "
            "Save it as PNG, painted without shades."
        )
    palette = torch.stack([colors // 65536, colors // 256 % 256, colors % 256], dim=1).float()
    nearest = torch.cdist(steps.flatten(1).T.float(), palette).argmin(1).reshape(codes.shape)
    return {f"#{int(color):06x}": (nearest == index).float()[None, None] for index, color in enumerate(colors)}


def matching_regions(content: Tensor, style: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs of masks, of the content and of the style, from two pictures of regions: equal colors belong together.

    Args:
        content, style: (1, 3, H, W), one color for each region.

    Raises:
        MaskError: a region whose color the other picture does not have.
    """
    of_content, of_style = regions(content), regions(style)
    for role, names, others in (("content", of_content, of_style), ("style", of_style, of_content)):
        if alone := [color for color in names if color not in others]:
            raise MaskError(
                f"The region {alone[0]} of the {role} has no partner in the other picture, which has "
                f"{', '.join(others)}; paint regions that belong together in one color."
            )
    return [(mask, of_style[color]) for color, mask in of_content.items()]


def lighter_than(image: Tensor, level: float) -> Tensor:
    """Mask (1, 1, H, W) of the pixels whose lightness (L of CIE Lab / 100) is above a level in [0, 1]."""
    return (luminance(image) > level).to(image.dtype)


def polygon(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> Tensor:
    """Mask (1, 1, H, W) of the inside of a polygon.

    Args:
        points: its corners, (x, y) in pixels from the upper left; three at least.
        shape: (H, W).
    """
    if len(points) < 3:
        raise MaskError(f"A polygon has three corners at least; {len(points)} were given.")
    height, width = shape
    canvas = Image.new("L", (4 * width, 4 * height))  # four times as large, for smooth edges
    ImageDraw.Draw(canvas).polygon([(4 * x, 4 * y) for x, y in points], fill=255)
    mask = torch.from_numpy(np.array(canvas.resize((width, height), Image.Resampling.BOX)))
    return mask[None, None].float() / 255


def soften(mask: Tensor, radius: float) -> Tensor:
    """The mask with a soft edge: blurred by a Gaussian that ends at `radius` pixels, σ = radius / 2.

    Farther than the radius from the edge nothing changes.
    """
    reach = int(radius)
    if reach < 1:
        return mask
    weights = torch.exp(-2 * (torch.arange(-reach, reach + 1, dtype=mask.dtype, device=mask.device) / radius) ** 2)
    weights = weights / weights.sum()
    padded = pad(mask, (reach, reach, reach, reach), mode="replicate")
    rows = conv2d(padded, weights.view(1, 1, 1, -1))
    return conv2d(rows, weights.view(1, 1, -1, 1)).clamp(0, 1)


def check_mask(mask: Tensor, role: str = "mask") -> None:
    """Raises a `MaskError` if it is no mask, or one that covers nothing."""
    if not isinstance(mask, Tensor) or mask.ndim != 4 or mask.shape[:2] != (1, 1) or not mask.is_floating_point():
        shape = f"{tuple(mask.shape)}, {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
        raise MaskError(f"The {role} must be a mask, (1, 1, height, width) in [0, 1]; it is {shape}.")
    if not (bool(torch.isfinite(mask).all()) and 0 <= mask.min() and mask.max() <= 1):
        raise MaskError(f"The {role} holds values outside [0, 1]; divide by the largest one.")
    if not bool(mask.max() > 0):
        raise MaskError(f"The {role} covers nothing; paint white where it should count.")


def resize_mask(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """Scales a mask to (h, w); each value is the mean of the mask over what it stands for."""
    if tuple(mask.shape[-2:]) == tuple(shape):
        return mask
    return interpolate(mask, shape, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def union(masks: Iterable[Tensor]) -> Tensor:
    """Where any of the masks covers, in the size of the first. Soft edges of two neighbors add up to one."""
    masks = list(masks)
    shape = tuple(masks[0].shape[-2:])
    return sum(resize_mask(mask, shape) for mask in masks).clamp(0, 1)


def to_layers(mask: Tensor, network: nn.Sequential, layers: Iterable[str], shape: tuple[int, int]) -> dict[str, Tensor]:
    """A mask of a picture as masks of the feature maps that a network makes of it at (H, W) = `shape`.

    Returns:
        name → (1, 1, h, w): see `to_layer`.
    """
    return {name: to_layer(mask, sight(network, name, shape)) for name in layers}


def to_layer(mask: Tensor, sight: Sight) -> Tensor:
    """A mask (1, 1, H, W) of a picture as a mask (1, 1, h, w) of one layer's positions.

    A position near the border of the region sees both sides of it, so its features belong to neither. It counts as the
    smallest value of the mask within the middle quarter of its receptive field. What lies farther out is seen ever more
    faintly (Luo et al., NIPS 2016, measured how faintly), and with a wider band along the border, that band would stay
    unpainted. Where less than a quarter of the region would be left, as in deep layers, half of that is asked for, and
    so on.
    """
    coverage = resize_mask(mask, sight.shape)
    reach = round(BORDER * sight.field / 2 / sight.step)
    while reach and (inside := _shrunk(coverage, reach)).sum() < ENOUGH * coverage.sum():
        reach //= 2
    return inside if reach else coverage


def _shrunk(mask: Tensor, reach: int) -> Tensor:
    """The smallest value within `reach` positions. The edge of the picture is no border: beyond it nothing is seen."""
    rows = max_pool2d(-mask, (2 * reach + 1, 1), 1, (reach, 0))
    return -max_pool2d(rows, (1, 2 * reach + 1), 1, (0, reach))


def sight(network: nn.Sequential, layer: str, shape: tuple[int, int]) -> Sight:
    """Walks from a picture of (H, W) = `shape` to a layer: each kernel adds (k − 1) steps to the field."""
    height, width = shape
    step, field, before = 1, 1, 0
    for name, module in network.named_children():
        if stages := [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d))]:
            # Of the branches inside a fire module, the widest.
            widest = max(stages, key=lambda stage: _pair(stage.kernel_size))
            kernel, stride, padding = (_pair(v)[0] for v in (widest.kernel_size, widest.stride, widest.padding))
            up = stride - 1 if getattr(widest, "ceil_mode", False) else 0
            height, width = ((side + 2 * padding - kernel + up) // stride + 1 for side in (height, width))
            field, before, step = field + (kernel - 1) * step, before + padding * step, step * stride
        if name == layer:
            break
    return Sight((height, width), step, field, before)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
