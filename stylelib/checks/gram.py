"""Exercises of lesson 04: Gram matrices, and the style loss that compares them."""

from collections.abc import Callable

import torch
from torch import Tensor

from .core import Answer, Mistake, by_hand, exercise, expect, expect_gradient, random

OLD_RESULT = "for other features of the same shape your function gave the old result. Compute it anew in each call."


def _gram_matrix(features: Tensor) -> Tensor:
    return torch.einsum("bchw,bdhw->bcd", features, features) / (features.shape[2] * features.shape[3])


def _shuffle_positions(features: Tensor, permutation: Tensor) -> Tensor:
    return features.flatten(2)[..., permutation].reshape(features.shape)


def _mean_and_variance(features: Tensor) -> tuple[Tensor, Tensor]:
    mean = features.mean(dim=(2, 3))
    return mean, features.square().mean(dim=(2, 3)) - mean.square()


def _style_loss(features: dict[str, Tensor], gram_targets: dict[str, Tensor]) -> Tensor:
    distances = []
    for name, target in gram_targets.items():
        target = target.detach()
        distances.append((_gram_matrix(features[name]) - target).square().sum() / target.square().sum())
    return torch.stack(distances).mean()


def _convert_weight(weight: float, channels: int, positions: int) -> float:
    return weight * channels**2 / 4


def _style_gradient(features: Tensor, target: Tensor) -> Tensor:
    scale = 4 / (features.shape[2] * features.shape[3] * target.square().sum())
    return scale * torch.einsum("bcd,bdhw->bchw", _gram_matrix(features) - target, features)


@exercise(reference=_gram_matrix, used="lesson 05")
def gram_matrix(answer: Answer) -> None:
    """G = F Fᵀ / (h·w): features (B, C, h, w) → (B, C, C)."""
    batch = random(2, 3, 4, 5)
    got = _named_product_error(lambda: answer(batch))
    if isinstance(got, Tensor) and got.shape[-2:] == (20, 20):
        raise Mistake(
            "the result is positions × positions, (h·w) × (h·w). The Gram matrix is channels × channels: F Fᵀ, with "
            "one row of F for each channel."
        )
    expect(got, _gram_matrix(batch), _gram_mistakes(batch), "the Gram matrix of a batch of two")
    single = random(1, 5, 2, 3)
    gone = {
        "the dimension of the batch is gone. For one picture too the result has three dimensions: (1, C, C).": (
            _gram_matrix(single)[0]
        )
    }
    expect(answer(single), _gram_matrix(single), gone, "the Gram matrix of one picture")
    other = random(2, 3, 4, 5, seed=7)
    expect(answer(other), _gram_matrix(other), {OLD_RESULT: got}, "the Gram matrix of other features, of a known shape")
    leaf = random(1, 3, 4, 5).requires_grad_()
    expect_gradient(answer(leaf), leaf)


def _gram_mistakes(batch: Tensor) -> dict[str, Tensor]:
    """What known mistakes make of a batch of the shape (2, 3, 4, 5)."""
    right = _gram_matrix(batch)
    flat = batch.flatten(2)
    regrouped = batch.reshape(2, 20, 3)
    together = batch.reshape(6, 20)
    centered = flat - flat.mean(dim=-1, keepdim=True)
    reshape = (
        "you used reshape to swap channels and positions. It only regroups the numbers and mixes the channels up; "
        "transpose instead, with .mT or transpose(1, 2)."
    )
    return {
        "you did not divide. Divide by the number of positions, h·w.": right * 20,
        "you divided by C·h·w. Divide by the number of positions, h·w, alone.": right / 3,
        "you divided by C. Divide by the number of positions, h·w.": right * 20 / 3,
        "you divided by B·h·w. Each picture has a Gram matrix of its own; divide by h·w alone.": right / 2,
        "you divided by B·C·h·w. Divide by the number of positions, h·w, alone.": right / 6,
        "you divided by the width only. Divide by the number of positions, h·w.": right * 4,
        "you divided by the height only. Divide by the number of positions, h·w.": right * 5,
        reshape: regrouped.mT @ regrouped / 20,
        f"{reshape} (The first factor is right, the second is not.)": flat @ regrouped / 20,
        "you multiplied entry by entry, with *. A matrix product is written with @.": flat * flat / 20,
        "you subtracted the mean of each channel first. That is a covariance; a Gram matrix keeps the mean.": (
            centered @ centered.mT / 20
        ),
        "you added the Gram matrices of the batch up. Each picture keeps its own: the result is (B, C, C).": right.sum(
            0
        ),
        "you added the Gram matrices of the batch up and kept one. Each picture keeps its own.": (
            right.sum(0, keepdim=True)
        ),
        "you averaged the Gram matrices of the batch. Each picture keeps its own: the result is (B, C, C).": (
            right.mean(0)
        ),
        "you returned the Gram matrix of the first picture only. The result is (B, C, C), one for each.": right[0],
        "you mixed the pictures of the batch: B·C rows give a matrix (B·C) × (B·C). Flatten height and width only, "
        "with flatten(2).": together @ together.T / 20,
    }


