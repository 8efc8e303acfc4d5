"""A film in the making: its finished frames, as files in a folder beside it. Killing it loses one frame at most."""

import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import psutil
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
        self._check_free()
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

    def claim(self) -> None:
        """Says that this process makes the film now, so that no other one begins with it."""
        self._check_free()
        self.folder.mkdir(exist_ok=True)
        self._owner.write_text(f"{os.getpid()} {psutil.Process().create_time()}")

    def release(self) -> None:
        """Leaves the frames, if there are any, to whoever goes on with them."""
        self._owner.unlink(missing_ok=True)
        if not len(self):
            self.remove()

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

    @property
    def _owner(self) -> Path:
        return self.folder / "process"

    def _check_free(self) -> None:
        """Raises a `ClipError` if another process makes this film. One that was killed does not any more."""
        try:
            number, began = self._owner.read_text().split()
            alive = psutil.Process(int(number)).create_time() == float(began)
        except (OSError, ValueError, psutil.Error):
            return
        if alive and int(number) != os.getpid():
            raise ClipError(
                f"Another run, process {number}, is making {self.folder.stem}; wait for it, or choose another name."
            )

    def _kept(self) -> dict | None:
        try:
            kept = torch.load(self.folder / "state.pt", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise ClipError(f"{self.folder} is damaged; delete it.") from error
        if not all(self._picture(index).exists() for index in range(len(kept["times"]))):
            raise ClipError(f"{self.folder} is damaged, frames are missing in it; delete it.")
        return kept

    def _picture(self, index: int) -> Path:
        return self.folder / f"{index + 1:06}.png"
