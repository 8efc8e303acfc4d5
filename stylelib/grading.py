"""Marks for a folder of submissions: one folder per student, with the lessons handed in.

A point takes two things: the released check cell accepts the student's function, in a process that belongs to the
student; and the function has answered questions nobody knew before (`checks.hidden`), which this process compares,
and in this process no line of a student's ever runs.
"""

import csv
import json
import multiprocessing
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from . import files, sandbox, submission
from .checks import Mistake, hidden
from .sandbox import Limits, Stopped
from .submission import Cell, Check, Task

COURSE = Path(__file__).resolve().parent.parent / "notebooks"  # of a checkout; an installed package has none
NOTEBOOK_BYTES = 100_000_000


class GradingError(ValueError):
    """Submissions that cannot be graded. The message is one sentence for the lecturer."""


@dataclass
class Mark:
    """One row of the table."""

    student: str
    lesson: str
    points: dict[str, float] = field(default_factory=dict)  # exercise → points
    wrong: list[str] = field(default_factory=list)  # a sentence each

    @property
    def total(self) -> float:
        return sum(self.points.values())


def grade(
    submissions: str | Path,
    out: str | Path,
    released: str | Path | None = None,
    *,
    jobs: int | None = None,
    limits: Limits | None = None,
    seed: int | None = None,
    say: Callable[[str], None] = print,
) -> list[Mark]:
    """Grades all submissions and writes the table.

    Args:
        submissions: a folder with one folder per student.
        out: the CSV file to write: student, lesson, each exercise, what went wrong, points.
        released: the folder of the lessons as students got them; the course's own without it.
        jobs: how many submissions at once; as many as there are processors without it.
        limits: seconds for an exercise, and memory.
        seed: of the hidden tests; a secret one without it. It is said, so that a mark can be tried again.
        say: called with one line for each submission.

    Raises:
        GradingError: a folder or a file is missing or cannot be written.
    """
    lessons = read_released(Path(released) if released else COURSE)
    handed_in = find_submissions(Path(submissions))
    out = _writable(Path(out))
    seed = secrets.randbelow(10**6) if seed is None else seed
    say(f"{len(handed_in)} submissions; hidden tests of --seed {seed}")
    sandbox.prepare(submission.__name__)
    limits = limits or Limits()
    _expect_right_answer_to_pass(limits, seed)
    marks = _grade_all(handed_in, lessons, jobs or os.cpu_count() or 1, limits, seed, say)
    write_table(marks, lessons, out)
    return marks


def read_released(folder: Path) -> dict[str, list[Cell]]:
    """Lesson → its cells, for each lesson with at least one check."""
    if not folder.is_dir():
        raise GradingError(f"There is no folder {folder} with the released lessons; name it with --released.")
    lessons = {}
    for path in sorted(folder.glob("*.ipynb")):
        cells = submission.read_lesson(read_notebook(path))
        if any(cell.check for cell in cells):
            lessons[path.stem] = cells
    if not lessons:
        raise GradingError(f"{folder} has no lesson with checks; name the folder of the released ones with --released.")
    return lessons


def find_submissions(folder: Path) -> list[tuple[str, list[Path]]]:
    """(student, notebooks) in the order of their names; JupyterLab's checkpoints and hidden files are not handed in."""
    if not folder.is_dir():
        raise GradingError(f"There is no folder {folder}; name one that has a folder for each student.")
    students = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [(student.name, sorted(_notebooks(student))) for student in students]
    if not any(paths for _, paths in found):
        raise GradingError(f"{folder} has no notebooks; it needs a folder for each student, with the lessons in it.")
    return found


