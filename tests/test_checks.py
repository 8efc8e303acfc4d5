"""What all checks share: how an answer is judged, and how it is kept for later lessons."""

import threading
import time

import pytest
import torch
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from torch import nn

from stylelib import checks
from stylelib.checks import core, keeping
from stylelib.checks.core import EXERCISES, Mistake, NotAttempted, exercise, expect, expect_gradient, random

NUMBERS = random(2, 3)


def double(numbers):
    return 2 * numbers


@pytest.fixture(autouse=True)
def doubling(monkeypatch, tmp_path):
    """An exercise for these tests, in a folder of its own and without settings of whoever runs them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STYLELIB_STRICT", raising=False)
    monkeypatch.delenv("STYLELIB_FOLDER", raising=False)
    monkeypatch.setattr(core, "EXERCISES", EXERCISES.copy())
    monkeypatch.setattr(keeping, "EXERCISES", core.EXERCISES)

    @exercise(reference=double)
    def doubled(answer):
        expect(answer(NUMBERS), 2 * NUMBERS, {"you halved it.": NUMBERS / 2}, "the double")

    return doubled


# --- every exercise of the course ---


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_says_what_it_asks_for_and_accepts_its_reference(name, capsys):
    assert checks.EXERCISES[name] is getattr(checks, name)
    assert EXERCISES[name].__doc__
    EXERCISES[name](EXERCISES[name].reference)
    assert capsys.readouterr().out.startswith(f"✓ {name}: right.")


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_rejects_a_forgotten_return_and_knows_its_stub(name, capsys, monkeypatch):
    monkeypatch.delenv("STYLELIB_STRICT", raising=False)

    def stub(*_, **__):
        raise NotImplementedError()

    with pytest.raises(Mistake, match=name):
        EXERCISES[name](lambda *_, **__: None)
    EXERCISES[name](stub)
    assert "not attempted yet" in capsys.readouterr().out


# --- verdicts ---


def test_a_right_answer_is_offered_a_place_in_the_library(doubling, capsys):
    doubling(double)
    assert capsys.readouterr().out == "✓ doubled: right. To keep it for lesson 05, run checks.keep(double).\n"
    doubling(lambda numbers: numbers + numbers)
    assert capsys.readouterr().out == "✓ doubled: right.\n"


def my_stub(numbers):
    raise NotImplementedError()


def calls_my_stub(numbers):
    return my_stub(numbers)


def test_a_stub_gets_a_friendly_line(doubling, capsys):
    doubling(my_stub)
    assert capsys.readouterr().out == (
        "· doubled: not attempted yet. Write your code where the function raises NotImplementedError.\n"
    )
    doubling(torch.no_grad()(my_stub))
    assert "where the function raises" in capsys.readouterr().out


def test_an_answer_that_calls_a_stub_is_told_which(doubling, capsys):
    doubling(calls_my_stub)
    assert "where my_stub raises" in capsys.readouterr().out


def test_a_stub_is_an_error_for_graders(doubling, monkeypatch):
    monkeypatch.setenv("STYLELIB_STRICT", "1")
    with pytest.raises(NotAttempted, match="doubled: not attempted"):
        doubling(my_stub)
    doubling(double)


def test_an_error_of_torch_is_no_stub(doubling):
    with pytest.raises(Mistake, match="stopped with NotImplementedError in line 1 of the function: Cannot copy"):
        doubling(lambda numbers: numbers.to("meta").cpu())


def test_a_called_function_is_no_function(doubling):
    with pytest.raises(Mistake, match="do not call it in the brackets"):
        doubling(double(NUMBERS))


WRONG = {
    "nothing": (lambda x: None, "the double is None. Did you forget `return`?"),
    "list": (lambda x: [1, 2], "the double should be a tensor, but it is a list."),
    "shape": (lambda x: 2 * x.T, "should have the shape (2, 3), but it has (3, 2)."),
    "one number": (lambda x: 2 * x.sum(), "should have the shape (2, 3), but it has ()."),
    "type": (lambda x: 2 * x.double(), "should be torch.float32, but it is torch.float64."),
    "device": (lambda x: 2 * x.to("meta"), "on the device of the input, cpu, but it is on meta."),
    "NaN": (lambda x: 2 * x * torch.nan, "contains NaN"),
    "zeros": (lambda x: 0 * x, "the double is all zeros."),
    "named": (lambda x: x / 2, "you halved it."),
    "factor": (lambda x: 3 * x, "the double is 1.5 times what it should be, everywhere."),
    "sign": (lambda x: -2 * x, "the double is -1 times what it should be, everywhere."),
    "values": (lambda x: x**2, "the right shape, but its values differ by up to"),
    "infinite": (lambda x: x * torch.inf, "differ by up to inf."),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_hears_its_mistake(doubling, name):
    answer, sentence = WRONG[name]
    with pytest.raises(Mistake) as error:
        doubling(answer)
    assert str(error.value).startswith("doubled: ") and sentence in str(error.value)
    assert error.value._render_traceback_() == [f"✗ {error.value}"]
    assert not isinstance(error.value, NotAttempted) and not doubling.passed


@pytest.mark.parametrize(
    ("got", "expected", "sentence"),
    [
        (2.0, 3.0, "the result should be 3, but it is 2."),
        (True, 1.0, "should be 1, but it is True."),
        (torch.tensor(2.0), 3.0, "should be 3, but it is tensor(2.)."),
        (1, True, "should be True, but it is 1."),
        (torch.zeros(99), 3.0, "…"),
        (torch.tensor([True, True]), torch.tensor([True, False]), "differ by up to 1."),
        (torch.tensor([1, 2]), torch.tensor([1, 5]), "differ by up to 3."),
    ],
)
def test_numbers_truths_and_integers_are_compared_too(got, expected, sentence):
    with pytest.raises(Mistake) as error:
        expect(got, expected)
    assert sentence in str(error.value) and len(str(error.value)) < 160


@pytest.mark.parametrize("got", [3.0, 3, torch.tensor(3.0), torch.tensor([3.0 + 1e-6])])
def test_a_number_may_come_as_a_tensor(got):
    expect(got, 3.0)


def test_an_exception_is_told_with_its_line(doubling):
    def my_double(numbers):
        table = {}
        return table["missing"]

    def my_other(numbers):
        return helper(numbers)

    def helper(numbers):
        raise ValueError("It ends with a dot.\nA second line.")

    def my_silent(numbers):
        raise AssertionError

    with pytest.raises(Mistake, match=r"stopped with KeyError in line 3 of the function: 'missing'\.$"):
        doubling(my_double)
    with pytest.raises(Mistake, match=r"ValueError in line 2 of the function: It ends with a dot\.$"):
        doubling(my_other)
    with pytest.raises(Mistake, match=r"AssertionError in line 2 of the function: no message\.$"):
        doubling(my_silent)


def endless(numbers):
    while True:
        numbers = numbers + 1


def wait_for(thread):
    deadline = time.monotonic() + 10
    while thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not thread.is_alive()


def test_an_endless_loop_is_stopped_and_ends(doubling, monkeypatch):
    monkeypatch.setattr(core, "SECONDS", 0.3)
    before = set(threading.enumerate())
    with pytest.raises(Mistake, match="ran for more than 0.3 seconds and was stopped"):
        doubling(endless)
    assert all(wait_for(thread) for thread in set(threading.enumerate()) - before)


def test_interrupting_the_kernel_stops_the_answer_too(doubling, monkeypatch):
    threads = []

    def interrupted(thread, timeout=None):
        threads.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        doubling(endless)
    assert wait_for(*threads)


@pytest.mark.parametrize("loss", [3.0, torch.tensor(3.0), NUMBERS.detach().sum()])
def test_a_cut_gradient_is_found(loss):
    with pytest.raises(Mistake, match="no gradient flows"):
        expect_gradient(loss, NUMBERS.clone().requires_grad_())


def test_a_gradient_must_reach_every_input():
    one, two = random(3).requires_grad_(), random(3, seed=1).requires_grad_()
    expect_gradient(one * two, one, two)
    with pytest.raises(Mistake, match="does not reach all inputs"):
        expect_gradient(one * two.detach(), one, two)


def test_random_numbers_are_the_same_every_time():
    assert torch.equal(random(2, 3), NUMBERS) and not torch.equal(random(2, 3, seed=1), NUMBERS)


# --- keeping answers ---


@pytest.fixture
def cells(tmp_path):
    """Runs source code as a notebook would; gives what it defines."""
    variables = {"__name__": "__main__"}

    def run(source):
        path = tmp_path / f"cell{len(list(tmp_path.glob('cell*')))}.py"
        path.write_text(source)
        exec(compile(source, path, "exec"), variables)
        return variables

    return run


def kept(function, doubling, name="doubled"):
    """A passed function, kept and read back."""
    doubling(function)
    checks.keep(function)
    return checks.mine(name)


def test_a_kept_answer_brings_imports_constants_and_helpers(cells, doubling, tmp_path):
    source = """
