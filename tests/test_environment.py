"""pyproject.toml and environment.yml must promise the same packages within the same bounds."""

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"torch": "pytorch"}  # where conda-forge's name is not PyPI's
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def bounds(lines):
    requirements = [Requirement(line) for line in lines]
    return {CONDA_NAMES.get(r.name, r.name): r.specifier for r in requirements}


def test_conda_environment_has_the_packages_and_bounds_of_pyproject():
    project = PYPROJECT["project"]
    wanted = bounds(project["dependencies"] + PYPROJECT["dependency-groups"]["dev"])
    wanted |= bounds([f"python{project['requires-python']}", "pip"])
    assert bounds(line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)) == wanted


def test_conda_environment_uses_conda_forge_alone_and_ends_with_this_package():
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]
    assert ENVIRONMENT["dependencies"][-1] == {"pip": ["-e ."]}


def test_every_dependency_has_a_lower_and_an_upper_bound():
    for line in PYPROJECT["project"]["dependencies"]:
        assert {specifier.operator for specifier in Requirement(line).specifier} == {">=", "<"}, line