def _named_product_error(compute: Callable[[], object]) -> object:
    """The value, or a `Mistake` that explains torch's complaint about a matrix product whose sizes do not fit."""
    try:
        return compute()
    except RuntimeError as error:
        if "mat1 and mat2" in str(error) or "Expected size for first two dimensions of batch2" in str(error):
            raise Mistake(
                "the two matrices of the product do not fit. F is C × (h·w), so the second factor must be transposed: "
                "(h·w) × C, with .mT or transpose(1, 2)."
            ) from None
        raise


@exercise(reference=_shuffle_positions, used="the rest of this lesson")
def shuffle_positions(answer: Answer) -> None:
    """Moves positions, the same way in all channels: result[:, :, k] = flat[:, :, permutation[k]], shape kept."""
    features = random(1, 3, 4, 5)
    permutation = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    flat = features.flatten(2)
    got = answer(features, permutation)
    if isinstance(got, Tensor) and got.shape == features.shape:
        _expect_channels_moved_alike(answer, permutation, got, features)
    expect(
        got,
        _shuffle_positions(features, permutation),
        {
            "nothing has moved. Index the flattened positions with permutation.": features,
            "the result is flat. Give it the shape of the features again: .reshape(features.shape).": (
                flat[..., permutation]
            ),
            "the values went the other way. Position k of the result is to hold position permutation[k]: index the "
            "flattened features, not the result.": flat[..., torch.argsort(permutation)].reshape(features.shape),
            "you put all numbers into one row and mixed channels with positions. Flatten height and width only, with "
            "flatten(2).": features.reshape(1, 20, 3)[:, permutation].reshape(features.shape),
        },
        "the result",
    )
    batch, few = random(2, 4, 3, 2, seed=2), torch.tensor([5, 3, 1, 0, 2, 4])
    expect(answer(batch, few), _shuffle_positions(batch, few), what="the result for a batch of two")
    reverse = permutation.flip(0)
    expect(answer(features, reverse), _shuffle_positions(features, reverse), what="the result for another order")


def _expect_channels_moved_alike(answer: Answer, permutation: Tensor, got: Tensor, features: Tensor) -> None:
    """Channels that are alike must be alike afterwards. Asked only if each channel has kept its own numbers."""
    alike = features[:, :1].repeat(1, 3, 1, 1)
    moved = answer(alike, permutation)
    kept = torch.equal(got.flatten(2).sort().values, features.flatten(2).sort().values)
    if kept and not torch.equal(moved[:, 0], moved[:, 1]):
        raise Mistake(
            "each channel was moved differently. All channels share one permutation, or what was seen together is "
            "torn apart."
        )


