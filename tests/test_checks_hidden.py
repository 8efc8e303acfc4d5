"""Hidden tests ask every exercise again, accept each right answer and believe nothing that a stranger sends."""

import json
import os

import pytest
import torch
from test_checks_answers import RIGHT

from stylelib.checks import EXERCISES, Mistake, NotAttempted, hidden

SEED = 20


def ask(name, answer, seed):
    hidden.judge(name, hidden.replies(name, answer, seed), seed)


def test_every_exercise_is_asked_again():
    assert set(hidden.ASKED) == set(EXERCISES)


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_are_right_here_too(name, answer):
    for seed in (SEED, SEED + 1):
        ask(name, answer, seed)


@pytest.mark.parametrize("name", hidden.ASKED)
def test_an_answer_that_knows_only_another_seed_fails(name):
    """As one that returns what it has seen in its check would."""
    known = iter(list(hidden._questions(name, SEED)))
    with pytest.raises(Mistake, match=f"^{name}: right with the numbers of its check, but not with others"):
        ask(name, lambda *_: EXERCISES[name].reference(*next(known)), SEED + 50)


@pytest.mark.parametrize("name", hidden.ASKED)
def test_nothing_but_numbers_travels(name):
    said = hidden.replies(name, EXERCISES[name].reference, SEED)
    assert len(said) == hidden.QUESTIONS and not any("error" in reply for reply in said)
    hidden.judge(name, json.loads(json.dumps(said)), SEED)


def test_a_loss_that_is_cut_off_from_its_gradient_fails():
    def loss(features, target):
        return (features.detach() - target).square().sum() + 0 * features.sum()

    with pytest.raises(Mistake, match="a gradient differs"):
        ask("squared_distance", loss, SEED)
    with pytest.raises(Mistake, match="RuntimeError: element 0 of tensors does not require grad"):
        ask("squared_distance", lambda *both: loss(*both).detach(), SEED)


FORGED = [
    None,
    [],
    "right",
    [None] * 3,
    [{}] * 3,
    [{"value": "right", "gradients": None}] * 3,
    [{"value": {"shape": [-1], "values": "1"}, "gradients": None}] * 3,
    [{"value": {"shape": [10**30], "values": [1]}, "gradients": None}] * 3,
    [{"value": {"items": [{"items": []}], "names": []}, "gradients": None}] * 3,
    [{"value": {"shape": [1, 2, 2], "values": [float("nan")] * 4}, "gradients": None}] * 3,
    [{"error": 3}] * 3,
]


@pytest.mark.parametrize("forged", FORGED, ids=repr)
@pytest.mark.parametrize("name", ["gram_matrix", "best_image", "convolution_cost", "collect_features"])
def test_what_a_stranger_makes_up_is_wrong(name, forged):
    with pytest.raises(Mistake):
        hidden.judge(name, forged, SEED)


def test_an_enormous_answer_does_not_travel():
    assert "has 100001 numbers" in hidden.replies("gram_matrix", lambda _: torch.zeros(100_001), SEED)[0]["error"]


def my_convert_weight(weight, channels, positions):
    return weight * channels**2 / 4


def stub(*_):
    raise NotImplementedError()


@pytest.mark.parametrize("set_before", [None, "0"])
def test_for_nbgrader_a_test_is_strict_by_itself(monkeypatch, set_before):
    monkeypatch.delenv("STYLELIB_STRICT", raising=False)
    if set_before:
        monkeypatch.setenv("STYLELIB_STRICT", set_before)
    hidden.test("convert_weight", my_convert_weight, SEED)
    with pytest.raises(NotAttempted):
        hidden.test("convert_weight", stub, SEED)
    with pytest.raises(Mistake, match="nothing was converted"):
        hidden.test("convert_weight", lambda weight, *_: weight, SEED)
    assert os.environ.get("STYLELIB_STRICT") == set_before
