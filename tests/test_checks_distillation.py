"""Lesson 10's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

import math
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def cost_of_a_real_layer(channels_in, channels_out, kernel, height, width):
    layer = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, device="meta")
    result = layer(torch.empty(1, channels_in, height, width, device="meta"))
    parameters = sum(parameter.numel() for parameter in layer.parameters())
    return parameters, layer.weight[0].numel() * result.numel()


def cost(parameters, products):
    """An answer made of two formulas in C, D, k, h, w."""
    return lambda *sizes: (parameters(*sizes), products(*sizes))


def right_parameters(C, D, k, h, w):
    return D * (C * k * k + 1)


def right_products(C, D, k, h, w):
    return D * C * k * k * h * w


def head(features, weight, bias):
    return F.conv2d(features, weight[:, :, None, None], bias)


def head_by_matrix(features, weight, bias):
    rows = weight @ features.flatten(2) + bias[:, None]
    return rows.unflatten(2, features.shape[2:])


def head_by_loops(features, weight, bias):
    channels = []
    for row, offset in zip(weight, bias, strict=True):
        channels.append(sum(row[c] * features[:, c] for c in range(len(row))) + offset)
    return torch.stack(channels, dim=1)


def head_into(empty):
    """The prediction, channel by channel, written into a tensor made by a function of the features and the shape."""

    def answer(features, weight, bias):
        batch, _, height, width = features.shape
        result = empty(features, (batch, len(bias), height, width))
        for d in range(len(bias)):
            result[:, d] = (weight[d][:, None, None] * features).sum(1) + bias[d]
        return result

    return answer


def head_in_place(features, weight, bias):
    result = head(features, weight, bias)
    features.zero_()
    return result


def head_with_bias_along_the_width(features, weight, bias):
    return head(features, weight, torch.zeros_like(bias)) + bias.repeat(2)[: features.shape[-1]]


def head_of_regrouped(features, weight, bias):
    batch, channels, height, width = features.shape
    return (features.reshape(-1, channels) @ weight.mT + bias).reshape(batch, len(bias), height, width)


CHANNEL = (0, 2, 3)


def unexplained(prediction, target):
    varied = target.var(dim=CHANNEL, correction=0).mean()
    return F.mse_loss(prediction, target) / varied


def unexplained_by_rows(prediction, target):
    rows, predicted = (each.movedim(1, 0).flatten(1) for each in (target, prediction))
    missed = torch.linalg.norm(predicted - rows) ** 2
    return missed / torch.linalg.norm(rows - rows.mean(1, keepdim=True)) ** 2


def relative_to(center):
    """The squared error divided by the squared distance of the target from some center of it."""
    return lambda p, t: (p - t).square().sum() / (t - center(t)).square().sum()


def channel_by_channel(prediction, target):
    missed = (prediction - target).square().mean(CHANNEL)
    return (missed / target.var(dim=CHANNEL, correction=0)).mean()


def of_the_prediction(prediction, target):
    return unexplained(target, prediction)


def absolute(prediction, target):
    center = target.mean(CHANNEL, keepdim=True)
    return (prediction - target).abs().sum() / (target - center).abs().sum()


def unexplained_in_place(prediction, target):
    result = unexplained(prediction, target)
    target -= target.mean(CHANNEL, keepdim=True)
    return result


def scale_of(gamma, var, eps):
    return gamma / torch.sqrt(var + eps)


def fold(weight, bias, gamma, beta, mean, var, eps):
    scale = scale_of(gamma, var, eps)
    return weight * scale.view(-1, 1, 1, 1), beta + scale * (bias - mean)


def fold_by_torch(weight, bias, gamma, beta, mean, var, eps):
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:])
    norm = nn.BatchNorm2d(weight.shape[0], eps=eps).eval()
    for place, value in (
        (convolution.weight, weight),
        (convolution.bias, bias),
        (norm.weight, gamma),
        (norm.bias, beta),
        (norm.running_mean, mean),
        (norm.running_var, var),
    ):
        place.data.copy_(value)
    folded = nn.utils.fuse_conv_bn_eval(convolution.eval(), norm)
    return folded.weight.detach(), folded.bias.detach()


def fold_in_place(weight, bias, gamma, beta, mean, var, eps):
    result = fold(weight, bias, gamma, beta, mean, var, eps)
    weight *= scale_of(gamma, var, eps).view(-1, 1, 1, 1)
    return result


def fold_with(scale):
    """A fold whose scale is computed by a function of γ, σ² and ε."""
    return lambda w, b, g, beta, m, v, e: (
        w * scale(g, v, e).view(-1, 1, 1, 1),
        beta + scale(g, v, e) * (b - m),
    )


def fold_on_axis(shape):
    return lambda w, b, g, beta, m, v, e: (
        w * scale_of(g, v, e).view(shape),
        beta + scale_of(g, v, e) * (b - m),
    )


def fold_with_bias(bias):
    """A fold with the right weight, whose bias is computed by a function of b, β, μ and the scale s."""
    return lambda w, b, g, beta, m, v, e: (
        fold(w, b, g, beta, m, v, e)[0],
        bias(b, beta, m, scale_of(g, v, e)),
    )


# --- the same thing, written in many ways: every part of one answer with every part of another ---

PARAMETERS = [
    lambda C, D, k, h, w: D * (C * k * k + 1),
    lambda C, D, k, h, w: C * D * k**2 + D,
    lambda C, D, k, h, w: sum(1 + C * k * k for _ in range(D)),
    lambda C, D, k, h, w: D * C * pow(k, 2) + D * 1,
    lambda C, D, k, h, w: float(D * (C * k * k + 1)),
]
PRODUCTS = [
    lambda C, D, k, h, w: D * C * k * k * h * w,
    lambda C, D, k, h, w: math.prod((C, D, k, k, h, w)),
    lambda C, D, k, h, w: np.prod([C, D, k, k, h, w]),
    lambda C, D, k, h, w: torch.tensor([C, D, k, k, h, w]).prod(),
    lambda C, D, k, h, w: (h * w) * (D * (C * k * k + 1) - D),
]

FLAT = [
    lambda f: f.flatten(2),
    lambda f: f.reshape(f.shape[0], f.shape[1], -1),
    lambda f: f.view(*f.shape[:2], f.shape[2] * f.shape[3]),
]
HEADS = [
    lambda r, w, b: w @ r + b[:, None],
    lambda r, w, b: torch.einsum("dc,bcn->bdn", w, r) + b.unsqueeze(-1),
    lambda r, w, b: (r.mT @ w.mT + b).mT,
    lambda r, w, b: torch.nn.functional.linear(r.transpose(1, 2), w, b).transpose(1, 2),
    lambda r, w, b: (w[None, :, :, None] * r[:, None]).sum(2) + b.view(1, -1, 1),
    lambda r, w, b: torch.baddbmm(b[None, :, None], w.expand(len(r), -1, -1), r),
]


def head_from(rows, product):
    return lambda f, w, b: product(rows(f), w, b).reshape(f.shape[0], -1, *f.shape[2:])


MISSED = [
    lambda p, t: (p - t).square(),
    lambda p, t: (t - p) ** 2,
    lambda p, t: torch.nn.functional.mse_loss(p, t, reduction="none"),
]
VARIED = [
    lambda t: (t - t.mean((0, 2, 3), keepdim=True)).square(),
    lambda t: (t - t.movedim(1, -1).flatten(0, 2).mean(0).view(1, -1, 1, 1)) ** 2,
    lambda t: t.var((0, 2, 3), correction=0, keepdim=True).expand_as(t),
    lambda t: (t.movedim(1, 0).flatten(1) - t.movedim(1, 0).flatten(1).mean(1, keepdim=True)).pow(2),
]
QUOTIENTS = [
    lambda missed, varied: missed.sum() / varied.sum(),
    lambda missed, varied: missed.mean() / varied.mean(),
    lambda missed, varied: (missed / varied.sum()).sum(),
]


def unexplained_from(missed, varied, quotient):
    return lambda p, t: quotient(missed(p, t), varied(t))


SCALES = [
    lambda g, v, e: g / torch.sqrt(v + e),
    lambda g, v, e: g * (v + e).rsqrt(),
    lambda g, v, e: g / (v + e) ** 0.5,
    lambda g, v, e: (1 / (e + v).sqrt()) * g,
]
WEIGHTS = [
    lambda w, s: w * s[:, None, None, None],
    lambda w, s: s.view(-1, 1, 1, 1) * w,
    lambda w, s: torch.einsum("o,oikl->oikl", s, w),
    lambda w, s: (s.diag() @ w.flatten(1)).view_as(w),
    lambda w, s: torch.stack([factor * kernels for factor, kernels in zip(s, w, strict=True)]),
]
BIASES = [
    lambda b, beta, m, s: s * (b - m) + beta,
    lambda b, beta, m, s: beta + s * b - s * m,
    lambda b, beta, m, s: torch.addcmul(beta, s, b - m),
]


def fold_from(scale, weights, biases):
    def folded(w, b, g, beta, m, v, e):
        s = scale(g, v, e)
        return weights(w, s), biases(b, beta, m, s)

    return folded


def then(answer, *changes):
    """An answer, and what is done to its result: a change is a function of the result and of what was given."""

    def changed(*given):
        got = answer(*given)
        for change in changes:
            got = change(got, *given)
        return got

    return changed


def cached(answer):
    """Keeps what it computed, and gives it back for anything of the same shapes."""
    known = {}

    def from_memory(*given):
        key = tuple(tuple(each.shape) for each in given)
        if key not in known or any(each.requires_grad for each in given):
            known[key] = answer(*given)
        return known[key]

    return from_memory


SOME_HEADS = [head_from(*parts) for parts in list(product(FLAT, HEADS))[::5]]
SOME_UNEXPLAINED = [unexplained_from(*parts) for parts in list(product(MISSED, VARIED, QUOTIENTS))[::10]]
SOME_FOLDS = [fold_from(*parts) for parts in list(product(SCALES, WEIGHTS, BIASES))[::17]]

COST_CHANGES = [
    (lambda got, *sizes: got[::-1], "multiply-adds first"),
    (lambda got, *sizes: sum(got), "return two numbers"),
    (lambda got, *sizes: got[0], "return two numbers"),
    (lambda got, *sizes: (*got, 0), "return two numbers"),
    (lambda got, C, D, k, h, w: (got[0] - D, got[1]), "forgot the biases"),
    (lambda got, C, D, k, h, w: (got[0] - D + C, got[1]), "one bias per input channel"),
    (lambda got, C, D, k, h, w: (got[0] - D + 1, got[1]), "one bias in all"),
    (lambda got, C, D, k, h, w: (got[0], got[1] / (h * w)), "did not count the positions"),
    (lambda got, C, D, k, h, w: (got[0], got[1] * 2), "one of each"),
    (lambda got, C, D, k, h, w: (got[0], got[1] / D), "one output channel only"),
    (lambda got, C, D, k, h, w: (got[0], got[1] / C), "all input channels"),
    (lambda got, C, D, k, h, w: (got[0], got[1] / k), "k·k"),
    (lambda got, C, D, k, h, w: (got[0], (D * C * 9) * h * w), "1 × 1 convolution"),
    (lambda got, *sizes: None, "forget `return`"),
]
HEAD_CHANGES = [
    (lambda got, f, w, b: got - b[:, None, None], "forgot the bias"),
    (lambda got, f, w, b: got - 2 * b[:, None, None], "is subtracted"),
    (lambda got, f, w, b: got.flatten(2), "is flat"),
    (lambda got, f, w, b: got.movedim(1, -1), "channels come last"),
    (lambda got, f, w, b: got.relu(), "no ReLU"),
    (lambda got, f, w, b: got.squeeze(), "dimension of the batch is gone"),
    (lambda got, f, w, b: (f.zero_(), got)[1], "the features in place"),
    (lambda got, f, w, b: (w.zero_(), got)[1], "the weight in place"),
    (lambda got, f, w, b: (b.zero_(), got)[1], "the bias in place"),
    (lambda got, f, w, b: got.detach(), "no gradient flows"),
    (lambda got, f, w, b: got[:1], "should have the shape"),
    (lambda got, f, w, b: 0 * got, "all zeros"),
    (lambda got, f, w, b: got * torch.nan, "NaN"),
    (lambda got, f, w, b: got.double(), "float64"),
    (lambda got, f, w, b: got.tolist(), "should be a tensor"),
    (lambda got, f, w, b: None, "forget `return`"),
]
UNEXPLAINED_CHANGES = [
    (lambda got, p, t: 1 - got, "the explained variance"),
    (lambda got, p, t: got / t.numel(), "a mean by a sum"),
    (lambda got, p, t: got * t.numel(), "a sum by a mean"),
    (lambda got, p, t: got.sqrt(), "took the root"),
    (lambda got, p, t: got.clamp(0, 1), "cut the result off at 1"),
    (lambda got, p, t: got.clamp(max=1), "cut the result off at 1"),
    (lambda got, p, t: torch.minimum(got, torch.ones(())), "cut the result off at 1"),
    (lambda got, p, t: got.sqrt() ** 2, "the gradient is NaN"),
    (lambda got, p, t: got.expand(3), "one number"),
    (lambda got, p, t: (p.zero_(), got)[1], "the prediction in place"),
    (lambda got, p, t: (t.zero_(), got)[1], "the target in place"),
    (lambda got, p, t: got.item(), "no gradient flows"),
    (lambda got, p, t: got.detach(), "no gradient flows"),
    (lambda got, p, t: 0 * got, "should be"),
    (lambda got, p, t: got * torch.nan, "should be"),
    (lambda got, p, t: got / 2, "should be"),
    (lambda got, p, t: None, "forget `return`"),
]


def fold_that_changes(place):
    def changed(*given):
        got = fold(*given)
        given[place].mul_(2)
        return got

    return changed


FOLD_CHANGES = [
    (lambda got, *given: got[0], "return two tensors"),
    (lambda got, *given: got[::-1], "the weight should have the shape"),
    (lambda got, *given: (given[0].clone(), got[1]), "the weight is as it was"),
    (lambda got, *given: (got[0], given[1].clone()), "the bias is as it was"),
    (lambda got, w, b, g, beta, *rest: (got[0], got[1] - beta), "forgot to add β"),
    (lambda got, w, b, g, beta, *rest: (got[0], got[1] - 2 * beta), "sign of β"),
    (lambda got, *given: (0 * got[0], got[1]), "the weight is all zeros"),
    (lambda got, *given: (got[0], 0 * got[1]), "the bias is all zeros"),
    (lambda got, *given: (got[0] * torch.nan, got[1]), "NaN"),
    (lambda got, *given: (got[0], got[1][None]), "should have the shape"),
    (lambda got, *given: (got[0].double(), got[1]), "float64"),
    (lambda got, *given: (got[0][:, :, :3, :3], got[1]), "should have the shape"),
    (lambda got, *given: tuple(part.detach().numpy() for part in got), "should be a tensor"),
    (lambda got, *given: None, "forget `return`"),
]


def fold_of_3_by_3(w, b, g, beta, m, v, e):
    folded = w.new_zeros(w.shape[0], w.shape[1], 3, 3)
    for row in range(3):
        for column in range(3):
            folded[:, :, row, column] = w[:, :, row % w.shape[2], column % w.shape[3]] * scale_of(g, v, e)[:, None]
    return folded, fold(w, b, g, beta, m, v, e)[1]


RIGHT = {
    "convolution_cost": [
        cost(right_parameters, right_products),
        cost_of_a_real_layer,
        *[cost(*parts) for parts in product(PARAMETERS, PRODUCTS)],
    ],
    "apply_head": [
        head,
        head_by_matrix,
        head_by_loops,
        head_into(lambda features, shape: features.new_zeros(shape)),
        head_into(lambda features, shape: torch.zeros(shape)),
        *[head_from(*parts) for parts in product(FLAT, HEADS)],
    ],
    "unexplained_variance": [
        unexplained,
        unexplained_by_rows,
        *[unexplained_from(*parts) for parts in product(MISSED, VARIED, QUOTIENTS)],
    ],
    "fold_batch_norm": [fold, fold_by_torch, *[fold_from(*parts) for parts in product(SCALES, WEIGHTS, BIASES)]],
}

WRONG = {
    "convolution_cost": [
        (cost(right_products, right_parameters), "multiply-adds first"),
        (cost(lambda C, D, k, h, w: D * C * k * k, right_products), "forgot the biases"),
        (cost(lambda C, D, k, h, w: D * C * k * k + C, right_products), "one bias per input channel"),
        (cost(lambda C, D, k, h, w: D * C * k * k + 1, right_products), "one bias in all"),
        (cost(lambda C, D, k, h, w: D * (C + 1) * k * k, right_products), "a bias per position"),
        (cost(lambda C, D, k, h, w: C * k * k + 1, right_products), "one output channel only"),
        (cost(lambda C, D, k, h, w: D * (C * k + 1), right_products), "k·k"),
        (cost(lambda C, D, k, h, w: D * (k * k + 1), right_products), "all input channels"),
        (cost(right_parameters, lambda C, D, k, h, w: D * C * k * k), "did not count the positions"),
        (cost(right_parameters, lambda C, D, k, h, w: D * (C * k * k + 1) * h * w), "added, not multiplied"),
        (cost(right_parameters, lambda C, D, k, h, w: 2 * right_products(C, D, k, h, w)), "one of each"),
        (cost(right_parameters, lambda C, D, k, h, w: C * k * k * h * w), "one output channel only"),
        (cost(right_parameters, lambda C, D, k, h, w: D * C * k * h * w), "k·k"),
        (cost(right_parameters, lambda C, D, k, h, w: D * k * k * h * w), "all input channels"),
        (lambda *sizes: (222, 7560), "1 × 1 convolution"),
        (lambda *sizes: right_parameters(*sizes), "return two numbers"),
        (lambda *sizes: (0, 0), "should be 222"),
        (lambda *sizes: (222, float("nan")), "should be 7560"),
        (lambda *sizes: None, "forget `return`"),
        *[
            (then(cost(*parts), change), sentence)
            for parts in list(product(PARAMETERS, PRODUCTS))[::7]
            for change, sentence in COST_CHANGES
        ],
    ],
    "apply_head": [
        (lambda f, w, b: head(f, w, None), "forgot the bias"),
        (lambda f, w, b: head(f, w.mT, b), "transposed"),
        (head_with_bias_along_the_width, "along the width"),
        (lambda f, w, b: head(f, w, -b), "is subtracted"),
        (lambda f, w, b: head(f, w, b).flatten(2), "is flat"),
        (lambda f, w, b: f.movedim(1, -1) @ w.mT + b, "channels come last"),
        (head_of_regrouped, "reshape alone"),
        (lambda f, w, b: head(f, w, b).relu(), "no ReLU"),
        (lambda f, w, b: f * w.diag()[:, None, None] + b[:, None, None], "only the diagonal"),
        (lambda f, w, b: head(f, w / f.shape[1], b), "not a mean"),
        (head_in_place, "in place"),
        (lambda f, w, b: head(f, w.detach(), b), "does not reach all inputs"),
        (lambda f, w, b: head(f, w, b).detach(), "no gradient flows"),
        (lambda f, w, b: head(f, w, b)[:1], "should have the shape"),
        (lambda f, w, b: torch.zeros_like(head(f, w, b)), "all zeros"),
        (lambda f, w, b: head(f, w, b) * torch.nan, "NaN"),
        (lambda f, w, b: None, "forget `return`"),
        *[(cached(answer), "the old result") for answer in SOME_HEADS],
        *[(then(answer, change), sentence) for answer in SOME_HEADS for change, sentence in HEAD_CHANGES],
    ],
    "unexplained_variance": [
        (lambda p, t: 1 - unexplained(p, t), "the explained variance"),
        (lambda p, t: (p - t).square().sum(), "did not divide by the variation"),
        (lambda p, t: F.mse_loss(p, t), "mean squared error"),
        (lambda p, t: unexplained(p, t) / t.numel(), "a mean by a sum"),
        (lambda p, t: unexplained(p, t) * t.numel(), "a sum by a mean"),
        (relative_to(torch.zeros_like), "prediction of zeros"),
        (relative_to(torch.mean), "one mean for all channels"),
        (relative_to(lambda t: t.mean((2, 3), keepdim=True)), "mean of each picture"),
        (relative_to(lambda t: t.mean(1, keepdim=True)), "mean over the channels"),
        (channel_by_channel, "channel by channel"),
        (lambda p, t: F.mse_loss(p, t) / t.var(CHANNEL).mean(), "n − 1"),
        (lambda p, t: unexplained(p, t).sqrt(), "took the root"),
        (of_the_prediction, "variation of the prediction"),
        (absolute, "absolute values"),
        (lambda p, t: (p - t).square() / t.var(CHANNEL, keepdim=True, correction=0), "one number"),
        (unexplained_in_place, "the target in place"),
        (lambda p, t: unexplained(p, t).item(), "no gradient flows"),
        (lambda p, t: unexplained(p.detach(), t), "no gradient flows"),
        (lambda p, t: torch.zeros(()), "should be"),
        (lambda p, t: torch.tensor(torch.nan), "should be"),
        (lambda p, t: None, "forget `return`"),
        *[(cached(answer), "knows only the means should be 1") for answer in SOME_UNEXPLAINED],
        *[(then(answer, change), sentence) for answer in SOME_UNEXPLAINED for change, sentence in UNEXPLAINED_CHANGES],
    ],
    "fold_batch_norm": [
        (fold_with(lambda gamma, var, eps: (var + eps).sqrt() / gamma), "the other way round"),
        (fold_with(lambda gamma, var, eps: gamma / (var**2 + eps).sqrt()), "Do not square it"),
        (lambda w, b, *rest: (w.clone(), b.clone()), "the weight is as it was"),
        (fold_with(lambda g, v, e: g / v.sqrt()), "forgot ε"),
        (fold_with(lambda g, v, e: g / (v + e)), "forgot the root"),
        (fold_with(lambda g, v, e: g / v), "both the root and ε"),
        (fold_with(lambda g, v, e: g / (v.sqrt() + e)), "under the root"),
        (fold_with(lambda g, v, e: g * (v + e).sqrt()), "Divide by it"),
        (fold_with(lambda g, v, e: 1 / (v + e).sqrt()), "forgot γ"),
        (fold_on_axis((1, 1, 1, -1)), "wrong axis"),
        (fold_on_axis((1, 1, -1, 1)), "rows of the window"),
        (fold_on_axis((1, -1, 1, 1)), "the input channels"),
        (lambda w, b, g, beta, m, v, e: (scale_of(g, v, e), b), "in place of the scaled weight"),
        (fold_with_bias(lambda b, beta, m, s: b.clone()), "the bias is as it was"),
        (fold_with_bias(lambda b, beta, m, s: b - s * m + beta), "is not scaled. It passes"),
        (fold_with_bias(lambda b, beta, m, s: s * b - m + beta), "the mean is not scaled"),
        (fold_with_bias(lambda b, beta, m, s: s * b + beta), "subtract the mean"),
        (fold_with_bias(lambda b, beta, m, s: s * (b - m)), "forgot to add β"),
        (fold_with_bias(lambda b, beta, m, s: s * (b - m + beta)), "scaled β"),
        (fold_with_bias(lambda b, beta, m, s: s * (b + m) + beta), "sign of the mean"),
        (fold_with_bias(lambda b, beta, m, s: s * (b - m) - beta), "sign of β"),
        (fold_with_bias(lambda b, beta, m, s: beta - s * m), "bias of the convolution."),
        (fold_with_bias(lambda b, beta, m, s: s * b), "forgot μ and β"),
        (fold_with_bias(lambda b, beta, m, s: b - m + beta), "without scaling"),
        (lambda w, b, g, beta, m, v, e: (fold(w, b, g, beta, m, v, e)[0], beta + g / (v + e) * (b - m)), "no root"),
        (lambda w, b, g, beta, m, v, e: (fold(w, b, g, beta, m, v, e)[0], beta + g / v.sqrt() * (b - m)), "no ε"),
        (fold_in_place, "the weight in place"),
        (lambda *arguments: fold(*arguments)[0], "return two tensors"),
        (lambda w, b, *rest: (torch.zeros_like(w), torch.zeros_like(b)), "all zeros"),
        (lambda *arguments: (fold(*arguments)[0], fold(*arguments)[1] * torch.nan), "NaN"),
        (lambda *arguments: (fold(*arguments)[0], fold(*arguments)[1][None]), "should have the shape"),
        (lambda *arguments: None, "forget `return`"),
        (fold_of_3_by_3, "windows of 1 × 1"),
        *[
            (fold_that_changes(place), f"the {name} in place")
            for place, name in enumerate(("weight", "bias", "gamma", "beta", "mean", "var"))
        ],
        *[(then(answer, change), sentence) for answer in SOME_FOLDS for change, sentence in FOLD_CHANGES],
    ],
}
