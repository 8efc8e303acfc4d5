"""Exercises of lesson 10: what a network costs, and how a small one learns from a large one."""

import torch
from torch import Tensor

from .core import Answer, Mistake, exercise, expect, expect_gradient, random

OLD_RESULT = "for other numbers of the same shape your function gave the old result. Compute it anew in each call."


def _convolution_cost(channels_in: int, channels_out: int, kernel: int, height: int, width: int) -> tuple[int, int]:
    window = channels_in * kernel**2
    return channels_out * (window + 1), channels_out * window * height * width


def _apply_head(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("dc,bchw->bdhw", weight, features) + bias[:, None, None]


def _unexplained_variance(prediction: Tensor, target: Tensor) -> Tensor:
    center = target.mean(dim=(0, 2, 3), keepdim=True)
    return (prediction - target).square().sum() / (target - center).square().sum()


def _fold_batch_norm(
    weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    scale = gamma / (var + eps) ** 0.5
    return torch.einsum("oikl,o->oikl", weight, scale), (bias - mean) * scale + beta


@exercise(reference=_convolution_cost, used="the rest of this lesson")
def convolution_cost(answer: Answer) -> None:
    """(parameters, multiply-adds) of a convolution from C to D channels: D·(C·k² + 1) and D·C·k²·h·w."""
    C, D, k, h, w = 4, 6, 3, 5, 7
    parameters, products = _pair(answer(C, D, k, h, w), "return two numbers: the parameters, then the multiply-adds.")
    square = "the window has k rows and k columns: it has k·k positions."
    inputs = "each channel of the result looks at all input channels: multiply by their number, too."
    expect(
        parameters,
        float(D * (C * k * k + 1)),
        {
            "you returned the multiply-adds first. The parameters come first.": float(D * C * k * k * h * w),
            "you forgot the biases. Each channel of the result has one.": float(D * C * k * k),
            "you counted one bias per input channel. Each channel of the result has one.": float(D * C * k * k + C),
            "you counted one bias in all. Each channel of the result has one.": float(D * C * k * k + 1),
            "you counted a bias per position of the window. Each channel of the result has one.": float(
                D * (C + 1) * k * k
            ),
            "you counted one output channel only. Each of them has a window of its own.": float(C * k * k + 1),
            square: float(D * (C * k + 1)),
            inputs: float(D * (k * k + 1)),
        },
        "the number of parameters",
    )
    expect(
        products,
        float(D * C * k * k * h * w),
        {
            "you did not count the positions: the weights are used anew at each of the h·w of them.": float(
                D * C * k * k
            ),
            "a bias is added, not multiplied. Count the weights alone.": float(D * (C * k * k + 1) * h * w),
            "you counted multiplications and additions apart. A multiply-add is one of each.": float(
                2 * D * C * k * k * h * w
            ),
            "you counted one output channel only. Each of them needs its own.": float(C * k * k * h * w),
            square: float(D * C * k * h * w),
            inputs: float(D * k * k * h * w),
        },
        "the number of multiply-adds",
    )
    parameters, products = _pair(answer(5, 2, 1, 3, 3), "return two numbers for a 1 × 1 convolution, too.")
    expect(parameters, 12.0, what="the number of parameters of a 1 × 1 convolution")
    expect(products, 90.0, what="the number of multiply-adds of a 1 × 1 convolution")


@exercise(reference=_apply_head)
def apply_head(answer: Answer) -> None:
    """A 1 × 1 convolution, y[:, d] = Σ_c A[d, c] · x[:, c] + b[d]: (B, C, h, w) → (B, D, h, w)."""
    features, weight, bias = random(2, 3, 4, 5), random(3, 3, seed=1), random(3, seed=2)
    right = _apply_head(features, weight, bias)
    got = answer(features, weight, bias)
    expect(got, right, _head_mistakes(features, weight, bias), "the prediction")
    weight, bias = random(6, 3, seed=3), random(6, seed=4)
    second = answer(features, weight, bias)
    expect(second, _apply_head(features, weight, bias), what="the prediction of 6 channels")
    single = random(1, 3, 4, 5, seed=5)
    gone = "the dimension of the batch is gone. For one picture too the result is (1, D, h, w)."
    right = _apply_head(single, weight, bias)
    expect(answer(single, weight, bias), right, {gone: right[0]}, "the prediction for one picture")
    other = random(2, 3, 4, 5, seed=7)
    expect(answer(other, weight, bias), _apply_head(other, weight, bias), {OLD_RESULT: second}, "the prediction")
    leaf, trained = features.clone().requires_grad_(), weight.clone().requires_grad_()
    expect_gradient(answer(leaf, trained, bias), leaf, trained)


def _head_mistakes(features: Tensor, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """What known mistakes make of three channels in and three out."""
    right = _apply_head(features, weight, bias)
    regrouped = features.reshape(-1, 3) @ weight.mT + bias
    mixed = (
        "reshape alone mixes channels and positions. Flatten height and width with flatten(2), so that each row stays "
        "one channel."
    )
    return {
        "you forgot the bias.": right - bias[:, None, None],
        "the weight is transposed: row d of it belongs to channel d of the result.": (
            _apply_head(features, weight.mT, bias)
        ),
        "the bias was added along the width. It belongs to the channels: bias[:, None] for rows of positions.": (
            _apply_head(features, weight, torch.zeros(3)) + bias.repeat(2)[:5]
        ),
        "the bias is subtracted. Add it.": right - 2 * bias[:, None, None],
        "the result is flat. Give it the height and width of the features again.": right.flatten(2),
        "the channels come last. Bring them back to the second place: (B, D, h, w).": right.permute(0, 2, 3, 1),
        mixed: regrouped.reshape(features.shape),
        "you rectified the result. A head is linear: no ReLU behind it.": right.relu(),
        "you multiplied entry by entry, with *: only the diagonal of the weight was used. Multiply matrices, with @.": (
            features * weight.diag()[:, None, None] + bias[:, None, None]
        ),
        "you divided by the number of channels. The head is a sum, not a mean.": (
            _apply_head(features, weight / 3, bias)
        ),
    }


@exercise(reference=_unexplained_variance, used="the rest of this lesson")
def unexplained_variance(answer: Answer) -> None:
    """Σ (Ŷ − Y)² / Σ (Y − Ȳ)², sums over everything, Ȳ the mean of each channel over batch and positions."""
    target = random(3, 4, 5, 6) * torch.tensor([1.0, 2.0, 0.5, 3.0])[:, None, None]
    target += torch.tensor([2.0, -1.0, 0.5, 1.0])[:, None, None] + random(3, 4, 1, 1, seed=1)
    prediction = 0.8 * target + 0.5 * random(3, 4, 5, 6, seed=2) + 0.1
    got = answer(prediction, target)
    if isinstance(got, Tensor) and got.numel() > 1:
        raise Mistake(f"the result must be one number, but it has the shape {tuple(got.shape)}. Sum over everything.")
    right = _unexplained_variance(prediction, target).item()
    expect(got, right, _variance_mistakes(prediction, target), "the unexplained variance")
    center = target.mean(dim=(0, 2, 3), keepdim=True).expand_as(target)
    expect(answer(center, target), 1.0, what="the unexplained variance of a prediction that knows only the means")
    expect(answer(target, target), 0.0, what="the unexplained variance of a perfect prediction")
    poor = -prediction
    right = _unexplained_variance(poor, target).item()
    clamped = "you cut the result off at 1. It may be larger: then the mean would have been a better prediction."
    told = "the unexplained variance of a prediction worse than the mean"
    expect(answer(poor, target), right, {clamped: 1.0}, told)
    dead = target.clone()
    dead[:, 2] = 0.0  # a channel that never responds has no variance of its own
    expect(
        answer(prediction, dead),
        _unexplained_variance(prediction, dead).item(),
        what="the unexplained variance where one channel of the target never responds",
    )
    leaf = prediction.clone().requires_grad_()
    expect_gradient(answer(leaf, target), leaf)
    perfect = target.clone().requires_grad_()
    (slope,) = torch.autograd.grad(answer(perfect, target), perfect)
    if slope.isnan().any():
        raise Mistake(
            "where the prediction is perfect, the gradient is NaN: a root has an infinite slope at 0. Leave it out."
        )


def _variance_mistakes(prediction: Tensor, target: Tensor) -> dict[str, float]:
    """What known mistakes make of it."""
    error = prediction - target
    deviation = target - target.mean(dim=(0, 2, 3), keepdim=True)
    right = (error.square().sum() / deviation.square().sum()).item()
    channel = (error.square().sum((0, 2, 3)) / deviation.square().sum((0, 2, 3))).mean().item()

    def relative_to(center: Tensor | float) -> float:
        return (error.square().sum() / (target - center).square().sum()).item()

    own = prediction - prediction.mean(dim=(0, 2, 3), keepdim=True)
    return {
        "this is the explained variance. Unexplained is what is missing to 1.": 1 - right,
        "you did not divide by the variation of the target, Σ (Y − Ȳ)².": error.square().sum().item(),
        "you did not divide: this is the mean squared error. Divide by the variance of the target.": (
            error.square().mean().item()
        ),
        "you divided a mean by a sum. Take the mean, or the sum, in both places.": right / error.numel(),
        "you divided a sum by a mean. Take the mean, or the sum, in both places.": right * error.numel(),
        "you did not subtract Ȳ below: this compares with a prediction of zeros, not of the means.": relative_to(0.0),
        "Ȳ is one mean for all channels. Take each channel's own: .mean(dim=(0, 2, 3), keepdim=True).": (
            relative_to(target.mean())
        ),
        "Ȳ is the mean of each picture. Take it over the batch, too: dim=(0, 2, 3).": (
            relative_to(target.mean(dim=(2, 3), keepdim=True))
        ),
        "Ȳ is the mean over the channels. Take each channel's own: dim=(0, 2, 3).": (
            relative_to(target.mean(dim=1, keepdim=True))
        ),
        "you divided channel by channel and averaged. A channel that never responds would then divide by zero: sum "
        "over all channels first.": channel,
        "torch's var divides by n − 1. Say correction=0, or sum the squares yourself.": (
            error.square().mean() / target.var(dim=(0, 2, 3)).mean()
        ).item(),
        "you took the root. Variances are compared as they are.": right**0.5,
        "you divided by the variation of the prediction. Divide by that of the target.": (
            error.square().sum() / own.square().sum()
        ).item(),
        "you did not square: these are absolute values.": (error.abs().sum() / deviation.abs().sum()).item(),
    }


@exercise(reference=_fold_batch_norm)
def fold_batch_norm(answer: Answer) -> None:
    """(weight, bias) of one convolution that does what a convolution and a batch norm behind it do in evaluation."""
    arguments = _batch_norm(3, 3)  # as many channels in as out, and as the window is wide: a wrong axis fits, too
    got = _pair(answer(*arguments, 0.1), "return two tensors: the weight, then the bias.")
    right = _fold_batch_norm(*arguments, 0.1)
    expect(got[0], right[0], _weight_mistakes(*arguments, 0.1), "the weight")
    expect(got[1], right[1], _bias_mistakes(*arguments, 0.1), "the bias")
    for channels_out, channels_in, kernel in ((5, 2, 3), (4, 3, 1), (2, 6, 5)):
        other = _batch_norm(channels_out, channels_in, kernel)
        new = _pair(answer(*other, 1e-5), "return two tensors: the weight, then the bias.")
        for part, got, right in zip(("weight", "bias"), new, _fold_batch_norm(*other, 1e-5), strict=True):
            shape = f"{channels_in} channels in, {channels_out} out and windows of {kernel} × {kernel}"
            expect(got, right, what=f"the {part} for {shape}")


def _batch_norm(channels_out: int, channels_in: int, kernel: int = 3) -> list[Tensor]:
    """Weight and bias of a k × k convolution; gamma, beta, mean and var of the batch norm behind it."""
    vectors = [random(channels_out, seed=seed) for seed in range(1, 6)]
    vectors[-1] = vectors[-1].square() + 0.2  # a variance is not negative
    return [random(channels_out, channels_in, kernel, kernel), *vectors]


def _weight_mistakes(
    weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, eps: float
) -> dict[str, Tensor]:
    def scaled(scale: Tensor) -> Tensor:
        return weight * scale[:, None, None, None]

    scale = gamma / (var + eps).sqrt()
    axis = "the scale is on the wrong axis. Output channels come first in a weight: scale[:, None, None, None]."
    return {
        "the weight is as it was. Scale it by γ / √(σ² + ε), each output channel by its own.": weight,
        "you forgot ε under the root.": scaled(gamma / var.sqrt()),
        "you forgot the root: var is σ², so divide by √(σ² + ε).": scaled(gamma / (var + eps)),
        "you forgot both the root and ε: divide by √(σ² + ε).": scaled(gamma / var),
        "ε belongs under the root: √(σ² + ε), not √σ² + ε.": scaled(gamma / (var.sqrt() + eps)),
        "you multiplied by the root. Divide by it.": scaled(gamma * (var + eps).sqrt()),
        "you divided by γ and multiplied by the root. It is the other way round.": scaled((var + eps).sqrt() / gamma),
        "var is σ² already. Do not square it.": scaled(gamma / (var.square() + eps).sqrt()),
        "you forgot γ, the factor that the batch norm has learned.": scaled(1 / (var + eps).sqrt()),
        axis: weight * scale,
        f"{axis} You scaled the input channels.": weight * scale[:, None, None],
        f"{axis} You scaled the rows of the window.": weight * scale[:, None],
        "you returned the scale in place of the scaled weight.": scale,
    }


def _bias_mistakes(
    weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, eps: float
) -> dict[str, Tensor]:
    scale = gamma / (var + eps).sqrt()
    return {
        "the bias is as it was. It goes through the batch norm as well.": bias,
        "the bias of the convolution is not scaled. It passes through the batch norm like all the rest.": (
            bias - mean * scale + beta
        ),
        "the mean is not scaled. It is subtracted before the scaling: γ (b − μ) / √(σ² + ε) + β.": (
            bias * scale - mean + beta
        ),
        "you forgot to subtract the mean.": bias * scale + beta,
        "you forgot to add β.": (bias - mean) * scale,
        "you scaled β, too. It is added after the scaling.": (bias - mean + beta) * scale,
        "the sign of the mean is wrong: it is subtracted.": (bias + mean) * scale + beta,
        "the sign of β is wrong: it is added.": (bias - mean) * scale - beta,
        "you forgot the bias of the convolution.": beta - mean * scale,
        "you scaled the bias and forgot μ and β.": bias * scale,
        "you shifted without scaling.": bias - mean + beta,
        "your scale of the bias has no root: divide by √(σ² + ε), as for the weight.": (
            (bias - mean) * gamma / (var + eps) + beta
        ),
        "your scale of the bias has no ε: divide by √(σ² + ε), as for the weight.": (
            (bias - mean) * gamma / var.sqrt() + beta
        ),
    }


def _pair(got: object, sentence: str) -> tuple[object, object]:
    if got is None:
        raise Mistake("the result is None. Did you forget `return`?")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mistake(sentence)
    return got[0], got[1]