import math
import torch
import torch.nn.functional as F
from collections.abc import Callable
from torch import nn, Tensor as T
from stylelib import gram_matrix

FACTOR, NAMES, WEIGHTS = 2.0, ("relu1_1", "relu2_1"), {"relu1_1": 0.5}
unused = torch.zeros(3)

def half(x):
    return F.relu(x) - F.relu(-x) if isinstance(x, T) else nn.Identity()(x)

also_half = half

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

@torch.no_grad()
def my_doubled(numbers: torch.Tensor, norm: Callable = math.sqrt, also=also_half) -> "T":
    '''Twice the numbers.'''
    assert callable(gram_matrix) and NAMES[0] in WEIGHTS and even(2) and [odd(n) for n in (1, 3)]
    unused = [half(row) for row in numbers]
    return FACTOR * torch.stack([also(row) for row in unused])
"""
    function = kept(cells(source)["my_doubled"], doubling)
    assert torch.equal(function(NUMBERS), double(NUMBERS)) and function.__doc__ == "Twice the numbers."
    text = (tmp_path / "my_stylelib.py").read_text()
    for line in ("import torch.nn.functional as F", "import torch.nn as nn", "from torch import Tensor as T"):
        assert line in text.splitlines()
    assert "unused = tensor" not in text
    assert "cell" not in text  # nothing of where it came from


def test_a_kept_answer_can_be_kept_on_in_a_later_lesson(cells, doubling):
    function = kept(
        cells("def my_doubled(x):\n    return shift(x) * 2\n\ndef shift(x):\n    return x")["my_doubled"], doubling
    )
    doubling(function)
    checks.keep(function, replace=True)
    assert torch.equal(checks.mine("doubled")(NUMBERS), double(NUMBERS))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("two = torch.tensor(2.0)", "uses the notebook's variable 'two', which a file cannot keep"),
        ("two = (torch.tensor(2.0),)[0]", "uses the notebook's variable 'two'"),
        ("class Two:\n    def __rmul__(self, x):\n        return x * 2.0\ntwo = Two()", "variable 'two'"),
    ],
)
def test_an_answer_that_needs_its_notebook_is_refused(cells, doubling, tmp_path, line, sentence):
    function = cells(f"import torch\n{line}\ndef my_doubled(x):\n    return x * two")["my_doubled"]
    doubling(function)
    with pytest.raises(ValueError, match=sentence):
        checks.keep(function)
    assert not (tmp_path / "my_stylelib.py").exists()


class Doubler(nn.Module):
    def forward(self, numbers):
        return 2 * numbers


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("answer = lambda x: 2 * x", "<lambda> cannot be kept. Write it with def"),
        (
            "def make():\n    k = 2\n    def inner(x):\n        return k * x\n    return inner\nanswer = make()",
            "inner cannot",
        ),
        ("half = lambda x: x\ndef answer(x):\n    return 2 * half(x)", "<lambda> cannot be kept. Write it with def"),
        ("exec('def answer(x): return 2 * x')", "The source of answer is not in a cell"),
    ],
)
def test_what_is_no_plain_function_is_refused(cells, doubling, source, sentence):
    answer = cells(source)["answer"]
    doubling(answer)
    with pytest.raises(ValueError, match=sentence):
        checks.keep(answer)


def test_a_module_is_right_but_not_kept(doubling):
    answer = Doubler()
    doubling(answer)
    with pytest.raises(ValueError, match="Only a function can be kept"):
        checks.keep(answer)


def test_only_what_passed_is_kept(doubling):
    with pytest.raises(Mistake):
        doubling(half_of_it)
    with pytest.raises(ValueError, match="Run its check first"):
        checks.keep(half_of_it)


def half_of_it(numbers):
    return numbers / 2


FIRST = "def my_doubled(x):\n    return 2 * x"
SECOND = "def my_doubled(x):\n    return x + x"


def test_nothing_is_overwritten_silently(cells, doubling, tmp_path, capsys):
    file = tmp_path / "my_stylelib.py"
    kept(cells(FIRST)["my_doubled"], doubling)
    with file.open("a") as text:
        text.write("\n# --- other ---\nmine_too = 1\n# --- end of other ---\n")
    before = file.read_text()
    second = cells(SECOND)["my_doubled"]
    doubling(second)
    with pytest.raises(ValueError, match=r"already has another doubled.*checks\.keep\(my_doubled, replace=True\)"):
        checks.keep(second)
    assert file.read_text() == before
    checks.keep(second, replace=True)
    assert file.read_text() == before.replace("2 * x", "x + x")
    checks.keep(second)  # the same again is no conflict
    assert file.read_text().count("def my_doubled") == 1
    assert capsys.readouterr().out.endswith("Kept: doubled is in my_stylelib.py.\n")


def test_sections_do_not_disturb_each_other(cells, doubling, tmp_path):
    kept(cells("K = 2\ndef my_doubled(x):\n    return K * x")["my_doubled"], doubling)
    with (tmp_path / "my_stylelib.py").open("a") as file:
        file.write("\n# --- other ---\nK = 3\nthis is no Python\n# --- end of other ---\n")
    assert torch.equal(checks.mine("doubled")(NUMBERS), double(NUMBERS))


def test_mine_falls_back_to_the_reference_in_one_line(doubling, tmp_path, capsys):
    assert checks.mine("doubled") is double
    assert capsys.readouterr().out == ("doubled: the reference stands in, because it is not in my_stylelib.py yet.\n")
    (tmp_path / "my_stylelib.py").write_text("# --- doubled ---\ndef doubled(x:\n# --- end of doubled ---\n")
    assert checks.mine("doubled") is double
    out = capsys.readouterr().out
    assert "because my_stylelib.py cannot be run (SyntaxError: " in out and "line 2" in out and out.count("\n") == 1
    (tmp_path / "my_stylelib.py").write_text("raise ValueError('No.')")
    assert checks.mine("doubled") is double
    assert capsys.readouterr().out.endswith("cannot be run (ValueError: No).\n")
    with pytest.raises(ValueError, match="There is no exercise 'doublet'. There are: .*doubled"):
        checks.mine("doublet")


def test_mine_takes_a_function_that_was_written_into_the_file_by_hand(doubling, tmp_path, capsys):
    (tmp_path / "my_stylelib.py").write_text("def doubled(x):\n    return x + x\n")
    assert torch.equal(checks.mine("doubled")(NUMBERS), double(NUMBERS))
    assert capsys.readouterr().out == "doubled: yours.\n"


def test_the_library_can_lie_in_another_folder(cells, doubling, monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("STYLELIB_FOLDER", str(tmp_path / "mine"))
    kept(cells(FIRST)["my_doubled"], doubling)
    assert (tmp_path / "mine" / "my_stylelib.py").exists() and not (tmp_path / "my_stylelib.py").exists()


def run_in_a_new_kernel(folder, *sources):
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]


def test_from_one_notebook_to_the_next(tmp_path):
    """In real kernels: write, check, keep; then, in another notebook, use."""
    name = next(iter(EXERCISES))
    body = "    print('hello')\n    return reference(*inputs, **options)"
    answer = f"def my_answer(*inputs: Tensor, **options: Tensor):\n{body}"
    first = run_in_a_new_kernel(
        tmp_path,
        "from torch import Tensor\nfrom stylelib import checks",
        f"reference = checks.EXERCISES[{name!r}].reference\n{answer}",
        f"checks.{name}(my_answer)",
        "checks.keep(my_answer)",
    )
    assert "hello" in first[2] and "right. To keep it for lesson 05, run checks.keep(my_answer)" in first[2]
    assert first[3] == f"Kept: {name} is in my_stylelib.py.\n"
    second = run_in_a_new_kernel(tmp_path, f"from stylelib import checks\nchecks.{name}(checks.mine({name!r}))")
    assert f"{name}: yours.\n" in second[0] and f"✓ {name}: right." in second[0]
