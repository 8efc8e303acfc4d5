"""Every check accepts right answers and rejects each wrong one with the sentence that names its mistake.

The answers stand in `test_checks_<file>.py`, beside the tests of that file alone, in two tables: RIGHT, exercise →
answers written differently, and WRONG, exercise → pairs of an answer and a piece of the sentence that it must hear.
"""

import functools
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylelib import checks
from stylelib.checks.core import EXERCISES, Mistake

FILES = sorted(path.stem for path in Path(checks.__file__).parent.glob("*.py"))
FILES = [name for name in FILES if name not in ("__init__", "core", "hidden", "keeping", "watching")]
TABLES = {name: import_module(f"test_checks_{name}") for name in FILES}
RIGHT = [(name, answer) for table in TABLES.values() for name in table.RIGHT for answer in table.RIGHT[name]]
WRONG = [
    (name, *case)
    for table in TABLES.values()
    for name, cases in table.WRONG.items()
    for case in ([(answer, fragment) for fragment, answer in cases.items()] if isinstance(cases, dict) else cases)
]


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


# --- the same of all of them ---


def decorated(answer):
    @functools.wraps(answer)
    def wrapper(*arguments):
        return answer(*arguments)

    return wrapper


class Callable:
    """An answer that is an object, and cannot even be put into a set."""

    __hash__ = None

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, *arguments):
        return self.answer(*arguments)


def changed(value, change, kinds=(Tensor, int, float, np.generic, np.ndarray)):
    """The change of each number and tensor in a value; of nothing else."""
    value = list(value) if isinstance(value, Iterator) else value
    if isinstance(value, dict):
        return {key: changed(item, change, kinds) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(changed(item, change, kinds) for item in value)
    return change(value) if isinstance(value, kinds) and not isinstance(value, bool) else value


def then(answer, *change):
    return lambda *arguments: changed(answer(*arguments), *change)


def numbers_of_numpy(answer):
    return then(answer, lambda number: np.asarray(number)[()], (int, float))


def lists_as_iterators(answer):
    def lazy(*arguments):
        got = answer(*arguments)
        return iter(got) if isinstance(got, list) else got

    return lazy


DRESSES = [decorated, functools.partial, Callable, numbers_of_numpy, lists_as_iterators]

CHANGES = {
    "nothing": lambda value: None,
    "a text": lambda value: "text",
    "the text of it": str,
    "a function": lambda value: lambda: value,
    "in a list": lambda value: [value],
    "twice": lambda value: (value, value),
    "in a dictionary": lambda value: {"result": value},
    "doubled": lambda value: changed(value, lambda item: 2 * item),
    "negative": lambda value: changed(value, lambda item: -item),
    "a ninth too much": lambda value: changed(value, lambda item: item * 10 / 9),
    "one more": lambda value: changed(value, lambda item: item + 1),
    "NaN": lambda value: changed(value, lambda item: item * torch.nan),
    "infinite": lambda value: changed(value, lambda item: item * torch.inf),
    "squared": lambda value: changed(value, lambda item: item**2 + 3),
    "another shape": lambda value: changed(value, lambda item: torch.stack([torch.as_tensor(item)] * 2)),
    "whole numbers": lambda value: changed(value, lambda item: round_down(item)),
}


def round_down(item):
    return torch.as_tensor(item).detach().to(torch.int64) + 40


def right_answers(name):
    return [answer for other, answer in RIGHT if other == name]


def dresses_of(name):
    """All of them; fewer where a check runs whole optimizations, which return neither numbers nor lists."""
    return DRESSES[:2] if name.startswith("optimize_") else DRESSES


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass_in_every_dress(name, capsys):
    tried = [(answer, dress) for answer in right_answers(name) for dress in dresses_of(name)]
    for answer, dress in tried:
        EXERCISES[name](dress(answer))
    assert capsys.readouterr().out.count(f"✓ {name}: right.") == len(tried)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("change", CHANGES)
def test_right_answers_that_are_changed_at_the_end_hear_a_sentence(name, change):
    for answer in right_answers(name):
        with pytest.raises(Mistake) as caught:
            EXERCISES[name](lambda *arguments, answer=answer: CHANGES[change](answer(*arguments)))
        sentence = str(caught.value)
        assert sentence.startswith(f"{name}: ") and sentence[-1] in ".?)" and len(sentence) < 400, sentence
        assert "stopped with" not in sentence, sentence


@pytest.mark.parametrize("name", EXERCISES)
def test_an_answer_cannot_end_the_program(name):
    with pytest.raises(Mistake, match="your function ends the program"):
        EXERCISES[name](lambda *_: sys.exit())


def test_the_tables_are_large():
    """Outside testers tried as many by hand."""
    dressed = sum(len(dresses_of(name)) for name, _ in RIGHT)
    assert len(RIGHT) + dressed >= 440 and len(WRONG) + len(RIGHT) * len(CHANGES) >= 1497
