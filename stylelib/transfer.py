"""Recipes over the loop: transfer a style, synthesize a texture, reconstruct a picture from its features.

Each runs coarse to fine. A network's receptive fields have a fixed size in pixels, so a stroke can only be as large as
they reach: on a small version of the picture that is a large part of it, and evaluations are cheap. Each larger version
starts from the change that the one before has brought, with the content's own detail, and adds finer strokes.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from . import cost
from .backbones import Backbone, load_backbone
from .checkpoint import Checkpoint
from .color import color_span, compress, luminance, match_covariance, to_gray, with_luminance
from .images import as_image, check_size, resize_to, scaled_shape
from .loop import Descent, OptimizationWarning, Step
from .machine import give_memory_back
from .masks import resize_mask, union
from .objective import Objective, Style, as_styles

STEPS = 240
# Of the steps, at each scale; the largest scales of a poster cost most and have least left to change.
SHARES = {
    1: (1.0,),
    2: (0.35, 0.25),
    3: (0.40, 0.35, 0.25),
    4: (0.40, 0.30, 0.20, 0.10),
    5: (0.40, 0.28, 0.18, 0.09, 0.05),
}
COARSEST = 512  # pixels; a poster begins no larger than that
SMALLEST = 128  # pixels; below that the deep layers have too few positions for statistics
SHORTEST = 32  # pixels; a shorter side leaves fewer than two positions in the deepest layer
FEWEST = 3  # steps of a scale that are worth it; the first only measures where it starts
FINISHED, INTERRUPTED, DIVERGED = "finished", "interrupted", "diverged"


class Stop(KeyboardInterrupt):
    """What an `on_step` raises to end a run on purpose: its best image is kept, as after Ctrl-C, and nothing warns."""


@dataclass(frozen=True)
class Run:
    """What a run is, besides what it paints.

    Attributes:
        shape: (H, W) of the picture, in any size.
        scales: long side and steps of each scale, the result's last.
        device: of the network.
        base: picture whose own detail each larger scale starts with; None has the run start from noise.
        seed: of that noise.
        optimizer, on_step: as in `stylize`.
        project_at: long side → the `project` of `optimize`.
        finish: what makes of an image the picture that was asked for.
        checkpoint: where it is kept how far the run has come; None keeps nothing.
    """

    shape: tuple[int, int]
    scales: list[tuple[int, int]]
    device: torch.device
    base: Tensor | None = None
    seed: int = 0
    optimizer: str = "lbfgs"
    on_step: Callable[[Step], object] | None = None
    project_at: Callable[[int], Callable[[Tensor], Tensor] | None] = lambda size: None
    finish: Callable[[Tensor], Tensor] | None = None
    checkpoint: Checkpoint | None = None

    @property
    def steps(self) -> int:
        """Evaluations at all scales."""
        return sum(steps for _, steps in self.scales)

    def shape_at(self, size: int) -> tuple[int, int]:
        """(H, W) of the picture at that long side."""
        return scaled_shape(*self.shape, size)

    def start(self) -> Tensor:
        """The picture that the first scale starts from, in any size."""
        return _noise(self.shape_at(self.scales[0][0]), self.seed) if self.base is None else self.base


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        ways: how each scale is optimized. Kept, because the memory that is free decides it, and may be another later.
        image: the best image of the present scale; at first, what it starts from.
        level: number of the present scale, the coarsest is 0.
        history: every step so far, without its image.
        best: the best step of this scale.
        descent: the state of its `Descent`, where this was read from a checkpoint.
    """

    ways: list[cost.Way]
    image: Tensor
    level: int = 0
    history: list[Step] = field(default_factory=list)
    best: Step | None = None
    descent: dict[str, object] | None = None

    @staticmethod
    def from_state(state: dict) -> "Progress":
        """How far the run had come of which this is the `state`."""
        ways, history, best = [cost.Way(*way) for way in state["ways"]], state["history"], Step(**state["best"])
        steps = [Step(**step) for step in history]
        return Progress(ways, best.image, state["level"], steps, best, state["descent"])

    def state(self, descent: Descent) -> dict[str, object]:
        """All of it between two steps, as plain values and tensors."""
        return {
            "ways": [(way.tile, way.pairs) for way in self.ways],
            "level": self.level,
            "history": [vars(step) for step in self.history],
            "best": vars(self.best),
            "descent": descent.state_dict(),
        }

    def add(self, step: Step, steps: int) -> Step:
        """Takes a step of the present scale into account; returns it as one of `steps` of the whole run."""
        if self.best is None or step.losses["total"] <= self.best.losses["total"]:
            self.best, self.image = step, step.image
        numbered = replace(step, index=len(self.history), steps=steps)
        self.history.append(replace(numbered, image=None))
        return numbered

    def end_scale(self) -> None:
        """On to the next one, from the best image of this one."""
        self.image = self.image.cpu()
        self.level, self.best, self.descent = self.level + 1, None, None


