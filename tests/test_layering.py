"""Data flows one way: a module of stylelib imports only from modules above it in this list."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "stylelib"
ORDER = """
    machine memory cluster files checkpoint console decoding encoding profiles images downloads gallery color lut masks
    clips reel flow scenes backbones losses objective tiles spectrum adam lbfgs loop cost transfer
    bilateral photo video
    doctor look plots sliders screen
    camera studio_recipe studio_preview studio_worker studio_folder studio_session studio_look studio
    checks sandbox submission grading batch commands cli
""".split()
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
CHECKS = sorted((PACKAGE / "checks").glob("*.py"))  # a leaf in several files


def imported_modules(path):
    """Names of the package's own modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("stylelib")):
            module = (node.module or "").removeprefix("stylelib").lstrip(".")
            yield from [module.split(".")[0]] if module else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("stylelib."))


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_above(module):
    assert module in ORDER, f"{module} has no place in the order of the design"
    for name in imported_modules(PACKAGE / f"{module}.py"):
        assert ORDER.index(name) < ORDER.index(module), f"{module} imports {name}, which is below it"


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_checks_do_not_judge_the_package_by_itself(path):
    own = {"checks", *(file.stem for file in CHECKS)}
    assert set(imported_modules(path)) <= own, "a check's reference must not be the function that it is to judge"


def test_the_rule_sees_imports_of_every_form(tmp_path):
    file = tmp_path / "module.py"
    file.write_text("from . import cli\nfrom .loop import Step\nimport stylelib.plots\nfrom stylelib import images\n")
    assert list(imported_modules(file)) == ["cli", "loop", "plots", "images"]
