"""Four measures of a stylized picture that no trained network takes part in. All take images (1, 3, H, W)."""

import math
from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS, PERIOD, WIDTH = 6, 4.0, 1.8  # of the waves in `form_distance`; the last two in pixels
SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


def patch_distance(image: Tensor, style: Tensor, levels: int = 3, count: int = 2048) -> float:
    """Sliced Wasserstein distance between the 7 × 7 patches of two images: do they consist of the same little pieces?

    Both sets of patches, points in 147 dimensions, are projected onto random lines. On a line, the distance of two sets
    of numbers is that of the sorted numbers. Mean over lines and over the levels of a pyramid; 0 for the same set.
    (Rabin et al., Wasserstein barycenter and its application to texture mixing, 2011.)
    """
    total = 0.0
    for level in range(levels):
        generator = torch.Generator().manual_seed(level)
        lines = F.normalize(torch.randn(147, 64, generator=generator), dim=0)
        shadows = []
        for picture in (image, style):
            patches = F.unfold(picture, 7)[0].T
            chosen = torch.randint(len(patches), (count,), generator=generator)
            shadows.append((patches[chosen] @ lines).sort(dim=0).values)
        total += float((shadows[0] - shadows[1]).abs().mean())
        image, style = F.avg_pool2d(image, 2), F.avg_pool2d(style, 2)
    return total / levels


def filter_distance(image: Tensor, style: Tensor, levels: int = 3) -> float:
    """Relative distance ‖G − A‖ / ‖A‖ of the Gram matrices of random filters, mean over the levels of a pyramid."""
    filters = torch.randn(32, 3, 7, 7, generator=torch.Generator().manual_seed(0)) / 12
    total = 0.0
    for _ in range(levels):
        grams = []
        for picture in (image, style):
            flat = F.conv2d(picture, filters).relu()[0].flatten(1)
            grams.append(flat @ flat.T / flat.shape[1])
        total += float((grams[0] - grams[1]).norm() / grams[1].norm())
        image, style = F.avg_pool2d(image, 2), F.avg_pool2d(style, 2)
    return total / levels


def form_distance(image: Tensor, style: Tensor, levels: int = 3) -> float:
    """Relative distance ‖G − A‖ / ‖A‖ of Gram matrices of *moduli of moduli*: how strong lines lie beside each other.

    The first modulus says where there is a line, of which direction and width, whichever side of it is bright; the
    second how such places are laid out: as rows, rings, corners, or by chance. Two layers of a scattering network
    (Bruna and Mallat, Invariant scattering convolution networks, 2013), of lightness, mean over three widths and
    distances.
    """
    total = 0.0
    for ours, theirs in zip(_forms(image, levels), _forms(style, levels), strict=True):
        total += float((ours - theirs).norm() / theirs.norm())
    return total / levels**2


def _forms(image: Tensor, levels: int) -> Iterator[Tensor]:
    picture = image.mean(1, keepdim=True)
    for _ in range(levels):
        lines = F.avg_pool2d(_modulus(picture)[0][:, None], 2)
        for _ in range(levels):
            flat = _modulus(lines).flatten(2).flatten(0, 1)
            yield flat @ flat.T / flat.shape[1]
            lines = F.avg_pool2d(lines, 2)
        picture = F.avg_pool2d(picture, 2)


def _modulus(picture: Tensor) -> Tensor:
    """(N, 1, h, w) → (N, 6, h, w): how strong waves of period 4 in six directions are at each place."""
    even, odd = F.conv2d(F.pad(picture, (4,) * 4, mode="reflect"), _waves()).unflatten(1, (DIRECTIONS, 2)).unbind(2)
    return (even**2 + odd**2 + 1e-12).sqrt()


@cache
def _waves() -> Tensor:
    """Gabor wavelets of DIRECTIONS, each in two phases, (2 · DIRECTIONS, 1, 9, 9); none answers to an even area."""
    y, x = torch.meshgrid(torch.arange(-4.0, 5), torch.arange(-4.0, 5), indexing="ij")
    window = torch.exp(-(x**2 + y**2) / (2 * WIDTH**2))
    waves = []
    for angle in (math.pi * k / DIRECTIONS for k in range(DIRECTIONS)):
        phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / PERIOD
        even = window * phase.cos()
        even = even - window * even.sum() / window.sum()
        waves += [wave / even.norm() for wave in (even, window * phase.sin())]
    return torch.stack(waves)[:, None]


def layout_kept(image: Tensor, content: Tensor) -> float:
    """Correlation of the edges of two images at a quarter of the size: 1 for the same layout, 0 for unrelated ones."""
    kernels = torch.stack([SOBEL, SOBEL.T])[:, None]
    edges = [
        F.conv2d(F.avg_pool2d(picture, 4).mean(1, keepdim=True), kernels).norm(dim=1).flatten()
        for picture in (image, content)
    ]
    return float(torch.corrcoef(torch.stack(edges))[0, 1])