@exercise(reference=_mean_and_variance, used="the rest of this lesson")
def mean_and_variance(answer: Answer) -> None:
    """Mean and variance of each channel over its positions: features (B, C, h, w) → two tensors (B, C)."""
    features = random(2, 3, 4, 5) + 1
    got = _two_tensors(answer(features))
    mean, variance = _mean_and_variance(features)
    flat = features.flatten(2)
    expect(
        got[0],
        mean,
        {
            "you returned the variance first. The order is mean, variance.": variance,
            "you averaged over the channels. Average over the positions, dimensions 2 and 3.": features.mean(dim=1),
            "you averaged over the pictures of the batch too. Each picture keeps its own: (B, C).": (
                features.mean(dim=(0, 2, 3))
            ),
            "you averaged over everything. Each channel has a mean of its own: (B, C).": features.mean(),
            "you added up and did not divide by the number of positions.": flat.sum(-1),
            "the mean has the right values but the shape (B, C, 1, 1). Leave out keepdim.": (
                features.mean(dim=(2, 3), keepdim=True)
            ),
        },
        "the mean",
    )
    expect(
        got[1],
        variance,
        {
            "your variance divides by h·w − 1, torch's default. Pass correction=0 (or unbiased=False): we describe "
            "exactly these positions and estimate nothing.": flat.var(dim=-1),
            "you returned the standard deviation, the root of the variance.": flat.std(dim=-1, correction=0),
            "you returned the mean of the squares. Subtract the square of the mean.": flat.square().mean(-1),
            "you took the variance over the channels. Take it over the positions, dimensions 2 and 3.": (
                features.var(dim=1, correction=0)
            ),
            "you added up and did not divide by the number of positions.": variance * 20,
            "you returned the variance of all channels together. Each has its own: (B, C).": (
                features.var(correction=0)
            ),
        },
        "the variance",
    )
    single = random(1, 3, 4, 5, seed=7)
    gone = "the dimension of the batch is gone. For one picture too the results have two dimensions: (1, C)."
    for part, one, right in zip(("mean", "variance"), answer(single), _mean_and_variance(single), strict=True):
        expect(one, right, {gone: right[0]}, f"the {part} of one picture")
    leaf = random(1, 3, 4, 5).requires_grad_()
    for index in (0, 1):
        expect_gradient(answer(leaf)[index], leaf)


def _two_tensors(got: object) -> tuple[object, object]:
    if got is None:
        raise Mistake("the result is None. Did you forget `return`?")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mistake("return two tensors, separated by a comma: return mean, variance.")
    return got[0], got[1]


@exercise(reference=_style_loss, used="lesson 05")
def style_loss(answer: Answer) -> None:
    """Mean over the layers of gram_targets of ‖G − A‖² / ‖A‖²; targets are constants. Dicts → a number (tensor)."""
    shapes = {"relu1_1": (1, 3, 4, 5), "relu2_1": (1, 5, 2, 3), "relu3_1": (1, 6, 2, 2), "relu4_2": (1, 4, 2, 2)}
    features = {name: random(*shape, seed=seed) + 0.5 for seed, (name, shape) in enumerate(shapes.items())}
    styles = {name: random(*shape, seed=seed + 9) * (seed + 1) for seed, (name, shape) in enumerate(shapes.items())}
    targets = {name: _gram_matrix(styles[name]) for name in list(shapes)[:3]}  # relu4_2 is there for the content
    _expect_style_loss(answer, features, targets)
    _expect_constant_targets(answer, features, targets)
    _expect_finite_slope(answer, features)
    one = {"relu2_1": targets["relu2_1"]}
    expect(answer(features, one), _style_loss(features, one).item(), what="the style loss of a single layer")
    same = {name: _gram_matrix(features[name]) for name in targets}
    expect(answer(features, same), 0.0, what="the style loss of a picture with the style's own Gram matrices")


