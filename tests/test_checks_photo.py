"""Answers to the exercises of lesson 07, right and wrong; `test_checks_answers.py` tries them."""

import torch
from torch.nn.functional import avg_pool2d, pad

from stylelib.checks import EXERCISES


def moved_by_loop(colors, reference):
    result = torch.zeros_like(colors)
    for channel in range(3):
        c, r = colors[channel], reference[channel]
        result[channel] = (c - c.mean()) * r.std(correction=0) / c.std(correction=0) + r.mean()
    return result


def moved_by_variances(colors, reference):
    m, n = colors.mean(1)[:, None], reference.mean(1)[:, None]
    ratio = ((reference - n) ** 2).mean(1) / ((colors - m) ** 2).mean(1)
    return (colors - m) * ratio.sqrt()[:, None] + n


def parts(x):
    return x.mean(1, keepdim=True), x.std(1, keepdim=True, correction=0)


def moved(rule):
    return lambda c, r: rule(c, *parts(c), *parts(r))


def moved_in_place(colors, reference):
    result = moved_by_loop(colors, reference)
    colors.copy_(result)
    return colors


def root(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0) ** 0.5) @ vectors.mT


def unroot(matrix):
    return torch.linalg.inv(root(matrix))


def transport_by_geometric_mean(covariance, wanted):
    """T is the geometric mean of Σ⁻¹ and Σ_r: through a Cholesky factor and a symmetric root of another product."""
    lower = torch.linalg.cholesky(covariance)
    inverse = torch.linalg.inv(lower)
    return inverse.T @ root(lower.T @ wanted @ lower) @ inverse


def transport(covariance, wanted):
    return unroot(covariance) @ root(root(covariance) @ wanted @ root(covariance)) @ unroot(covariance)


def transport_by_entries(covariance, wanted):
    entries = covariance**0.5
    return (1 / entries) @ (entries @ wanted @ entries) ** 0.5 @ (1 / entries)


def cholesky(covariance, wanted):
    return torch.linalg.cholesky(wanted) @ torch.linalg.inv(torch.linalg.cholesky(covariance))


def transport_by_cholesky(covariance, wanted):
    half = torch.linalg.cholesky(covariance)
    inverse = torch.linalg.inv(half)
    return inverse @ torch.linalg.cholesky_ex(half @ wanted @ half)[0] @ inverse


def middle(covariance, wanted):
    return root(root(covariance) @ wanted @ root(covariance))


def sorted_by_ranks(values, reference):
    return reference.sort().values[values.argsort().argsort()]


def sorted_by_loop(values, reference):
    result, ordered = values.clone(), sorted(reference.tolist())
    for k, place in enumerate(torch.argsort(values).tolist()):
        result[place] = ordered[k]
    return result


def sorted_in_place(values, reference):
    values[values.argsort()] = reference.sort().values
    return values


def rows_sorted(a, b):
    return torch.stack([sorted_by_ranks(a[i], b[i]) for i in range(3)])


def slice_right(colors, reference, rotation):
    return torch.linalg.solve(rotation, rows_sorted(rotation @ colors, rotation @ reference))


def slice_by_einsum(colors, reference, rotation):
    turned = [torch.einsum("ij,jn->in", rotation, x) for x in (colors, reference)]
    return torch.einsum("ji,jn->in", rotation, rows_sorted(*turned))


def slice_of_one_row(colors, reference, rotation):
    turned = rotation @ colors
    turned[0] = sorted_by_ranks(turned[0], (rotation @ reference)[0])
    return rotation.T @ turned


def slice_flat(colors, reference, rotation):
    flat = sorted_by_ranks((rotation @ colors).reshape(-1), (rotation @ reference).reshape(-1))
    return rotation.T @ flat.reshape(3, -1)


def mean(x, radius):
    return avg_pool2d(pad(x, (radius, radius, radius, radius), mode="replicate"), 2 * radius + 1, stride=1)


def lines_by_windows(guide, values, radius, edge):
    """Window by window, with the statistics of the pixels in it."""
    g, v = (pad(x, (radius,) * 4, mode="replicate")[0, 0] for x in (guide, values))
    slope, shift = torch.zeros_like(guide), torch.zeros_like(guide)
    for i in range(guide.shape[2]):
        for j in range(guide.shape[3]):
            window = slice(i, i + 2 * radius + 1), slice(j, j + 2 * radius + 1)
            a, b = g[window].flatten(), v[window].flatten()
            both = torch.cov(torch.stack([a, b]), correction=0)
            slope[0, 0, i, j] = both[0, 1] / (both[0, 0] + edge)
            shift[0, 0, i, j] = b.mean() - slope[0, 0, i, j] * a.mean()
    return slope, shift


