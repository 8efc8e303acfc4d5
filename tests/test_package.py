"""The wheel holds what the package needs; the pinned set has all dependencies, within their bounds."""

import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.mark.skipif(not shutil.which("uv"), reason="uv builds the wheel, and this environment was made without it")
def test_the_wheel_has_what_the_package_reads_and_no_more(tmp_path):
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("stylelib/data/slim.pt") == (ROOT / "stylelib" / "data" / "slim.pt").read_bytes()
        for path in (ROOT / "images" / "style").glob("*.jpg"):  # where the gallery of an installed package looks
            assert archive.read(f"stylelib/data/style/{path.name}") == path.read_bytes()
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "stylelib").rglob("*.py")} <= names
    assert any(name.endswith(".data/data/etc/jupyter/jupyter_server_config.py") for name in names)
    assert not [name for name in names if not re.match(r"stylelib(/|-[^/]+\.(dist-info|data)/)", name)]


def test_the_changelog_knows_this_version():
    assert f"\n## {PYPROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


def pins():
    """Name → the versions it is pinned to: one for each kind of machine."""
    found = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def test_the_pinned_set_has_every_dependency_within_its_bounds():
    pinned = pins()
    for line in PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]:
        wanted = Requirement(line)
        assert pinned.get(wanted.name), f"{wanted.name} is not pinned: run the command in the first lines of the lock"
        assert all(version in wanted.specifier for version in pinned[wanted.name]), line


def test_the_pinned_set_has_hashes_and_no_address():
    entries = re.split(r"\n(?=[a-z])", LOCK.split("\n", 2)[2])
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry) and "--hash=sha256:" in entry, entry
    assert "://" not in LOCK and "index" not in LOCK.split("\n", 2)[2]
