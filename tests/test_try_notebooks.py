"""The command that runs lessons as a lab does tells a good notebook from one that is not."""

import random
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture(scope="module")
def tool():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        import try_notebooks

        yield try_notebooks
        sys.modules.pop("try_notebooks")


@pytest.fixture
def notebook(tmp_path):
    """Writes a notebook of these cells; the last one has printed "3"."""

    def write(*sources):
        cells = [new_code_cell(source, execution_count=n + 1) for n, source in enumerate(sources)]
        cells[-1].outputs = [new_output("stream", text="3\n")]
        made = new_notebook(cells=cells)
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        folder = tmp_path / "notebooks"
        folder.mkdir(exist_ok=True)
        nbformat.write(made, folder / "01_a.ipynb")
        return folder / "01_a.ipynb"

    return write


def test_what_is_printed_is_compared(tool, notebook):
    assert "1 failed" in tool.elsewhere(notebook("print(4)"), random.Random(0))


def test_nothing_can_be_written_beside_a_read_only_lesson(tool, notebook):
    path = notebook("from pathlib import Path\nPath('a.txt').touch()\nprint(3)")
    assert "OSError" in (failure := tool.readonly(path, random.Random(0))) or "PermissionError" in failure


def test_a_warning_is_an_error(tool, notebook):
    assert "old" in tool.warned(notebook("import warnings\nwarnings.warn('old')\nprint(3)"), random.Random(0))


def test_a_cell_that_cannot_be_run_twice_is_found(tool, notebook):
    path = notebook("import time\ntotal = 0", "total += 1\nassert total == 1\nprint(3)\ntime.sleep(5)")
    assert "AssertionError" in tool.interrupted(path, random.Random(0))
