"""Color spaces and color transfer: whose colors a picture has.

Every function here forgets where a pixel is. It takes and returns images (1, 3, H, W), and the new color of a pixel
depends on its old color alone: each transfer is a map from color to color, made for two pictures.

Results of a transfer may leave [0, 1], because no rule keeps a stretched cloud of colors inside the cube. Clamp them,
or bend them back with `compress`.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

# sRGB (IEC 61966-2-1) primaries to CIE XYZ, divided by the white point D65: white is (1, 1, 1) here.
_RGB_TO_XYZ = torch.tensor(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]],
    dtype=torch.float64,
)
_RGB_TO_XYZ = _RGB_TO_XYZ / _RGB_TO_XYZ.sum(dim=1, keepdim=True)
# f(X), f(Y), f(Z) → L, a, b (CIE 15: L = 116 f(Y) - 16, a = 500 (f(X) - f(Y)), b = 200 (f(Y) - f(Z)))
_ROOTS_TO_LAB = torch.tensor([[0.0, 116, 0], [500, -500, 0], [0, 200, -200]], dtype=torch.float64)
_CORNER = 6 / 29  # below it CIE's cube root is a straight line
# A spread of one step of 8 bits is as good as none: dividing by less would blow up rounding noise.
NO_SPREAD = 1 / 255
QUANTILES = 512
TABLE = 128  # values of a look-up; fewer make a smoother map

ColorMap = Callable[[Tensor], Tensor]  # an image of any size → the image with its colors moved


def to_linear(image: Tensor) -> Tensor:
    """sRGB values → amounts of light, c ≤ 0.04045: c / 12.92, else ((c + 0.055) / 1.055)^2.4; odd below 0.

    Source: IEC 61966-2-1.
    """
    size = image.abs()
    return torch.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4) * image.sign()


def from_linear(light: Tensor) -> Tensor:
    """Amounts of light → sRGB values, the inverse of `to_linear`."""
    size = light.abs()
    curve = 1.055 * size.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(size <= 0.0031308, size * 12.92, curve) * light.sign()


def to_lab(image: Tensor) -> Tensor:
    """sRGB → CIE L*a*b* for the white point D65, in which equal distances look about equally large.

    Args:
        image: (1, 3, H, W), sRGB.

    Returns:
        (1, 3, H, W): lightness L in [0, 100]; a, from green to red, and b, from blue to yellow, about ±100.

    Source: CIE 15:2004, section 8.2.1.
    """
    return _mix(_ROOTS_TO_LAB, _cube_root(_mix(_RGB_TO_XYZ, to_linear(image)))) - _offset(image)


def from_lab(lab: Tensor) -> Tensor:
    """CIE L*a*b* → sRGB, the inverse of `to_lab`. A color that no screen can show leaves [0, 1]."""
    roots = _mix(torch.linalg.inv(_ROOTS_TO_LAB), lab + _offset(lab))
    xyz = torch.where(roots > _CORNER, roots**3, 3 * _CORNER**2 * (roots - 4 / 29))
    return from_linear(_mix(torch.linalg.inv(_RGB_TO_XYZ), xyz))


def luminance(image: Tensor) -> Tensor:
    """How light each pixel is: (1, 1, H, W), L of CIE Lab divided by 100, so in [0, 1]."""
    return to_lab(image)[:, :1] / 100


def with_luminance(image: Tensor, lightness: Tensor) -> Tensor:
    """The image's colors (a and b of CIE Lab) with the given lightness (1, 1, H, W) in [0, 1].

    This puts a transfer of luminance together again: Gatys et al., *Controlling Perceptual Factors in Neural Style
    Transfer*, CVPR 2017, section 5, "Luminance-only transfer".
    """
    return from_lab(torch.cat([100 * lightness, to_lab(image)[:, 1:]], dim=1))


def to_gray(image: Tensor) -> Tensor:
    """The gray image of the same lightness, (1, 3, H, W)."""
    lab = to_lab(image)
    gray = from_lab(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))
    return gray[:, :1].clamp(0, 1).expand_as(image).contiguous()  # one channel thrice: equal to the last digit


def color_span(images: Sequence[Tensor]) -> Callable[[Tensor], Tensor] | None:
    """The map from a color to the nearest one in the span of the images' colors; None if they span all colors.

    The span is the line or the plane through their mean that all their colors lie in, but for one step of 8 bits: of
    gray images the gray line. It keeps an optimization from inventing colors, which a network hardly punishes.
    """
    mean, covariance = _statistics(torch.cat([image.flatten(2)[..., None] for image in images], dim=2))
    values, vectors = torch.linalg.eigh(covariance)
    if bool((values > NO_SPREAD**2).all()):
        return None
    if all(bool((image.amax(1) - image.amin(1) <= NO_SPREAD).all()) for image in images):
        return lambda image: image.mean(1, keepdim=True).expand_as(image)
    vectors = vectors[:, values > NO_SPREAD**2]
    onto = vectors @ vectors.T
    offset = mean - onto @ mean
    return lambda image: (onto.to(image) @ image.flatten(2) + offset.to(image)).reshape(image.shape)


def match_luminance(image: Tensor, reference: Tensor) -> Tensor:
    """The image's lightness, moved and stretched to the reference's mean and standard deviation: (1, 1, H, W).

    l′ = σ_r / σ (l - μ) + μ_r: what Gatys et al. (2017), section 5, do to the style picture before the transfer.
    """
    return _mean_and_deviation_map(luminance(image), luminance(reference))(luminance(image))


def covariance_map(image: Tensor, reference: Tensor, root: Literal["symmetric", "cholesky"] = "symmetric") -> ColorMap:
    """The map of `match_covariance`, which can then be applied to other colors too."""
    if root not in ("symmetric", "cholesky"):
        raise ValueError(f'root is "symmetric" or "cholesky", not {root!r}.')

    def matrix(source: Tensor, target: Tensor) -> Tensor:
        if root == "symmetric":
            return _power(target, 0.5) @ _power(source, -0.5)
        tiny = 1e-12 * torch.eye(3, dtype=target.dtype, device=target.device)
        return torch.linalg.cholesky(target + tiny) @ torch.linalg.inv(torch.linalg.cholesky(source))

    return _affine_map(image, reference, matrix)


def match_covariance(image: Tensor, reference: Tensor, root: Literal["symmetric", "cholesky"] = "symmetric") -> Tensor:
    """Gives the RGB values of an image the mean and the covariance of a reference's.

    c′ = A (c - μ) + μ_r with A Σ Aᵀ = Σ_r. Many matrices A do that; two are named by how they take the root:

    - "symmetric": A = Σ_r^½ Σ^-½, through eigenvalues;
    - "cholesky": A = L_r L⁻¹, where Σ = L Lᵀ with L lower triangular.

    Source: Gatys et al. (2017), section 5, after Hertzmann et al., *Image Analogies*, SIGGRAPH 2001. A third is
    `monge_kantorovich`: of all A, the one that moves the colors least.

    Args:
        image, reference: (1, 3, H, W); not necessarily of one size.
    """
    return covariance_map(image, reference, root)(image)


def monge_kantorovich_map(image: Tensor, reference: Tensor) -> ColorMap:
    """The map of `monge_kantorovich`, which can then be applied to other colors too."""

    def matrix(source: Tensor, target: Tensor) -> Tensor:
        half, inverse = _power(source, 0.5), _power(source, -0.5)
        return inverse @ _power(half @ target @ half, 0.5) @ inverse

    return _affine_map(image, reference, matrix)


def monge_kantorovich(image: Tensor, reference: Tensor) -> Tensor:
    """Mean and covariance matched with the least movement of colors, the optimal transport between two Gaussians.

    c′ = T (c - μ) + μ_r with T = Σ^-½ (Σ^½ Σ_r Σ^½)^½ Σ^-½.

    Source: Pitié, Kokaram, *The Linear Monge-Kantorovitch Linear Colour Mapping for Example-Based Colour Transfer*,
    CVMP 2007.

    Args:
        image, reference: (1, 3, H, W); not necessarily of one size.
    """
    return monge_kantorovich_map(image, reference)(image)


def reinhard_map(image: Tensor, reference: Tensor) -> ColorMap:
    """The map of `reinhard`, which can then be applied to other colors too."""
    move = _mean_and_deviation_map(to_lab(image), to_lab(reference), no_spread=100 * NO_SPREAD)
    return lambda colors: from_lab(move(to_lab(colors)))


def reinhard(image: Tensor, reference: Tensor) -> Tensor:
    """Gives each channel of CIE Lab the mean and the standard deviation that it has in the reference.

    c′ = σ_r / σ (c - μ) + μ_r. Source: Reinhard, Ashikhmin, Gooch, Shirley, *Color Transfer between Images*, IEEE
    Computer Graphics and Applications 21(5), 2001, equations 10 and 11, who use Ruderman's space lαβ.
    """
    return reinhard_map(image, reference)(image)


def match_sorted(values: Tensor, reference: Tensor) -> Tensor:
    """Optimal transport of numbers on a line: the value of each rank becomes the reference's value of that rank.

    Both distributions are described by `QUANTILES` values, with straight lines between them. Equal values stay equal,
    at the middle of their ranks. Works row by row.

    Args:
        values: (C, N).
        reference: (C, M).

    Returns:
        (C, N), in the order of `values`.
    """
    return _transport(values, _quantiles(values), _quantiles(reference))


def slice_map(image: Tensor, reference: Tensor, rotation: Tensor, steepest: float = float("inf")) -> ColorMap:
    """One step of sliced transport: colors are turned by `rotation` (3, 3), matched axis by axis, and turned back.

    Beyond the colors of the image it goes on with slope 1.

    Args:
        image, reference: (1, 3, H, W), in any color space; not necessarily of one size.
        rotation: (3, 3), orthogonal.
        steepest: so many times farther apart than they were two colors may come, at most, along each axis; the mean
            of the image's colors is still the transport's.
    """
    values = rotation @ _rows(image)
    table = _transport_table(values, rotation @ _rows(reference))
    if steepest < float("inf"):
        table = _less_steep(values, *table, steepest)
    return lambda colors: (rotation.T @ _look_up(rotation @ _rows(colors), *table)).reshape(colors.shape)


def rotations(count: int, seed: int = 0) -> Tensor:
    """Random rotations (count, 3, 3), which may mirror: orthogonal matrices, uniformly distributed."""
    numbers = torch.randn(count, 3, 3, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(numbers)[0]


def distribution_map(image: Tensor, reference: Tensor, iterations: int = 10, seed: int = 0) -> ColorMap:
    """The map of `match_distribution`, which can then be applied to other colors too."""
    steps = []
    for rotation in rotations(iterations, seed).to(image):
        steps.append(slice_map(image, reference, rotation))
        image = steps[-1](image)
    return lambda colors: reduce(lambda moved, step: step(moved), steps, colors)


def match_distribution(image: Tensor, reference: Tensor, iterations: int = 10, seed: int = 0) -> Tensor:
    """Gives the whole cloud of colors the reference's shape: sliced optimal transport.

    Again and again: turn both clouds by a random rotation, match the three coordinates one by one (`match_sorted`),
    turn back. Source: Pitié, Kokaram, Dahyot, *Automated colour grading using colour distribution transfer*, Computer
    Vision and Image Understanding 107, 2007, the first stage. Where it tears a flat region apart, the noise in it
    shows: their second stage and `stylelib.photo` mend that.

    Args:
        image, reference: (1, 3, H, W), in any color space; not necessarily of one size.
        iterations: rotations.
        seed: of the rotations.
    """
    return distribution_map(image, reference, iterations, seed)(image)


def compress(image: Tensor, low: float | None = None, high: float | None = None, knee: float = 0.05) -> Tensor:
    """Bends values from [low, high], which holds [0, 1], into [0, 1], where `clamp` would cut off what is drawn there.

    Values from knee to 1 - knee stay. Beyond, the shoulder of a film curve: with t ≥ 0, the distance from 1 - knee in
    units of the knee, and T, that of `high`, 1 - knee + knee · t / (1 + t (1 - 1/T)). Its slope is 1 at t = 0, and T
    lands on 1. With [low, high] = [0, 1] nothing moves. What lies outside [low, high] is clamped. None takes the
    least and the largest value of the image.
    """
    low = min(0.0, image.min().item()) if low is None else low
    high = max(1.0, image.max().item()) if high is None else high

    def shoulder(t: Tensor, limit: float) -> Tensor:
        return (t / (1 + t * (1 - 1 / limit))).clamp(max=1)

    over = shoulder((image - (1 - knee)).clamp(min=0) / knee, max(1.0, 1 + (high - 1) / knee))
    under = shoulder((knee - image).clamp(min=0) / knee, max(1.0, 1 - low / knee))
    return (image.clamp(knee, 1 - knee) + knee * (over - under)).clamp(0, 1)


def _mix(matrix: Tensor, image: Tensor) -> Tensor:
    """matrix @ color, for the color of every pixel."""
    return (matrix.to(image) @ image.flatten(2)).reshape(image.shape)


def _cube_root(x: Tensor) -> Tensor:
    return torch.where(x > _CORNER**3, x.clamp(min=_CORNER**3) ** (1 / 3), x / (3 * _CORNER**2) + 4 / 29)


def _offset(image: Tensor) -> Tensor:
    return image.new_tensor([16, 0, 0])[:, None, None]


def _rows(image: Tensor) -> Tensor:
    return image[0].flatten(1)


def _mean_and_deviation_map(image: Tensor, reference: Tensor, no_spread: float = NO_SPREAD) -> ColorMap:
    deviation, mean = torch.std_mean(image, dim=(2, 3), keepdim=True, correction=0)
    new_deviation, new_mean = torch.std_mean(reference, dim=(2, 3), keepdim=True, correction=0)
    return lambda colors: (colors - mean) * (new_deviation / deviation.clamp(min=no_spread)) + new_mean


def _affine_map(image: Tensor, reference: Tensor, matrix: Callable[[Tensor, Tensor], Tensor]) -> ColorMap:
    """Moves colors by the matrix that `matrix` makes of both covariances, from one mean to the other."""
    mean, covariance = _statistics(image)
    new_mean, new_covariance = _statistics(reference)
    A = matrix(_power(covariance, 1, least=NO_SPREAD**2), new_covariance)
    shift = (new_mean - A @ mean).to(image)
    return lambda colors: (A.to(image) @ _rows(colors) + shift).reshape(colors.shape)


def _statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and covariance (3, 3) of the colors, in float64: a covariance is a small difference."""
    rows = _rows(image)
    mean = rows.mean(dim=1, keepdim=True)
    centered = rows - mean
    return mean.double(), (centered @ centered.T).double() / rows.shape[1]


