"""The same objective, evaluated tile by tile: memory that hardly grows with the picture.

What an `Objective` asks of features are sums over positions, and sums add up over the parts of a picture. So one tile
after another goes through the network, with as much of the picture around it as its positions see: then its features
are exactly those of the whole.

For the gradient there is a second pass. After the first, all sums are known, and with them the derivative of the loss
by each sum. Given these numbers, the tiles no longer depend on each other: each gives the gradient of its own pixels
and of those around it, and what neighbors say of a pixel is added up.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .losses import energy, gram_sum
from .machine import give_memory_back
from .masks import Sight, sight
from .objective import Objective

TILE = 768  # pixels; larger tiles overlap less, smaller ones take less memory

Window = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Tile:
    """A part of a picture.

    Attributes:
        crop: the pixels that go through the network: the tile, and around it what its positions see.
        places: layer → the tile's positions in the feature map of the whole picture.
        own: layer → the same positions in the feature map of the crop.
    """

    crop: Window
    places: dict[str, Window]
    own: dict[str, Window]


def cut(
    shape: tuple[int, int], sights: Mapping[str, Sight], size: int = TILE, *, one_of_each: bool = False
) -> list[Tile]:
    """Cuts a picture of (H, W) = `shape` into tiles of at most about `size` × `size` pixels, as equal as they can be.

    Tiles begin at multiples of the largest step between two positions of a layer. So the positions of a crop are those
    of the whole picture, and every position belongs to exactly one tile.

    Args:
        sights: layer → how it sees the picture.
        one_of_each: only one tile of each shape: of rows and of columns the first, the second and the last.

    Raises:
        ValueError: a size below that step.
    """
    step = max(layer.step for layer in sights.values())
    if size < step:
        raise ValueError(f"A tile must be at least {step} pixels wide, the network's step; {size} was asked for.")
    before = _up(max(layer.before for layer in sights.values()), step)
    after = _up(max(layer.field - layer.before for layer in sights.values()), step)
    rows, columns = (_spans(length, size, step) for length in shape)
    if one_of_each:
        rows, columns = (spans[:2] + spans[2:][-1:] for spans in (rows, columns))
    return [_tile((row, column), sights, before, after) for row in rows for column in columns]


class TiledObjective(Objective):
    """An `Objective` whose losses and gradients are computed tile by tile; the two differ by rounding alone.

    It takes about twice the time: features are computed twice, and those where tiles overlap more often.

    Args:
        tile: side of a tile in pixels.
        others: as of `Objective`.
    """

    def __init__(self, *arguments, tile: int = TILE, **options):
        self.tile = tile
        super().__init__(*arguments, **options)

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """As of `Objective`."""
        # First, so that their gradients come last: these take several times the memory of the picture, as tiles do.
        of_pixels = self.pixel_losses(image)
        sums = iter(_SumsOverTiles.apply(image, self))
        by_term = [{name: next(sums) for name in term.layers} for term in self.terms]
        return self.losses(by_term, _positions(self._sights(image, self.layers)), of_pixels)

    def see(self, picture: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As of `Objective`."""
        sights, whole = self._sights(picture, layers), {}
        for tile, features in self._seen(picture, sights):
            for name, feature in features.items():
                if name not in whole:
                    whole[name] = feature.new_empty(*feature.shape[:2], *sights[name].shape, dtype=torch.float32)
                whole[name][..., *tile.places[name]] = feature
        return whole

    def see_grams(self, picture: Tensor, layers: Iterable[str], part: Tensor | None = None) -> dict[str, Tensor]:
        """As of `Objective`."""
        sights = self._sights(picture, layers)
        masks = self._layer_masks(part, sights, tuple(picture.shape[-2:]))
        sums: dict[str, Tensor] = {}
        for tile, features in self._seen(picture, sights):
            for name, feature in features.items():
                mask = masks[name][..., *tile.places[name]] if masks else None
                sums[name] = sums.get(name, 0) + gram_sum(feature, mask)
        counts = {name: energy(mask) for name, mask in masks.items()} or _positions(sights)
        return {name: total / counts[name] for name, total in sums.items()}

    def tiles(self, picture: Tensor, layers: Iterable[str]) -> list[Tile]:
        """The tiles in which these layers see a picture (1, 3, H, W)."""
        return cut(tuple(picture.shape[-2:]), self._sights(picture, layers), self.tile)

    def sums(self, image: Tensor) -> list[Tensor]:
        """What the terms sum up over the positions of an image (1, 3, H, W).

        One tensor for each term and layer of it: of a content a scalar, of a style (1, C, C).
        """
        totals: list[Tensor] = []
        for tile, features in self._seen(image, self.layers):
            parts = [part for term in self.terms for part in term.sums(features, tile.places).values()]
            totals = [total + part for total, part in zip(totals, parts, strict=True)] if totals else parts
        return totals

    def gradient(self, image: Tensor, of_sums: Iterable[Tensor]) -> Tensor:
        """The gradient at the pixels of an image, both (1, 3, H, W), from that of the loss at its `sums`."""
        following = iter(of_sums)
        by_term = [{name: next(following) for name in term.layers} for term in self.terms]
        gradient = torch.zeros_like(image)
        for tile in self.tiles(image, self.layers):
            crop = image[..., *tile.crop].detach().requires_grad_()
            with torch.enable_grad():
                features = self.backbone.taps(crop, tile.own)
                starts = [
                    _Start.apply(feature, partial(self._gradient_at, name, by_term, tile))
                    for name, feature in features.items()
                ]
            (at_pixels,) = torch.autograd.grad(starts, crop)
            gradient[..., *tile.crop] += at_pixels
        return gradient

    def _gradient_at(self, layer: str, by_term: list[dict[str, Tensor]], tile: Tile, feature: Tensor) -> Tensor:
        """The gradient at the feature map of a crop, from that at the sums: zero outside the tile's own positions."""
        inside, gradient = _cut_out(feature, tile.own[layer]), torch.zeros_like(feature)
        for term, of_sums in zip(self.terms, by_term, strict=True):
            if layer in of_sums:
                gradient[..., *tile.own[layer]] += term.gradient(layer, inside, of_sums[layer], tile.places)
        return gradient

    def _seen(self, picture: Tensor, layers: Iterable[str]) -> Iterator[tuple[Tile, dict[str, Tensor]]]:
        for tile in self.tiles(picture, layers):
            features = self.backbone.taps(picture[..., *tile.crop].to(self.device), tile.own)
            yield tile, {name: _cut_out(feature, tile.own[name]) for name, feature in features.items()}

    def _sights(self, picture: Tensor, layers: Iterable[str]) -> dict[str, Sight]:
        return {name: sight(self.backbone.network, name, tuple(picture.shape[-2:])) for name in layers}