def _notebooks(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.ipynb"):
        hidden_part = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden_part:
            yield path


def read_notebook(path: Path) -> dict:
    """The JSON of a notebook, read as data."""
    try:
        if path.stat().st_size > NOTEBOOK_BYTES:
            raise GradingError(f"{path} is larger than {NOTEBOOK_BYTES / 1e6:g} MB; clear its outputs.")
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        _expect_notebook(notebook)
    except GradingError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise GradingError(f"{path} is not a notebook; ask for the .ipynb file that Jupyter saved.") from error
    return notebook


def _expect_notebook(notebook: object) -> None:
    if not all(isinstance(cell, dict) for cell in notebook["cells"]):
        raise TypeError
    for cell in notebook["cells"]:
        json.dumps(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id"))
        "".join(cell.get("source", ""))


def _writable(out: Path) -> Path:
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise GradingError(f"{out} cannot be written; choose a file name in a folder that exists.")
    return out


# --- one submission after the other ---

CANARY = [
    Cell("answer", "def my_convert_weight(weight, channels, positions):\n    return weight * channels**2 / 4", None),
    Cell("check", "", Check("checks.convert_weight(my_convert_weight)", "convert_weight", "my_convert_weight", 1)),
]


def _expect_right_answer_to_pass(limits: Limits, seed: int) -> None:
    """A machine on which a right answer fails must not give marks."""
    for _, wrong in _verdicts(Task(CANARY, ["convert_weight"], seed), None, limits):
        if wrong:
            raise GradingError(f"Nothing was graded: even a right answer failed here ({wrong}) Try more --memory.")


def _grade_all(handed_in, lessons, jobs: int, limits: Limits, seed: int, say) -> list[Mark]:
    interrupted = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {}
        marks: list[Mark] = []
        for student, paths in handed_in:
            for mark, path in _rows(student, paths, lessons):
                marks.append(mark)
                if path:
                    waiting[pool.submit(_grade_one, mark, path, lessons[mark.lesson], limits, seed, interrupted)] = mark
                else:
                    say(f"{student}: {' '.join(mark.wrong)}")
        try:
            for number, done in enumerate(as_completed(waiting), 1):
                done.result()
                mark = waiting[done]
                say(f"{number}/{len(waiting)} {mark.student} {mark.lesson}: {mark.total:g} points")
        except BaseException:  # Ctrl-C, too: no time for those that wait or run
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()
            raise
    return marks


def _rows(student: str, paths: list[Path], lessons: dict[str, list[Cell]]) -> Iterator[tuple[Mark, Path | None]]:
    """A row for each lesson handed in, and the notebook to grade; without one where there is nothing to grade."""
    if not paths:
        yield Mark(student, "", wrong=["no notebook was handed in."]), None
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(_lesson(path, lessons), []).append(path)
    for lesson, (path, *others) in found.items():
        if lesson not in lessons:
            for each in (path, *others):
                yield (
                    Mark(student, each.stem, wrong=[f"{each.name} is none of the lessons {', '.join(lessons)}."]),
                    None,
                )
        elif others:
            names = ", ".join(each.name for each in (path, *others))
            yield Mark(student, lesson, wrong=[f"there are several notebooks of this lesson: {names}."]), None
        else:
            yield Mark(student, lesson), path


def _lesson(path: Path, lessons: dict[str, list[Cell]]) -> str:
    """The lesson whose name is in the file's: browsers and JupyterLab add " (1)" and "-Copy1"; students, their own."""
    return next((lesson for lesson in lessons if lesson in path.stem), "")


def _grade_one(
    mark: Mark, path: Path, lesson: list[Cell], limits: Limits, seed: int, interrupted: threading.Event
) -> None:
    checks = {cell.check.exercise: cell.check for cell in lesson if cell.check}
    mark.points = dict.fromkeys(checks, 0)
    try:
        cells = submission.merge(lesson, read_notebook(path))
    except GradingError as error:
        mark.wrong.append(str(error).replace(str(path), path.name))
        return
    undecided = list(checks)
    while (
        undecided and not interrupted.is_set()
    ):  # one process for all, as long as it lives; a new one behind an exercise that ended it
        for exercise, wrong in _verdicts(Task(cells, undecided, seed), path.parent, limits):
            undecided = undecided[1:]
            mark.points[exercise] = 0 if wrong else checks[exercise].points
            mark.wrong += [submission.one_line(wrong)] if wrong else []


def _verdicts(task: Task, beside: Path | None, limits: Limits) -> Iterator[tuple[str, str]]:
    """(exercise, what is wrong), in the order of the task, up to the one that ends the process."""
    left = list(task.exercises)
    with tempfile.TemporaryDirectory(prefix="graded-", ignore_cleanup_errors=True) as folder:
        if beside:
            _copy_modules(beside, Path(folder))
        try:
            with closing(sandbox.run(submission.work, task, Path(folder), limits)) as messages:
                for text in messages:
                    exercise = left.pop(0)
                    yield exercise, _judge(exercise, text, task.seed)
                    if not left:
                        return
            reason = "its process ended before a verdict"
        except Stopped as stopped:
            reason = str(stopped)
    yield left[0], f"{left[0]}: {reason}."


def _copy_modules(source: Path, target: Path) -> None:
    """A student's own modules, my_stylelib.py among them, where the notebook can import them."""
    for path in source.glob("*.py"):
        if path.is_file() and path.stat().st_size < 1_000_000:
            (target / path.name).write_bytes(path.read_bytes())


def _judge(exercise: str, text: str, seed: int) -> str:
    """What is wrong, from a message that may be forged: it is right only with right replies to the hidden questions."""
    try:
        said = json.loads(text)
        if said.get("wrong"):
            return str(said["wrong"])
        hidden.judge(exercise, said.get("replies"), seed)
    except Mistake as mistake:
        return str(mistake)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return f"{exercise}: it sent the grader something else than a verdict."
    return ""


# --- the table ---


def write_table(marks: list[Mark], lessons: dict[str, list[Cell]], out: Path) -> None:
    """CSV in UTF-8, written beside and renamed: a table is there whole or not at all."""
    graded = {mark.lesson for mark in marks}
    exercises = [
        cell.check.exercise for name, cells in lessons.items() if name in graded for cell in cells if cell.check
    ]
    try:
        with (
            files.replacing(out) as beside,
            open(beside, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            table = csv.writer(file)
            table.writerow(["student", "lesson", *exercises, "what went wrong", "points"])
            for mark in marks:
                points = [f"{mark.points[name]:g}" if name in mark.points else "" for name in exercises]
                table.writerow([mark.student, mark.lesson, *points, " ".join(mark.wrong), f"{mark.total:g}"])
    except OSError as error:
        raise GradingError(f"{out} cannot be written ({error.strerror}); choose another place.") from error
