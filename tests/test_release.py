"""What students get holds no solutions, and nbgrader's course holds hidden tests that students do not get."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from stylelib.checks import Mistake, NotAttempted

ROOT = Path(__file__).resolve().parent.parent
MASTERS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
HIDDEN = re.compile(r"\n### BEGIN HIDDEN TESTS\n.*?\n### END HIDDEN TESTS", re.DOTALL)


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = load_tool("release")


def checks_of(notebook):
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]


def test_students_get_lessons_package_and_pictures_and_no_solutions(tmp_path):
    release.release(tmp_path / "course")
    files = {str(path.relative_to(tmp_path / "course")) for path in (tmp_path / "course").rglob("*") if path.is_file()}
    assert {f"notebooks/{path.name}" for path in MASTERS} <= files
    assert {"README.md", "pyproject.toml", "LICENSE", "stylelib/cli.py", "stylelib/checks/gram.py"} <= files
    assert any(name.startswith("images/style/") for name in files)  # the gallery of a checkout reads them there
    assert not [name for name in files if re.search("solution|INSTRUCTOR|^tests|^tools|pyc$|my_stylelib|/[.]", name)]
    for path in (tmp_path / "course").rglob("*.ipynb"):
        assert "BEGIN SOLUTION" not in path.read_text(encoding="utf-8")
    for name in re.findall(r"\]\((.*?)\)", (tmp_path / "course" / "README.md").read_text(encoding="utf-8")):
        assert name in files


def test_the_package_of_the_release_works_where_it_lies(tmp_path):
    """Its gallery finds its pictures, and nothing of this checkout is needed."""
    release.release(tmp_path / "course")
    code = "import stylelib; print(stylelib.__file__, tuple(stylelib.gallery.load('waves', size=64).shape))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "course", capture_output=True, text=True)
    assert str(tmp_path / "course" / "stylelib") in done.stdout and "(1, 3," in done.stdout, done.stderr


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    with pytest.raises(SystemExit, match="exists already; name a new folder"):
        release.release(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_writing_fails(tmp_path):
    def fill(folder):
        (folder / "half").touch()
        raise OSError("full")

    with pytest.raises(OSError):
        release.write_whole(tmp_path / "course", fill)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_every_check_gets_a_hidden_test_with_a_seed_of_its_own(path):
    master = nbformat.read(path, as_version=4)
    seeds = iter(range(100))
    notebook = release.with_hidden_tests(master, lambda: next(seeds))
    assert checks_of(notebook)
    for number, (cell, before) in enumerate(zip(checks_of(notebook), checks_of(master), strict=True)):
        assert HIDDEN.sub("", cell.source) == before.source and f"seed={number})" in cell.source
        assert cell.metadata == before.metadata and cell.outputs == []
    others = [cell.source for cell in notebook.cells if cell not in checks_of(notebook)]
    assert not any("HIDDEN" in source for source in others)


def test_a_hidden_test_judges(monkeypatch):
    monkeypatch.delenv("STYLELIB_STRICT", raising=False)
    master = nbformat.read(ROOT / "notebooks" / "solutions" / "04_gram_matrices.ipynb", as_version=4)
    cell = next(cell for cell in checks_of(release.with_hidden_tests(master, lambda: 7)) if "convert" in cell.source)

    def check(answer):
        exec("from stylelib import checks\n" + cell.source, {"my_convert_weight": answer})

    def stub(*_):
        raise NotImplementedError()

    check(lambda weight, channels, positions: weight * channels**2 / 4)
    with pytest.raises(NotAttempted):
        check(stub)
    with pytest.raises(Mistake, match="nothing was converted"):
        check(lambda weight, *_: weight)
    with pytest.raises(Mistake, match="but not with others"):
        check(lambda weight, channels, _: weight * channels**2 / 4 if channels in (5, 64, 512) else 0.0)


def test_the_course_has_one_assignment_for_each_lesson_with_checks(tmp_path):
    release.nbgrader_course(tmp_path / "course", "raise NotImplementedError()")
    sources = sorted((tmp_path / "course" / "source").glob("*/*.ipynb"))
    assert [path.name for path in sources] == [path.name for path in MASTERS]
    assert all(path.parent.name == path.stem for path in sources)
    seeds = re.findall(r"hidden[.]test.*seed=(\d+)", "".join(path.read_text(encoding="utf-8") for path in sources))
    assert len(set(seeds)) > len(seeds) - 2 > 10  # drawn, not fixed
    compile((tmp_path / "course" / "nbgrader_config.py").read_text(), "config", "exec")


def test_lessons_for_colab_install_the_package_and_keep_what_is_there(tmp_path):
    release.colab(tmp_path / "colab", "git+https://example.org/course")
    lessons = sorted((tmp_path / "colab").glob("*.ipynb"))
    assert [path.name for path in lessons] == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    for path in lessons:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        *python, pip = notebook.cells[1].source.splitlines()
        assert pip == '%pip install --quiet --constraint {here} "stylelib @ git+https://example.org/course"'
        lines = compile("\n".join(python).replace('Path("installed.txt")', "here"), "cell", "exec")
        exec(lines, {"here": tmp_path / "installed.txt"})
        assert re.fullmatch("torch==.+\ntorchvision==.+\nnumpy==.+\n", (tmp_path / "installed.txt").read_text())
