"""The pixel optimization loop: a generator that yields one step after another."""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from .adam import Adam
from .lbfgs import FIRST_MOVE, HISTORY, LBFGS
from .objective import Objective
from .spectrum import spectrum

# L-BFGS now and then takes one wild step and learns from it. If the loss stays this many times above the best one for
# more steps than PATIENCE, what it has learned is of no use: it starts anew from the best image. So it does if for more
# steps than PATIENCE it learned nothing (there is no pair to keep where the loss curves downward) and only creeps.
EXPLODED, PATIENCE, RESTARTS = 100.0, 3, 3
ENORMOUS = 1e30  # the gradients of such a loss, squared and summed, leave the range of float32
RATES = {"lbfgs": 1.0, "adam": 0.05}


Solver = LBFGS | Adam


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
    project: Callable[[Tensor], Tensor] | None = None,
    history: int | None = None,
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
            `"adam"` (on its pixels: on the spectrum it ends higher).
        learning_rate: None takes 1 for L-BFGS and 0.05 for Adam.
        project: image → the nearest image that is allowed, a linear map: each image seen is such a one.
        history: past steps that L-BFGS remembers, each as large as two images; None takes 20.

    Raises:
        ValueError: an unknown optimizer, fewer than one step, a history of none, or one for Adam, which has none, or a
            rate that is negative or no number.
    """
    settings = {"optimizer": optimizer, "learning_rate": learning_rate, "project": project, "history": history}
    yield from Descent(image, objective, steps, **settings)


class Descent:
    """What `optimize` runs. Iterating gives the steps; between two of them all of it can be kept, and gone on with.

    Args:
        as of `optimize`.

    Attributes:
        index: how many steps were made.
        best: the one with the lowest total.
        diverged: whether the loss stopped being finite, or exploded again and again, so that no more steps come.
    """

    def __init__(
        self,
        image: Tensor,
        objective: Objective,
        steps: int = 200,
        *,
        optimizer: str = "lbfgs",
        learning_rate: float | None = None,
        project: Callable[[Tensor], Tensor] | None = None,
        history: int | None = None,
    ):
        if steps < 1:
            raise ValueError(f"The loop needs at least one step; {steps} were asked for.")
        if history is not None and optimizer != "lbfgs":
            raise ValueError("Only L-BFGS has a history; leave it out.")
        if history is not None and history < 1:
            raise ValueError(f"A history holds at least one step; {history} were asked for.")
        if learning_rate is not None and not 0 <= learning_rate < ENORMOUS:
            raise ValueError(f"A learning rate is a number that is neither negative nor enormous, not {learning_rate}.")
        self.objective, self.steps, self.project = objective, steps, project or (lambda image: image)
        self.index, self.explosions, self.diverged = 0, 0, False
        self.best: Step | None = None
        self._settings = optimizer, learning_rate, history or HISTORY
        self._begin(image.detach())

    def __iter__(self) -> Iterator[Step]:
        while self.index < self.steps:
            step = self._step()
            self.best = _better(step, self.best)
            self.index += 1
            exploded, creeps = self._watch.exploded(step, self.best), self._watch.creeps(step, self.best)
            if not math.isfinite(step.losses["total"]) or (exploded and self.explosions == RESTARTS):
                self.diverged = True
                yield from _give_up(step, self.best)
                return
            if exploded or creeps:
                self.explosions += exploded
                # Where it is downward all the way, a longer one.
                self._begin(self.best.image, FIRST_MOVE if self._watch.learned else 2 * self._solver.first_move)
            yield step

    def state_dict(self) -> dict[str, object]:
        """All that the next step depends on besides the objective, as plain values and the tensors themselves."""
        return {
            "index": self.index,
            "explosions": self.explosions,
            "best": vars(self.best),
            "variables": self._variables.detach(),
            "solver": self._solver.state_dict(),
            "watch": self._watch.state_dict(),
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Goes on where a `state_dict` was taken: every later step is the same, bit for bit."""
        self.index, self.explosions, self.best = state["index"], state["explosions"], Step(**state["best"])
        self._begin(self.best.image)
        self._variables.data = state["variables"].to(self.objective.device)
        self._solver.load_state_dict(state["solver"])
        self._watch.load_state_dict(state["watch"])

    def _begin(self, image: Tensor, first_move: float = FIRST_MOVE) -> None:
        """A new solver, which knows nothing yet, at this image."""
        image = image.to(self.objective.device)
        self._solver, self._variables, self._pixels = _solver(*self._settings, image, first_move)
        self._watch = _Watch(self._solver)

    def _step(self) -> Step:
        """One evaluation and one move; its losses and its image are from before the move."""
        losses, image = self._evaluate()
        self._solver.step()
        losses = {name: loss.item() for name, loss in losses.items()}  # last, because it waits for the device
        return Step(self.index, losses, image, self.steps, tuple(image.shape[-2:]))

    def _evaluate(self) -> tuple[dict[str, Tensor], Tensor]:
        """The losses and a clamped copy of the present image; the variables have the gradient."""
        image = self.project(self._pixels())
        losses = self.objective(image)
        self._solver.zero_grad()
        losses["total"].backward()
        return losses, image.detach().clamp(0, 1)


