"""Lesson 06's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

import pytest
import torch
import torch.nn.functional as F

import stylelib
from stylelib.checks.core import EXERCISES, Mistake

WEIGHTS = torch.tensor([0.299, 0.587, 0.114])


def luma(image):
    return torch.einsum("c,bchw->bhw", WEIGHTS, image)[:, None]


def transfer_in_yiq(content, painted):
    matrix = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    matrix[1:] -= matrix[1:].mean(1, keepdim=True)  # gray has no color: the printed digits are rounded
    yiq, other = (torch.einsum("ij,bjhw->bihw", matrix, image) for image in (content, painted))
    yiq = torch.cat([other[:, :1], yiq[:, 1:]], dim=1)
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(matrix), yiq)


def transfer_by_loop(content, painted):
    result = content.clone()
    for channel in range(3):
        result[:, channel] += (luma(painted) - luma(content))[:, 0]
    return result


def in_place(content, painted):
    content += luma(painted) - luma(content)
    return content


def statistics(values):
    return values.mean(1, keepdim=True), torch.cov(values)


def power(matrix, exponent):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values**exponent) @ vectors.T


def matched(matrix, old=True, new=True):
    def answer(colors, target):
        (mean, covariance), (new_mean, new_covariance) = statistics(colors), statistics(target)
        moved = matrix(covariance, new_covariance) @ (colors - mean * old)
        return moved + new_mean * new

    return answer


def cholesky(source, target):
    return torch.linalg.cholesky(target) @ torch.linalg.inv(torch.linalg.cholesky(source))


def symmetric(source, target):
    return power(target, 0.5) @ power(source, -0.5)


def optimal(source, target):
    half = power(source, 0.5)
    return torch.linalg.inv(half) @ power(half @ target @ half, 0.5) @ torch.linalg.inv(half)


def channel_by_channel(source, target):
    return torch.diag((target.diag() / source.diag()).sqrt())


def shuffled(colors, target):
    """Mean and covariance right, but pixels exchanged: no map of colors."""
    return matched(cholesky)(colors, target).flip(1)


def by_average(mask, shape):
    return F.adaptive_avg_pool2d(mask, shape)


def by_area(mask, shape):
    return F.interpolate(mask, size=shape, mode="area")


def by_pooling(mask, shape):
    kernel = (mask.shape[-2] // shape[0], mask.shape[-1] // shape[1])
    return F.avg_pool2d(mask, kernel)


def blocks(mask, shape):
    height, width = shape
    return mask.reshape(1, 1, height, mask.shape[2] // height, width, mask.shape[3] // width)


def resized(**options):
    return lambda mask, shape: F.interpolate(mask, size=shape, **options)


def guided(features, mask):
    rows = (features * mask).flatten(2)
    return rows @ rows.mT / (mask**2).sum()


def guided_normalized(features, mask):
    weights = mask / mask.square().sum().sqrt()
    rows = (features * weights).flatten(2)
    return torch.bmm(rows, rows.transpose(1, 2))


def guided_by_rows(features, mask):
    rows, weights = features[0].flatten(1), mask.flatten() ** 2
    return ((rows * weights) @ rows.T / weights.sum())[None]


def product(tile):
    rows = tile.flatten(2)
    return rows @ rows.mT


def positions(tiles):
    return sum(tile.shape[-2] * tile.shape[-1] for tile in tiles)


def by_one_long_row(tiles):
    rows = torch.cat([tile.flatten(2) for tile in tiles], dim=2)
    return rows @ rows.mT / rows.shape[-1]


def by_weighted_mean(tiles):
    count = positions(tiles)
    return sum(product(t) / t[0, 0].numel() * (t[0, 0].numel() / count) for t in tiles)


def by_loop(tiles):
    total, count = 0, 0
    for tile in tiles:
        total = total + product(tile)
        count += tile[0, 0].numel()
    return total / count


RIGHT = {
    "luminance_transfer": [
        lambda c, p: c + luma(p) - luma(c),
        transfer_in_yiq,
        transfer_by_loop,
        lambda c, p: c - luma(c - p),
    ],
    "match_covariance": [matched(cholesky), matched(symmetric), matched(optimal)],
    "mask_to_layer": [by_average, by_area, by_pooling, lambda m, s: blocks(m, s).mean(3).mean(-1)],
    "guided_gram_matrix": [guided, guided_normalized, guided_by_rows],
    "gram_by_tiles": [by_one_long_row, by_weighted_mean, by_loop],
}

WRONG = {
    "luminance_transfer": {
        "nothing has changed": lambda c, p: c.clone(),
        "with its own colors": lambda c, p: p,
        "alone, in gray": lambda c, p: luma(p).expand_as(c),
        "with one channel": lambda c, p: luma(p),
        "the other way round": lambda c, p: p + luma(c) - luma(p),
        "the sign is wrong": lambda c, p: c + luma(c) - luma(p),
        "without taking the content's own away": lambda c, p: c + luma(p),
        "plain mean of the channels": lambda c, p: c + (p - c).mean(1, keepdim=True),
        "order of blue, green, red": lambda c, p: c + luma(p.flip(1)) - luma(c.flip(1)),
        "ratio of the luminances": lambda c, p: c * luma(p) / luma(c),
        "you clamped": lambda c, p: (c + luma(p) - luma(c)).clamp(0, 1),
        "in place": in_place,
        "forget `return`": lambda c, p: None,
        "should have the shape": lambda c, p: (c + luma(p) - luma(c))[0],
    },
    "match_covariance": {
        "nothing has changed": lambda c, t: c.clone(),
        "the mean is zero": matched(cholesky, new=False),
        "mean is still the old one": lambda c, t: matched(cholesky)(c, t) - t.mean(1, True) + c.mean(1, True),
        "Take the old mean away first": matched(cholesky, old=False),
        "do not go together": matched(channel_by_channel),
        "covariances themselves": matched(lambda s, t: t @ torch.linalg.inv(s)),
        "factors are exchanged": matched(lambda s, t: cholesky(t, s)),
        "covariance is not the target's": lambda c, t: c - c.mean(1, True) + t.mean(1, True),
        "not by one matrix": shuffled,
        "rows and columns are exchanged": lambda c, t: matched(cholesky)(c, t).mT,
        "contains NaN": lambda c, t: c / 0 * 0,
        "forget `return`": lambda c, t: None,
    },
    "mask_to_layer": {
        "kept one pixel": lambda m, s: F.interpolate(m, size=s, mode="nearest"),
        "nearest-exact": resized(mode="nearest-exact"),
        "two nearest pixels only and skips the rest": resized(mode="bilinear"),
        "corners aligned or not": resized(mode="bilinear", align_corners=True),
        "mode='bicubic'": resized(mode="bicubic"),
        "largest value": lambda m, s: F.adaptive_max_pool2d(m, s),
        "smallest value": lambda m, s: -F.adaptive_max_pool2d(-m, s),
        "added each block up": lambda m, s: blocks(m, s).sum((3, 5)),
        "height and width are exchanged": lambda m, s: F.adaptive_avg_pool2d(m, s[::-1]),
        "you rounded": lambda m, s: by_average(m, s).round(),
        "batch and channel are gone": lambda m, s: by_average(m, s)[0, 0],
        "should have the shape": lambda m, s: m,
        "a layer of 2 × 5": lambda m, s: F.avg_pool2d(m, (2, 6)),
    },
    "guided_gram_matrix": {
        "did not divide": lambda f, m: product(f * m),
        "divided by h·w": lambda f, m: product(f * m) / f[0, 0].numel(),
        "divided by Σ m.": lambda f, m: product(f * m) / m.sum(),
        "root of the energy": lambda f, m: product(f * m) / m.square().sum().sqrt(),
        "in the product once. Both": lambda f, m: (f * m).flatten(2) @ f.flatten(2).mT / m.square().sum(),
        "and so is it in your divisor": lambda f, m: (f * m).flatten(2) @ f.flatten(2).mT / m.sum(),
        "the mask was not used": lambda f, m: product(f) / f[0, 0].numel(),
        "only the divisor": lambda f, m: product(f) / m.square().sum(),
        "batch is gone": lambda f, m: guided(f, m)[0],
        "positions × positions": lambda f, m: (f * m).flatten(2).mT @ (f * m).flatten(2) / m.square().sum(),
        "positions that count at all": lambda f, m: product(f * m) / (m > 0).sum(),
        "made 0 and 1": lambda f, m: guided(f, (m > 0).float()),
        "three or four times": lambda f, m: product(f * m**2) / m.square().sum(),
        "no gradient flows": lambda f, m: guided(f.detach(), m),
        "in place": lambda f, m: product(f.mul_(m)) / m.square().sum(),
    },
    "gram_by_tiles": {
        "averaged the tiles' Gram matrices": lambda ts: sum(product(t) / t[0, 0].numel() for t in ts) / len(ts),
        "added up the tiles' Gram matrices": lambda ts: sum(product(t) / t[0, 0].numel() for t in ts),
        "did not divide": lambda ts: sum(product(t) for t in ts),
        "last tile only": lambda ts: sum(product(t) for t in ts) / ts[-1][0, 0].numel(),
        "first tile only": lambda ts: sum(product(t) for t in ts) / ts[0][0, 0].numel(),
        "without the channels": lambda ts: sum(product(t) for t in ts) / sum(t.numel() for t in ts),
        "divided by the number of tiles": lambda ts: sum(product(t) for t in ts) / len(ts),
        "and by the number of tiles": lambda ts: by_loop(ts) / len(ts),
        "first tile alone": lambda ts: by_loop(ts[:1]),
        "last tile alone": lambda ts: by_loop(ts[-1:]),
        "missing: the first": lambda ts: by_loop(ts[1:]),
        "missing: the last": lambda ts: by_loop(ts[:-1]),
        "missing in the sum": lambda ts: sum(product(t) for t in ts[1:]) / positions(ts),
        "batch is gone": lambda ts: by_loop(ts)[0],
        "no gradient flows": lambda ts: by_loop([t.detach() for t in ts]),
    },
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_pass(name, capsys):
    for answer in RIGHT[name]:
        EXERCISES[name](answer)
        assert "right" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "sentence"), [(name, sentence) for name in WRONG for sentence in WRONG[name]])
def test_a_wrong_answer_is_told_its_mistake(name, sentence):
    with pytest.raises(Mistake) as caught:
        EXERCISES[name](WRONG[name][sentence])
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", RIGHT)
def test_the_check_knows_its_own_reference(name, capsys):
    EXERCISES[name](EXERCISES[name].reference)
    assert "the library's own function" in capsys.readouterr().out


def test_a_wrong_answer_by_the_library_hears_both(capsys):
    EXERCISES["gram_by_tiles"](lambda tiles: sum(stylelib.gram_matrix(tile) for tile in tiles) / len(tiles))
    said = capsys.readouterr().out
    assert "the library's own function gram_matrix" in said and "averaged the tiles' Gram matrices" in said


def test_a_stub_is_no_mistake(capsys):
    def stub(*arguments):
        raise NotImplementedError()

    for name in RIGHT:
        EXERCISES[name](stub)
        assert "not attempted yet" in capsys.readouterr().out
