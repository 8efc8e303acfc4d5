"""Makes the lessons from their solved masters: executes both, checks them, and cleans what is stored.

    uv run --group build python tools/build_notebooks.py                       # all, after slim's weights change
    uv run --group build python tools/build_notebooks.py notebooks/04*.ipynb   # one, named by its lesson or its master

The master of a lesson is notebooks/solutions/NN_name.ipynb: the whole lesson, with the answers between nbgrader's lines
`### BEGIN SOLUTION` and `### END SOLUTION`. Write there. The lesson, notebooks/NN_name.ipynb, is the same without the
answers, and what is written into it is lost. A notebook without a master has no exercises and is its own master.

Each runs top to bottom in a new kernel, in an empty folder. Nothing is written unless both end and have no `problems`.
"""

import argparse
import copy
import html
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbstripout import strip_output

import stylelib  # noqa: F401 (sets what kernels inherit; see stylelib/machine.py)
from stylelib.files import replacing

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
CELL_SECONDS = 120
BEGIN, STUB = "### BEGIN SOLUTION", "raise NotImplementedError()"
CHECK = re.compile(r"^checks\.(\w+)\(my_\w+\)", re.MULTILINE)
WIDGET = "application/vnd.jupyter.widget-view+json"
KEPT = {"jupyter", "nbgrader", "tags"}  # metadata of a cell; the rest is an editor's or a kernel's
PRIVATE = [r"(?<![\w./:])/(?:[\w.-]+/)+[\w.-]+", r"\b[A-Z]:\\\w", r"\b0x[0-9a-f]{6,}\b"]  # paths, addresses of objects
PRIVATE += [re.escape(host) for host in [platform.node()] if not host.isalpha() and host]  # "chelsea" is a word, too


def build(path: Path) -> None:
    """Executes a master and writes it back; makes, executes and writes its lesson."""
    master, lesson = master_and_lesson(path)
    notebook = mark(nbformat.read(master, as_version=4))
    if master == lesson:
        return write(finish(notebook, lesson), lesson)
    blank = clear(notebook)
    done, blank = finish(notebook, master), finish(blank, lesson)
    write(without_pictures(done), master)
    write(blank, lesson)


def master_and_lesson(path: Path) -> tuple[Path, Path]:
    """Both files of a lesson, from either of them; the same file twice where there is no master."""
    folder = path.parent.parent if path.parent.name == "solutions" else path.parent
    master, lesson = folder / "solutions" / path.name, folder / path.name
    return (master if master.exists() else lesson), lesson


def mark(notebook: NotebookNode) -> NotebookNode:
    """Writes into each cell's metadata what nbgrader needs to know: here is an answer, here it is checked."""
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)
        solution = cell.cell_type == "code" and BEGIN in cell.source
        grade = cell.cell_type == "code" and not solution and bool(CHECK.search(cell.source))
        if solution or grade:
            kind = {"solution": solution, "grade": grade, "locked": grade, "task": False}
            points = {"points": 1} if grade else {}
            cell.metadata["nbgrader"] = {"schema_version": 3, "grade_id": cell.id, **kind, **points}
    return notebook


def clear(master: NotebookNode) -> NotebookNode:
    """The lesson of a marked master: each answer is a line that raises NotImplementedError."""
    try:  # here, because `uv run` alone is without nbgrader: it would add its buttons to a learner's JupyterLab
        from nbgrader.preprocessors import ClearSolutions
    except ModuleNotFoundError:
        sys.exit("This needs nbgrader: uv run --group build python tools/build_notebooks.py …")
    lesson = copy.deepcopy(master)
    ClearSolutions(code_stub={"python": STUB}).preprocess(lesson, {})
    return lesson


def finish(notebook: NotebookNode, path: Path) -> NotebookNode:
    """The notebook, executed and clean; or the end of this program, with every problem named."""
    try:
        notebook = clean(execute(notebook))
    except CellExecutionError as error:
        sys.exit(f"{path} is not written: a cell failed.\n{error}")
    if found := list(problems(notebook)):
        sys.exit("\n".join([f"{path} is not written:", *found]))
    return notebook


def execute(notebook: NotebookNode) -> NotebookNode:
    """The notebook, run in an empty folder and without its builder's settings, which would change what it prints."""
    notebook = copy.deepcopy(notebook)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STYLELIB_")}
    client = NotebookClient(notebook, timeout=CELL_SECONDS, record_timing=False)
    with tempfile.TemporaryDirectory() as folder:
        client.execute(cwd=folder, env=environment | {"IPYTHONDIR": folder})
    return notebook


