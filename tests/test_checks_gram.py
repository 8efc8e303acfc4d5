"""Lesson 04's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

from itertools import product

import numpy as np
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


# --- the same thing, written in many ways: every part of one answer with every part of another ---

ROWS = [
    lambda f: f.flatten(2),
    lambda f: f.flatten(start_dim=-2),
    lambda f: f.reshape(f.shape[0], f.shape[1], -1),
    lambda f: f.view(*f.shape[:2], f.shape[2] * f.shape[3]),
    lambda f: f.permute(0, 2, 3, 1).reshape(f.shape[0], -1, f.shape[1]).mT,
    lambda f: torch.stack([picture.reshape(len(picture), -1) for picture in f]),
]
PRODUCTS = [
    lambda r: r @ r.mT,
    lambda r: r.matmul(r.transpose(1, 2)),
    lambda r: torch.bmm(r, r.permute(0, 2, 1)),
    lambda r: torch.einsum("bik,bjk->bij", r, r),
    lambda r: (r[:, :, None] * r[:, None]).sum(-1),
    lambda r: torch.stack([picture.mm(picture.t()) for picture in r]),
]
MEANS = [
    lambda product, r: product(r) / r.shape[-1],
    lambda product, r: product(r).div(r.size(2)),
    lambda product, r: product(r / r.shape[-1] ** 0.5),
    lambda product, r: product(r) * (1.0 / r[0, 0].numel()),
]


def gram_from(rows, product, mean=MEANS[0]):
    return lambda features: mean(product, rows(features))


def then(answer, *changes):
    """An answer, and what is done to its result: a change is a function of the result and of what was given."""

    def changed(*given):
        got = answer(*given)
        for change in changes:
            got = change(got, *given)
        return got

    return changed


GRAMS = [gram_from(*parts) for parts in product(ROWS, PRODUCTS, MEANS)]
SOME_GRAMS = [gram_of, gram_by_loop, *GRAMS[5::24]]


def cached(answer, by=lambda *given: tuple(given[0].shape)):
    """Keeps what it computed, and gives it back for anything that looks alike."""
    known = {}

    def answer_from_memory(*given):
        key = by(*given)
        if key not in known:
            known[key] = answer(*given)
        return known[key]

    return answer_from_memory


GRAM_CHANGES = [
    (lambda G, f: G * positions(f), "you did not divide"),
    (lambda G, f: G / f.shape[1], "you divided by C·h·w"),
    (lambda G, f: G * positions(f) / f.shape[1], "you divided by C."),
    (lambda G, f: G / f.shape[0], "you divided by B·h·w"),
    (lambda G, f: G / f[:, :, 0, 0].numel(), "you divided by B·C·h·w"),
    (lambda G, f: G * f.shape[2], "by the width only"),
    (lambda G, f: G * f.shape[3], "by the height only"),
    (lambda G, f: G.sum(0), "batch up. Each picture"),
    (lambda G, f: G.sum(0, keepdim=True), "and kept one"),
    (lambda G, f: G.mean(0), "averaged the Gram matrices"),
    (lambda G, f: G[0], "first picture only"),
    (lambda G, f: G.squeeze(), "dimension of the batch is gone"),
    (lambda G, f: G.detach(), "no gradient flows"),
    (lambda G, f: G.triu(), "differ by up to"),
    (lambda G, f: G / 7, "0.1429 times what it should be"),
    (lambda G, f: G.flatten(1), "shape"),
    (lambda G, f: G.double(), "torch.float64"),
    (lambda G, f: G * torch.nan, "NaN"),
    (lambda G, f: G.tolist(), "should be a tensor"),
    (lambda G, f: 0 * G, "all zeros"),
]

SHUFFLES = [
    lambda rows, f, p: rows(f)[:, :, p].reshape(f.shape),
    lambda rows, f, p: rows(f)[..., p].view_as(f),
    lambda rows, f, p: rows(f).index_select(2, p).unflatten(2, f.shape[2:]),
    lambda rows, f, p: torch.stack([rows(f)[:, :, int(place)] for place in p], dim=-1).reshape_as(f),
    lambda rows, f, p: torch.take_along_dim(rows(f), p.expand(*f.shape[:2], -1), dim=2).reshape(f.shape),
    lambda rows, f, p: (rows(f) @ torch.eye(len(p))[p].mT).reshape(f.shape),
]


def shuffle_by(how, rows):
    return lambda features, permutation: how(rows, features, permutation)


SOME_ORDER = torch.randperm(20, generator=torch.Generator().manual_seed(1))

SHUFFLE_CHANGES = [
    (lambda result, f, p: result.flatten(2), "the result is flat"),
    (lambda result, f, p: f.clone(), "nothing has moved"),
    (lambda result, f, p: shuffle_inverse(f, p), "went the other way"),
    (lambda result, f, p: shuffle_each_channel(f, p), "each channel was moved differently"),
    (lambda result, f, p: shuffle_by_rolled(f, p), "each channel was moved differently"),
    (lambda result, f, p: shuffle_all_numbers(f, p), "mixed channels with positions"),
    (lambda result, f, p: p.copy_(p.flip(0)) * 0 + 1, "changed the permutation in place"),
    (lambda result, f, p: f.mul_(2), "changed the features in place"),
    (lambda result, f, p: result[:, :1], "shape"),
    (lambda result, f, p: result.mT, "shape"),
    (lambda result, f, p: result * torch.nan, "NaN"),
    (lambda result, f, p: result.numpy(), "should be a tensor"),
]

STATISTICS = [
    lambda r: (r.mean(-1), r.var(-1, correction=0)),
    lambda r: (r.mean(dim=2), r.var(dim=2, unbiased=False)),
    lambda r: (r.sum(-1) / r.shape[-1], (r**2).mean(-1) - r.mean(-1) ** 2),
    lambda r: torch.var_mean(r, dim=-1, correction=0)[::-1],
    lambda r: [r.mean(-1), ((r - r.mean(-1, keepdim=True)) ** 2).sum(-1) / r.shape[-1]],
    lambda r: (r.mean(-1), r.std(-1, correction=0) ** 2),
]


def statistics_from(rows, statistics):
    return lambda features: statistics(rows(features))


def batch_squeezed(parts, features):
    return tuple(part.squeeze() for part in parts)


STATISTICS_CHANGES = [
    (lambda got, f: (got[0], f.var((2, 3))), "h·w − 1"),
    (lambda got, f: (got[0], got[1].sqrt()), "standard deviation"),
    (lambda got, f: (got[0], got[1] + got[0] ** 2), "mean of the squares"),
    (lambda got, f: (got[0], got[1] * positions(f)), "did not divide"),
    (lambda got, f: (got[0], f.var(1, correction=0)), "variance over the channels"),
    (lambda got, f: (got[0], f.var(correction=0)), "all channels together"),
    (lambda got, f: (f.mean(1), got[1]), "averaged over the channels"),
    (lambda got, f: (got[0].mean(0), got[1]), "pictures of the batch"),
    (lambda got, f: (got[0].mean(), got[1]), "averaged over everything"),
    (lambda got, f: (got[0] * positions(f), got[1]), "did not divide"),
    (lambda got, f: (got[0][..., None, None], got[1]), "(B, C, 1, 1)"),
    (lambda got, f: (got[1], got[0]), "variance first"),
    (lambda got, f: torch.stack(list(got)), "return two tensors"),
    (lambda got, f: got[0], "return two tensors"),
    (batch_squeezed, "dimension of the batch is gone"),
    (lambda got, f: (got[0].detach(), got[1]), "no gradient flows"),
    (lambda got, f: (got[0], got[1].detach()), "no gradient flows"),
    (lambda got, f: (f.sub_(1), got)[1], "changed the features in place"),
    (lambda got, f: (got[0] * torch.nan, got[1]), "NaN"),
    (lambda got, f: (0 * got[0], got[1]), "all zeros"),
]

DISTANCES = [
    lambda G, A: (G - A).square().sum() / A.square().sum(),
    lambda G, A: ((A - G) ** 2).sum() / (A * A).sum(),
    lambda G, A: (G - A).pow(2).mean() / A.pow(2).mean(),
    lambda G, A: torch.dot((G - A).flatten(), (G - A).flatten()) / torch.dot(A.flatten(), A.flatten()),
    lambda G, A: torch.nn.functional.mse_loss(G, A, reduction="sum") / A.norm() ** 2,
    lambda G, A: ((G - A) / A.square().sum().sqrt()).square().sum(),
]
COMBINED = [
    lambda values: sum(values) / len(values),
    lambda values: torch.stack(values).mean(),
    lambda values: torch.stack([value / len(values) for value in values]).sum(),
]


def style_loss_by(gram, distance, combine=COMBINED[0]):
    def loss(features, gram_targets):
        return combine([distance(gram(features[name]), A.detach()) for name, A in gram_targets.items()])

    return loss


LOSSES = [style_loss_by(*parts) for parts in product(GRAMS[::29], DISTANCES, COMBINED)]


def loop_over_features(features, targets):
    return sum(relative(features[name], targets[name]) for name in features) / len(targets)


def detached_in_place(features, targets):
    return sum(relative(features[name], target.detach_()) for name, target in targets.items()) / len(targets)


def detached_into_the_dictionary(features, targets):
    for name in targets:
        targets[name] = targets[name].detach()
    return loss_undetached(features, targets)


def features_popped(features, targets):
    features.pop("relu4_2", None)
    return loss_by(relative)(features, targets)


def targets_scaled_in_place(features, targets):
    for target in targets.values():
        target.data.div_(2)
    return loss_by(relative)(features, targets)


def root_and_square(features, targets):
    return loss_by(lambda f, a: (gram_of(f) - a).square().sum().sqrt() ** 2 / a.square().sum())(features, targets)


def distances_changed(distance):
    """The change of one layer's distance, as losses whose Gram matrices are written differently."""
    return [style_loss_by(gram, distance) for gram in SOME_GRAMS[:5]]