def lines(rule=lambda covariance, variance, edge: covariance / (variance + edge), shift=None):
    """The window's lines, with another rule for the slope or for the shift."""

    def answer(guide, values, radius, edge):
        m, n = mean(guide, radius), mean(values, radius)
        slope = rule(mean(guide * values, radius) - m * n, mean(guide * guide, radius) - m * m, edge)
        return [slope, n - slope * m if shift is None else shift(slope, guide, values, m, n)]

    return answer


def lines_of_products(guide, values, radius, edge):
    variance = mean(guide**2, radius) - mean(guide, radius) ** 2
    slope = mean(guide * values, radius) / (variance + edge)
    return slope, mean(values, radius) - slope * mean(guide, radius)


def lines_of_squares(guide, values, radius, edge):
    covariance = mean(guide * values, radius) - mean(guide, radius) * mean(values, radius)
    slope = covariance / (mean(guide**2, radius) + edge)
    return slope, mean(values, radius) - slope * mean(guide, radius)


def lines_of_the_values(guide, values, radius, edge):
    covariance = mean(guide * values, radius) - mean(guide, radius) * mean(values, radius)
    return covariance / (mean(values**2, radius) - mean(values, radius) ** 2 + edge), values


def lines_of_the_picture(guide, values, radius, edge):
    covariance = mean(guide * values, radius) - mean(guide, radius) * mean(values, radius)
    return covariance / (guide.var(correction=0) + edge), values


def rest(change, slope, shift, guide):
    return change - slope * guide - shift


def realism_by_norm(change, slope, shift, guide):
    return torch.linalg.vector_norm(rest(change, slope, shift, guide)) ** 2 / change.numel()


RIGHT = {
    "match_mean_and_deviation": [moved_by_loop, moved_by_variances],
    "transport_matrix": [transport, transport_by_geometric_mean],
    "match_sorted": [sorted_by_ranks, sorted_by_loop],
    "match_slice": [slice_right, slice_by_einsum],
    "window_lines": [lines(), lines_by_windows],
    "photorealism": [lambda *given: (rest(*given) ** 2).mean(), realism_by_norm],
}

