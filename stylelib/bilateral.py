"""The look of a photograph, optimized: one affine map of colors for each place and brightness, smooth between them.

Pixels that are free to change one by one turn into paint. Here the style loss may change the coefficients of a
*bilateral grid* and nothing else: a small array, rows × columns × levels of brightness, that holds an affine map of
colors in each cell. What a pixel gets is read between the cells by where it is and how bright. So the result is locally
affine in the content's colors, which is what the photorealism term of Luan, Paris, Shechtman, Bala, *Deep Photo Style
Transfer*, CVPR 2017, equation 2, asks for with a matrix as large as the picture; the grid cannot give anything else.

Sources: Chen, Paris, Durand, *Real-time Edge-Aware Image Processing with the Bilateral Grid*, SIGGRAPH 2007; a grid of
affine maps: Chen, Adams, Wadhwa, Hasinoff, *Bilateral Guided Upsampling*, SIGGRAPH Asia 2016.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .lbfgs import LBFGS

CELLS = (8, 6, 6)  # levels of brightness, rows, columns
SMOOTHNESS = 1e4  # against the objective: less, and the style's shapes appear as blotches


def read(grid: Tensor, guide: Tensor, rows: slice | None = None, height: int | None = None) -> Tensor:
    """The coefficients at each pixel, (1, C, H, W): trilinear between the cells.

    Args:
        grid: (1, C, levels, h, w); its outer cells lie on the picture's border, its first level is black.
        guide: (1, 1, H, W), the brightness of each pixel, in [0, 1].
        rows, height: the guide is only these rows of a picture that high; None: it is all of it.
    """
    rows = rows or slice(0, guide.shape[-2])
    height, width = height or guide.shape[-2], guide.shape[-1]
    y = (torch.arange(rows.start, rows.stop).to(guide) + 0.5) * 2 / height - 1
    x = (torch.arange(width).to(guide) + 0.5) * 2 / width - 1
    places = torch.stack([*torch.meshgrid(x, y, indexing="xy"), guide[0, 0] * 2 - 1], dim=-1)
    return grid_sample(grid, places[None, None], "bilinear", "border", align_corners=True)[:, :, 0]


def affine(image: Tensor, coefficients: Tensor) -> Tensor:
    """At each pixel A·color + b, (1, 3, H, W): the first nine coefficients (1, 12, H, W) are A, row by row."""
    matrix = coefficients[:, :9].unflatten(1, (3, 3))
    return (matrix * image[:, None]).sum(dim=2) + coefficients[:, 9:]


def roughness(grid: Tensor) -> Tensor:
    """Mean squared difference of neighboring cells, summed over the three directions: 0 where all cells are alike."""
    return sum(grid.diff(dim=axis).square().mean() for axis in (2, 3, 4))


def optimize_grid(
    content: Tensor,
    guide: Tensor,
    base: Tensor,
    objective: Callable[[Tensor], dict[str, Tensor]],
    steps: int,
) -> Tensor:
    """The best grid found, (1, 12, *CELLS): base + affine(content, read(grid, guide)) lowers the objective.

    Args:
        content: image (1, 3, H, W).
        guide: its brightness, (1, 1, H, W).
        base: image that the affine maps are added to; the grid starts at 0.
        objective: image → losses with a `"total"`.
        steps: number of evaluations.
    """
    grid = torch.zeros(1, 12, *CELLS, device=content.device, requires_grad=True)
    solver = LBFGS(grid)
    best, lowest = grid.detach().clone(), float("inf")
    for _ in range(steps):
        solver.zero_grad()
        total = objective(base + affine(content, read(grid, guide)))["total"] + SMOOTHNESS * roughness(grid)
        total.backward()
        if total.item() < lowest:
            best, lowest = grid.detach().clone(), total.item()
        solver.step()
    return best
