"""Three measures of a stylized picture that no trained network takes part in. All take images (1, 3, H, W)."""

import torch
import torch.nn.functional as F
from torch import Tensor

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


def layout_kept(image: Tensor, content: Tensor) -> float:
    """Correlation of the edges of two images at a quarter of the size: 1 for the same layout, 0 for unrelated ones."""
    kernels = torch.stack([SOBEL, SOBEL.T])[:, None]
    edges = [
        F.conv2d(F.avg_pool2d(picture, 4).mean(1, keepdim=True), kernels).norm(dim=1).flatten()
        for picture in (image, content)
    ]
    return float(torch.corrcoef(torch.stack(edges))[0, 1])