@dataclass(frozen=True)
class Result:
    """What a recipe returns.

    Attributes:
        image: the best image of the last scale, (1, 3, H, W) in [0, 1], on the CPU.
        history: every step in order, with its losses and without its image.
        status: `"finished"`; `"interrupted"`, stopped by hand (KeyboardInterrupt) before its end; or `"diverged"`: the
            loss was no longer finite, or exploded. The image is then the best one until there.
    """

    image: Tensor
    history: list[Step]
    status: str = FINISHED

    @property
    def interrupted(self) -> bool:
        """Whether the run was stopped by hand."""
        return self.status == INTERRUPTED

    @property
    def evaluations(self) -> int:
        """Forward and backward passes spent."""
        return len(self.history)


def stylize(
    content: Tensor,
    style: Tensor | Style | Sequence[Tensor | Style],
    *,
    backbone: Backbone | None = None,
    size: int = 512,
    steps: int = STEPS,
    seed: int = 0,
    start: str | Tensor = "content",
    color: str = "style",
    optimizer: str = "lbfgs",
    on_step: Callable[[Step], object] | None = None,
    checkpoint: str | PathLike | None = None,
    **weights,
) -> Result:
    """Paints the content in the style: Gatys et al., CVPR 2016, from coarse to fine.

    Args:
        content: image of any size; it is scaled to long side `size`.
        style: image of any size, which is scaled so too, with its own aspect ratio; or a `Style`; or a list of them.
        backbone: None takes slim on the CPU.
        size: long side of the result.
        steps: evaluations in all, most of them at the small scales; at least 2, because the first measures the start.
        seed: of the noise that `start="noise"` begins with; the same seed on the same machine gives the same picture.
            Without noise nothing is left to chance, and the seed makes no difference.
        start: `"content"` keeps the layout best; `"noise"` is the paper's; or an image.
        color: whose colors. `"style"`; `"content"`: only lightness is painted, and the content's colors are put over
            it; `"matched"`: the style is first given the content's mean and covariance of colors.
        optimizer: `"lbfgs"` or `"adam"`.
        on_step: called with each `Step`, for a progress bar or a live preview. It may raise `Stop`.
        checkpoint: a file for how far a long run has come, written every half minute or so. If it is there already, the
            run goes on from it, and on the same machine ends with the same picture, bit for bit, as if it had never
            been stopped; `on_step` is not called again for what was done. It is deleted when the run is done.
        **weights: of the `Objective`: style_weight, content_weight, style_layers, …

    Returns:
        A `Result`. Interrupting (Ctrl-C, or the notebook's stop button) returns the best image so far.

    Raises:
        ValueError: no pictures, a size too small or beyond the free memory, an unknown start or optimizer.
        CheckpointError: a checkpoint of other pictures or options, a damaged one, or one that cannot be written.
    """
    backbone = backbone or load_backbone("slim")
    content = check_image("content", content, size)
    styles = checked_styles(style, size)
    _check_steps(steps)
    kept = checkpoint and Checkpoint(
        checkpoint,
        {
            "content": content,
            "style": styles,
            "backbone": backbone,
            "precision": "bfloat16" if backbone.mixed else "float32",
            "device": backbone.mean.device.type,
            "size": size,
            "steps": steps,
            "seed": seed,
            "start": start,
            "color": color,
            "optimizer": optimizer,
            **weights,
        },
    )
    shape = tuple(content.shape[-2:])
    planned = plan(size, steps, [scaled_shape(*shape, size)], styles)
    content, styles, base, finish = _colored(color, content, styles, _base(start, content), size)
    project_at = partial(_projection, content, styles, backbone.mean.device)
    run = Run(shape, planned, backbone.mean.device, base, seed, optimizer, on_step, project_at, finish, kept)

    def objective_at(scale: int, make: type[Objective]) -> Objective:
        return make(backbone, _scaled(content, scale), [each.at(scale) for each in styles], **weights)

    return _coarse_to_fine(run, objective_at)