def _expect_style_loss(answer: Answer, features: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
    layers = list(targets)
    grams = {name: _gram_matrix(features[name]) for name in layers}
    regrouped = {name: features[name].reshape(1, -1, features[name].shape[1]) for name in layers}
    mixed = {name: F.mT @ F / F.shape[1] for name, F in regrouped.items()}
    sizes = {name: features[name].shape[1] for name in layers}

    def total(distance: Callable[[str], Tensor]) -> float:
        return torch.stack([distance(name) for name in layers]).sum().item()

    def squared(name: str) -> Tensor:
        return (grams[name] - targets[name]).square().sum()

    def relative(name: str) -> Tensor:
        return squared(name) / targets[name].square().sum()

    right = total(relative) / 3
    got = _missing_layer_named(answer, features, targets)
    if isinstance(got, Tensor) and got.numel() > 1:
        raise Mistake(f"the loss must be one number, but it has the shape {tuple(got.shape)}. Sum over all entries.")
    expect(
        got,
        right,
        {
            "you added the layers up. Divide by their number, so that the weights of the layers sum to 1.": 3 * right,
            "you divided by the number of layers in features. Only the layers of gram_targets count.": right * 3 / 4,
            "you divided by 5, the paper's number of layers. Divide by the number of layers in gram_targets.": (
                right * 3 / 5
            ),
            "you returned the loss of the last layer only. Is the return inside the loop, or the sum overwritten?": (
                relative(layers[-1]).item()
            ),
            "each layer overwrites the sum, which is then divided. Add up: total += …": relative(layers[-1]).item() / 3,
            "only the first layer was added before the division. Is the return inside the loop?": (
                relative(layers[0]).item() / 3
            ),
            "you divide in each round of the loop. Divide once, behind it.": sum(
                relative(name).item() / 3 ** (3 - place) for place, name in enumerate(layers)
            ),
            "you returned the loss of the first layer only. Is the return inside the loop?": relative(layers[0]).item(),
            "you weighted the layers by their channels. All layers weigh the same.": (
                total(lambda name: relative(name) * sizes[name]) / sum(sizes.values())
            ),
            "you did not square: ‖G − A‖² is the sum of the squares of all entries.": (
                total(lambda name: (relative(name)).sqrt()) / 3
            ),
            "you took absolute values in place of squares.": (
                total(lambda name: (grams[name] - targets[name]).abs().sum() / targets[name].abs().sum()) / 3
            ),
            "you did not divide by ‖A‖², the squared norm of the target.": total(squared) / 3,
            "you took the mean of the squared differences. Take their sum, and divide it by ‖A‖².": (
                total(lambda name: squared(name) / sizes[name] ** 2) / 3
            ),
            "you divided by ‖A‖. Divide by its square, ‖A‖².": (
                total(lambda name: squared(name) / targets[name].norm()) / 3
            ),
            "you divided by ‖G‖², which changes with the image. Divide by that of the target, ‖A‖².": (
                total(lambda name: squared(name) / grams[name].square().sum()) / 3
            ),
            "you divided a mean by a sum. Take the sum of the squares above and below, or the mean in both places.": (
                total(lambda name: relative(name) / sizes[name] ** 2) / 3
            ),
            "you used the paper's divisor, 4 C². Divide by ‖A‖², the squared norm of the target.": (
                total(lambda name: squared(name) / (4 * sizes[name] ** 2)) / 3
            ),
            "your Gram matrices are not divided by h·w, but the targets are.": total(
                lambda name: (
                    (grams[name] * features[name][0, 0].numel() - targets[name]).square().sum()
                    / targets[name].square().sum()
                )
            )
            / 3,
            "your Gram matrices mix the channels: reshape regroups the numbers. Transpose instead.": (
                total(lambda name: (mixed[name] - targets[name]).square().sum() / targets[name].square().sum()) / 3
            ),
        },
        "the style loss",
    )


def _missing_layer_named(answer: Answer, features: dict[str, Tensor], targets: dict[str, Tensor]) -> object:
    """The loss, or a `Mistake` if the answer looks for a target that is not there."""
    try:
        return answer(features, targets)
    except KeyError as error:
        raise Mistake(
            f"there is no target for {error}. `features` may hold more layers than `gram_targets`: let the loop run "
            "over gram_targets."
        ) from None


def _expect_finite_slope(answer: Answer, features: dict[str, Tensor]) -> None:
    """At a perfect match the loss is 0 and so is its gradient; that of a root would be infinite there."""
    whole = {name: (2 * value).round() for name, value in features.items()}  # without rounding errors, G equals A
    leaves = {name: value.clone().requires_grad_() for name, value in whole.items()}
    loss = answer(leaves, {name: _gram_matrix(value) for name, value in whole.items()})
    if any(gradient.isnan().any() for gradient in torch.autograd.grad(loss, list(leaves.values()))):
        raise Mistake(
            "where G equals A, the gradient of your loss is NaN: a root has an infinite slope at 0. Leave out the root "
            "and add up squares."
        )


def _expect_constant_targets(answer: Answer, features: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
    leaves = {name: value.clone().requires_grad_() for name, value in features.items()}
    fixed = {name: value.clone().requires_grad_() for name, value in targets.items()}
    loss = answer(leaves, fixed)
    if isinstance(loss, Tensor) and loss.requires_grad:
        found = torch.autograd.grad(loss, list(fixed.values()), allow_unused=True, retain_graph=True)
        if any(gradient is not None for gradient in found):
            raise Mistake("a gradient flows into the targets. They are constants: use target.detach().")
    expect_gradient(loss, *(leaves[name] for name in targets))


@exercise(reference=_convert_weight)
def convert_weight(answer: Answer) -> None:
    """From the paper's style weight to that of PyTorch's tutorial, one layer: weight · C² / 4."""
    expect(
        answer(3.0, 64, 1000),
        3.0 * 64**2 / 4,
        {
            "you converted in the other direction: from the tutorial to the paper.": 3.0 * 4 / 64**2,
            "where is the 4 of the paper's divisor? The larger a divisor is, the larger its weight has to be.": (
                3.0 * 64**2
            ),
            "you divided the new divisor by the old one without squaring: the Gram matrix stands in the loss squared, "
            "and so does its divisor C·h·w.": 3.0 * 64 / 4,
            "the 4 belongs to the paper's divisor: you have to divide by it.": 3.0 * 64**2 * 4,
            "you forgot that the tutorial takes a mean over the C² entries.": 3.0 / 4,
            "h·w does not drop out in your formula. Both divisors have it, squared: write both down and shorten.": (
                3.0 * 64**2 / 4 * 1000**2
            ),
            "nothing was converted.": 3.0,
        },
        "the weight",
    )
    expect(answer(1.0, 512, 7), 65536.0, what="the weight for 512 channels")
    odd = 0.5 * 5**2 / 4
    rounded = {
        "weights need not be whole numbers. Divide with /, not with //, and do not round.": 3.0,
        "the weight you are given need not be a whole number. Leave out int().": 0.0,
    }
    expect(answer(0.5, 5, 3), odd, rounded, "the weight for 5 channels")


@exercise(reference=_style_gradient, used="the rest of this lesson")
def style_gradient(answer: Answer) -> None:
    """Gradient of ‖G − A‖² / ‖A‖² with respect to F, by hand: 4 (G − A) F / (h·w·‖A‖²), shape of the features."""
    features = random(1, 3, 4, 5)
    target = _gram_matrix(random(1, 3, 4, 5, seed=1))
    right = _style_gradient(features, target)
    norm = target.square().sum()
    flat = features.flatten(2)
    difference = _gram_matrix(features) - target
    got = by_hand(answer, features, target)
    expect(
        got,
        right,
        {
            "the sign is wrong. The gradient points to where the loss rises: G − A, not A − G.": -right,
            "the factor is 4, not 2: one 2 comes from the square, another because F stands in G twice.": right / 2,
            "the factor 4 is missing: one 2 comes from the square, another because F stands in G twice.": right / 4,
            "you did not divide by h·w. It comes from the Gram matrix, and it stays.": right * 20,
            "the Gram matrix of the features is not divided by h·w, and so it cannot be compared with A.": (
                (4 * (flat @ flat.mT - target) @ flat / (20 * norm)).reshape(features.shape)
            ),
            "you divided by h·w twice. The derivative of the square has only one G in it.": right / 20,
            "you did not divide by ‖A‖², the squared norm of the target.": right * norm,
            "you divided by ‖A‖. Divide by its square, ‖A‖².": right * norm.sqrt(),
            "you divided by C too. The divisor is h·w · ‖A‖².": right / 3,
            "this is the gradient of the paper's loss (its equation 6). Ours divides by h·w · ‖A‖².": (
                difference @ flat / (9 * 20)
            ).reshape(features.shape),
            "the values are right, but the shape is flat. Give them the shape of the features: "
            ".reshape(features.shape).": right.flatten(2),
            "this is the derivative with respect to G. One more step leads to F: multiply with F.": (
                2 * difference / norm
            ),
        },
        "the gradient",
    )
    other, larger = random(1, 5, 3, 2, seed=2), 3 * _gram_matrix(random(1, 5, 3, 2, seed=3))
    expect(answer(other, larger), _style_gradient(other, larger), what="the gradient for other shapes")
    again = random(1, 3, 4, 5, seed=7)
    right = _style_gradient(again, target)
    expect(answer(again, target), right, {OLD_RESULT: got}, "the gradient for other features of a known shape")
