"""Little films whose motion is known exactly: photographs that move, seen by a camera that moves.

They are what optical flow is measured against, and what a film is made of where there is none at hand.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from . import gallery
from .flow import positions

Pose = Callable[[int], Tensor]  # frame number → 2 × 3: from places in the frame to places in a layer, in pixels


@dataclass(frozen=True)
class Layer:
    """A flat thing in a scene.

    Attributes:
        picture: (1, 3, h, w).
        pose: where it is in each frame.
        alpha: (1, 1, h, w), what of it is there; None is all, without end.
    """

    picture: Tensor
    pose: Pose
    alpha: Tensor | None = None


@dataclass(frozen=True)
class Scene:
    """Layers from back to front, filmed.

    Attributes:
        layers: the first one fills the frame.
        shape: (H, W) of the frames.
        noise: standard deviation of the sensor's noise.
    """

    layers: list[Layer]
    shape: tuple[int, int]
    noise: float = 0.0

    def frame(self, index: int) -> Tensor:
        """Image (1, 3, H, W)."""
        image = torch.zeros(1, 3, *self.shape)
        for layer, cover in zip(self.layers, self._covers(index, self._grid), strict=True):
            image = torch.lerp(image, _look(layer.picture, self._places(layer, index, self._grid)), cover)
        generator = torch.Generator().manual_seed(index)
        return (image + self.noise * torch.randn(image.shape, generator=generator)).clamp(0, 1)

    def flow(self, index: int, lag: int = 1) -> Tensor:
        """The exact flow (1, 2, H, W) from frame `index` to the one `lag` frames before, of what is in front."""
        return self._origins(index, lag) - self._grid

    def visible(self, index: int, lag: int = 1) -> Tensor:
        """Mask (1, 1, H, W): 1 where what is seen in frame `index` was also in sight `lag` frames before."""
        origins, (height, width) = self._origins(index, lag), self.shape
        columns, rows = origins.split(1, dim=1)
        within = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
        now, then = self._front(index, self._grid), self._front(index - lag, origins)
        return (within & (now == then) & (now >= 0)).float()

    @property
    def _grid(self) -> Tensor:
        return positions(*self.shape)

    def _origins(self, index: int, lag: int) -> Tensor:
        """(1, 2, H, W): where each pixel's thing was. Where an edge is soft, the thing in front is meant."""
        covers = self._covers(index, self._grid)
        origins = self._grid
        for layer, cover in zip(self.layers, covers, strict=True):
            there = _inverse(layer.pose(index - lag), _apply(layer.pose(index), self._grid))
            origins = torch.where(cover > 0.5, there, origins)
        return origins

    def _front(self, index: int, places: Tensor) -> Tensor:
        """(1, 1, H, W): number of the layer seen at these places of a frame; −1 where an edge mixes two."""
        front = torch.zeros(1, 1, *self.shape)
        for number, cover in enumerate(self._covers(index, places)):
            front = torch.where(cover > 0.99, float(number), torch.where(cover > 0.01, -1.0, front))
        return front

    def _covers(self, index: int, places: Tensor) -> list[Tensor]:
        ones = torch.ones(1, 1, *self.shape)
        return [
            ones if layer.alpha is None else _look(layer.alpha, self._places(layer, index, places), outside="zeros")
            for layer in self.layers
        ]

    def _places(self, layer: Layer, index: int, places: Tensor) -> Tensor:
        return _apply(layer.pose(index), places)


def pan(photograph: str = "coffee", size: int = 384, step: float = 3.0) -> Scene:
    """The camera moves sideways over a photograph, `step` pixels a frame."""
    picture, shape = _backdrop(photograph, size)
    return Scene([Layer(picture, lambda index: _move(20 + step * index, 20 + 0.25 * step * index))], shape)


def zoom(photograph: str = "rocket", size: int = 384, rate: float = 1.006, turn: float = 0.4) -> Scene:
    """The camera comes nearer by a factor of `rate` a frame, and turns by `turn` degrees."""
    picture, shape = _backdrop(photograph, size)
    middle = torch.tensor([picture.shape[-1] / 2, picture.shape[-2] / 2])

    def pose(index: int) -> Tensor:
        angle, scale = math.radians(turn * index), 1.25 / rate**index
        linear = scale * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        center = torch.tensor([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
        return torch.cat([linear, (middle - linear @ center)[:, None]], dim=1)

    return Scene([Layer(picture, pose)], shape)


def passing(photograph: str = "coffee", thing: str = "chelsea", size: int = 384, step: float = 4.0) -> Scene:
    """A round piece of one photograph moves before another, which stands still."""
    picture, shape = _backdrop(photograph, size)
    piece = gallery.load(thing, size=round(0.55 * size))
    height, width = piece.shape[-2:]
    columns, rows = positions(height, width).split(1, dim=1)
    radius = torch.hypot((columns - width / 2) / (0.42 * width), (rows - height / 2) / (0.46 * height))
    alpha = ((1 - radius) * 0.4 * height + 0.5).clamp(0, 1)  # an edge one pixel wide
    still = Layer(picture, lambda index: _move(20, 20))
    moving = Layer(piece, lambda index: _move(-0.06 * size - step * index, -0.15 * size - 0.25 * step * index), alpha)
    return Scene([still, moving], shape)


def still(photograph: str = "astronaut", size: int = 384, noise: float = 0.01) -> Scene:
    """Nothing moves; a sensor adds its noise."""
    picture, shape = _backdrop(photograph, size)
    return Scene([Layer(picture, lambda index: _move(20, 20))], shape, noise)


def _backdrop(photograph: str, size: int) -> tuple[Tensor, tuple[int, int]]:
    """A photograph half as large again as the frame, so that the camera can move; and the frame, 4 : 3."""
    return gallery.load(photograph, size=round(1.6 * size)), (round(0.75 * size), size)


def _move(columns: float, rows: float) -> Tensor:
    return torch.tensor([[1.0, 0.0, columns], [0.0, 1.0, rows]])


def _apply(pose: Tensor, places: Tensor) -> Tensor:
    """The pose of a layer applied to places (1, 2, H, W) in the frame."""
    return torch.einsum("ij,njhw->nihw", pose[:, :2], places) + pose[None, :, 2, None, None]


def _inverse(pose: Tensor, places: Tensor) -> Tensor:
    """The other way: from places in the layer to places in the frame."""
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(pose[:, :2]), places - pose[None, :, 2, None, None])


def _look(picture: Tensor, places: Tensor, outside: str = "reflection") -> Tensor:
    """What a picture shows at places (1, 2, H, W) in it."""
    height, width = picture.shape[-2:]
    columns, rows = places.unbind(1)
    grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1)
    return grid_sample(
        picture, grid, mode="bilinear" if outside == "zeros" else "bicubic", padding_mode=outside, align_corners=True
    ).clamp(0, 1)
