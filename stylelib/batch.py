"""Many pictures, one after the other or on a Dask cluster: what fails is named, what is there already is left out."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from PIL import Image

from . import cluster, console, gallery
from .encoding import WRITABLE, format_of
from .images import ImageError

FALLBACK = ".png"  # for the results of names from the gallery, and of formats that can only be read


@dataclass(frozen=True)
class Job:
    """One picture of many.

    Attributes:
        content: a file, or a name from the gallery.
        out: the file to write.
    """

    content: str
    out: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        says: a sentence on the result, or on why there is none.
        file: the content of the file to write; None if it failed.
        interrupted: whether it was stopped by hand, and is not what it should be.
    """

    says: str
    file: bytes | None = None
    interrupted: bool = False


Value = TypeVar("Value")
Paint = Callable[[io.BytesIO, Path], Outcome]  # the content, and the file that the result will become


class NamedBytes(io.BytesIO):
    """The content of a file, which travels to another machine and still knows its name."""

    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        self.name = name

    def __reduce__(self):
        return NamedBytes, (self.getvalue(), self.name)


def jobs(contents: Iterable[str], folder: Path, ending: str | None = None) -> list[Job]:
    """One job for each content; a folder stands for the pictures in it. `ending` None keeps the content's own.

    Raises:
        ImageError: a folder without pictures, or two contents whose results would have the same name.
    """
    found: dict[Path, str] = {}
    for content in (name for each in contents for name in _pictures(each)):
        out = folder / _result_name(content, ending)
        if out in found:
            raise ImageError(f"{found[out]} and {content} would both become {out}; rename one of them.")
        if os.path.realpath(out) == os.path.realpath(content):
            raise ImageError(f"{content} would be overwritten by its result; choose another folder for the results.")
        found[out] = content
    return [Job(content, out) for out, content in found.items()]


def read(name: str) -> NamedBytes:
    """A picture file, or one of the gallery, as bytes that can travel."""
    path = gallery.find(name)
    try:
        return NamedBytes(path.read_bytes(), name)
    except FileNotFoundError:
        raise ImageError(f"There is no file {name}.") from None
    except OSError as error:
        raise ImageError(f"Cannot read {name}: {error.strerror or error}.") from error


def here(work: Iterable[Job], paint: Paint) -> Iterator[tuple[Job, Outcome]]:
    """Does the jobs in this process."""
    for job in work:
        yield job, attempt(lambda job=job: paint(read(job.content), job.out))


def on_cluster(work: Iterable[Job], paint: Paint, address: str) -> Iterator[tuple[Job, Outcome]]:
    """Does the jobs on a Dask cluster, whose machines need this package and none of the files.

    Pictures come in the order in which they are done. One whose worker dies is begun again on another.

    Raises:
        ValueError: the cluster cannot be reached, or `distributed` is not installed.
    """
    with cluster.connect(address) as client:
        from distributed import as_completed

        jobs, running = {}, as_completed()

        def submit(job: Job) -> None:
            future = client.submit(_painted, paint, attempt(lambda: read(job.content)), job.out, pure=False)
            jobs[future.key] = job
            running.add(future)

        waiting = iter(work)
        for job in islice(waiting, cluster.at_once(client)):
            submit(job)
        for future in running:
            error = future.exception()
            yield jobs[future.key], future.result() if error is None else Outcome(f"the cluster gave it up ({error}).")
            for job in islice(waiting, 1):
                submit(job)


def attempt(action: Callable[[], Value]) -> Value | Outcome:
    """What the action gives; or what its error tells the user, as an outcome, so that the other pictures go on."""
    try:
        return action()
    except Exception as error:
        if not (says := console.sentence(error)):
            raise
        return Outcome(says)


def _painted(paint: Paint, content: NamedBytes | Outcome, out: Path) -> Outcome:
    """On a machine of the cluster. What could not be read has its outcome already."""
    return content if isinstance(content, Outcome) else attempt(lambda: paint(content, out))


def _pictures(content: str) -> list[str]:
    """The files in a folder that can be pictures by their names, in order; anything else is one itself."""
    folder = Path(content)
    if not os.path.isdir(folder) or gallery.find(content) != folder:  # which, unlike Path's, never raises
        return [content]
    endings = Image.registered_extensions()
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]  # macOS keeps ._photo.jpg
    except OSError as error:
        raise ImageError(f"Cannot read the folder {content}: {error.strerror or error}.") from error
    found = sorted(str(path) for path in inside if path.suffix.lower() in endings and path.is_file())
    if not found:
        raise ImageError(f"There are no pictures in the folder {content}.")
    return found


def _result_name(content: str, ending: str | None) -> str:
    own = Path(content).suffix if format_of(content) in WRITABLE else FALLBACK
    return Path(content).stem + (ending or own)
