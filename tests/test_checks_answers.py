"""Every check accepts right answers and rejects each wrong one with the sentence that names its mistake.

The answers stand in `test_checks_<file>.py`, beside the tests of that file alone, in two tables: RIGHT, exercise →
answers written differently, and WRONG, exercise → pairs of an answer and a piece of the sentence that it must hear.
"""

from importlib import import_module
from pathlib import Path

import pytest

from stylelib import checks
from stylelib.checks.core import EXERCISES, Mistake

FILES = sorted(path.stem for path in Path(checks.__file__).parent.glob("*.py"))
FILES = [name for name in FILES if name not in ("__init__", "core", "keeping")]
TABLES = {name: import_module(f"test_checks_{name}") for name in FILES}
RIGHT = [(name, answer) for table in TABLES.values() for name in table.RIGHT for answer in table.RIGHT[name]]
WRONG = [(name, *case) for table in TABLES.values() for name in table.WRONG for case in table.WRONG[name]]


@pytest.mark.parametrize("file", FILES)
def test_every_exercise_of_a_file_has_right_and_wrong_answers_and_a_reference_of_its_own(file):
    # A reference from the package would judge the package by itself.
    ours = [name for name, check in EXERCISES.items() if check.reference.__module__ == f"stylelib.checks.{file}"]
    named = [
        name for name, value in vars(getattr(checks, file)).items() if name in EXERCISES and value is EXERCISES[name]
    ]
    assert sorted(ours) == sorted(named) == sorted(TABLES[file].RIGHT) == sorted(TABLES[file].WRONG) != []
    assert all(len(answers) >= 2 for answers in TABLES[file].RIGHT.values())


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_differently_written_right_answers_pass(name, answer, capsys):
    EXERCISES[name](answer)
    assert "right" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize(("name", "answer", "fragment"), WRONG)
def test_each_wrong_answer_hears_its_own_mistake(name, answer, fragment):
    with pytest.raises(Mistake) as caught:
        EXERCISES[name](answer)
    assert fragment in str(caught.value)