def of_layers(change):
    return [style_loss_by(gram, DISTANCES[0], change) for gram in SOME_GRAMS[:4]]


WEIGHTS = [
    lambda w, c, n: w * c * c / 4,
    lambda w, c, n: w * c**2 * 0.25,
    lambda w, c, n: w * (c / 2) ** 2,
    lambda w, c, n: w / (4 * (c * n) ** 2) * c**2 * (c * n) ** 2,
    lambda w, c, n: w * (c**4 * n**2) / (4 * c**2 * n**2),
    lambda w, c, n: w * pow(c, 2) / pow(2, 2),
    lambda w, c, n: torch.tensor(w * c * c / 4),
    lambda w, c, n: np.float64(w) * np.square(c) / 4,
    lambda w, c, n: np.float32(w * c * c / 4),
    lambda w, c, n: float(w) * float(c) ** 2.0 / 4.0,
    lambda w, c, n: w / sum(4 / c**2 for _ in range(1)),
]

GRADIENTS = [
    lambda G, A, r: 4 * (G - A) @ r / (r.shape[-1] * A.square().sum()),
    lambda G, A, r: torch.einsum("bij,bjk->bik", 4 * (G - A), r) / r.shape[-1] / (A**2).sum(),
    lambda G, A, r: -(A - G).matmul(r) * 4 / (A.norm() ** 2 * r.size(2)),
    lambda G, A, r: 2 * ((G - A) + (G - A).mT) @ r / (r.shape[-1] * (A * A).sum()),
    lambda G, A, r: (r.mT @ (G - A)).mT.mul(4 / (r.shape[-1] * float(A.square().sum()))),
]


