"""Files that are written whole or not at all."""

import errno
import glob
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from secrets import token_hex


@contextmanager
def replacing(file: str | PathLike) -> Iterator[Path]:
    """Gives a new name in the same folder to write to; at the end, what was written takes the place of `file`.

    If anything goes wrong before, a full disk or Ctrl-C, `file` is as it was, and nothing lies beside it.

    Raises:
        OSError: `file` is a folder, may not be written to, or its folder may not.
    """
    target, beside = _target_and_beside(file)
    try:
        yield beside
        if target.exists():
            shutil.copymode(target, beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def check_plain(file: str | PathLike) -> None:
    """Raises the `OSError` that opening would, and one for a pipe or a device, which may never come to an end."""
    if "\0" in os.fsdecode(file):
        raise OSError(errno.EINVAL, "no name of a file holds a null character")
    mode = os.stat(file).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")


def remove_leftovers(file: str | PathLike) -> None:
    """Deletes what writers of `file` have left beside it that were killed in the middle."""
    target = Path(os.path.realpath(file))
    token = "[0-9a-f]" * 8
    for beside in target.parent.glob(glob.escape(_stem(target)) + token + glob.escape(target.suffix)):
        beside.unlink(missing_ok=True)


def check_writable(file: str | PathLike) -> None:
    """Raises the `OSError` that `replacing` would."""
    beside = _target_and_beside(file)[1]
    beside.touch()
    beside.unlink()


def _target_and_beside(file: str | PathLike) -> tuple[Path, Path]:
    target = Path(os.path.realpath(file))  # of a link, what it points to is replaced
    if target.exists():
        check_plain(target)
        target.open("ab").close()  # a folder, a file that is protected: only trying tells
    return target, target.with_name(f"{_stem(target)}{token_hex(4)}{target.suffix}")


def _stem(target: Path) -> str:
    """How the hidden names beside a file begin; names have limits."""
    return f".{target.stem[:48]}-"