def clean(notebook: NotebookNode) -> NotebookNode:
    """Takes out what differs from run to run. A widget without its state would show as an error; its text stays."""
    notebook = strip_output(notebook, keep_output=True, keep_count=True, keep_id=True)
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in KEPT}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
        _join_streams(cell)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _join_streams(cell: NotebookNode) -> None:
    """Joins what was printed into one output: where the kernel happened to flush is chance."""
    joined = []
    for output in cell.get("outputs", []):
        same = joined and output.output_type == joined[-1].output_type == "stream" and output.name == joined[-1].name
        if same:
            joined[-1].text += output.text
        else:
            joined.append(output)
    if cell.cell_type == "code":
        cell.outputs = joined


def problems(notebook: NotebookNode) -> Iterator[str]:
    """What a reader or a screen reader would stumble over in a finished notebook, one sentence each."""
    yield from _heading_problems(notebook)
    ids = Counter(cell.id for cell in notebook.cells)
    yield from (f"Two cells have the id {name!r}." for name, count in ids.items() if count > 1)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        yield "Its cells were not run once each, from top to bottom."
    if "widgets" in notebook.metadata:
        yield "It carries the state of widgets."
    for cell in code:
        yield from (f"Cell {cell.id!r} {problem}" for output in cell.outputs for problem in _output_problems(output))
        yield from (f"Cell {cell.id!r} {problem}" for problem in _alt_problems(cell.outputs))


def _heading_problems(notebook: NotebookNode) -> Iterator[str]:
    before, ones = 0, []
    for index, cell in enumerate(notebook.cells):
        text = re.sub(r"^```.*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)  # a # in code is a comment
        headings = re.findall(r"^(#{1,6}) +(.+)$", text, re.MULTILINE) if cell.cell_type == "markdown" else []
        for level, heading in ((len(marks), heading) for marks, heading in headings):
            if level > before + 1:
                yield f"The heading {heading!r} skips a level: {level} after {before}."
            before, ones = level, ones + [index] * (level == 1)
    if ones != [0]:
        yield "It needs exactly one heading of level 1, in its first cell."


def _output_problems(output: NotebookNode) -> Iterator[str]:
    data = output.get("data", {})
    for kind in data:
        if kind.startswith("image/") and not output.metadata.get(kind, {}).get("alt"):
            yield "shows a picture without alt text. Use plots.show(figure, alt=…)."
    text = output.get("text", "") + data.get("text/plain", "") + data.get("text/html", "")
    if output.get("name") == "stderr":
        yield f"writes to standard error: {text[:200]!r}"
    if private := re.search("|".join(PRIVATE), text):
        yield f"prints {private[0]!r}, which is another one on the next machine."
    if WIDGET in data:
        yield "carries a widget."


def _alt_problems(outputs: list[NotebookNode]) -> Iterator[str]:
    """JupyterLab, nbconvert and GitHub drop an image's alt text: plots.show says it in HTML once more."""
    said = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    for output in outputs:
        for kind in output.get("data", {}):
            alt = output.metadata.get(kind, {}).get("alt", "")
            if kind.startswith("image/") and html.escape(alt) not in said:
                yield "shows a picture whose alt text is nowhere in words. Use plots.show(figure, alt=…)."


def without_pictures(notebook: NotebookNode) -> NotebookNode:
    """Of each picture only its text, so that the repository stays small: the lesson has the same pictures."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        for kind in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
            del output.data[kind]
            output.metadata.pop(kind, None)
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    with replacing(path) as beside:
        nbformat.write(notebook, beside)
    print(f"built {path} ({path.stat().st_size / 1000:.0f} kB)")


def write_out(options: argparse.Namespace) -> None:
    """What `release` does; imported here, because tests load this file by its path."""
    sys.path.insert(0, str(Path(__file__).parent))
    import release

    if options.release:
        release.release(options.release)
    if options.nbgrader:
        release.nbgrader_course(options.nbgrader, STUB)
    if options.colab:
        release.colab(options.colab, options.source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", type=Path, nargs="*", help="lessons or masters; without any, all are built")
    parser.add_argument("--release", type=Path, metavar="DIR", help="only write what students get into a new folder")
    parser.add_argument(
        "--nbgrader", type=Path, metavar="DIR", help="only write a course for nbgrader into a new folder"
    )
    parser.add_argument("--colab", type=Path, metavar="DIR", help="only write the lessons for Colab into a new folder")
    parser.add_argument(
        "--source", default="stylelib", help="with --colab: where pip finds the package, as git+https://…"
    )
    options = parser.parse_args()
    if options.release or options.nbgrader or options.colab:
        return write_out(options)
    paths = options.notebooks or [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("solutions/*.ipynb")]
    masters = sorted({master_and_lesson(path)[0] for path in paths}, key=lambda master: master.name)
    if missing := [str(master) for master in masters if not master.exists()]:
        parser.error(f"there is no {', '.join(missing)}")
    for master in masters:
        build(master)


if __name__ == "__main__":
    main()
