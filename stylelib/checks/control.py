"""Exercises of lesson 06: whose colors, where, and Gram matrices that add up over tiles."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .core import Answer, Mistake, exercise, expect, expect_gradient, random

LUMA = (0.299, 0.587, 0.114)


def _luma(image: Tensor) -> Tensor:
    return sum(weight * image[:, index : index + 1] for index, weight in enumerate(LUMA))


def _luminance_transfer(content: Tensor, painted: Tensor) -> Tensor:
    return content + (_luma(painted) - _luma(content))


def _match_covariance(colors: Tensor, target: Tensor) -> Tensor:
    (mean, root), (new_mean, new_root) = (
        (values.mean(1, keepdim=True), torch.linalg.cholesky(torch.cov(values, correction=0)))
        for values in (colors, target)
    )
    return new_root @ torch.linalg.solve_triangular(root, colors - mean, upper=False) + new_mean


def _mask_to_layer(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    height, width = shape
    rows, columns = mask.shape[2] // height, mask.shape[3] // width
    return mask.reshape(1, 1, height, rows, width, columns).mean(dim=(3, 5))


def _guided_gram_matrix(features: Tensor, mask: Tensor) -> Tensor:
    weight = mask.square()
    return torch.einsum("bchw,bdhw,bxhw->bcd", features, features, weight) / weight.sum()


def _gram_by_tiles(tiles: Sequence[Tensor]) -> Tensor:
    count = sum(tile.shape[2] * tile.shape[3] for tile in tiles)
    return torch.stack([torch.einsum("bchw,bdhw->bcd", tile, tile) for tile in tiles]).sum(0) / count


@exercise(reference=_luminance_transfer, library=("with_luminance", "match_luminance"))
def luminance_transfer(answer: Answer) -> None:
    """content + (Y(painted) − Y(content)) in all three channels, Y = 0.299 R + 0.587 G + 0.114 B."""
    content, painted = 0.5 + 0.5 * random(1, 3, 4, 5), 0.5 + 0.5 * random(1, 3, 4, 5, seed=1)
    y, y_painted = _luma(content), _luma(painted)
    right = content + (y_painted - y)
    got = answer(content, painted)
    expect(
        got,
        right,
        {
            "nothing has changed: this is the content.": content,
            "this is the painted picture as it was, with its own colors.": painted,
            "this is the painted picture's luminance alone, in gray. Add the change of luminance to the content.": (
                y_painted.expand_as(content)
            ),
            "this is only the luminance, with one channel. All three channels of the content get the change added.": (
                y_painted
            ),
            "you gave the painted colors the content's luminance. It is to be the other way round.": (
                painted + (y - y_painted)
            ),
            "the sign is wrong: add Y(painted) − Y(content).": content - (y_painted - y),
            "you added the painted picture's luminance without taking the content's own away.": content + y_painted,
            "you took the plain mean of the channels. Green counts most: 0.299 R + 0.587 G + 0.114 B.": (
                content + (painted - content).mean(1, keepdim=True)
            ),
            "the weights are in the order of blue, green, red. The channels come as red, green, blue.": (
                content + (_luma(painted.flip(1)) - _luma(content.flip(1)))
            ),
            "you multiplied by the ratio of the luminances, which changes the colors. Add the difference.": (
                content * y_painted / y
            ),
            "you clamped to [0, 1]. Leave that to whoever saves the picture.": right.clamp(0, 1),
        },
        "the picture",
    )
    wide, other = random(1, 3, 2, 7, seed=2), random(1, 3, 2, 7, seed=3)
    expect(answer(wide, other), _luminance_transfer(wide, other), what="the picture for another shape")


@exercise(reference=_match_covariance, library=("monge_kantorovich",))
def match_covariance(answer: Answer) -> None:
    """Colors (3, N) and target (3, M) → (3, N), an affine map of the colors with the target's mean and covariance."""
    mix = torch.tensor([[0.5, 0.1, 0.0], [0.3, 0.4, 0.2], [-0.2, 0.1, 0.3]])
    colors = mix @ random(3, 400) + torch.tensor([[0.2], [0.5], [0.7]])
    target = mix.flip(0) @ random(3, 600, seed=1) + torch.tensor([[0.6], [0.1], [0.4]])
    got = answer(colors, target)
    right = _match_covariance(colors, target)
    if isinstance(got, Tensor) and got.shape == right.mT.shape:
        raise Mistake("rows and columns are exchanged: the result is (3, N), one column for each pixel.")
    if isinstance(got, Tensor) and got.dtype == right.dtype and got.shape == right.shape and got.isfinite().all():
        _name_color_mistake(got, colors, target)
    else:
        expect(got, right, what="the result")
    more, other = mix.mT @ random(3, 300, seed=2), mix @ random(3, 200, seed=3) - 1
    _name_color_mistake(answer(more, other), more, other)


