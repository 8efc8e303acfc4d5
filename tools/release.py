"""What leaves the house: the folder that students get, and a course for nbgrader.

    uv run python tools/build_notebooks.py --release DIR      # lessons, package and pictures; no solutions, no tests
    uv run python tools/build_notebooks.py --nbgrader DIR     # source/<lesson>/, hidden tests in each check
    uv run python tools/build_notebooks.py --colab DIR --source git+https://…  # lessons that install the package first

Students need the package: the lessons import it, and its checks judge their answers offline. It holds what it teaches,
so whoever looks into it finds a Gram matrix there; strict checks refuse an answer that calls it.
"""

import copy
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parent.parent
GIVEN = ("LICENSE", "environment.yml", "pyproject.toml", "images", "notebooks", "stylelib")
KEPT_BACK = shutil.ignore_patterns("solutions", "INSTRUCTOR.md", "result", "__pycache__", ".*", "my_stylelib.py")
CHECK = re.compile(r"^checks\.(\w+)\((my_\w+)\)", re.MULTILINE)
HIDDEN = """
### BEGIN HIDDEN TESTS
checks.hidden.test("{exercise}", {answer}, seed={seed})
### END HIDDEN TESTS"""

README = """# Neural style transfer, from the pixels up

    pip install uv
    uv run jupyter lab notebooks/00_start_here.ipynb

(In Windows' PowerShell: `python -m pip install uv`, then `python -m uv run jupyter lab notebooks/00_start_here.ipynb`.)

Needs Python 3.11 or newer, and a network for these two lines only.

{lessons}

Write each answer where `raise NotImplementedError()` stands, then run the check below it. Leave the check cells as they
are: your work is graded with the original ones. Hand in the notebooks, named as they are.
"""

CONFIG = """c = get_config()  # noqa: F821 - nbgrader's
c.CourseDirectory.course_id = "stylelib"
c.ClearSolutions.code_stub = {{"python": "{stub}"}}
c.ExecutePreprocessor.timeout = 120  # seconds for a cell
"""


# Colab has a torch that fits its GPU. As a constraint, it stays, or pip says what does not fit.
COLAB = """# In Colab: installs the course's package, beside the torch that is here already. A minute or two.
from importlib.metadata import version
from pathlib import Path

here = Path("installed.txt")
here.write_text("".join(f"{{name}}=={{version(name)}}\\n" for name in ("torch", "torchvision", "numpy")))
%pip install --quiet --constraint {{here}} "stylelib @ {source}\""""


def release(folder: Path) -> None:
    """Writes what students get, into a new folder."""
    write_whole(folder, _fill_release)


def nbgrader_course(folder: Path, stub: str) -> None:
    """Writes the source of an nbgrader course, into a new folder: one assignment for each lesson with checks."""
    write_whole(folder, lambda new: _fill_course(new, stub))


def colab(folder: Path, source: str) -> None:
    """Writes the lessons for Colab, into a new folder; `source` is where pip finds the package."""
    write_whole(folder, lambda new: _fill_colab(new, source))


def with_hidden_tests(master: NotebookNode, draw: Callable[[], int]) -> NotebookNode:
    """A master with a hidden test in each check cell. `draw` gives a seed; who knows it knows the numbers to come."""
    notebook = copy.deepcopy(master)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            for exercise, answer in CHECK.findall(cell.source):
                cell.source += HIDDEN.format(exercise=exercise, answer=answer, seed=draw())
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _fill_release(folder: Path) -> None:
    for name in GIVEN:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=KEPT_BACK)
        else:
            shutil.copy(source, folder / name)
    lessons = sorted((folder / "notebooks").glob("*.ipynb"))
    lines = [f"- [{_title(path)}](notebooks/{path.name})" for path in lessons]
    (folder / "README.md").write_text(README.format(lessons="\n".join(lines)), encoding="utf-8")


def _title(path: Path) -> str:
    number = path.name[:2]
    return f"{number} {nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].lstrip('# ')}"


def _fill_course(folder: Path, stub: str) -> None:
    (folder / "nbgrader_config.py").write_text(CONFIG.format(stub=stub), encoding="utf-8")
    for path in sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb")):
        notebook = with_hidden_tests(nbformat.read(path, as_version=4), lambda: secrets.randbelow(10**6))
        assignment = folder / "source" / path.stem
        assignment.mkdir(parents=True)
        nbformat.write(notebook, assignment / path.name)


def _fill_colab(folder: Path, source: str) -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.insert(1, new_code_cell(COLAB.format(source=source), id="colab"))
        nbformat.write(notebook, folder / path.name)


def write_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fills a folder beside and renames it: it is there whole or not at all."""
    if folder.exists():
        sys.exit(f"{folder} exists already; name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as beside:
        new = Path(beside, folder.name)
        new.mkdir()
        fill(new)
        new.rename(folder)
    print(f"wrote {folder}")