class _Watch:
    """Notices that a solver is lost, in one of L-BFGS's two ways (see `PATIENCE`); Adam knows only the first."""

    def __init__(self, solver: Solver):
        self.solver, self.high, self.idle = solver, 0, 0
        self.newest: object = self  # no pair: at the first step there is nothing to compare with

    def exploded(self, step: Step, best: Step) -> bool:
        """Whether the loss has stayed far above the best one for more than PATIENCE steps."""
        self.high = self.high + 1 if step.losses["total"] > EXPLODED * best.losses["total"] else 0
        return self.high > PATIENCE

    def creeps(self, step: Step, best: Step) -> bool:
        """Whether each step is a little better and nothing has been learned from the last ones."""
        if not isinstance(self.solver, LBFGS):
            return False
        before, self.newest = self.newest, self.solver.pairs[-1] if self.solver.pairs else None
        self.idle = self.idle + 1 if self.newest is before and step is best else 0
        return self.idle > (PATIENCE if self.learned else 0)

    @property
    def learned(self) -> bool:
        """Whether the solver has learned anything since it started."""
        return self.newest is not None

    def state_dict(self) -> dict[str, object]:
        return {"high": self.high, "idle": self.idle, "looked": self.newest is not self}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """After the solver's: between two steps, the newest pair seen is the newest that there is."""
        self.high, self.idle = state["high"], state["idle"]
        if state["looked"]:
            self.newest = self.solver.pairs[-1] if self.solver.pairs else None


def _better(step: Step, best: Step | None) -> Step:
    """The one with the lower total; a NaN is never lower."""
    return step if best is None or step.losses["total"] < best.losses["total"] else best


def _solver(
    name: str, learning_rate: float | None, history: int, start: Tensor, first_move: float
) -> tuple[Solver, Tensor, Callable[[], Tensor]]:
    """An optimizer, its variables, and a function that gives the image as they have it now."""
    if name not in RATES:
        raise ValueError(f"There is no optimizer {name!r}. There are: {', '.join(RATES)}.")
    rate = RATES[name] if learning_rate is None else learning_rate
    if name == "adam":
        pixels = start.clone().requires_grad_()
        return Adam(pixels, rate), pixels, lambda: pixels
    coefficients, to_image = spectrum(start)
    coefficients = coefficients.contiguous().requires_grad_()
    return LBFGS(coefficients, rate, history, first_move), coefficients, lambda: to_image(coefficients)


def _give_up(step: Step, best: Step) -> Iterator[Step]:
    found = math.isfinite(best.losses["total"])
    kept = f"the image of step {best.index} is kept" if found else "the start itself has no finite loss"
    warnings.warn(
        f"The loss became {step.losses['total']:.3g} at step {step.index}; {kept}. {_cause(step, best)}",
        OptimizationWarning,
        stacklevel=3,
    )
    if found:
        yield best


def _cause(step: Step, best: Step) -> str:
    """What probably went wrong, as a sentence. At the start it cannot have been the steps."""
    terms = {name: loss for name, loss in step.losses.items() if name != "total"}
    if math.isfinite(best.losses["total"]) and best.losses["total"] < ENORMOUS:
        return "A smaller learning rate or style weight may help."
    if broken := [name for name, loss in terms.items() if step is best and not math.isfinite(loss)]:
        return f"The {' and '.join(broken)} loss is too large for its numbers; look for such values in the pictures."
    return "The weights are too large for float32; smaller ones will help."
