"""What a shell sees: lines for people, which never fail to be printed, and exit statuses."""

import codecs
import os
import sys
import traceback
from pathlib import Path
from typing import TextIO

PACKAGE = Path(__file__).parent
USER_ERROR, INTERRUPTED = 2, 130  # 130 is what shells report for Ctrl-C
PLAIN = {"×": "x", "–": "-", "’": "'", "…": "..."}


def prepare() -> None:
    """Has standard output and error write what their encoding lacks (code page 437 has no ×) in plain characters."""
    codecs.register_error("plain", _plain)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: what is printed is dropped
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (to the end of the process)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where they are captured
            stream.reconfigure(errors="plain")


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints a line; where nobody reads any more, a closed pipe, a terminal that is gone, this and all further ones
    are dropped. `stream` None is standard output."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python flushes once more when it ends


def complain(text: str) -> None:
    """Prints a line on standard error."""
    say(f"stylelib: {text}", sys.stderr)


def sentence(error: Exception) -> str | None:
    """What to tell the user of an error; None if it is a mistake of the program.

    Every `ValueError` that this package raises carries a sentence for the user. Others do not, a UnicodeError for one.
    """
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error)):  # torch's too
        return "not enough memory for this size; choose a smaller --size."
    last = traceback.extract_tb(error.__traceback__)[-1]
    is_ours = PACKAGE in Path(last.filename).parents and (last.line or "").startswith("raise ")
    return str(error) if is_ours and isinstance(error, ValueError) else None


def _plain(error: UnicodeError) -> tuple[str, int]:
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in lacking), error.end
