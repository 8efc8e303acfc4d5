"""Recipes over the loop: transfer a style, synthesize a texture, reconstruct a picture from its features.

Each runs coarse to fine. A network's receptive fields have a fixed size in pixels, so a stroke can only be as large as
they reach: on a small version of the picture that is a large part of it, and evaluations are cheap. Each larger version
starts from the change that the one before has brought, with the content's own detail, and adds finer strokes.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from . import cost
from .backbones import Backbone, load_backbone
from .images import resize_to, scaled_shape
from .loop import OptimizationWarning, Step, optimize
from .objective import Objective

STEPS = 240
SHARES = (0.40, 0.35, 0.25)  # of the steps, at a quarter, half and all of the size
SMALLEST = 128  # pixels; below that the deep layers have too few positions for statistics
SHORTEST = 32  # pixels; a shorter side leaves fewer than two positions in the deepest layer


@dataclass(frozen=True)
class Result:
    """What a recipe returns.

    Attributes:
        image: the best image of the last scale, (1, 3, H, W) in [0, 1], on the CPU.
        history: every step in order, with its losses and without its image.
        interrupted: True if the run was stopped by hand (KeyboardInterrupt) before its end.
    """

    image: Tensor
    history: list[Step]
    interrupted: bool = False

    @property
    def evaluations(self) -> int:
        """Forward and backward passes spent."""
        return len(self.history)


def stylize(
    content: Tensor,
    style: Tensor,
    *,
    backbone: Backbone | None = None,
    size: int = 512,
    steps: int = STEPS,
    seed: int = 0,
    start: str = "content",
    optimizer: str = "lbfgs",
    on_step: Callable[[Step], object] | None = None,
    **weights,
) -> Result:
    """Paints the content in the style: Gatys et al., CVPR 2016, from coarse to fine.

    Args:
        content, style: images, any sizes; both are scaled to long side `size`, each with its own aspect ratio.
        backbone: None takes slim on the CPU.
        size: long side of the result.
        steps: evaluations in all, most of them at the small scales.
        seed: of the noise; the same seed on the same machine gives the same picture.
        start: `"content"` keeps the layout best; `"noise"` is the paper's.
        optimizer: `"lbfgs"` or `"adam"`.
        on_step: called with each `Step`, for a progress bar or a live preview.
        **weights: of the `Objective`: style_weight, content_weight, style_layers, …

    Returns:
        A `Result`. Interrupting (Ctrl-C, or the notebook's stop button) returns the best image so far.

    Raises:
        ValueError: no pictures, a size too small or beyond the free memory, an unknown start or optimizer.
    """
    backbone = backbone or load_backbone("slim")
    check_image("content", content, scales(size)[0])
    check_image("style", style, scales(size)[0])
    if start not in ("content", "noise"):
        raise ValueError(f"There is no start {start!r}. There are: content, noise.")

    def objective_at(scale: int) -> Objective:
        return Objective(backbone, _scaled(content, scale), _scaled(style, scale), **weights)

    shape = tuple(content.shape[-2:])
    first = content if start == "content" else None
    return _coarse_to_fine(objective_at, shape, first, size, steps, seed, optimizer, on_step, backbone.mean.device)


def synthesize_texture(
    style: Tensor,
    *,
    backbone: Backbone | None = None,
    size: int = 256,
    steps: int = STEPS,
    seed: int = 0,
    optimizer: str = "lbfgs",
    on_step: Callable[[Step], object] | None = None,
    **weights,
) -> Result:
    """A new picture, size × size, with the statistics of `style` and none of its layout: Gatys et al., NIPS 2015.

    Starts from noise. Arguments as in `stylize`.
    """
    backbone = backbone or load_backbone("slim")
    check_image("style", style, scales(size)[0])

    def objective_at(scale: int) -> Objective:
        return Objective(backbone, style=_scaled(style, scale), **weights)

    return _coarse_to_fine(objective_at, (1, 1), None, size, steps, seed, optimizer, on_step, backbone.mean.device)


def reconstruct(
    image: Tensor,
    layer: str = "relu4_2",
    *,
    backbone: Backbone | None = None,
    size: int | None = None,
    steps: int = 200,
    seed: int = 0,
    optimizer: str = "lbfgs",
    on_step: Callable[[Step], object] | None = None,
    **weights,
) -> Result:
    """The picture that one layer remembers: noise, optimized until its features match those of `image`.

    What differs from `image` is what the layer has forgotten (Mahendran and Vedaldi, CVPR 2015; Gatys et al., CVPR
    2016, figure 1). At one scale, because features of a smaller picture would be others. `size` None keeps the
    image's own; other arguments as in `stylize`.
    """
    backbone = backbone or load_backbone("slim")
    size = size or (max(image.shape[-2:]) if isinstance(image, Tensor) else SMALLEST)
    check_image("image", image, size)
    # No more smoothing than needed: it would hide what the layer remembers.
    options = {"content_layers": [layer], "variation_weight": 0.01} | weights

    def objective_at(scale: int) -> Objective:
        return Objective(backbone, _scaled(image, scale), **options)

    shape = tuple(image.shape[-2:])
    return _coarse_to_fine(
        objective_at, shape, None, size, steps, seed, optimizer, on_step, backbone.mean.device, [size]
    )


def _coarse_to_fine(
    objective_at: Callable[[int], Objective],
    shape: tuple[int, int],
    content: Tensor | None,
    size: int,
    steps: int,
    seed: int,
    optimizer: str,
    on_step: Callable[[Step], object] | None,
    device: torch.device,
    sizes: list[int] | None = None,
) -> Result:
    """Optimizes at each scale in turn. `content` None starts from noise."""
    sizes = sizes or scales(size)
    cost.check_fits(objective_at, device, shape, size, shares(steps, len(sizes))[-1], optimizer)
    content = None if content is None else content.cpu()  # scaled there: not every device can
    image = _noise(scaled_shape(*shape, sizes[0]), seed) if content is None else content
    history: list[Step] = []
    interrupted = False
    for scale, share in zip(sizes, shares(steps, len(sizes)), strict=True):
        image = _enlarged(image, scaled_shape(*shape, scale), content)
        best: Step | None = None
        try:
            for step in optimize(image, objective_at(scale), share, optimizer=optimizer):
                if best is None or step.losses["total"] <= best.losses["total"]:
                    best = step
                numbered = replace(step, index=len(history), steps=steps)
                history.append(replace(numbered, image=None))
                if on_step:
                    on_step(numbered)
        except KeyboardInterrupt:
            interrupted = True
            warnings.warn(
                f"Interrupted after {len(history)} of {steps} steps; the best image so far is kept.",
                OptimizationWarning,
                stacklevel=3,
            )
        image = best.image.cpu() if best else image
        if interrupted:
            break
    return Result(_enlarged(image, scaled_shape(*shape, size), content), history, interrupted)


def _enlarged(image: Tensor, shape: tuple[int, int], content: Tensor | None) -> Tensor:
    """The image at a larger shape.

    What is enlarged is its difference from the content. Added to the larger content, it brings the colors and strokes
    so far; fine detail, which the smaller image could not hold, is the content's own: a level of its Laplacian pyramid
    (Burt and Adelson, IEEE Transactions on Communications, 1983).
    """
    here = tuple(image.shape[-2:])
    if content is None or here == shape:
        return resize_to(image, shape)
    change = interpolate(image - resize_to(content, here), shape, mode="bicubic", antialias=True)
    return (resize_to(content, shape) + change).clamp(0, 1)


def scales(size: int) -> list[int]:
    """A quarter, half and all of the size, without those too small to help."""
    return [scale for scale in (size // 4, size // 2) if scale >= SMALLEST] + [size]


def shares(steps: int, count: int) -> list[int]:
    """How many of the steps each of `count` scales gets; at least one each."""
    shares = SHARES[-count:]
    counts = [max(1, round(steps * share / sum(shares))) for share in shares]
    counts[0] = max(1, counts[0] + steps - sum(counts))
    return counts


def _scaled(image: Tensor, size: int) -> Tensor:
    return resize_to(image, scaled_shape(*image.shape[-2:], size))


def _noise(shape: tuple[int, int], seed: int) -> Tensor:
    """Mid-gray with a little Gaussian noise, (1, 3, *shape); drawn on the CPU, so the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + 0.15 * torch.randn(1, 3, *shape, generator=generator)).clamp(0, 1)


def check_image(role: str, image: Tensor, smallest: int) -> None:
    """Raises a `ValueError` if it is no image, or if its short side is too short when its long side is `smallest`."""
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[:2] != (1, 3):
        shape = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"The {role} must be an image, (1, 3, height, width) in [0, 1]; it is {shape}.")
    if not bool(torch.isfinite(image).all()):
        raise ValueError(f"The {role} contains NaN or infinite values.")
    if min(scaled_shape(*image.shape[-2:], smallest)) < SHORTEST:
        raise ValueError(
            f"The short side of the {role} would be under {SHORTEST} pixels, too little for the network's deep layers; "
            "choose a larger size or a less narrow picture."
        )
