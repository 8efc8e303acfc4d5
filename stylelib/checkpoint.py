"""A long run, kept in a file while it goes on: whoever kills it, a power cut or a time limit, costs minutes at most."""

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from . import files

SECONDS = 30.0  # from one writing to the next, at least; a short run writes none
SHARE = 0.02  # of a run's time that may go into writing: a poster's state takes gigabytes


class CheckpointError(ValueError):
    """A checkpoint that cannot be gone on with, or written. The message is one sentence that names the file."""


class CheckpointWarning(UserWarning):
    """No further checkpoints can be written, and the run goes on without."""


class Checkpoint:
    """A file that holds how far a run has come. It is written beside its place and renamed: there is never half of one.

    Args:
        file: where it is.
        job: name → value, see `digest`: what makes a run what it is. That of another one cannot be gone on with.

    Raises:
        CheckpointError: the file, or a new one in its place, cannot be written.
    """

    def __init__(self, file: str | PathLike, job: Mapping[str, object]):
        self.file = Path(file)
        self._job = {name: digest(value) for name, value in job.items()}
        self._due = time.monotonic() + SECONDS
        try:
            if self.file.exists():
                files.check_plain(self.file)  # reading a pipe would wait for ever
            files.check_writable(self.file)
            files.remove_leftovers(self.file)  # they may be gigabytes
        except OSError as error:
            raise CheckpointError(f"Cannot write the checkpoint {self.file}: {error.strerror or error}.") from error

    def load(self) -> dict | None:
        """What was kept last, its tensors on the CPU; None if there is no file.

        Nothing in the file can run code (`weights_only`), and a digest tells a changed one.

        Raises:
            CheckpointError: it is damaged, or of another job; the message says what differs.
        """
        try:
            with self.file.open("rb") as file:
                kept = _whole(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"Cannot read the checkpoint {self.file}: {error.strerror or error}.") from error
        if kept is None:
            raise CheckpointError(f"{self.file} is no checkpoint, or was cut off or changed; delete it to begin anew.")
        names = {**self._job, **kept["job"]}
        if others := [name for name in names if self._job.get(name) != kept["job"].get(name)]:
            raise CheckpointError(
                f"The run kept in {self.file} has another {', '.join(others)}; ask for the same, or delete that file."
            )
        return kept["state"]

    def offer(self, state: Callable[[], dict]) -> None:
        """Keeps a state of plain values and tensors, if it is time to."""
        began = time.monotonic()
        if began < self._due:
            return
        try:
            self._write(state())
        except (OSError, RuntimeError) as error:  # torch has the second for a full disk
            self._due = float("inf")
            warnings.warn(
                f"Cannot write the checkpoint {self.file} ({getattr(error, 'strerror', None) or 'the disk may be full'}"
                "); the run goes on without.",
                CheckpointWarning,
                stacklevel=2,
            )
        else:
            now = time.monotonic()
            self._due = now + max(SECONDS, (now - began) / SHARE)

    def remove(self) -> None:
        """Deletes the file: the run is done."""
        self.file.unlink(missing_ok=True)

    def _write(self, state: dict) -> None:
        with files.replacing(self.file) as place, place.open("wb") as beside:  # given a name, torch wants a stem in it
            kept = {"job": self._job, "state": state, "digest": digest([self._job, state])}
            torch.save(kept, beside)


def _whole(file: BinaryIO) -> dict | None:
    """What the file holds; None if it is not what was written."""
    try:
        kept = torch.load(file, map_location="cpu", weights_only=True)
        return kept if kept["digest"] == digest([kept["job"], kept["state"]]) else None
    except Exception:  # there is hardly a type that reading a damaged archive does not raise
        return None


def digest(value: object) -> str:
    """SHA-256 of a value made of tensors, networks, numbers, texts, dataclasses, lists and dictionaries.

    Equal values have equal digests, in any process.
    """
    found = hashlib.sha256()
    _feed(found.update, value)
    return found.hexdigest()


def _feed(update: Callable, value: object) -> None:
    if isinstance(value, Tensor):
        update(f"{value.dtype} {tuple(value.shape)};".encode())
        update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, nn.Module):
        _feed(update, [str(value), dict(value.state_dict())])
    elif is_dataclass(value):
        _feed(update, [type(value).__name__, vars(value)])
    elif isinstance(value, Mapping):
        _feed(update, [part for item in value.items() for part in item])
    elif isinstance(value, (list, tuple)):
        update(f"{len(value)} values;".encode())
        for each in value:
            _feed(update, each)
    else:
        update(f"{type(value).__name__} {value!r};".encode())
