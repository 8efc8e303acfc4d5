"""Executes the course's notebooks and cleans what is stored, so that outputs are fresh and differences small.

    uv run python tools/build_notebooks.py                              # all of them, after slim's weights change
    uv run python tools/build_notebooks.py notebooks/00_start_here.ipynb

Each notebook runs top to bottom in a new kernel. What a kernel or an editor leaves behind (timings, widget state,
editor settings) is taken out; outputs, counts and cell ids stay.
"""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbstripout import strip_output

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
CELL_SECONDS = 120
WIDGET = "application/vnd.jupyter.widget-view+json"


def build(path: Path) -> None:
    """Executes one notebook in place. An exception in a cell stops the build with that cell's traceback."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(path.parent)}}).execute()
    nbformat.write(clean(notebook), path)


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Takes out what differs from run to run. A widget without its state would show as an error; its text stays."""
    notebook = strip_output(notebook, keep_output=True, keep_count=True, keep_id=True)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
        _join_streams(cell)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _join_streams(cell: nbformat.NotebookNode) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", type=Path, nargs="*", default=sorted(NOTEBOOKS.glob("*.ipynb")))
    for path in parser.parse_args().notebooks:
        build(path)
        print(f"built {path.name} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