def _name_color_mistake(got: Tensor, colors: Tensor, target: Tensor) -> None:
    """Any root will do; so the result is judged by what it must have: mean, covariance, and one matrix for all."""
    expect(got, got, what="the result")
    if got.shape != colors.shape:
        raise Mistake(f"the result should have the shape {tuple(colors.shape)}, but it has {tuple(got.shape)}.")
    mean, new_mean, got_mean = (values.mean(1) for values in (colors, target, got))
    wanted, found = (torch.cov(values, correction=0) for values in (target, got))
    if torch.allclose(got, colors, atol=1e-4):
        raise Mistake("nothing has changed: these are the colors as they were.")
    if torch.allclose(got_mean, torch.zeros(3), atol=1e-4):
        raise Mistake("the mean is zero. Add the mean of the target in the end.")
    if torch.allclose(found, wanted, rtol=1e-2, atol=1e-4) and torch.allclose(got_mean, mean, atol=1e-4):
        raise Mistake("the covariance is right, but the mean is still the old one. Add the target's.")
    if not torch.allclose(got_mean, new_mean, atol=1e-3):
        raise Mistake("the mean is not the target's. Take the old mean away first, then A, then add the new mean.")
    if not torch.allclose(found, wanted, rtol=1e-2, atol=1e-4):
        spread = torch.allclose(found.diag(), wanted.diag(), rtol=1e-2)
        squared = torch.allclose(found, _with_root(colors, target, lambda s, t: t @ torch.linalg.inv(s)), 1e-2, 1e-3)
        turned = torch.allclose(found, _with_root(colors, target, _inverse_root), 1e-2, 1e-3)
        if spread:
            raise Mistake(
                "each channel has the right spread, but they do not go together as in the target: that is what the "
                "entries of the covariance off its diagonal say. Use the roots of the whole matrices."
            )
        if squared:
            raise Mistake("you multiplied with the covariances themselves. A is made of their roots.")
        if turned:
            raise Mistake("the factors are exchanged: A is the new root times the inverse of the old one.")
        raise Mistake("the mean is right, but the covariance is not the target's. Check that A Σ Aᵀ = Σ_t.")
    rows = torch.cat([colors, torch.ones(1, colors.shape[1])])
    fitted = (got @ torch.linalg.pinv(rows)) @ rows
    if not torch.allclose(got, fitted, atol=1e-3):
        raise Mistake(
            "mean and covariance are right, but not by one matrix for all colors: equal colors must stay equal, and "
            "the straight line between two colors straight."
        )


def _inverse_root(source: Tensor, target: Tensor) -> Tensor:
    return torch.linalg.cholesky(source) @ torch.linalg.inv(torch.linalg.cholesky(target))


def _with_root(colors: Tensor, target: Tensor, matrix) -> Tensor:
    """The covariance after a matrix made of both covariances."""
    source, wanted = (torch.cov(values, correction=0) for values in (colors, target))
    A = matrix(source, wanted)
    return A @ source @ A.mT


@exercise(reference=_mask_to_layer, library=("to_layer", "resize_mask"))
def mask_to_layer(answer: Answer) -> None:
    """Mask (1, 1, H, W) and (h, w) → (1, 1, h, w): the mean of the mask over the pixels each position stands for."""
    mask = random(1, 1, 8, 12).sigmoid()
    shape = (4, 2)
    right = _mask_to_layer(mask, shape)
    got = answer(mask, shape)
    blocks = mask.reshape(1, 1, 4, 2, 2, 6)
    expect(
        got,
        right,
        {
            "you kept one pixel of each block, and a border that runs through it is lost. Take the mean.": (
                mask[..., ::2, ::6]
            ),
            "you took one pixel of each block, as mode='nearest-exact' does. Take the mean of the block.": interpolate(
                mask, shape, mode="nearest-exact"
            ),
            "mode='bilinear' looks at the two nearest pixels only and skips the rest. Take the mean of the block.": (
                interpolate(mask, shape, mode="bilinear")
            ),
            "mode='bilinear' looks at the two nearest pixels only, corners aligned or not. Take the mean.": (
                interpolate(mask, shape, mode="bilinear", align_corners=True)
            ),
            "mode='bicubic' looks at the four nearest pixels only, and leaves [0, 1]. Take the mean of the block.": (
                interpolate(mask, shape, mode="bicubic")
            ),
            "you took the largest value of each block: the region grows. Take the mean.": blocks.amax((3, 5)),
            "you took the smallest value of each block: the region shrinks. Take the mean.": blocks.amin((3, 5)),
            "you added each block up. Take its mean, so that a mask stays in [0, 1].": blocks.sum((3, 5)),
            "height and width are exchanged.": _mask_to_layer(mask, (2, 4)),
            "you rounded to 0 and 1. A position at the border belongs to the region in part.": right.round(),
            "the dimensions of batch and channel are gone: the result is (1, 1, h, w).": right[0, 0],
        },
        "the mask of a layer of 4 × 2 positions",
    )
    larger = random(1, 1, 6, 10, seed=1).sigmoid()
    expect(answer(larger, (2, 5)), _mask_to_layer(larger, (2, 5)), what="the mask of a layer of 2 × 5 positions")
    expect(answer(larger, (6, 10)), larger, what="the mask of a layer as large as the picture")


