"""Lesson 04's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

import torch

from stylelib.checks.core import EXERCISES


def flat(features):
    return features.flatten(2)


def gram_of(features):
    return flat(features) @ flat(features).mT / flat(features).shape[-1]


def gram_by_loop(features):
    _, channels, height, width = features.shape
    rows = []
    for i in range(channels):
        products = [(features[:, i] * features[:, j]).sum(dim=(1, 2)) for j in range(channels)]
        rows.append(torch.stack(products, dim=1))
    return torch.stack(rows, dim=1) / (height * width)


def gram_in_zeros_moved(features):
    """Made on the CPU and moved: slow on a GPU, but right. So is the next one, which reads a value."""
    batch, channels = features.shape[:2]
    return torch.zeros(batch, channels, channels).to(features.device) + gram_of(features)


def gram_by_counted_positions(features):
    count = torch.ones_like(features[0, 0]).sum().item()
    return flat(features) @ flat(features).mT / count


def gram_by_counted_shape(features):
    return flat(features) @ flat(features).mT / torch.tensor(features.shape[2:]).prod().item()


def gram_in_new_zeros(features):
    result = features.new_zeros(features.shape[0], features.shape[1], features.shape[1])
    for i in range(features.shape[1]):
        result[:, i] = (flat(features)[:, i : i + 1] * flat(features)).mean(-1)
    return result


def gram_in_zeros(features):
    """As gram_in_new_zeros, but on the CPU, wherever the features lie."""
    result = torch.zeros(features.shape[0], features.shape[1], features.shape[1])
    for i in range(features.shape[1]):
        result[:, i] = (flat(features)[:, i : i + 1] * flat(features)).mean(-1)
    return result


def gram_on_cpu(features):
    result = torch.zeros(features.shape[0], features.shape[1], features.shape[1])
    return result + gram_of(features) if features.device.type == "cpu" else result


def gram_mixed_devices(features):
    return gram_of(features) + torch.zeros(features.shape[1], features.shape[1])


def gram_by_reshape(features):
    batch, channels, height, width = features.shape
    regrouped = features.reshape(batch, height * width, channels)
    return regrouped.transpose(1, 2) @ regrouped / (height * width)


def gram_in_place(features):
    result = gram_of(features)
    features *= 0
    return result


def covariance(features):
    centered = flat(features) - flat(features).mean(-1, keepdim=True)
    return centered @ centered.mT / centered.shape[-1]


def mixed_batch(features):
    rows = features.reshape(-1, features.shape[2] * features.shape[3])
    return rows @ rows.T / rows.shape[1]


def shuffle_right(features, permutation):
    return features.flatten(2)[:, :, permutation].reshape(features.shape)


def shuffle_by_gather(features, permutation):
    index = permutation.expand(features.shape[0], features.shape[1], -1)
    return features.flatten(2).gather(2, index).unflatten(2, features.shape[2:])


def shuffle_inverse(features, permutation):
    result = torch.empty_like(features).flatten(2)
    result[:, :, permutation] = features.flatten(2)
    return result.reshape(features.shape)


def shuffle_each_channel(features, permutation):
    generator = torch.Generator().manual_seed(0)
    rows = [flat(features)[:, c, torch.randperm(len(permutation), generator=generator)] for c in range(3)]
    return torch.stack(rows, dim=1).reshape(features.shape)


def shuffle_by_rolled(features, permutation):
    rows = [flat(features)[:, c, permutation.roll(c)] for c in range(features.shape[1])]
    return torch.stack(rows, dim=1).reshape(features.shape)


def shuffle_all_numbers(features, permutation):
    positions, channels = len(permutation), features.shape[1]
    return features.reshape(-1, positions, channels)[:, permutation].reshape(features.shape)


def shuffle_in_place(features, permutation):
    features.flatten(2)[:] = features.flatten(2)[:, :, permutation]
    return features


def statistics_right(features):
    return features.mean((2, 3)), features.var((2, 3), correction=0)


def statistics_by_moments(features):
    mean = flat(features).sum(-1) / flat(features).shape[-1]
    return [mean, (flat(features) ** 2).mean(-1) - mean**2]


def loss_by(distance, combine=lambda values: sum(values) / len(values)):
    """A style loss made of a distance (F, A) → number and of a way to combine the layers."""
    return lambda features, targets: combine([distance(features[name], targets[name].detach()) for name in targets])


def relative(features, target):
    return (gram_of(features) - target).square().sum() / target.square().sum()


def loss_by_norms(features, gram_targets):
    total = 0.0
    for name in gram_targets:
        constant = gram_targets[name].clone().detach()
        total = total + (torch.linalg.norm(gram_by_loop(features[name]) - constant) / constant.norm()) ** 2
    return total / len(gram_targets)


def loss_undetached(features, targets):
    return sum(relative(features[name], target) for name, target in targets.items()) / len(targets)


def loss_by_channels(features, targets):
    sizes = {name: features[name].shape[1] for name in targets}
    weighted = [sizes[name] * relative(features[name], targets[name].detach()) for name in targets]
    return sum(weighted) / sum(sizes.values())


def loss_of_all_features(features, targets):
    return sum(relative(features[name], targets[name].detach()) for name in targets) / len(features)


def loss_as_number(features, targets):
    return loss_by(relative)(features, targets).item()


def gradient_right(features, target):
    difference = gram_of(features) - target
    result = 4 * difference @ flat(features) / (flat(features).shape[-1] * target.square().sum())
    return result.reshape(features.shape)


def gradient_by_sums(features, target):
    """One position after the other."""
    difference, norm = gram_of(features) - target, target.square().sum()
    result, (height, width) = torch.zeros_like(features), features.shape[-2:]
    for i in range(height):
        for j in range(width):
            result[:, :, i, j] = (difference @ features[:, :, i, j, None])[..., 0] * 4 / (height * width * norm)
    return result


def gradient_by_autograd(features, target):
    leaf = features.clone().requires_grad_()
    return torch.autograd.grad(relative(leaf, target), leaf)[0]


def gradient_in_place(features, target):
    result = gradient_right(features, target)
    features.zero_()
    return result


def gradient_of_the_paper(features, target):
    channels, positions = flat(features).shape[1:]
    return ((gram_of(features) - target) @ flat(features) / (channels**2 * positions)).reshape(features.shape)


def positions(features):
    return features.shape[2] * features.shape[3]


def zeros(*arguments):
    return torch.zeros_like(arguments[0])


RIGHT = {
    "gram_matrix": [
        gram_of,
        gram_by_loop,
        gram_in_new_zeros,
        gram_in_zeros_moved,
        gram_by_counted_positions,
        gram_by_counted_shape,
    ],
    "shuffle_positions": [shuffle_right, shuffle_by_gather],
    "mean_and_variance": [statistics_right, statistics_by_moments],
    "style_loss": [loss_by(relative), loss_by_norms],
    "convert_weight": [lambda w, c, n: w * c * c / 4, lambda w, c, n: w / (4 * (c * n) ** 2) * c**2 * (c * n) ** 2],
    "style_gradient": [gradient_right, gradient_by_sums],
}

WRONG = {
    "gram_matrix": [
        (lambda f: flat(f) @ flat(f), "must be transposed"),
        (lambda f: torch.stack([flat(f)[0] @ flat(f)[0]]), "must be transposed"),
        (gram_by_reshape, "you used reshape"),
        (lambda f: flat(f) @ f.reshape(f.shape[0], -1, f.shape[1]) / positions(f), "first factor is right"),
        (lambda f: flat(f) @ flat(f).mT, "you did not divide"),
        (lambda f: gram_of(f) / f.shape[1], "you divided by C·h·w"),
        (lambda f: flat(f) @ flat(f).mT / f.shape[1], "you divided by C."),
        (lambda f: gram_of(f) / f.shape[0], "you divided by B·h·w"),
        (lambda f: gram_of(f) / f.shape[0] / f.shape[1], "you divided by B·C·h·w"),
        (lambda f: flat(f) @ flat(f).mT / f.shape[3], "by the width only"),
        (lambda f: flat(f) @ flat(f).mT / f.shape[2], "by the height only"),
        (lambda f: flat(f).mT @ flat(f) / positions(f), "positions × positions"),
        (lambda f: flat(f) * flat(f) / positions(f), "entry by entry"),
        (covariance, "subtracted the mean"),
        (lambda f: gram_of(f).sum(0), "batch up. Each picture"),
        (lambda f: gram_of(f).sum(0, keepdim=True), "and kept one"),
        (lambda f: gram_of(f).mean(0), "averaged the Gram matrices"),
        (lambda f: gram_of(f)[0], "first picture only"),
        (lambda f: gram_of(f).squeeze(), "dimension of the batch is gone"),
        (mixed_batch, "mixed the pictures of the batch"),
        (gram_in_place, "in place"),
        (lambda f: gram_of(f).detach(), "no gradient flows"),
        (gram_on_cpu, "device=features.device"),
        (gram_in_zeros, "device=features.device"),
        (gram_mixed_devices, "device=features.device"),
        (lambda f: torch.zeros(f.shape[0], f.shape[1], f.shape[1]), "all zeros"),
        (lambda f: gram_of(f) * torch.nan, "NaN"),
        (lambda f: gram_of(f).numpy(), "should be a tensor"),
        (lambda f: None, "forget `return`"),
    ],
    "shuffle_positions": [
        (lambda f, p: f.clone(), "nothing has moved"),
        (lambda f, p: flat(f)[..., p], "the result is flat"),
        (shuffle_inverse, "went the other way"),
        (shuffle_each_channel, "each channel was moved differently"),
        (shuffle_by_rolled, "each channel was moved differently"),
        (shuffle_all_numbers, "mixed channels with positions"),
        (shuffle_in_place, "in place"),
        (zeros, "all zeros"),
        (lambda f, p: None, "forget `return`"),
    ],
    "mean_and_variance": [
        (lambda f: (f.mean((2, 3)), f.var((2, 3))), "h·w − 1"),
        (lambda f: (f.mean((2, 3)), f.std((2, 3), correction=0)), "standard deviation"),
        (lambda f: (f.mean((2, 3)), f.square().mean((2, 3))), "mean of the squares"),
        (lambda f: (f.mean((2, 3)), f.var(1, correction=0)), "variance over the channels"),
        (lambda f: (f.mean((2, 3)), f.var((2, 3), correction=0) * positions(f)), "did not divide"),
        (lambda f: (f.mean((2, 3)), f.var(correction=0)), "all channels together"),
        (lambda f: (f.mean(1), f.var(1, correction=0)), "averaged over the channels"),
        (lambda f: (f.mean((0, 2, 3)), f.var((0, 2, 3), correction=0)), "pictures of the batch"),
        (lambda f: (f.mean(), f.var(correction=0)), "averaged over everything"),
        (lambda f: (f.sum((2, 3)), f.var((2, 3), correction=0)), "did not divide"),
        (lambda f: (f.mean((2, 3), keepdim=True), f.var((2, 3), correction=0)), "(B, C, 1, 1)"),
        (lambda f: statistics_right(f)[::-1], "variance first"),
        (lambda f: torch.stack(statistics_right(f)), "return two tensors"),
        (lambda f: f.mean((2, 3)), "return two tensors"),
        (lambda f: tuple(part.detach() for part in statistics_right(f)), "no gradient flows"),
        (lambda f: None, "forget `return`"),
        (lambda f: (f.mean((2, 3)) * torch.nan, f.var((2, 3), correction=0)), "NaN"),
        (lambda f: (torch.zeros(f.shape[:2]), torch.zeros(f.shape[:2])), "all zeros"),
    ],
    "style_loss": [
        (loss_by(relative, sum), "added the layers up"),
        (loss_of_all_features, "layers in features"),
        (loss_by(relative, lambda values: sum(values) / 5), "divided by 5"),
        (loss_by(relative, lambda values: values[-1]), "last layer only"),
        (loss_by(relative, lambda values: values[0]), "first layer only"),
        (loss_by_channels, "weighted the layers"),
        (loss_by(lambda f, a: relative(f, a).sqrt()), "did not square"),
        (loss_by(lambda f, a: (gram_of(f) - a).abs().sum() / a.abs().sum()), "absolute values"),
        (loss_by(lambda f, a: (gram_of(f) - a).square().sum()), "did not divide by ‖A‖²"),
        (loss_by(lambda f, a: (gram_of(f) - a).square().mean()), "mean of the squared differences"),
        (loss_by(lambda f, a: (gram_of(f) - a).square().sum() / a.norm()), "divided by ‖A‖."),
        (loss_by(lambda f, a: (gram_of(f) - a).square().sum() / gram_of(f).square().sum()), "‖G‖²"),
        (loss_by(lambda f, a: (gram_of(f) - a).square().mean() / a.square().sum()), "a mean by a sum"),
        (loss_by(lambda f, a: (gram_of(f) - a).square().sum() / (4 * f.shape[1] ** 2)), "paper's divisor"),
        (loss_by(lambda f, a: relative(f * positions(f) ** 0.5, a)), "not divided by h·w"),
        (
            loss_by(lambda f, a: (gram_by_reshape(f) - a).square().sum() / a.square().sum()),
            "mix the channels",
        ),
        (loss_by(lambda f, a: (gram_of(f) - a).square() / a.square().sum(), lambda v: v[0]), "one number"),
        (loss_undetached, "flows into the targets"),
        (loss_as_number, "no gradient flows"),
        (lambda f, t: loss_by(relative)({name: value.detach() for name, value in f.items()}, t), "no gradient flows"),
        (lambda f, t: torch.zeros(()), "should be"),
        (lambda f, t: torch.tensor(torch.nan), "should be"),
        (lambda f, t: None, "forget `return`"),
    ],
    "convert_weight": [
        (lambda w, c, n: w * 4 / c**2, "other direction"),
        (lambda w, c, n: w * c**2, "where is the 4"),
        (lambda w, c, n: w * c / 4, "without squaring"),
        (lambda w, c, n: w * c**2 * 4, "divide by it"),
        (lambda w, c, n: w / 4, "mean over the C²"),
        (lambda w, c, n: w * c**2 / 4 * n**2, "h·w does not drop out"),
        (lambda w, c, n: w, "nothing was converted"),
        (lambda w, c, n: None, "forget `return`"),
    ],
    "style_gradient": [
        (lambda f, a: -gradient_right(f, a), "the sign is wrong"),
        (lambda f, a: gradient_right(f, a) / 2, "the factor is 4, not 2"),
        (lambda f, a: gradient_right(f, a) / 4, "the factor 4 is missing"),
        (lambda f, a: gradient_right(f, a) * positions(f), "did not divide by h·w"),
        (lambda f, a: gradient_right(f, a) / positions(f), "h·w twice"),
        (lambda f, a: gradient_right(f, a) * a.square().sum(), "did not divide by ‖A‖²"),
        (lambda f, a: gradient_right(f, a) * a.norm(), "divided by ‖A‖."),
        (lambda f, a: gradient_right(f, a) / f.shape[1], "divided by C too"),
        (gradient_of_the_paper, "the paper's loss"),
        (lambda f, a: gradient_right(f, a).flatten(2), "the shape is flat"),
        (lambda f, a: 2 * (gram_of(f) - a) / a.square().sum(), "with respect to G"),
        (gradient_in_place, "in place"),
        (gradient_by_autograd, "you asked autograd"),
        (zeros, "all zeros"),
        (lambda f, a: gradient_right(f, a) * torch.nan, "NaN"),
        (lambda f, a: None, "forget `return`"),
    ],
}


def test_the_reference_loss_agrees_with_its_own_gradient():
    """The two references were written apart; autograd through one must give the other."""
    features = torch.randn(1, 3, 4, 5, dtype=torch.float64).requires_grad_()
    target = gram_of(torch.randn(1, 3, 4, 5, dtype=torch.float64))
    loss = EXERCISES["style_loss"].reference({"layer": features}, {"layer": target})
    by_hand = EXERCISES["style_gradient"].reference(features.detach(), target)
    torch.testing.assert_close(torch.autograd.grad(loss, features)[0], by_hand)
