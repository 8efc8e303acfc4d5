"""Nothing here runs what others send: no eval, no shell, no unpickling; downloads are pinned and come over https."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stylelib import backbones, gallery

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("stylelib", "tools", "benchmarks", "deploy", "notebooks")
FILES = [ROOT / "conftest.py", *sorted(path for each in FOLDERS for path in (ROOT / each).rglob("*.py"))]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
# Each runs a person's own code on that person's machine, or a student's where `sandbox` has shut it in.
EXECUTE = {"stylelib/submission.py": 2, "stylelib/checks/keeping.py": 1}
NETWORK = {"stylelib/downloads.py", "stylelib/gallery.py", "deploy/load.py"}  # the last one asks a hub on this machine

RUNS_TEXT = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNPICKLES = {
    *(f"{module}.{name}" for module in ("pickle", "marshal", "joblib", "dill") for name in ("load", "loads")),
    "pickle.Unpickler",
    "shelve.open",
    "torch.hub.load",  # runs the repository's own code
}
CONNECTS = {
    "urllib.request",
    "urllib3",
    "requests",
    "pooch",
    "socket",
    "http",
    "ftplib",
    "smtplib",
    "tornado",
    "aiohttp",
}
PLAIN_HTTP = re.compile(r"http://(?!\(?127\b|localhost|www\.w3\.org/)")  # the last is a name in XML, never fetched


def dangers(tree: ast.AST) -> Iterator[str]:
    """What in this code could run, unpickle or fetch something that others made."""
    names = full_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and PLAIN_HTTP.search(node.value):
            yield f"plain http in line {node.lineno}"
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func, names)
        options = {each.arg: getattr(each.value, "value", None) for each in node.keywords}
        if name in RUNS_TEXT or name in UNPICKLES:
            yield name
        elif name == "torch.load" and options.get("weights_only") is not True:
            yield "torch.load without weights_only=True"
        if options.get("shell", False) is not False or options.get("allow_pickle", False) is not False:
            yield "shell or allow_pickle"


def connections(tree: ast.AST) -> set[str]:
    """Modules imported here that can open a connection."""
    return {name for name in full_names(tree).values() if any(f"{name}.".startswith(f"{each}.") for each in CONNECTS)}


def full_names(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for: {"load": "pickle.load"} after `from pickle import load`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(each.asname or each.name): each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {(each.asname or each.name): f"{node.module}.{each.name}" for each in node.names}
    return found


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def cells(notebook: Path) -> Iterator[ast.AST]:
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            assert not [line for line in lines if line.startswith("!")], f"a shell in {notebook.name}"
            yield ast.parse("\n".join(line for line in lines if not line.startswith("%")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_code_of_others_is_run(path):
    name, tree = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
    assert list(dangers(tree)) == ["exec"] * EXECUTE.get(name, 0)
    assert name in NETWORK or not connections(tree), "what is fetched goes through `downloads`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_lesson_runs_code_of_others(path):
    for tree in cells(path):
        assert not list(dangers(tree)) and not connections(tree)


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "import os as o; o.system('ls')",
        "from os import system; system('ls')",
        "import subprocess; subprocess.run('ls', shell=True)",
        "import subprocess; subprocess.run('ls', shell=bool(1))",
        "import pickle; pickle.load(file)",
        "from pickle import loads as read; read(b'')",
        "import torch; torch.load(file)",
        "import torch; torch.load(file, weights_only=False)",
        "import torch; torch.load(file, weights_only=anything)",
        "import torch as t; t.load(file)",
        "import torch; torch.hub.load('a/b', 'c')",
        "import numpy as np; np.load(file, allow_pickle=True)",
        "address = 'http://example.org/weights.pth'",
        "address = f'http://{host}/weights.pth'",
    ],
)
def test_it_would_tell(code):
    assert list(dangers(ast.parse(code)))


def test_it_would_tell_of_connections_and_not_of_what_is_right():
    assert connections(ast.parse("from urllib import request")) and connections(ast.parse("def f():\n import requests"))
    right = (
        "import torch; torch.load(f, weights_only=True); network.eval(); run(['ls'], shell=False); 'http://localhost'"
    )
    assert not list(dangers(ast.parse(right))) and not connections(ast.parse("from urllib.parse import urlsplit"))


@pytest.mark.parametrize("name", ["vgg19", "squeezenet1_0"])
def test_weights_come_from_torchvisions_address_with_a_checksum_in_their_name(name):
    file = backbones.RECIPES[name].file
    address = backbones._address(name)
    assert address.startswith("https://") and address.endswith("/" + file)
    assert re.fullmatch(rf"{name}-[0-9a-f]{{8}}\.pth", file)


def test_every_address_is_pinned(monkeypatch):
    """All that is ever downloaded, and with which checksum."""
    asked = []

    def refuse(url, file, sha256, progress=False):
        asked.append((url, sha256))
        raise backbones.DownloadError("not now")

    for module in (backbones, gallery):
        monkeypatch.setattr(module, "download", refuse)
    monkeypatch.setattr(backbones, "has_weights", lambda name: False)
    monkeypatch.setattr(gallery, "_checksum", lambda file: None)
    for name in gallery.paintings():
        with pytest.raises(ValueError, match="not now"):
            gallery.path(name)
    for name in ("vgg19", "squeezenet1_0"):
        with pytest.raises(ValueError, match="not now"):
            backbones.load_backbone(name)
    assert len(asked) == len(gallery.PAINTINGS) + 2
    assert all(url.startswith("https://") and re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}", sum) for url, sum in asked)