WRONG = {
    "match_mean_and_deviation": [
        (lambda c, r: (c - c.mean()) * r.std() / c.std() + r.mean(), "all channels together"),
        (moved(lambda c, m, s, n, t: (c - m) * t / s), "did not add the mean of the reference"),
        (moved(lambda c, m, s, n, t: (c - m) * t / s + m), "mean of the colors back"),
        (moved(lambda c, m, s, n, t: c * t / s + n), "did not subtract the mean"),
        (moved(lambda c, m, s, n, t: (c - m) * s / t + n), "It is σ_r / σ"),
        (moved(lambda c, m, s, n, t: (c - m) * (t / s) ** 2 + n), "the variance in place"),
        (moved(lambda c, m, s, n, t: c - m + n), "only the mean was moved"),
        (moved(lambda c, m, s, n, t: (c - m) / s + n), "did not multiply"),
        (moved(lambda c, m, s, n, t: (c - m) * t + n), "did not divide"),
        (lambda c, r: (c - c.mean()) * r.std(correction=0) / c.std(correction=0) + r.mean(), "all channels together"),
        (
            lambda c, r: (c - c.mean(1, True)) * r.std(1, keepdim=True) / c.std(1, keepdim=True) + r.mean(1, True),
            "N - 1",
        ),
        (lambda c, r: c.clone(), "nothing has changed"),
        (moved_in_place, "in place"),
        (lambda c, r: c * torch.nan, "NaN"),
        (lambda c, r: None, "forget `return`"),
    ],
    "transport_matrix": [
        (lambda c, w: (1 / root(c)) @ middle(c, w) @ (1 / root(c)), "inverted entry by entry"),
        (transport_by_cholesky, "Cholesky's factor for the root"),
        (transport_by_entries, "entry by entry"),
        (lambda c, w: root(w) @ unroot(c), "does not move the colors least"),
        (lambda c, w: unroot(c) @ root(w), "do not commute"),
        (cholesky, "Cholesky"),
        (lambda c, w: transport(w, c), "exchanged the two covariances"),
        (lambda c, w: unroot(c) @ root(c) @ w @ root(c) @ unroot(c), "root of the product"),
        (middle, "forgot the two factors"),
        (lambda c, w: middle(c, w) @ unroot(c), "only one factor"),
        (lambda c, w: unroot(c) @ middle(c, w), "only the left factor"),
        (lambda c, w: root(c) @ middle(c, w) @ root(c), "must be its inverse"),
        (lambda c, w: torch.zeros(3, 3), "all zeros"),
        (lambda c, w: None, "forget `return`"),
    ],
    "match_sorted": [
        (lambda v, r: r.sort(), "Take .values"),
        (lambda v, r: r.sort().values, "in order of size"),
        (lambda v, r: r.sort().values[v.argsort()], "as if it were their ranks"),
        (lambda v, r: r.sort(descending=True).values[v.argsort().argsort()], "the largest value got the smallest"),
        (lambda v, r: r[v.argsort().argsort()], "the reference is not sorted"),
        (lambda v, r: v.sort().values, "sorted the values and kept them"),
        (lambda v, r: sorted_by_ranks(r, v), "exchanged the two"),
        (lambda v, r: (v - v.mean()) / v.std() * r.std() + r.mean(), "moved and stretched"),
        (lambda v, r: v.clone(), "nothing has changed"),
        (lambda v, r: r.clone(), "the reference as it is"),
        (sorted_in_place, "in place"),
        (lambda v, r: None, "forget `return`"),
    ],
    "match_slice": [
        (lambda c, r, R: slice_right(r, c, R), "given the colors' values"),
        (lambda c, r, R: rows_sorted(R @ c, R @ r), "did not turn back"),
        (lambda c, r, R: R @ rows_sorted(R @ c, R @ r), "the same way again"),
        (lambda c, r, R: R.T @ rows_sorted(R @ c, r), "not the reference"),
        (lambda c, r, R: R.T @ rows_sorted(c, R @ r), "not the colors"),
        (lambda c, r, R: rows_sorted(c, r), "did not turn at all"),
        (lambda c, r, R: slice_right(c, r, R.T), "rotation.T first"),
        (slice_of_one_row, "only the first"),
        (slice_flat, "all numbers together"),
        (lambda c, r, R: c.clone(), "nothing has changed"),
        (lambda c, r, R: None, "forget `return`"),
    ],
    "window_lines": [
        (lines(lambda c, v, e: -c / (v + e)), "wrong sign"),
        (lines(lambda c, v, e: c / (v + e**2)), "or squared it"),
        (lambda *given: lines()(*given)[::-1], "the shift first"),
        (lines(lambda c, v, e: c / v), "left edge out"),
        (lines(lambda c, v, e: c), "this is the covariance"),
        (lines(lambda c, v, e: c / e), "by edge or divided by it alone"),
        (lines_of_the_values, "variance of the values"),
        (lines_of_the_picture, "of the whole picture"),
        (lines_of_products, "not yet a covariance"),
        (lines_of_squares, "not yet a variance"),
        (lines(shift=lambda a, g, v, m, n: n + a * m), "the sign of slope"),
        (lines(shift=lambda a, g, v, m, n: n), "this is mean(values)"),
        (lines(shift=lambda a, g, v, m, n: n - a * g), "you subtracted slope · guide"),
        (lines(shift=lambda a, g, v, m, n: v - a * m), "from the values themselves"),
        (lines(shift=lambda a, g, v, m, n: n - m), "without the slope"),
        (lambda *given: torch.cat(lines()(*given)), "return two tensors"),
        (lambda *given: None, "forget `return`"),
    ],
    "photorealism": [
        (lambda *given: (rest(*given) ** 2).sum(), "you took the sum"),
        (lambda *given: rest(*given).mean(), "did not square"),
        (lambda *given: rest(*given).abs().mean(), "absolute values"),
        (lambda *given: (rest(*given) ** 2).mean() ** 0.5, "took the root"),
        (lambda c, a, b, g: ((c - a * g + b) ** 2).mean(), "sign of shift"),
        (lambda c, a, b, g: ((c + a * g - b) ** 2).mean(), "sign of slope"),
        (lambda c, a, b, g: ((c - a * g) ** 2).mean(), "left the shift out"),
        (lambda c, a, b, g: ((c - a - b) ** 2).mean(), "left the guide out"),
        (lambda *given: (rest(*given).mean(1) ** 2).mean(), "over the channels"),
        (lambda *given: rest(*given) ** 2, "one number"),
        (lambda *given: (rest(*given) ** 2).mean().item(), "no gradient flows"),
        (lambda *given: None, "forget `return`"),
    ],
}


def test_the_transport_matrix_gives_the_wanted_covariance():
    mix = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    covariance, wanted = mix @ mix.mT
    T = EXERCISES["transport_matrix"].reference(covariance, wanted)
    torch.testing.assert_close(T @ covariance @ T.T, wanted, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(T, T.T, atol=1e-3, rtol=1e-3)