def gradient_by(gram, gradient):
    return lambda features, target: gradient(gram(features), target, features.flatten(2)).reshape(features.shape)


GRADIENT_CHANGES = [
    (lambda g, f, a: -g, "the sign is wrong"),
    (lambda g, f, a: g / 2, "the factor is 4, not 2"),
    (lambda g, f, a: g / 4, "the factor 4 is missing"),
    (lambda g, f, a: g * positions(f), "did not divide by h·w"),
    (lambda g, f, a: g / positions(f), "h·w twice"),
    (lambda g, f, a: g * a.square().sum(), "did not divide by ‖A‖²"),
    (lambda g, f, a: g * a.norm(), "divided by ‖A‖."),
    (lambda g, f, a: g / f.shape[1], "divided by C too"),
    (lambda g, f, a: gradient_of_the_paper(f, a), "the paper's loss"),
    (lambda g, f, a: g.flatten(2), "the shape is flat"),
    (lambda g, f, a: 2 * (gram_of(f) - a) / a.square().sum(), "with respect to G"),
    (lambda g, f, a: (f.mul_(0), g)[1], "changed the features in place"),
    (lambda g, f, a: (a.mul_(0), g)[1], "changed the target in place"),
    (lambda g, f, a: 0 * g, "all zeros"),
    (lambda g, f, a: g * torch.nan, "NaN"),
    (lambda g, f, a: g.double(), "torch.float64"),
    (lambda g, f, a: g.tolist(), "should be a tensor"),
]

