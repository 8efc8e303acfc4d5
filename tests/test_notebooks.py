"""The lessons: each is its master without the answers, runs for a learner, and judges for a grader.

nbval runs every cell and compares what it prints. Here is what nbval does not see.
"""

import ast
import copy
import importlib.util
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from stylelib.checks import EXERCISES, Mistake, NotAttempted

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
MASTERS = sorted(NOTEBOOKS.glob("solutions/*.ipynb"))
BYTES = 1_600_000
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION$", re.DOTALL | re.MULTILINE)

each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
each_master = pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
each_notebook = pytest.mark.parametrize("path", LESSONS + MASTERS, ids=lambda path: f"{path.parent.name}/{path.stem}")


def load_tool():
    spec = importlib.util.spec_from_file_location("build_notebooks", ROOT / "tools" / "build_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()


def read(path):
    return nbformat.read(path, as_version=4)


def cells(notebook, kind):
    """The cells that nbgrader's metadata calls a "solution" or a "grade"."""
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get(kind)]


def cleared(master):
    """What the lesson of a master must look like. Written without the tool, and without nbgrader."""
    lesson = tool.mark(copy.deepcopy(master))
    for cell in cells(lesson, "solution"):
        cell.source = SOLUTION.sub(r"\1raise NotImplementedError()", cell.source)
    return lesson


def drift(master, lesson):
    """Where a lesson is not its master without the answers, one sentence each."""
    written = [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in lesson.cells]
    wanted = [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in cleared(master).cells]
    if [cell[0] for cell in written] != [cell[0] for cell in wanted]:
        yield "its cells are not those of the master, in their order"
    else:
        yield from (f"cell {new[0]!r} differs" for new, old in zip(wanted, written, strict=True) if new != old)
    if [cell.metadata for cell in tool.mark(copy.deepcopy(master)).cells] != [cell.metadata for cell in master.cells]:
        yield "its master is not marked for nbgrader"
    if lesson.metadata != master.metadata:
        yield "the metadata of the notebooks differ"


def answers(notebook):
    """Where a lesson gives an answer away, one sentence each."""
    if any(re.search("(BEGIN|END) SOLUTION", cell.source) for cell in notebook.cells):
        yield "it has the markers of a solution"
    for cell in cells(notebook, "solution"):
        for function in ast.parse(cell.source).body:
            body = function.body if isinstance(function, ast.FunctionDef) else []
            rest = [line for line in body if not isinstance(line, ast.Expr) or not is_text(line.value)]
            if body and [ast.unparse(line) for line in rest] != ["raise NotImplementedError()"]:
                yield f"cell {cell.id!r} has more in {function.name} than its stub"


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def unchecked(notebook):
    """Exercises without a check after them, and checks where a grader would not look, one sentence each."""
    checked = []
    for cell in reversed([cell for cell in notebook.cells if cell.cell_type == "code"]):
        called = re.findall(r"\bchecks\.(\w+)\(", cell.source)
        if cell in cells(notebook, "grade"):
            checked += called
        elif cell in cells(notebook, "solution"):
            written = {line.name for line in ast.parse(cell.source).body if isinstance(line, ast.FunctionDef)}
            if not written & {f"my_{name}" for name in checked}:
                yield f"cell {cell.id!r} is an exercise, and no check after it calls checks.…(my_…)"
        elif strict := set(called) & set(EXERCISES):
            yield f"cell {cell.id!r} calls checks.{strict.pop()}, not on a learner's function"
    yield from (f"there is no exercise {name!r}" for name in checked if name not in EXERCISES)


def verdicts(notebook):
    """Check cell → None or its mistake. Runs imports, functions, constants and exercises alone, in this process."""
    variables, found = {"__name__": "__main__"}, {}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        if cell in cells(notebook, "grade"):
            found[cell.id] = None
            try:
                exec(cell.source, variables)
            except Mistake as mistake:
                found[cell.id] = mistake
        elif cell in cells(notebook, "solution"):
            exec(cell.source, variables)
        else:
            for line in filter(is_cheap, ast.parse(cell.source).body):
                with suppress(NameError):  # a function of what is not computed here
                    exec(ast.unparse(line), variables)
    return found