def _power(matrix: Tensor, exponent: float, least: float = 0.0) -> Tensor:
    """A power of a symmetric matrix through its eigenvalues, none of which counts as less than `least`."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=least) ** exponent) @ vectors.T


def _quantiles(rows: Tensor) -> Tensor:
    """`QUANTILES` values of each row, from the least to the largest (torch.quantile refuses 16 million numbers)."""
    ordered, last = rows.sort(dim=1).values, rows.shape[1] - 1
    place = torch.linspace(0, last, QUANTILES, dtype=torch.float64, device=rows.device)
    below = place.long().clamp(max=max(0, last - 1))
    low, high = ordered[:, below], ordered[:, (below + 1).clamp(max=last)]
    return low + (place - below).to(rows) * (high - low)


def _transport(values: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """From the place of a value among the source's quantiles to the same place among the target's."""
    place = (_place(values, source, right=False) + _place(values, source, right=True)) / 2
    below = place.long().clamp(max=QUANTILES - 2)
    low, high = target.gather(1, below), target.gather(1, below + 1)
    return low + (place - below) * (high - low)


def _place(values: Tensor, quantiles: Tensor, right: bool) -> Tensor:
    """Where values stand among quantiles, as a number from 0 to the last index, linear between two of them."""
    above = torch.searchsorted(quantiles, values.contiguous(), right=right).clamp(1, QUANTILES - 1)
    low, high = quantiles.gather(1, above - 1), quantiles.gather(1, above)
    share = (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
    return above - 1 + share.clamp(0, 1)


def _transport_table(values: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The transport at `TABLE` equally spaced values, where it can be looked up without a search."""
    source = _quantiles(values)
    low, span = source[:, :1], (source[:, -1:] - source[:, :1]).clamp(min=1e-6)
    spaced = low + span * torch.linspace(0, 1, TABLE).to(values)
    return low, span, _transport(spaced, source, _quantiles(reference))


def _less_steep(
    values: Tensor, low: Tensor, span: Tensor, table: Tensor, steepest: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The table with no slope above `steepest`, shifted so that the mean over the values stays."""
    rises = table.diff(dim=1).clamp(max=steepest * span / (TABLE - 1))
    gentle = torch.cat([torch.zeros_like(low), rises.cumsum(dim=1)], dim=1)
    places = _quantiles(values)
    missing = _look_up(places, low, span, table) - _look_up(places, low, span, gentle)
    return low, span, gentle + missing.mean(dim=1, keepdim=True)


def _look_up(values: Tensor, low: Tensor, span: Tensor, table: Tensor) -> Tensor:
    inside = values.clamp(low, low + span)
    place = (inside - low) / span * (TABLE - 1)
    below = place.long().clamp(0, TABLE - 2)
    left, right = table.gather(1, below), table.gather(1, below + 1)
    return left + (place - below) * (right - left) + (values - inside)
