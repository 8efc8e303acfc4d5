"""Lesson 10's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

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


RIGHT = {
    "convolution_cost": [cost(right_parameters, right_products), cost_of_a_real_layer],
    "apply_head": [head, head_by_matrix, head_by_loops, head_into(lambda features, shape: features.new_zeros(shape))],
    "unexplained_variance": [unexplained, unexplained_by_rows],
    "fold_batch_norm": [fold, fold_by_torch],
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
        (head_into(lambda features, shape: torch.zeros(shape)), "on the device of the features"),
        (lambda f, w, b: head(f, w, b)[:1], "should have the shape"),
        (lambda f, w, b: torch.zeros_like(head(f, w, b)), "all zeros"),
        (lambda f, w, b: head(f, w, b) * torch.nan, "NaN"),
        (lambda f, w, b: None, "forget `return`"),
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
    ],
    "fold_batch_norm": [
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
    ],
}
