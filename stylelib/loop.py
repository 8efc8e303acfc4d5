"""The pixel optimization loop: a generator that yields one step after another."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from .objective import Objective
from .spectrum import spectrum

# L-BFGS now and then takes one wild step and learns from it. If the loss stays this many times above the best one for
# more steps than PATIENCE, what it has learned is of no use: it starts anew from the best image. So it does if for more
# steps than PATIENCE it learned nothing (torch keeps no pair from where the loss curves downward) and only creeps.
EXPLODED, PATIENCE, RESTARTS = 100.0, 3, 3

# L-BFGS (Liu and Nocedal 1989) takes full steps and keeps this many pairs of past steps and gradient changes. torch's
# default tolerances stop it early, without a word, when losses are small; zeros let the number of steps decide.
# torch's first step moves all variables together by 1, next to nothing each: the change of the gradient is then mostly
# rounding noise, and so is the first curvature. We move each by FIRST_MOVE on average instead.
LBFGS = {"lr": 1.0, "max_iter": 1, "history_size": 20, "tolerance_grad": 0.0, "tolerance_change": 0.0}
FIRST_MOVE = 0.01
ADAM = {"lr": 0.05}


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
        shape: (H, W), which changes from scale to scale.
    """

    index: int
    losses: dict[str, float]
    image: Tensor | None
    steps: int
    shape: tuple[int, int]


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

    If the loss stops being finite, or explodes again and again, an `OptimizationWarning` says so and the last step
    yielded is the best one so far.

    Args:
        image: where to start, (1, 3, H, W); it is copied, not changed.
        objective: image → losses with a `"total"`.
        steps: number of evaluations.
        optimizer: `"lbfgs"`, which learns the curvature and needs few evaluations (on the picture's `spectrum`), or
            `"adam"` (on its pixels: it scales each variable by itself, and the spectrum did not help it).
        learning_rate: None takes 1 for L-BFGS and 0.05 for Adam.

    Raises:
        ValueError: an unknown optimizer, or fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"The loop needs at least one step; {steps} were asked for.")
    solver, pixels = _solver(optimizer, image.detach().to(objective.device), learning_rate)
    seen: dict[str, Tensor] = {}

    def closure() -> Tensor:
        solver.zero_grad()
        image = pixels()
        losses = objective(image)
        losses["total"].backward()
        seen.update(losses, image=image.detach().clamp(0, 1))  # a copy, from before the update
        return losses["total"]

    best: Step | None = None
    move, explosions, watch = FIRST_MOVE, 0, _Watch(solver)
    for index in range(steps):
        with _first_step_scaled(solver, move):
            solver.step(closure)
        current = seen.pop("image")
        losses = {name: loss.item() for name, loss in seen.items()}
        step = Step(index, losses, current, steps, tuple(current.shape[-2:]))
        best = _better(step, best)
        exploded, creeps = watch.exploded(step, best), watch.creeps(step, best)
        if not math.isfinite(losses["total"]) or (exploded and explosions == RESTARTS):
            yield from _give_up(step, best)
            return
        if exploded or creeps:
            explosions += exploded
            move = FIRST_MOVE if watch.learned else 2 * move  # downward all the way: a longer one
            solver, pixels = _solver(optimizer, best.image, learning_rate)
            watch = _Watch(solver)
        yield step


class _Watch:
    """Notices that a solver is lost, in one of L-BFGS's two ways (see `PATIENCE`); Adam knows only the first."""

    def __init__(self, solver: torch.optim.Optimizer):
        self.solver, self.high, self.idle = solver, 0, 0
        self.newest: object = self  # no pair: at the first step there is nothing to compare with

    def exploded(self, step: Step, best: Step) -> bool:
        """Whether the loss has stayed far above the best one for more than PATIENCE steps."""
        self.high = self.high + 1 if step.losses["total"] > EXPLODED * best.losses["total"] else 0
        return self.high > PATIENCE

    def creeps(self, step: Step, best: Step) -> bool:
        """Whether each step is a little better and nothing has been learned from the last ones."""
        if not isinstance(self.solver, torch.optim.LBFGS):
            return False
        before, self.newest = self.newest, _newest_pair(self.solver)
        self.idle = self.idle + 1 if self.newest is before and step is best else 0
        return self.idle > (PATIENCE if self.learned else 0)

    @property
    def learned(self) -> bool:
        """Whether the solver has learned anything since it started."""
        return self.newest is not None


def _better(step: Step, best: Step | None) -> Step:
    """The one with the lower total; a NaN is never lower."""
    return step if best is None or step.losses["total"] < best.losses["total"] else best


def _solver(
    name: str, start: Tensor, learning_rate: float | None
) -> tuple[torch.optim.Optimizer, Callable[[], Tensor]]:
    """An optimizer, and a function that gives the image as the optimizer's variables have it now."""
    changed = {} if learning_rate is None else {"lr": learning_rate}
    if name == "lbfgs":
        coefficients, to_image = spectrum(start)
        # L-BFGS flattens the gradient with view(-1), which only contiguous variables allow.
        coefficients = coefficients.contiguous().requires_grad_()
        return torch.optim.LBFGS([coefficients], **(LBFGS | changed)), lambda: to_image(coefficients)
    if name == "adam":
        pixels = start.clone().requires_grad_()
        return torch.optim.Adam([pixels], **(ADAM | changed)), lambda: pixels
    raise ValueError(f"There is no optimizer {name!r}. There are: lbfgs, adam.")


@contextmanager
def _first_step_scaled(solver: torch.optim.Optimizer, move: float) -> Iterator[None]:
    """During L-BFGS's first step, raises the learning rate so that each variable moves by `move` on average."""
    (group,) = solver.param_groups
    first = isinstance(solver, torch.optim.LBFGS) and not solver.state
    factor = move * sum(variables.numel() for variables in group["params"]) if first else 1.0
    group["lr"] *= factor
    yield
    group["lr"] /= factor


def _newest_pair(solver: torch.optim.Optimizer) -> Tensor | None:
    """The last step that L-BFGS learned from; None before there is one."""
    steps = solver.state[solver.param_groups[0]["params"][0]].get("old_stps")
    return steps[-1] if steps else None


def _give_up(step: Step, best: Step) -> Iterator[Step]:
    found = math.isfinite(best.losses["total"])
    kept = f"the image of step {best.index} is kept" if found else "the start itself has no finite loss"
    warnings.warn(
        f"The loss became {step.losses['total']:.3g} at step {step.index}; {kept}. "
        "A smaller learning rate or style weight may help.",
        OptimizationWarning,
        stacklevel=3,
    )
    if found:
        yield best
