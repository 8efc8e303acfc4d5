"""Regions of a picture.

A *mask* is a float32 tensor (1, 1, H, W) in [0, 1]: 1 inside the region, 0 outside, and between the two at a soft edge.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

BORDER = 0.5  # of the receptive field must lie inside; its middle does most of the seeing
ENOUGH = 0.25  # of a region must be left at a layer when the positions near its border are dropped


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


def to_layers(mask: Tensor, network: nn.Sequential, layers: Iterable[str], shape: tuple[int, int]) -> dict[str, Tensor]:
    """A mask of a picture as masks of the feature maps that a network makes of it at (H, W) = `shape`.

    Returns:
        name → (1, 1, h, w): see `to_layer`.
    """
    return {name: to_layer(mask, sight(network, name, shape)) for name in layers}


def to_layer(mask: Tensor, sight: Sight) -> Tensor:
    """A mask (1, 1, H, W) of a picture as a mask (1, 1, h, w) of one layer's positions.

    A position near the border of the region sees both sides of it, so its features belong to neither. It counts as the
    smallest value of the mask within the middle half of its receptive field: the outer half is seen only faintly (Luo
    et al., NIPS 2016, measured how faintly). Where less than a quarter of the region would be left, as in deep
    layers, half of that is asked for, and so on.
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