class _SumsOverTiles(torch.autograd.Function):
    """image → the `sums` of a `TiledObjective`, with its `gradient`.

    What is as large as the picture and what is as small as a tile find no room in each other's pieces of memory, so
    those are given back in between.
    """

    @staticmethod
    def forward(context, image: Tensor, objective: TiledObjective) -> tuple[Tensor, ...]:
        context.save_for_backward(image)
        context.objective = objective
        give_memory_back()
        return tuple(objective.sums(image))

    @staticmethod
    def backward(context, *of_sums: Tensor) -> tuple[Tensor, None]:
        (image,) = context.saved_tensors
        gradient = context.objective.gradient(image, of_sums)
        give_memory_back()
        return gradient, None


class _Start(torch.autograd.Function):
    """feature → 0, with the gradient that `gradient_at` computes from it: where the way back to the pixels starts.

    Autograd calls it when it comes by, and adds in place to what the deeper layers say.
    """

    @staticmethod
    def forward(context, feature: Tensor, gradient_at: Callable[[Tensor], Tensor]) -> Tensor:
        context.save_for_backward(feature)
        context.gradient_at = gradient_at
        return feature.new_zeros(())

    @staticmethod
    def backward(context, _: Tensor) -> tuple[Tensor, None]:
        return context.gradient_at(*context.saved_tensors), None


def _cut_out(feature: Tensor, window: Window) -> Tensor:
    """The window of a feature map as a map of its own: each product with a slice would copy it again."""
    return feature.detach()[..., *window].contiguous(memory_format=torch.channels_last)


def _tile(core: Window, sights: Mapping[str, Sight], before: int, after: int) -> Tile:
    crop = tuple(slice(max(0, side.start - before), side.stop and side.stop + after) for side in core)
    places = {name: _places(core, layer) for name, layer in sights.items()}
    own = {
        name: tuple(
            slice(place.start - side.start // sights[name].step, place.stop - side.start // sights[name].step)
            for place, side in zip(window, crop, strict=True)
        )
        for name, window in places.items()
    }
    return Tile(crop, places, own)


def _places(core: Window, layer: Sight) -> Window:
    """The positions of a layer that begin in some pixels; the last span, which has no end, takes all that are left."""
    return tuple(
        slice(side.start // layer.step, length if side.stop is None else min(length, side.stop // layer.step))
        for side, length in zip(core, layer.shape, strict=True)
    )


def _spans(length: int, size: int, step: int) -> list[slice]:
    """`length` pixels in equal spans of at most `size`, up to a whole `step`; the last one has no end."""
    count = -(-length // size)
    starts = list(range(0, length, _up(-(-length // count), step)))
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def _positions(sights: Mapping[str, Sight]) -> dict[str, int]:
    return {name: layer.shape[0] * layer.shape[1] for name, layer in sights.items()}


def _up(length: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-length // step) * step