def is_cheap(line):
    value = line.value if isinstance(line, ast.Assign) else None
    given = isinstance(value, ast.Constant) or (
        isinstance(value, ast.Call) and ast.unparse(value.func) == "checks.mine"
    )
    return given or isinstance(line, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


# --- the course ---


def test_every_master_has_its_lesson():
    assert {path.name for path in MASTERS} <= {path.name for path in LESSONS}


@each_notebook
def test_notebook_is_easy_to_read_and_small(path):
    nbformat.validate(read(path))
    assert list(tool.problems(read(path))) == []
    assert path.stat().st_size <= BYTES


@each_master
def test_lesson_is_its_master_without_the_answers(path):
    lesson = NOTEBOOKS / path.name
    assert list(drift(read(path), read(lesson))) == [], (
        f"run: uv run --group build python tools/build_notebooks.py notebooks/solutions/{path.name}"
    )


@each_lesson
def test_lesson_gives_no_answer_away(path):
    assert list(answers(read(path))) == []


@each_notebook
def test_every_exercise_is_checked(path):
    assert list(unchecked(read(path))) == []


@each_master
def test_lesson_has_the_exercises_of_its_master(path):
    lesson, master = read(NOTEBOOKS / path.name), read(path)
    assert len(cells(lesson, "solution")) == len(cells(master, "solution")) >= 1


@pytest.mark.parametrize("name", EXERCISES)
def test_an_answer_is_offered_a_place_where_the_course_uses_it_again(name):
    sources = {path.name[:2]: "\n".join(cell.source for cell in read(path).cells) for path in MASTERS}
    own = next((lesson for lesson, source in sources.items() if f"checks.{name}(my_{name})" in source), None)
    users = [lesson for lesson, source in sources.items() if f'checks.mine("{name}")' in source]
    later = [f"lesson {lesson}" for lesson in users if lesson != own]
    assert EXERCISES[name].used == next(iter(later), "the rest of this lesson" if users else "")


@each_lesson
def test_blank_lesson_fails_for_a_grader_at_every_check(path, monkeypatch):
    monkeypatch.setenv("STYLELIB_STRICT", "1")
    found = verdicts(read(path))
    assert set(found) == {cell.id for cell in cells(read(path), "grade")}
    assert all(isinstance(mistake, NotAttempted) for mistake in found.values()), found


@each_master
def test_solutions_pass_for_a_grader_at_every_check(path, monkeypatch):
    monkeypatch.setenv("STYLELIB_STRICT", "1")
    found = verdicts(read(path))
    assert found and not any(found.values()), found


@each_master
def test_nbgrader_makes_the_same_lesson(path):
    pytest.importorskip("nbgrader", reason="not in this environment; uv run --group build pytest has it")
    from nbgrader.nbgraderformat import MetadataValidator

    marked = tool.mark(read(path))
    assert tool.clear(marked).cells == cleared(marked).cells
    MetadataValidator().validate_nb(marked)


# --- the tests above see what they are there for ---

NAME = "loss_of_tiny"
STUB = '''def my_{name}(x: float) -> float:
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION'''


@pytest.fixture
def tiny(monkeypatch):
    """A master with one exercise and one picture, as the tool leaves it, and its lesson."""
    name = next(iter(EXERCISES))
    picture = new_output(
        "display_data", {"image/png": "iVBOR", "text/plain": "A line."}, metadata={"image/png": {"alt": "A line."}}
    )
    words = new_output("display_data", {"text/html": "<details><summary>Words</summary>A line.</details>"})
    sources = ["from stylelib import checks", STUB.format(name=name), f"checks.{name}(my_{name})", "LAYERS = 3"]
    ids = ["setup", "stub", "check", "figure"]
    code = [new_code_cell(source, id=id_) for source, id_ in zip(sources, ids, strict=True)]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
    code[-1].outputs = [picture, words]
    text = "# Try it\n\n## One\n\n```\n#### no heading\n```\n### Two\n## Three"
    master = tool.mark(new_notebook(cells=[new_markdown_cell(text, id="intro"), *code]))
    return master, cleared(master)


def test_tiny_lesson_is_as_it_should_be(tiny):
    master, lesson = tiny
    assert cells(lesson, "solution")[0].source.endswith('    """Twice x."""\n    raise NotImplementedError()')
    assert [cell.id for cell in cells(lesson, "grade")] == ["check"]
    for notebook in tiny:
        assert [*tool.problems(notebook), *unchecked(notebook)] == []
    assert [*drift(master, lesson), *answers(lesson)] == []


def test_exercises_and_checks_are_marked_for_nbgrader(tiny):
    _, lesson = tiny
    common = {"schema_version": 3, "task": False}
    assert [cell.metadata for cell in lesson.cells if cell.metadata] == [
        {"nbgrader": {**common, "grade_id": "stub", "solution": True, "grade": False, "locked": False}},
        {"nbgrader": {**common, "grade_id": "check", "solution": False, "grade": True, "locked": True, "points": 1}},
    ]
    lesson.cells[1].metadata = copy.deepcopy(lesson.cells[3].metadata)  # stale: the check stood there once
    assert "nbgrader" not in tool.mark(lesson).cells[1].metadata


def edit(cell, **changes):
    cell.update(changes)


DRIFTS = {
    "text": (lambda cells: edit(cells[0], source="# Try it"), "cell 'intro' differs"),
    "answer": (lambda cells: edit(cells[2], source=STUB), "cell 'stub' differs"),
    "metadata": (lambda cells: edit(cells[1], metadata={"tags": ["x"]}), "cell 'setup' differs"),
    "id": (lambda cells: edit(cells[1], id="start"), "its cells are not those of the master, in their order"),
    "order": (lambda cells: cells.reverse(), "its cells are not those of the master, in their order"),
    "fewer": (lambda cells: cells.pop(), "its cells are not those of the master, in their order"),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_seen(tiny, name):
    master, lesson = tiny
    change, sentence = DRIFTS[name]
    change(lesson.cells)
    assert list(drift(master, lesson)) == [sentence]


def test_an_unmarked_master_is_seen(tiny):
    master, lesson = tiny
    del master.cells[2].metadata["nbgrader"]
    assert list(drift(master, lesson)) == ["its master is not marked for nbgrader"]


def test_an_answer_in_a_lesson_is_seen(tiny):
    master, lesson = tiny
    assert "it has the markers of a solution" in answers(master)
    lesson.cells[2].source = lesson.cells[2].source.replace("raise Not", "y = 2 * x\n    raise Not")
    assert [sentence.split(" in my")[0] for sentence in answers(lesson)] == ["cell 'stub' has more"]


def test_an_exercise_without_its_check_is_seen(tiny):
    _, lesson = tiny
    check = lesson.cells.pop(3)
    assert list(unchecked(lesson)) == ["cell 'stub' is an exercise, and no check after it calls checks.…(my_…)"]
    lesson.cells.insert(1, check)
    assert len(list(unchecked(lesson))) == 1  # too early
    lesson.cells[-1].source = check.source.replace("(my_", "(")
    assert "not on a learner's function" in next(unchecked(lesson))


PROBLEMS = {
    "two titles": (lambda nb: edit(nb.cells[0], source="# One\n# Two"), "exactly one heading of level 1"),
    "no title": (lambda nb: edit(nb.cells[0], source="Text"), "exactly one heading of level 1"),
    "late title": (lambda nb: nb.cells.insert(0, new_markdown_cell("Text")), "exactly one heading of level 1"),
    "skipped level": (lambda nb: edit(nb.cells[0], source="# A\n### B"), "The heading 'B' skips a level: 3 after 1."),
    "no alt text": (lambda nb: edit(nb.cells[-1].outputs[0], metadata={}), "a picture without alt text"),
    "no words": (lambda nb: nb.cells[-1].outputs.pop(), "a picture whose alt text is nowhere in words"),
    "same id": (lambda nb: edit(nb.cells[1], id="stub"), "Two cells have the id 'stub'."),
    "not run": (lambda nb: edit(nb.cells[1], execution_count=None), "not run once each"),
    "widget state": (lambda nb: edit(nb.metadata, widgets={}), "the state of widgets"),
    "widget": (lambda nb: edit(nb.cells[-1].outputs[0], data={tool.WIDGET: {}}), "'figure' carries a widget."),
    "path": (lambda nb: say(nb, "in /home/anna/style.py:3"), "prints '/home/anna/style.py'"),
    "Windows path": (lambda nb: say(nb, r"in C:\Users\anna"), "which is another one on the next machine"),
    "address": (lambda nb: say(nb, "<Figure at 0x7f3a21b0c0d0>"), "prints '0x7f3a21b0c0d0'"),
    "warning": (lambda nb: say(nb, "Warning", "stderr"), "writes to standard error"),
}


def say(notebook, text, name="stdout"):
    notebook.cells[-1].outputs.append(new_output("stream", name=name, text=text))


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_seen(tiny, name):
    _, lesson = tiny
    change, sentence = PROBLEMS[name]
    change(lesson)
    (found,) = tool.problems(lesson)
    assert sentence in found


@pytest.mark.parametrize("text", ["h/w and 1/2/3", "https://arxiv.org/abs/1505.07376", "a // b", "0xff"])
def test_what_is_the_same_everywhere_is_no_problem(tiny, text):
    _, lesson = tiny
    say(lesson, text)
    assert list(tool.problems(lesson)) == []


def test_the_tool_finds_both_files_from_either(tmp_path):
    master, lesson = tmp_path / "solutions" / "01_a.ipynb", tmp_path / "01_a.ipynb"
    assert tool.master_and_lesson(lesson) == (lesson, lesson)
    master.parent.mkdir()
    master.touch()
    assert tool.master_and_lesson(lesson) == tool.master_and_lesson(master) == (master, lesson)


def test_notebooks_run_without_the_settings_of_their_builder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STYLELIB_STRICT", "1")
    (tmp_path / "my_stylelib.py").touch()
    source = "import os, pathlib\nprint('STYLELIB_STRICT' in os.environ, pathlib.Path('my_stylelib.py').exists())"
    notebook = tool.execute(new_notebook(cells=[new_code_cell(source)]))
    assert notebook.cells[0].outputs[0].text == "False False\n"


def test_what_differs_from_run_to_run_is_cleaned_away(tiny):
    _, lesson = tiny
    cell = lesson.cells[-1]
    lesson.metadata = {"widgets": {}, "kernelspec": {"name": "mine"}, "vscode": {}}
    cell.metadata = {"execution": {"iopub.status.busy": "2026"}, "tags": ["nbval-ignore-output"], "scrolled": True}
    cell.outputs[0].data[tool.WIDGET] = {"model_id": "f00"}
    for text in ("one ", "two "):
        say(lesson, text)
    lesson = tool.clean(lesson)
    assert list(tool.problems(lesson)) == []
    assert cell.metadata == {"tags": ["nbval-ignore-output"]} and lesson.metadata.kernelspec["name"] == "python3"
    assert [output.get("text") for output in cell.outputs] == [None, None, "one two "]


def test_solutions_are_stored_without_their_pictures(tiny):
    master, _ = tiny
    output, _ = tool.without_pictures(master).cells[-1].outputs
    assert output.data == {"text/plain": "A line."} and output.metadata == {}


def test_the_tool_names_what_is_wrong_and_writes_nothing(tiny, tmp_path, capsys, monkeypatch):
    master, _ = tiny
    master.cells[0].source = "# A\n### B"
    path = tmp_path / "solutions" / "01_a.ipynb"
    path.parent.mkdir()
    nbformat.write(master, path)
    before = path.read_bytes()
    monkeypatch.setattr(tool, "execute", lambda notebook: notebook)
    monkeypatch.setattr(tool, "clear", cleared)
    with pytest.raises(SystemExit, match="01_a.ipynb is not written:\nThe heading 'B' skips a level") as stop:
        tool.build(path)
    assert stop.value.code and path.read_bytes() == before and not (tmp_path / "01_a.ipynb").exists()


def test_nbval_runs_lessons_and_solutions_and_not_the_readers_own(tiny, tmp_path):
    """A reader's my_stylelib.py changes no output, and JupyterLab's checkpoints are not tested."""
    name = next(iter(EXERCISES))
    source = f"from stylelib import checks\n_ = checks.mine({name!r})"
    out = f"{name}: the reference stands in, because it is not in my_stylelib.py yet.\n"
    cell = new_code_cell(source, outputs=[new_output("stream", text=out)], execution_count=1)
    notebook = new_notebook(cells=[cell])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    folder = tmp_path / "notebooks"
    for place in (".", ".ipynb_checkpoints", "solutions"):
        (folder / place).mkdir(exist_ok=True, parents=True)
        nbformat.write(notebook, folder / place / "01_a.ipynb")
        (folder / place / "my_stylelib.py").write_text(f"{name} = print")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    run = [sys.executable, "-m", "pytest", "-n", "0", "-v", "notebooks"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout
