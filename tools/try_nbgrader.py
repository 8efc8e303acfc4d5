"""nbgrader itself, on the course that `build_notebooks.py --nbgrader` writes: what does each kind of student earn?

    uv run --group build python tools/try_nbgrader.py                    # about four minutes on two cores
    uv run --group build python tools/try_nbgrader.py --feedback FOLDER  # and keeps what each student reads

One lesson, its exercises and checks alone, without its figures. The exit status is 1 if somebody earns another score.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import release
from nbformat import NotebookNode

LESSON = "04_gram_matrices"
STUB = "raise NotImplementedError()"
LIBRARY = {"gram_matrix": "stylelib.gram_matrix(features)", "style_loss": "stylelib.style_loss(features, gram_targets)"}


def answers(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution"))


def name(cell: NotebookNode) -> str:
    return cell.source.split("def my_", 1)[1].split("(", 1)[0]


def each(write: Callable[[str], str | None]) -> Callable[[NotebookNode, NotebookNode], None]:
    """A student who writes `write(exercise)` in each stub, or leaves it."""

    def fill(notebook: NotebookNode, _: NotebookNode) -> None:
        for cell in answers(notebook):
            if (line := write(name(cell))) is not None:
                cell.source = cell.source.replace(STUB, line)

    return fill


def solved(notebook: NotebookNode, master: NotebookNode) -> None:
    for cell, right in zip(answers(notebook), answers(master), strict=True):
        cell.source = right.source


def solved_but(old: str, new: str) -> Callable[[NotebookNode, NotebookNode], None]:
    def fill(notebook: NotebookNode, master: NotebookNode) -> None:
        solved(notebook, master)
        assert any(old in cell.source for cell in notebook.cells)
        for cell in answers(notebook):
            cell.source = cell.source.replace(old, new)

    return fill


def without_checks(notebook: NotebookNode, master: NotebookNode) -> None:
    notebook.cells = [cell for cell in notebook.cells if not cell.metadata.get("nbgrader", {}).get("grade")]


def arguments(exercise: str) -> str:
    return {
        "shuffle_positions": "features, permutation",
        "style_loss": "features, gram_targets",
        "convert_weight": "weight, channels, positions",
        "style_gradient": "features, target",
    }.get(exercise, "features")


STUDENTS = {  # what they hand in, and what that is worth
    "blank": (each(lambda exercise: None), 0),
    "solved": (solved, 6),
    "forgot-the-divisor": (solved_but("rows @ rows.mT / rows.shape[-1]", "rows @ rows.mT"), 4),  # the loss calls it
    "sum-not-mean": (solved_but("total / len(gram_targets)", "total"), 5),
    "wrong-factor": (solved_but("4 * difference", "2 * difference"), 5),
    "deleted-the-checks": (without_checks, 0),
    "calls-the-library": (each(lambda exercise: LIBRARY.get(exercise) and f"return {LIBRARY[exercise]}"), 0),
    "calls-the-reference": (each(lambda exercise: f"return checks.{exercise}.reference({arguments(exercise)})"), 0),
}


def exercises_alone(notebook: NotebookNode) -> NotebookNode:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kept = [cell for cell in code if cell.metadata.get("nbgrader")]
    notebook.cells = [nbformat.v4.new_code_cell("import torch\n\nimport stylelib\nfrom stylelib import checks"), *kept]
    return notebook


def nbgrader(course: Path, *command: str) -> None:
    run = [sys.executable, "-m", "nbgrader", *command]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader calls alembic by its name
    done = subprocess.run(run, cwd=course, capture_output=True, text=True, env=os.environ | {"PATH": path})
    if done.returncode:
        sys.exit(f"nbgrader {' '.join(command)} failed:\n{done.stderr[-2000:]}")


def scores(course: Path) -> dict[str, float]:
    source = course / "source" / LESSON / f"{LESSON}.ipynb"
    master = exercises_alone(nbformat.read(source, as_version=4))
    nbformat.write(master, source)
    nbgrader(course, "generate_assignment", LESSON, "--create", "--force")
    for student, (fill, _) in STUDENTS.items():
        notebook = nbformat.read(course / "release" / LESSON / f"{LESSON}.ipynb", as_version=4)
        fill(notebook, master)
        handed_in = course / "submitted" / student / LESSON / f"{LESSON}.ipynb"
        handed_in.parent.mkdir(parents=True)
        nbformat.write(notebook, handed_in)
    nbgrader(course, "autograde", LESSON, "--create")
    nbgrader(course, "generate_feedback", LESSON)
    nbgrader(course, "export", "--to", "marks.csv")
    with (course / "marks.csv").open(newline="") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file) if row["assignment"] == LESSON}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feedback", type=Path, metavar="FOLDER", help="a new folder for the pages that students get")
    options = parser.parse_args()
    if options.feedback and options.feedback.exists():
        parser.error(f"{options.feedback} is there already; choose a new folder.")  # now, and not after four minutes
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder, "course")
        release.nbgrader_course(course, STUB)
        earned = scores(course)
        feedback = {path.parts[-3]: path.read_text() for path in course.glob("feedback/*/*/*.html")}
        if options.feedback:
            shutil.copytree(course / "feedback", options.feedback)
    print("| student | points of 6 | expected | feedback |\n|---|---|---|---|")
    for student, (_, expected) in STUDENTS.items():
        size = f"{len(feedback[student]) / 1000:.0f} kB" if student in feedback else "none"
        print(f"| {student} | {earned.get(student)} | {expected} | {size} |")
    return int(any(earned.get(student) != expected for student, (_, expected) in STUDENTS.items()))


if __name__ == "__main__":
    sys.exit(main())