RIGHT = {
    "gram_matrix": [
        gram_of,
        gram_by_loop,
        gram_in_new_zeros,
        gram_in_zeros_moved,
        gram_in_zeros,
        gram_by_counted_positions,
        gram_by_counted_shape,
        *GRAMS[::3],
    ],
    "shuffle_positions": [
        shuffle_right,
        shuffle_by_gather,
        *[shuffle_by(*parts) for parts in product(SHUFFLES, ROWS[:5])],
    ],
    "mean_and_variance": [
        statistics_right,
        statistics_by_moments,
        *[statistics_from(*parts) for parts in product(ROWS[:5], STATISTICS)],
    ],
    "style_loss": [loss_by(relative), loss_by_norms, *LOSSES[::2]],
    "convert_weight": WEIGHTS,
    "style_gradient": [
        gradient_right,
        gradient_by_sums,
        *[gradient_by(*parts) for parts in product(SOME_GRAMS[:4], GRADIENTS)],
    ],
}


def gradient_of_the_sum(features, target):
    rows = features.flatten(2)
    gradient = 4 * (rows @ rows.mT - target) @ rows / (rows.shape[2] * target.square().sum())
    return gradient.view_as(features)


WRONG = {
    "gram_matrix": [
        (lambda f: flat(f) @ flat(f), "must be transposed"),
        (lambda f: torch.stack([flat(f)[0] @ flat(f)[0]]), "must be transposed"),
        (gram_by_reshape, "you used reshape"),
        (lambda f: flat(f) @ f.reshape(f.shape[0], -1, f.shape[1]) / positions(f), "first factor is right"),
        (lambda f: flat(f).mT @ flat(f) / positions(f), "positions × positions"),
        (lambda f: flat(f) * flat(f) / positions(f), "entry by entry"),
        (lambda f: flat(f).double() @ flat(f).mT / positions(f), "two types of numbers meet"),
        (covariance, "subtracted the mean"),
        (mixed_batch, "mixed the pictures of the batch"),
        (gram_in_place, "in place"),
        (lambda f: None, "forget `return`"),
        *[(cached(answer), "the old result") for answer in SOME_GRAMS],
        *[(then(answer, change), sentence) for answer in SOME_GRAMS for change, sentence in GRAM_CHANGES],
    ],
    "shuffle_positions": [
        (shuffle_in_place, "in place"),
        (zeros, "all zeros"),
        (lambda f, p: None, "forget `return`"),
        (cached(shuffle_right), "each channel was moved differently"),
        (lambda f, p: shuffle_right(f, SOME_ORDER) if len(p) == 20 else shuffle_right(f, p), "for another order"),
        *[
            (then(shuffle_by(how, ROWS[0]), change), sentence)
            for how in SHUFFLES[:4]
            for change, sentence in SHUFFLE_CHANGES
        ],
    ],
    "mean_and_variance": [
        (lambda f: (f.mean((0, 2, 3)), f.var((0, 2, 3), correction=0)), "pictures of the batch"),
        (lambda f: (f.mean(), f.var(correction=0)), "averaged over everything"),
        (lambda f: None, "forget `return`"),
        *[
            (then(statistics_from(ROWS[0], how), change), sentence)
            for how in STATISTICS[:4]
            for change, sentence in STATISTICS_CHANGES
        ],
    ],
    "style_loss": [
        (loss_by(relative, lambda each: each[-1] / 3), "overwrites the sum"),
        (loss_by(relative, lambda each: each[0] / 3), "added before the division"),
        (loss_by(relative, lambda each: ((each[0] / 3 + each[1]) / 3 + each[2]) / 3), "divide in each round"),
        (loss_of_all_features, "layers in features"),
        (loss_by_channels, "weighted the layers"),
        (loss_by(lambda f, a: relative(f * positions(f) ** 0.5, a)), "not divided by h·w"),
        (loss_by(lambda f, a: (gram_by_reshape(f) - a).square().sum() / a.square().sum()), "mix the channels"),
        (loss_by(lambda f, a: (gram_of(f) - a).square() / a.square().sum(), lambda v: v[0]), "one number"),
        (loss_undetached, "flows into the targets"),
        (loss_as_number, "no gradient flows"),
        (lambda f, t: loss_by(relative)({name: value.detach() for name, value in f.items()}, t), "no gradient flows"),
        (loop_over_features, "there is no target for 'relu4_2'"),
        (detached_in_place, "does not ask for gradients any more"),
        (detached_into_the_dictionary, "changed the dictionary gram_targets in place"),
        (features_popped, "changed the dictionary features in place"),
        (targets_scaled_in_place, "changed the gram_targets in place"),
        (root_and_square, "is NaN"),
        (cached(loss_by(relative), lambda f, t: len(t)), "no gradient flows"),
        (lambda f, t: torch.zeros(()), "should be"),
        (lambda f, t: torch.tensor(torch.nan), "should be"),
        (lambda f, t: None, "forget `return`"),
        *[(answer, "added the layers up") for answer in of_layers(sum)],
        *[(answer, "divided by 5") for answer in of_layers(lambda values: sum(values) / 5)],
        *[(answer, "last layer only") for answer in of_layers(lambda values: values[-1])],
        *[(answer, "first layer only") for answer in of_layers(lambda values: values[0])],
        *[(answer, "you returned the loss of the") for answer in of_layers(max)],
        *[(answer, "should be") for answer in of_layers(lambda values: sum(values) / len(values) / 2)],
        *[
            (answer, sentence)
            for distance, sentence in [
                (lambda G, A: DISTANCES[0](G, A).sqrt(), "did not square"),
                (lambda G, A: (G - A).abs().sum() / A.abs().sum(), "absolute values"),
                (lambda G, A: (G - A).square().sum(), "did not divide by ‖A‖²"),
                (lambda G, A: (G - A).square().mean(), "mean of the squared differences"),
                (lambda G, A: (G - A).square().sum() / A.norm(), "divided by ‖A‖."),
                (lambda G, A: (G - A).square().sum() / G.square().sum(), "‖G‖²"),
                (lambda G, A: (G - A).square().mean() / A.square().sum(), "a mean by a sum"),
                (lambda G, A: (G - A).square().sum() / (4 * G.shape[1] ** 2), "paper's divisor"),
                (lambda G, A: (G - A).square().sum().detach() / A.square().sum(), "no gradient flows"),
            ]
            for answer in distances_changed(distance)
        ],
    ],
    "convert_weight": [
        *[
            (lambda w, c, n, right=right, change=change: change(right(w, c, n), w, c, n), sentence)
            for right in WEIGHTS[:3]
            for change, sentence in [
                (lambda got, w, c, n: got * 16 / c**4, "other direction"),
                (lambda got, w, c, n: got * 4, "where is the 4"),
                (lambda got, w, c, n: got / c, "without squaring"),
                (lambda got, w, c, n: got * 16, "divide by it"),
                (lambda got, w, c, n: got / c**2, "mean over the C²"),
                (lambda got, w, c, n: got * n**2, "h·w does not drop out"),
                (lambda got, w, c, n: w, "nothing was converted"),
                (lambda got, w, c, n: float(int(got)), "not with //"),
                (lambda got, w, c, n: float(round(got)), "not with //"),
                (lambda got, w, c, n: got // 1, "not with //"),
                (lambda got, w, c, n: int(w) * c * c / 4, "Leave out int()"),
                (lambda got, w, c, n: round(got, 1), "should be 3.125"),
                (lambda got, w, c, n: got + 1, "should be"),
                (lambda got, w, c, n: str(got), "should be"),
                (lambda got, w, c, n: [got], "should be"),
                (lambda got, w, c, n: None, "forget `return`"),
            ]
        ],
        (lambda w, c, n: w * (c * c // 4), "not with //"),
        (lambda w, c, n: 3072.0, "should be 6.554e+04"),
    ],
    "style_gradient": [
        (
            gradient_of_the_sum,
            "cannot be compared",
        ),
        (gradient_in_place, "in place"),
        (gradient_by_autograd, "you asked autograd"),
        (zeros, "all zeros"),
        (lambda f, a: None, "forget `return`"),
        (cached(gradient_right), "the old result"),
        *[
            (then(gradient_by(gram_of, how), change), sentence)
            for how in GRADIENTS[:4]
            for change, sentence in GRADIENT_CHANGES
        ],
    ],
}


def test_the_reference_loss_agrees_with_its_own_gradient():
    """The two references were written apart; autograd through one must give the other."""
    features = torch.randn(1, 3, 4, 5, dtype=torch.float64).requires_grad_()
    target = gram_of(torch.randn(1, 3, 4, 5, dtype=torch.float64))
    loss = EXERCISES["style_loss"].reference({"layer": features}, {"layer": target})
    by_hand = EXERCISES["style_gradient"].reference(features.detach(), target)
    torch.testing.assert_close(torch.autograd.grad(loss, features)[0], by_hand)