@exercise(reference=_guided_gram_matrix, library=("gram_matrix", "gram_sum"))
def guided_gram_matrix(answer: Answer) -> None:
    """G = Σ m² F Fᵀ / Σ m²: features (1, C, h, w) and mask (1, 1, h, w) → (1, C, C)."""
    features, mask = random(1, 3, 4, 5), random(1, 1, 4, 5, seed=1).sigmoid()
    mask[..., 0, :2] = 0
    right = _guided_gram_matrix(features, mask)
    energy = mask.square().sum()
    flat, weight = features.flatten(2), mask.flatten(2)
    plain = flat @ flat.mT
    got = answer(features, mask)
    expect(
        got,
        right,
        {
            "you did not divide. Divide by the mask's energy, Σ m².": right * energy,
            "you divided by h·w. A small region would then hardly count; divide by the mask's energy, Σ m².": (
                right * energy / 20
            ),
            "you divided by Σ m. The mask stands in the product twice, so its energy is Σ m².": (
                right * energy / mask.sum()
            ),
            "you divided by the root of the energy. Divide by Σ m² itself.": right * energy.sqrt(),
            "you divided by the number of positions that count at all. Divide by the mask's energy, Σ m².": (
                right * energy / 18
            ),
            "you made 0 and 1 of the mask. A position at a soft edge counts in part: multiply by the mask itself.": (
                (flat * (weight > 0)) @ flat.mT / 18
            ),
            "the mask is in the product once. Both factors are masked: (m F)(m F)ᵀ, divided by Σ m².": (
                (flat * weight) @ flat.mT / energy
            ),
            "the mask is in the product once, and so is it in your divisor. Both factors are masked: m² and Σ m².": (
                (flat * weight) @ flat.mT / weight.sum()
            ),
            "the mask was not used: this is the Gram matrix of the whole.": plain / 20,
            "the features were not masked, only the divisor.": plain / energy,
            "the dimension of the batch is gone: the result is (1, C, C).": right[0],
            "the result is positions × positions. The Gram matrix is channels × channels.": (
                (flat * weight).mT @ (flat * weight) / energy
            ),
            "you masked three or four times: once for each factor is enough.": (
                (flat * weight**2) @ (flat * weight**2).mT / energy
            ),
        },
        "the guided Gram matrix",
    )
    hard = torch.zeros(1, 1, 4, 5)
    hard[..., 1:3, 2:] = 1
    inside = features[..., 1:3, 2:].flatten(2)
    expect(answer(features, hard), inside @ inside.mT / 6, what="the Gram matrix of a region with hard edges")
    leaf = random(1, 3, 4, 5).requires_grad_()
    expect_gradient(answer(leaf, mask), leaf)


@exercise(reference=_gram_by_tiles, library=("gram_matrix", "gram_sum"), used="the rest of this lesson")
def gram_by_tiles(answer: Answer) -> None:
    """Features of the parts of a picture, a list of (1, C, h, w) → the Gram matrix (1, C, C) of the whole."""
    whole = random(1, 4, 6, 10)
    tiles = [whole[..., :4, :7], whole[..., :4, 7:], whole[..., 4:, :]]
    right = _gram_by_tiles([whole])
    grams = [_gram_by_tiles([tile]) for tile in tiles]
    sums = [_gram_by_tiles([tile]) * tile[0, 0].numel() for tile in tiles]
    got = answer(list(tiles))
    expect(
        got,
        right,
        {
            "you averaged the tiles' Gram matrices, and a small tile counts as much as a large one. Add up the sums "
            "F Fᵀ, and divide once, by the number of all positions.": sum(grams) / 3,
            "you added up the tiles' Gram matrices, each divided by its own number of positions. Add up the sums "
            "F Fᵀ first, and divide in the end.": sum(grams),
            "you did not divide. Divide by the number of all positions.": sum(sums),
            "you divided by the positions of the last tile only. Divide by those of all.": sum(sums) / 20,
            "you divided by the positions of the first tile only. Divide by those of all.": sum(sums) / 28,
            "you divided by the number of tiles. Divide by the number of all positions.": sum(sums) / 3,
            "you divided by the number of all values. Divide by that of positions, without the channels.": sum(sums)
            / 240,
            "you divided by the number of all positions and by the number of tiles.": sum(sums) / 60 / 3,
            "this is the first tile alone. Did you return inside the loop?": grams[0],
            "this is the last tile alone. Does your sum begin anew in each turn of the loop?": grams[-1],
            "one tile is missing: the first.": sum(sums[1:]) / 32,
            "one tile is missing: the last.": sum(sums[:-1]) / 40,
            "one tile is missing in the sum: the first.": sum(sums[1:]) / 60,
            "the dimension of the batch is gone: the result is (1, C, C).": right[0],
        },
        "the Gram matrix of three tiles",
    )
    single = random(1, 5, 2, 3, seed=1)
    expect(answer([single]), _gram_by_tiles([single]), what="the Gram matrix of a single tile")
    leaves = [random(1, 2, 2, 3, seed=seed).requires_grad_() for seed in range(2)]
    expect_gradient(answer(leaves), *leaves)
