"""The pixel optimization loop: a generator that yields one step after another."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .objective import Objective

EXPLODED = 1e3  # a total loss this many times the first one will not come back

# L-BFGS (Liu and Nocedal 1989) takes full steps and keeps this many pairs of past steps and gradient changes. torch's
# default tolerances stop it early, without a word, when losses are small; zeros let the number of steps decide.
LBFGS = {"lr": 1.0, "max_iter": 1, "history_size": 20, "tolerance_grad": 0.0, "tolerance_change": 0.0}
ADAM = {"lr": 0.02}


class OptimizationWarning(UserWarning):
    """The loop ended early. The message says why, and which image was kept."""


@dataclass(frozen=True)
class Step:
    """One step of the optimization.

    Attributes:
        index: how many updates the image has had; step 0 is the start.
        losses: name → value, of exactly this image; `"total"` is what is minimized.
        image: (1, 3, H, W), a copy, clamped to [0, 1]; None where steps are kept only for their losses.
        steps: how many steps were asked for, for progress bars.
    """

    index: int
    losses: dict[str, float]
    image: Tensor | None
    steps: int


def optimize(
    image: Tensor,
    objective: Objective,
    steps: int = 200,
    *,
    optimizer: str = "lbfgs",
    learning_rate: float | None = None,
) -> Iterator[Step]:
    """Changes the pixels of `image`, step by step, so that `objective` falls.

    One step is one *evaluation*: one forward and one backward pass. Being a generator, it can be watched, timed, drawn
    or left early with the `for` loop around it:

        for step in optimize(content, objective, steps=200):
            print(step.index, step.losses["total"])

    If the loss stops being finite or explodes, an `OptimizationWarning` says so and the last step yielded is the best
    one so far.

    Args:
        image: where to start, (1, 3, H, W); it is copied, not changed.
        objective: image → losses with a `"total"`.
        steps: number of evaluations.
        optimizer: `"lbfgs"`, which learns the curvature and needs few evaluations, or `"adam"`.
        learning_rate: None takes 1 for L-BFGS and 0.02 for Adam.

    Raises:
        ValueError: an unknown optimizer, or fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"The loop needs at least one step; {steps} were asked for.")
    # L-BFGS flattens the gradient with view(-1), which only a contiguous image allows.
    pixels = image.detach().to(objective.device).clone(memory_format=torch.contiguous_format).requires_grad_()
    solver = _solver(optimizer, pixels, learning_rate)
    seen: dict[str, Tensor] = {}

    def closure() -> Tensor:
        solver.zero_grad()
        losses = objective(pixels)
        losses["total"].backward()
        seen.update(losses)
        return losses["total"]

    first, best = None, None
    for index in range(steps):
        before = pixels.detach().clamp(0, 1)  # a copy: the losses belong to the pixels before the update
        solver.step(closure)
        losses = {name: loss.item() for name, loss in seen.items()}
        first = losses["total"] if first is None else first
        if not math.isfinite(losses["total"]) or losses["total"] > EXPLODED * max(first, 1.0):
            yield from _give_up(losses["total"], index, best)
            return
        step = Step(index, losses, before, steps)
        best = step if best is None or losses["total"] < best.losses["total"] else best
        yield step


def _solver(name: str, pixels: Tensor, learning_rate: float | None) -> torch.optim.Optimizer:
    changed = {} if learning_rate is None else {"lr": learning_rate}
    if name == "lbfgs":
        return torch.optim.LBFGS([pixels], **(LBFGS | changed))
    if name == "adam":
        return torch.optim.Adam([pixels], **(ADAM | changed))
    raise ValueError(f"There is no optimizer {name!r}. There are: lbfgs, adam.")


def _give_up(total: float, index: int, best: Step | None) -> Iterator[Step]:
    kept = f"the image of step {best.index} is kept" if best else "nothing can be kept: the start already had it"
    warnings.warn(
        f"The loss became {total:.3g} at step {index}; {kept}. A smaller learning rate or style weight may help.",
        OptimizationWarning,
        stacklevel=3,
    )
    if best:
        yield best
