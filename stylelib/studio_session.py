"""One visitor's session in the studio, without any widget: previews, runs, and what there is to see meanwhile."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from os import PathLike

from torch import Tensor

from . import console
from .backbones import has_weights
from .loop import Step
from .studio_folder import Entry, Folder
from .studio_preview import memory, pace, preview, work
from .studio_recipe import PAINT, Recipe, backbone
from .studio_worker import Job, Pace, Worker


@dataclass(frozen=True)
class Look:
    """What there is to see now.

    Attributes:
        state: "preview", "measured" (costs are known now), "running", "finished", "stopped" (without an entry: before
            anything was painted) or "failed".
        recipe: of the picture.
        image: (1, 3, H, W); None where there is none.
        history: losses of each step so far.
        says: what went wrong, in a sentence.
        entry: the finished picture in the folder.
        seconds: that it took.
    """

    state: str
    recipe: Recipe
    image: Tensor | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    says: str = ""
    entry: Entry | None = None
    seconds: float = 0.0


class Session:
    """Previews and runs, one at a time, in a thread beside the kernel's.

    Args:
        folder: for finished pictures.
        show: called with each `Look`, in that thread, which then holds the `lock`.

    Attributes:
        lock: who holds it is not interrupted by news, and gets none of what was started before.
        job: the latest one.
        rates: backbone → seconds for each evaluation and pixel, as far as measured.
        drawing: how much of the time of the latest run went into showing it.
    """

    def __init__(self, folder: str | PathLike, show: Callable[[Look], object]):
        self.folder, self.show = Folder(folder), show
        self.worker, self.lock = Worker(), threading.RLock()
        self.rates: dict[str, float] = {}
        self.job: Job | None = None
        self.drawing = Pace()

    def preview(self, recipe: Recipe) -> Job:
        """Shows about what a run would bring; then finds out what it would cost."""
        return self._start(recipe, self._preview)

    def run(self, recipe: Recipe) -> Job:
        """Paints, and puts the picture into the folder; so it does if it is stopped, with the best one so far."""
        return self._start(recipe, self._run)

    def stop(self) -> None:
        """Stops what is being done after the evaluation that is under way."""
        if self.job:
            self.job.stop()

    def estimate(self, recipe: Recipe) -> tuple[float, float] | None:
        """Seconds and bytes of a run; None as long as nobody knows."""
        if recipe.method != PAINT or recipe.backbone not in self.rates:
            return None
        return self.rates[recipe.backbone] * work(recipe), memory(recipe)

    def close(self) -> None:
        """Ends the thread."""
        self.worker.close()

    def _start(self, recipe: Recipe, work: Callable[[Recipe, Job], object]) -> Job:
        def guarded(job: Job) -> None:
            try:
                work(recipe, job)
            except Exception as error:
                self._tell(job, Look("failed", recipe, says=said(error)))
                raise

        with self.lock:
            self.job = self.worker.start(guarded)
        return self.job

    def _tell(self, job: Job, look: Look) -> None:
        """Shows it, unless something newer has been started."""
        with self.lock:
            if job is self.job and not (job.stopped and look.state in ("preview", "measured")):
                self.show(look)

    def _preview(self, recipe: Recipe, job: Job) -> None:
        job.check()
        drawing = Pace()

        def on_image(image: Tensor) -> None:
            job.check()
            drawing.draw(lambda: self._tell(job, Look("preview", recipe, image)))

        image = preview(recipe, on_image)
        job.check()  # a stopped transfer returns what it has
        self._tell(job, Look("preview", recipe, image))
        if recipe.backbone not in self.rates and has_weights(recipe.backbone):
            self.rates[recipe.backbone] = pace(backbone(recipe.backbone, recipe.device))
        self._tell(job, Look("measured", recipe))

    def _run(self, recipe: Recipe, job: Job) -> None:
        history: list[dict[str, float]] = []
        self.drawing = drawing = Pace()

        def on_step(step: Step) -> None:
            history.append(step.losses)
            drawing.draw(lambda: self._tell(job, Look("running", recipe, step.image, history)))
            job.check()

        if job.stopped:
            return self._tell(job, Look("stopped", recipe))
        began = time.monotonic()
        image = recipe.paint(on_step)
        seconds, cut = time.monotonic() - began, job.stopped and len(history) < recipe.steps
        if history and not cut:
            self.rates[recipe.backbone] = seconds / work(recipe)
        made = replace(recipe, stopped=len(history) if cut else 0)
        entry = self.folder.add(image, made)
        self._tell(job, Look("stopped" if cut else "finished", made, image, history, "", entry, seconds))


def said(error: Exception) -> str:
    """What to tell of an error, in a sentence."""
    sentence = console.sentence(error)
    if sentence is None:
        return f"This should not have happened ({type(error).__name__}: {error}); other settings may do."
    return sentence.replace("not enough", "Not enough").replace("--size", "size")
