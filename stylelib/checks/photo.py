"""Exercises of lesson 07: colors as a distribution, how one is moved onto another, and what keeps it a photograph."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from .core import Answer, Mistake, exercise, expect, expect_gradient, random

NO_VARIANCE = 1e-3  # `edge` in the exercise on the guided filter


def _match_mean_and_deviation(colors: Tensor, reference: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(colors, dim=1, keepdim=True, correction=0)
    wanted, center = torch.std_mean(reference, dim=1, keepdim=True, correction=0)
    return (colors - mean) / deviation * wanted + center


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T


def _covariance(colors: Tensor) -> Tensor:
    return torch.cov(colors, correction=0)


def _transport_matrix(covariance: Tensor, wanted: Tensor) -> Tensor:
    half = _root(covariance)
    inverse = torch.linalg.inv(half)
    return inverse @ _root(half @ wanted @ half) @ inverse


def _match_sorted(values: Tensor, reference: Tensor) -> Tensor:
    result = torch.empty_like(values)
    result[values.argsort()] = reference.sort().values
    return result


def _match_slice(colors: Tensor, reference: Tensor, rotation: Tensor) -> Tensor:
    turned, wanted = rotation @ colors, rotation @ reference
    return rotation.T @ torch.stack([_match_sorted(*pair) for pair in zip(turned, wanted, strict=True)])


def _window(x: Tensor, radius: int) -> Tensor:
    return avg_pool2d(pad(x, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)


def _window_lines(guide: Tensor, values: Tensor, radius: int, edge: float) -> tuple[Tensor, Tensor]:
    def mean(x: Tensor) -> Tensor:
        return _window(x, radius)

    covariance = mean(guide * values) - mean(guide) * mean(values)
    slope = covariance / (mean(guide * guide) - mean(guide) ** 2 + edge)
    return slope, mean(values) - slope * mean(guide)


def _photorealism(change: Tensor, slope: Tensor, shift: Tensor, guide: Tensor) -> Tensor:
    return (change - slope * guide - shift).square().mean()


def _colors(seed: int, count: int = 40) -> Tensor:
    """Colors (3, count) whose channels hang together."""
    mix = torch.tensor([[0.3, 0.1, 0.0], [0.1, 0.2, 0.1], [-0.1, 0.1, 0.15]])
    if seed % 2:
        mix = mix.flip(0) * 0.7
    return mix @ random(3, count, seed=seed) + torch.tensor([[0.5], [0.3], [0.6]])


@exercise(reference=_match_mean_and_deviation, used="the rest of this lesson")
def match_mean_and_deviation(answer: Answer) -> None:
    """c′ = (c - μ) · σ_r / σ + μ_r, channel by channel: colors (3, N) and reference (3, M) → (3, N)."""
    colors, reference = _colors(0), _colors(1, count=30)
    before = colors.clone(), reference.clone()
    got = answer(colors, reference)
    _expect_untouched((colors, reference), before)
    deviation, mean = torch.std_mean(colors, dim=1, keepdim=True, correction=0)
    wanted, center = torch.std_mean(reference, dim=1, keepdim=True, correction=0)
    right = (colors - mean) * wanted / deviation + center
    expect(
        got,
        right,
        {
            "you did not add the mean of the reference at the end.": right - center,
            "you added the mean of the colors back, not that of the reference.": right - center + mean,
            "you did not subtract the mean of the colors before stretching.": colors * wanted / deviation + center,
            "you divided by the reference's deviation and multiplied by the colors'. It is σ_r / σ.": (
                (colors - mean) * deviation / wanted + center
            ),
            "you used the variance in place of the standard deviation. Take its root.": (
                (colors - mean) * wanted**2 / deviation**2 + center
            ),
            "only the mean was moved. Stretch the deviations by σ_r / σ too.": colors - mean + center,
            "you did not multiply by the reference's deviation.": (colors - mean) / deviation + center,
            "you did not divide by the colors' own deviation.": (colors - mean) * wanted + center,
            "you took one mean and one deviation of all channels together. Each channel has its own: dim=1.": (
                (colors - colors.mean()) * reference.std(correction=0) / colors.std(correction=0) + reference.mean()
            ),
            "you took one mean and one deviation of all channels together, by N - 1. Pass dim=1 and correction=0.": (
                (colors - colors.mean()) * reference.std() / colors.std() + reference.mean()
            ),
            "your deviation divides by N - 1, torch's default. Pass correction=0: these are all the pixels.": (
                (colors - mean) * reference.std(1, keepdim=True) / colors.std(1, keepdim=True) + center
            ),
            "nothing has changed.": colors,
        },
        "the result",
    )


def _expect_untouched(arguments: tuple[Tensor, ...], before: tuple[Tensor, ...]) -> None:
    if not all(torch.equal(now, then) for now, then in zip(arguments, before, strict=True)):
        raise Mistake("you changed an argument in place. Leave it as it is and return a new tensor.")


@exercise(reference=_transport_matrix, used="the rest of this lesson")
def transport_matrix(answer: Answer) -> None:
    """T = Σ^-½ (Σ^½ Σ_r Σ^½)^½ Σ^-½ from two covariances (3, 3) → (3, 3)."""
    covariance, wanted = _covariance(_colors(0)), _covariance(_colors(1))
    half, wanted_half = _root(covariance), _root(wanted)
    inverse = torch.linalg.inv(half)
    middle, entries = half @ wanted @ half, covariance.sqrt()
    lower = torch.linalg.cholesky(wanted) @ torch.linalg.inv(torch.linalg.cholesky(covariance))
    swapped = _transport_matrix(wanted, covariance)
    _expect_close(
        answer(covariance, wanted),
        inverse @ _root(middle) @ inverse,
        {
            "you took roots entry by entry, with .sqrt() or ** 0.5. A root of a matrix is a matrix R with R @ R equal "
            "to it: use root(…).": (1 / entries) @ (entries @ wanted @ entries).sqrt() @ (1 / entries),
            "this is Σ_r^½ Σ^-½. It gives the right covariance, but does not move the colors least.": (
                wanted_half @ inverse
            ),
            "this is Σ^-½ Σ_r^½. Matrices do not commute; look at the order in the formula.": inverse @ wanted_half,
            "you took Cholesky's root. It gives the right covariance, but does not move the colors least.": lower,
            "you exchanged the two covariances: this maps the reference's colors to the content's.": swapped,
            "you forgot the root of the product in the middle.": inverse @ middle @ inverse,
            "you forgot the two factors Σ^-½ around the root.": _root(middle),
            "only one factor Σ^-½ is there. It stands on both sides of the root.": _root(middle) @ inverse,
            "only the left factor Σ^-½ is there. It stands on both sides of the root.": inverse @ _root(middle),
            "outside the root stands Σ^½; it must be its inverse.": half @ _root(middle) @ half,
            "you inverted entry by entry, with 1 / … or ** -1. The inverse of a matrix is torch.linalg.inv(…).": (
                (1 / half) @ _root(middle) @ (1 / half)
            ),
            "you took Cholesky's factor for the root. A root here is symmetric, R @ R is the matrix: use root(…).": (
                _by_cholesky(covariance, wanted)
            ),
        },
        "T",
    )
    same = answer(covariance, covariance)
    _expect_close(same, torch.eye(3), {}, "T of two equal covariances")


def _by_cholesky(covariance: Tensor, wanted: Tensor) -> Tensor:
    half = torch.linalg.cholesky(covariance)
    inverse = torch.linalg.inv(half)
    root, _ = torch.linalg.cholesky_ex(half @ wanted @ half)  # which does not stop where the product has no such factor
    return inverse @ root @ inverse


def _expect_close(got: object, expected: Tensor, mistakes: dict[str, Tensor], what: str) -> None:
    """As `expect`, for matrices that went through roots and inverses: rounded to what those keep of float32."""

    def rounded(value: object) -> object:
        return (value * 200).round() / 200 if isinstance(value, Tensor) and value.is_floating_point() else value

    if not _near(got, expected, 2e-3, 2e-3):
        named = {s: wrong for s, wrong in mistakes.items() if bool(torch.isfinite(wrong).all())}
        for sentence, wrong in named.items():
            if _near(got, wrong, 2e-3, 2e-3):
                raise Mistake(sentence)
        if isinstance(got, Tensor) and got.shape == expected.shape and bool(torch.isnan(got).any()) and mistakes:
            raise Mistake(next(iter(mistakes)) + " (Here it gave NaN.)")
        expect(rounded(got), rounded(expected), what=what)
        raise Mistake(f"{what} is nearly right, but not quite.")


def _near(got: object, expected: Tensor, rtol: float, atol: float) -> bool:
    alike = isinstance(got, Tensor) and (got.shape, got.dtype) == (expected.shape, expected.dtype)
    return alike and torch.allclose(got, expected, rtol, atol)


@exercise(reference=_match_sorted, used="the rest of this lesson")
def match_sorted(answer: Answer) -> None:
    """The k-th smallest of the values becomes the k-th smallest of the reference: (N,) and (N,) → (N,)."""
    values = torch.tensor([0.6, 0.1, 0.9, 0.3, 0.5, 0.2])
    reference = torch.tensor([0.7, 0.9, 0.2, 0.4, 0.1, 0.8])
    _expect_matched(answer, values, reference)
    _expect_matched(answer, random(200, seed=1), random(200, seed=2) * 3 + 1)


def _expect_matched(answer: Answer, values: Tensor, reference: Tensor) -> None:
    before = values.clone(), reference.clone()
    got = answer(values, reference)
    _expect_untouched((values, reference), before)
    order, ordered = values.argsort(), reference.sort().values
    expect(
        got,
        _match_sorted(values, reference),
        {
            "the values come in order of size. Put each back in the place of the value that it replaces.": ordered,
            "you used the order of the values as if it were their ranks. order[k] is where the k-th smallest stands; "
            "write result[order] = …, or take the argsort of the argsort.": ordered[order],
            "the largest value got the smallest of the reference. Sort both the same way.": (
                _match_sorted(-values, reference)
            ),
            "the reference is not sorted. Sort it first.": reference[order.argsort()],
            "you sorted the values and kept them. Their places in the order go to the reference's values.": (
                values.sort().values
            ),
            "you exchanged the two: these are the values, arranged as the reference.": _match_sorted(reference, values),
            "you moved and stretched the values. Here each rank takes the value of the same rank.": (
                _match_mean_and_deviation(values[None], reference[None])[0]
            ),
            "nothing has changed.": values,
            "this is the reference as it is. The k-th smallest of the values must become the k-th smallest of it.": (
                reference
            ),
        },
        "the result",
    )


@exercise(reference=_match_slice, used="the rest of this lesson")
def match_slice(answer: Answer) -> None:
    """Turn both, match each of the three rows by rank, turn back: (3, N), (3, N), rotation (3, 3) → (3, N)."""
    colors, reference = _colors(0), _colors(1)
    rotation = torch.linalg.qr(random(3, 3, seed=5))[0]
    before = colors.clone(), reference.clone()
    got = answer(colors, reference, rotation)
    _expect_untouched((colors, reference), before)
    turned = torch.stack([_match_sorted(*pair) for pair in zip(rotation @ colors, rotation @ reference, strict=True)])
    first = rotation @ colors
    first[0] = turned[0]
    expect(
        got,
        rotation.T @ turned,
        {
            "you did not turn back. Multiply by rotation.T at the end.": turned,
            "you turned the same way again. The way back is the transposed matrix, rotation.T.": rotation @ turned,
            "you turned the colors, but not the reference.": rotation.T
            @ torch.stack([_match_sorted(*pair) for pair in zip(rotation @ colors, reference, strict=True)]),
            "you turned the reference, but not the colors.": rotation.T
            @ torch.stack([_match_sorted(*pair) for pair in zip(colors, rotation @ reference, strict=True)]),
            "you matched red, green and blue and did not turn at all.": torch.stack(
                [_match_sorted(*pair) for pair in zip(colors, reference, strict=True)]
            ),
            "you turned with rotation.T first and back with rotation. Turn with rotation @ …": _match_slice(
                colors, reference, rotation.T
            ),
            "only the first of the three rows was matched.": rotation.T @ first,
            "you exchanged the two: the reference was given the colors' values.": _match_slice(
                reference, colors, rotation
            ),
            "you matched all numbers together. Match each of the three rows with its own.": rotation.T
            @ _match_sorted((rotation @ colors).flatten(), (rotation @ reference).flatten()).reshape(3, -1),
            "nothing has changed.": colors,
        },
        "the result",
    )


@exercise(reference=_window_lines, used="the rest of this lesson")
def window_lines(answer: Answer) -> None:
    """slope = cov / (var + edge), shift = mean(values) - slope · mean(guide), in each window; by `window_mean`."""
    guide, values, radius = random(1, 1, 9, 8), random(1, 1, 9, 8, seed=1), 2
    guide = guide / 10 + 0.5

    def mean(x: Tensor) -> Tensor:
        return _window(x, radius)

    got = answer(guide, values, radius, NO_VARIANCE)
    if got is None:
        raise Mistake("the result is None. Did you forget `return`?")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mistake("return two tensors, separated by a comma: return slope, shift.")
    slope, shift = _window_lines(guide, values, radius, NO_VARIANCE)
    variance = mean(guide**2) - mean(guide) ** 2
    covariance = mean(guide * values) - mean(guide) * mean(values)
    _expect_loose(
        got[0],
        slope,
        {
            "you returned the shift first. The order is slope, shift.": shift,
            "you left edge out, or squared it. It is added to the variance of the guide as it is.": covariance
            / variance,
            "the covariance has the wrong sign: it is mean(guide · values) − mean(guide) · mean(values).": -slope,
            "you divided by the variance of the values. It is that of the guide.": covariance
            / (mean(values**2) - mean(values) ** 2 + NO_VARIANCE),
            "you did not subtract mean(guide) · mean(values): that product of means is not yet a covariance.": (
                mean(guide * values) / (variance + NO_VARIANCE)
            ),
            "you did not subtract mean(guide)²: the mean of the squares is not yet a variance.": covariance
            / (mean(guide**2) + NO_VARIANCE),
            "this is the covariance. Divide it by the variance of the guide plus edge.": covariance,
            "you multiplied by edge or divided by it alone. It is added to the variance.": covariance / NO_VARIANCE,
            "you used the variance of the whole picture. Each window has its own.": covariance
            / (guide.var(correction=0) + NO_VARIANCE),
        },
        "the slope",
    )
    _expect_loose(
        got[1],
        shift,
        {
            "the sign of slope · mean(guide) is wrong. The line goes through the two means.": (
                mean(values) + slope * mean(guide)
            ),
            "this is mean(values). Subtract slope · mean(guide).": mean(values),
            "you subtracted slope · guide. It is the mean of the guide in the window.": mean(values) - slope * guide,
            "you subtracted from the values themselves. Take their mean in the window.": values - slope * mean(guide),
            "you subtracted mean(guide) without the slope.": mean(values) - mean(guide),
        },
        "the shift",
    )


def _expect_loose(got: object, expected: Tensor, mistakes: dict[str, Tensor], what: str) -> None:
    """As `expect`, but the variances are small differences: three digits of them are asked for."""
    if _near(got, expected, 1e-3, 1e-4):
        return
    for sentence, wrong in mistakes.items():
        if _near(got, wrong, 1e-3, 1e-4):
            raise Mistake(sentence)
    expect(got, expected, what=what)


@exercise(reference=_photorealism, used="the rest of this lesson")
def photorealism(answer: Answer) -> None:
    """mean of (change - slope · guide - shift)²: how far a change is from a line of the guide. → a number (tensor)."""
    guide = random(1, 1, 6, 5)
    change, slope, shift = (random(1, 3, 6, 5, seed=seed) for seed in (1, 2, 3))
    rest = change - slope * guide - shift
    got = answer(change, slope, shift, guide)
    if isinstance(got, Tensor) and got.numel() > 1:
        raise Mistake(f"the loss must be one number, but it has the shape {tuple(got.shape)}. Take the mean.")
    expect(
        got,
        rest.square().mean().item(),
        {
            "you took the sum. Take the mean, so that the size of the picture does not matter.": (
                rest.square().sum().item()
            ),
            "you did not square the rest; what is above and below the line cancels.": rest.mean().item(),
            "you took absolute values. Square the rest.": rest.abs().mean().item(),
            "you took the root at the end. The mean of the squares is asked for.": rest.square().mean().sqrt().item(),
            "the sign of shift is wrong: subtract it.": (rest + 2 * shift).square().mean().item(),
            "the sign of slope · guide is wrong: subtract it.": (rest + 2 * slope * guide).square().mean().item(),
            "you left the shift out.": (change - slope * guide).square().mean().item(),
            "you left the guide out: the slope is multiplied by it.": (change - slope - shift).square().mean().item(),
            "you squared before you took the mean of the rest over the channels. Square each, then take the mean.": (
                rest.mean(1).square().mean().item()
            ),
        },
        "the loss",
    )
    on_the_line = answer(slope * guide + shift, slope, shift, guide)
    expect(on_the_line, 0.0, what="the loss of a change that is a line of the guide everywhere")
    leaf = change.clone().requires_grad_()
    expect_gradient(answer(leaf, slope, shift, guide), leaf)
