"""A film in the making: its finished frames, as files in a folder beside it. Killing it loses one frame at most."""

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from .clips import ClipError, Frame
from .files import replacing
from .images import load_image, save_image


class Reel:
    """Finished frames, each a PNG, and what the next one needs to know besides.

    Args:
        film: the file that they will become; the folder has its name and ends in .frames.
        job: what makes the frames what they are, as plain values: those of another job cannot be gone on with.
        resume: whether to go on with frames that are there.

    Raises:
        ClipError: there are finished frames, and they are not to be gone on with, or were made otherwise.
    """

    def __init__(self, film: Path, job: dict[str, object], resume: bool):
        self.folder = film.with_name(f"{film.name}.frames")
        self._state = {"job": job, "times": [], "memory": None}
        kept = self._kept()
        if not kept:
            return
        if not resume:
            raise ClipError(
                f"{self.folder} holds {len(kept['times'])} finished frames of an earlier run; "
                "go on with it (--resume), or delete that folder."
            )
        if kept["job"] != job:
            others = ", ".join(name for name in job if kept["job"].get(name) != job[name])
            raise ClipError(
                f"The frames in {self.folder} were made with another {others}; ask for the same, or delete that folder."
            )
        self._state = kept

    def __len__(self) -> int:
        return len(self._state["times"])

    @property
    def memory(self) -> object:
        """What was added with the last frame."""
        return self._state["memory"]

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        """The finished frames in order, read one by one, without the first `skip`."""
        for index, time in enumerate(self._state["times"][skip:], skip):
            yield Frame(load_image(self._picture(index)), Fraction(time))

    def add(self, image: Tensor, time: Fraction, memory: object) -> None:
        """Keeps a finished frame. It counts when the state is written, which is done last and at once."""
        self.folder.mkdir(exist_ok=True)
        save_image(image, self._picture(len(self)))
        self._state["times"].append(str(time))
        self._state["memory"] = memory
        with replacing(self.folder / "state.pt") as file:
            torch.save(self._state, file)

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kept(self) -> dict | None:
        try:
            return torch.load(self.folder / "state.pt", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise ClipError(f"{self.folder} is damaged; delete it.") from error

    def _picture(self, index: int) -> Path:
        return self.folder / f"{index + 1:06}.png"