def synthesize_texture(
    style: Tensor | Style | Sequence[Tensor | Style],
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
    styles = checked_styles(style, size)
    _check_steps(steps)
    planned = plan(size, steps, [(size, size)], styles)
    project_at = partial(_projection, None, styles, backbone.mean.device)
    run = Run((1, 1), planned, backbone.mean.device, None, seed, optimizer, on_step, project_at)

    def objective_at(scale: int, make: type[Objective]) -> Objective:
        return make(backbone, style=[each.at(scale) for each in styles], **weights)

    return _coarse_to_fine(run, objective_at)


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
    size = size or max(as_image(image, "image").shape[-2:])
    image = check_image("image", image, size)
    # No more smoothing than needed: it would hide what the layer remembers.
    options = {"content_layers": [layer], "variation_weight": 0.01} | weights
    planned = [(size, steps)]
    run = Run(tuple(image.shape[-2:]), planned, backbone.mean.device, None, seed, optimizer, on_step)
    return _coarse_to_fine(run, lambda scale, make: make(backbone, _scaled(image, scale), **options))


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise ValueError(f"The first step only measures the start; ask for at least 2 steps, not {steps}.")


def _coarse_to_fine(run: Run, objective_at: cost.ObjectiveAt) -> Result:
    """Optimizes at each scale in turn; each starts from what the one before has brought."""
    size, _ = run.scales[-1]
    progress, status = _begun(run, objective_at), FINISHED
    while status == FINISHED and progress.level < len(run.scales):
        status = _paint(progress, objective_at, run)
        give_memory_back()  # what comes next, a larger scale or something else, finds no room between these pieces
    image = enlarged(progress.image, run.shape_at(size), run.base)
    if run.checkpoint and status != INTERRUPTED:
        run.checkpoint.remove()
    return Result(run.finish(image) if run.finish else image, progress.history, status)


def _begun(run: Run, objective_at: cost.ObjectiveAt) -> Progress:
    """Where the run goes on: at its start, or where its checkpoint says."""
    if run.checkpoint and (state := run.checkpoint.load()):
        return Progress.from_state(state)
    # The largest first: if it does not fit, that is said before any work.
    ways = [
        cost.fitting_way(objective_at, run.device, run.shape, scale, steps, run.optimizer)
        for scale, steps in reversed(run.scales)
    ]
    return Progress(ways[::-1], run.start())


def _paint(progress: Progress, objective_at: cost.ObjectiveAt, run: Run) -> str:
    """Goes through the present scale, or what is left of it; returns how that ended."""
    status = FINISHED
    try:
        descent = _descent(progress, objective_at, run)
        for step in descent:
            numbered = progress.add(step, run.steps)
            if run.on_step:
                run.on_step(replace(numbered, image=run.finish(step.image)) if run.finish else numbered)
            if run.checkpoint:
                run.checkpoint.offer(partial(progress.state, descent))
        status = DIVERGED if descent.diverged else FINISHED
    except KeyboardInterrupt as reason:
        status = INTERRUPTED
        if not isinstance(reason, Stop):
            warnings.warn(
                f"Interrupted after {len(progress.history)} of {run.steps} steps; this is the best image so far.",
                OptimizationWarning,
                stacklevel=4,
            )
    progress.end_scale()
    return status


def _descent(progress: Progress, objective_at: cost.ObjectiveAt, run: Run) -> Descent:
    """The loop of the present scale: at its start, or where a checkpoint says."""
    (scale, steps), way = run.scales[progress.level], progress.ways[progress.level]
    if not progress.descent:
        progress.image = enlarged(progress.image, run.shape_at(scale), run.base)
    objective, project = objective_at(scale, way.make), run.project_at(scale)
    history = min(way.pairs, steps) if run.optimizer == "lbfgs" else None
    descent = Descent(progress.image, objective, steps, optimizer=run.optimizer, project=project, history=history)
    if progress.descent:
        descent.load_state_dict(progress.descent)
        progress.descent = None  # tensors that it would hold twice
    return descent


def enlarged(image: Tensor, shape: tuple[int, int], base: Tensor | None) -> Tensor:
    """The image at a larger shape.

    What is enlarged is its difference from the base, the content. Added to the larger content, it brings the colors and
    strokes so far; fine detail, which the smaller image could not hold, is the content's own: a level of its Laplacian
    pyramid (Burt and Adelson, IEEE Transactions on Communications, 1983).
    """
    here = tuple(image.shape[-2:])
    if base is None or here == shape:
        return resize_to(image, shape)
    change = interpolate(image - resize_to(base, here), shape, mode="bicubic", antialias=True)
    return (resize_to(base, shape) + change).clamp(0, 1)


def plan(
    size: int, steps: int, shapes: Sequence[tuple[int, int]], styles: Sequence[Style] = ()
) -> list[tuple[int, int]]:
    """Long side and steps of each scale of a run.

    Left out are coarse scales at which a picture would be too narrow for the network, and those for which there are
    too few steps. Larger strokes begin at coarser scales: a network sees a stroke only as far as it reaches.

    Args:
        shapes: (H, W) of the other pictures, as they are at `size`.
        styles: what is painted.
    """
    stroke = max((style.scale for style in styles), default=1.0)
    shortest = min(min(shape) for shape in [*shapes, *(style.shape_at(size) for style in styles)])
    sizes = [scale for scale in scales(size, stroke) if scale == size or round(shortest * scale / size) >= SHORTEST]
    while len(sizes) > 1 and min(shares(steps, len(sizes), stroke)) < FEWEST:
        sizes = sizes[1:]
    return list(zip(sizes, shares(steps, len(sizes), stroke), strict=True))


def scales(size: int, stroke: float = 1.0) -> list[int]:
    """A quarter, half and all of the size, without those too small to help; of a poster an eighth and so on, too.

    For strokes twice as large, one coarser scale. What counts as small is the size of the style there: `stroke` times
    that of the picture.
    """
    sizes = [size]
    while (
        stroke * (sizes[0] // 2) >= SMALLEST
        and (len(sizes) < 3 + math.log2(stroke) or stroke * sizes[0] > COARSEST)
        and len(sizes) < max(SHARES)
    ):
        sizes.insert(0, size // 2 ** len(sizes))
    return sizes


def shares(steps: int, count: int, stroke: float = 1.0) -> list[int]:
    """How many of the steps each of `count` scales gets.

    A scale twice as fine adds strokes half as large, for which a large stroke has less use and a small one more.
    """
    weights = [share / stroke**level for level, share in enumerate(SHARES[count])]
    least = max(1, min(FEWEST, steps // count))
    counts = [max(least, round(steps * weight / sum(weights))) for weight in weights]
    counts[counts.index(max(counts))] += steps - sum(counts)
    return counts


def checked_styles(style: Tensor | Style | Sequence[Tensor | Style], size: int) -> list[Style]:
    """An image, a `Style` or a list of them, as a list; raises a `ValueError` for one that is none or too small."""
    check_size(size)
    styles = as_styles(style)
    return [replace(each, image=check_image("style", each.image, round(size * each.scale))) for each in styles]


def _base(start: str | Tensor, content: Tensor) -> Tensor | None:
    """The picture that a run starts from, on the CPU, where it is scaled: not every device can. None is noise."""
    if isinstance(start, Tensor):
        start = check_image("start", start, max(start.shape[-2:]))
        if abs(start.shape[-2] * content.shape[-1] / (start.shape[-1] * content.shape[-2]) - 1) > 0.05:
            raise ValueError("The start must have the content's proportions; crop or stretch it first.")
        return start.cpu()
    if start not in ("content", "noise"):
        raise ValueError(f"There is no start {start!r}. There are: content, noise, or an image.")
    return content.cpu() if start == "content" else None


def _colored(
    color: str, content: Tensor, styles: list[Style], base: Tensor | None, size: int
) -> tuple[Tensor, list[Style], Tensor | None, Callable[[Tensor], Tensor] | None]:
    """What is painted for that choice of colors: content, styles and base, and what then finishes each image."""
    if color == "style":
        return content, styles, base, None
    if color == "matched":
        matched = [compress(match_covariance(each.image, _painted_pixels(content, each.where))) for each in styles]
        return content, [replace(s, image=image) for s, image in zip(styles, matched, strict=True)], base, None
    if color != "content":
        raise ValueError(f"There is no color {color!r}. There are: style, content, matched.")

    def finish(image: Tensor) -> Tensor:
        own = resize_to(content.to(image.device), tuple(image.shape[-2:]))
        return with_luminance(own, luminance(image)).clamp(0, 1)

    grays = [replace(style, image=to_gray(style.image)) for style in styles]
    # Scaled first: the lightness of a smaller picture is not the smaller picture of its lightness.
    return to_gray(_scaled(content, size)), grays, None if base is None else to_gray(_scaled(base, size)), finish


def _painted_pixels(content: Tensor, where: Tensor | None) -> Tensor:
    """The pixels of the content that a style paints, as an image one pixel high; all of it without a mask."""
    if where is None:
        return content
    inside = resize_mask(where, tuple(content.shape[-2:]))[0, 0] > 0.5
    return content[:, :, inside][:, :, None] if bool(inside.any()) else content


def _projection(
    content: Tensor | None, styles: list[Style], device: torch.device, size: int
) -> Callable[[Tensor], Tensor] | None:
    """image → the nearest one that has only colors of the sources, and is the content where no style paints."""
    sources = [style.image for style in styles] + ([] if content is None else [content])
    colors = color_span(sources)
    painted = None if any(style.where is None for style in styles) else union([style.where for style in styles])
    if colors is None and painted is None:
        return None

    def project(image: Tensor) -> Tensor:
        image = image if colors is None else colors(image)
        return image if painted is None else own + mask * (image - own)

    if painted is not None:
        own = _scaled(content, size).to(device)
        mask = resize_mask(painted, tuple(own.shape[-2:])).to(device)
    return project


def _scaled(image: Tensor, size: int) -> Tensor:
    return resize_to(image, scaled_shape(*image.shape[-2:], size))


def _noise(shape: tuple[int, int], seed: int) -> Tensor:
    """Mid-gray with a little Gaussian noise, (1, 3, *shape); drawn on the CPU, so the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + 0.15 * torch.randn(1, 3, *shape, generator=generator)).clamp(0, 1)


def check_image(role: str, image: Tensor, smallest: int) -> Tensor:
    """The image in float32.

    Raises:
        ValueError: it is no image, or its short side is too short when its long side is `smallest`.
    """
    image = as_image(image, role)
    if min(scaled_shape(*image.shape[-2:], smallest)) < SHORTEST:
        raise ValueError(
            f"The short side of the {role} would be under {SHORTEST} pixels, too little for the network's deep layers; "
            "choose a larger size or a less narrow picture."
        )
    return image
