"""What all checks share: how an answer is judged, and how it is kept for later lessons."""

import functools
import sys
import threading
import time

import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from torch import nn

import stylelib
from stylelib import checks
from stylelib.checks import core, keeping
from stylelib.checks.core import EXERCISES, Mistake, NotAttempted, exercise, expect, expect_gradient, random
from stylelib.checks.watching import Watched

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

    @exercise(reference=lambda numbers: 2 * numbers, used="lesson 05")
    def doubled(answer):
        expect(answer(NUMBERS), 2 * NUMBERS, {"you halved it.": NUMBERS / 2}, "the double")

    return doubled


# --- every exercise of the course ---


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_says_what_it_asks_for_and_accepts_its_reference(name, capsys):
    assert checks.EXERCISES[name] is getattr(checks, name)
    assert EXERCISES[name].__doc__
    EXERCISES[name](EXERCISES[name].reference)
    assert capsys.readouterr().out.startswith(f"· {name}: that is the library's own function ")


@pytest.mark.parametrize("name", EXERCISES)
def test_calling_the_reference_is_no_answer(name, capsys, monkeypatch):
    exercise = EXERCISES[name]

    def borrowed(*arguments):
        return exercise.reference(*arguments)

    exercise(borrowed)
    assert "library's own function" in capsys.readouterr().out and not any(
        borrowed is passed for passed in exercise.passed
    )
    monkeypatch.setenv("STYLELIB_STRICT", "1")
    with pytest.raises(Mistake, match="that is the library's"):
        exercise(borrowed)


LIBRARY = {name: getattr(stylelib, name) for name in ("gram_matrix", "content_loss", "style_loss", "total_variation")}


@pytest.mark.parametrize("name", LIBRARY)
def test_calling_the_library_is_no_answer(name, capsys, monkeypatch):
    monkeypatch.setattr(core.Exercise, "passed", [], raising=False)
    for answer in (LIBRARY[name], functools.partial(LIBRARY[name]), lambda *inputs: LIBRARY[name](*inputs)):
        EXERCISES[name](answer)
        assert "that is the library's" in capsys.readouterr().out


def test_other_functions_of_the_library_may_be_used(capsys):
    """Lesson 04 says so: the style loss may use stylelib.gram_matrix."""

    def my_style_loss(features, targets):
        parts = [
            (stylelib.gram_matrix(features[name]) - target.detach()).square().sum() / target.detach().square().sum()
            for name, target in targets.items()
        ]
        return torch.stack(parts).mean()

    checks.style_loss(my_style_loss)
    assert "✓ style_loss: right." in capsys.readouterr().out


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
    doubling(decorated)
    assert capsys.readouterr().out.endswith("run checks.keep(decorated).\n"), "not the name of the decorator's wrapper"
    doubling.used = ""
    doubling(double)
    assert capsys.readouterr().out == "✓ doubled: right.\n"


def plainly(function):
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


decorated = plainly(double)


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


@pytest.mark.parametrize("leave", [sys.exit, lambda: sys.exit("text"), lambda: exec("raise SystemExit(3)")])
def test_an_answer_cannot_end_the_program(doubling, leave):
    with pytest.raises(Mistake, match=r"doubled: your function ends the program, with exit\(\)"):
        doubling(lambda numbers: leave())


def test_types_of_numbers_that_do_not_mix_are_named(doubling):
    for mix in (lambda x: x.double() @ x.T, lambda x: torch.dot(x[0].double(), x[0])):
        with pytest.raises(Mistake, match="two types of numbers meet, such as float32 and float64"):
            doubling(mix)


def test_a_called_function_is_no_function(doubling):
    with pytest.raises(Mistake, match="do not call it in the brackets"):
        doubling(double(NUMBERS))


WRONG = {
    "nothing": (lambda x: None, "the double is None. Did you forget `return`?"),
    "array": (lambda x: x.numpy() * 2, "should be a tensor, but it is a NumPy array. Make one of it"),
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
        (torch.tensor(2.0), 3.0, "should be 3, but it is 2."),
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


THREES = [
    3.0,
    3,
    torch.tensor(3.0),
    torch.tensor([3.0 + 1e-6]),
    np.float32(3),
    np.float64(3),
    np.array(3),
    np.ones(1) * 3,
]


@pytest.mark.parametrize("got", THREES, ids=repr)
def test_a_number_may_come_as_a_tensor_or_from_numpy(got):
    expect(got, 3.0)
    if got == 3:
        expect(got, 3)
        expect([got, 1], [3, 1])
        expect((got, np.bool_(True)), (3, True))


@pytest.mark.parametrize("got", [3.5, np.float64(3.5), torch.tensor(4), "3", True, np.ones(3)], ids=repr)
def test_another_number_is_another_number(got):
    for expected in (3, 3.0):
        with pytest.raises(Mistake, match="should be 3, but it is"):
            expect(got, expected)


def test_a_ratio_is_no_mistake_of_a_single_number():
    """Any wrong number is some multiple of the right one."""
    with pytest.raises(Mistake, match=r"the loss should be 3, but it is 2\.7\.$"):
        expect(torch.tensor(2.7), torch.tensor(3.0), what="the loss")


def test_a_right_answer_is_right_though_a_mistake_gives_the_same_here():
    with pytest.raises(Mistake, match="the first mistake"):
        expect(2.0, 3.0, {"the first mistake.": 2.0})


def test_items_of_an_iterator_are_seen_by_every_look(doubling, monkeypatch):
    seen = []
    monkeypatch.setattr(doubling, "_check", lambda answer: seen.extend([list(got := answer(NUMBERS)), list(got)]))
    for lazy in (lambda x: map(float, [1, 2]), lambda x: (float(k) for k in (1, 2)), lambda x: zip([1.0, 2.0])):
        seen.clear()
        doubling(lazy)
        assert seen[0] == seen[1] and len(seen[0]) == 2


# --- what an answer must leave alone ---

CHANGED = {
    "tensor": (lambda x, *_: x.mul_(2), "changed the tensor in place"),
    "back again": (lambda x, *_: x.mul_(2).div_(2), None),
    "asks": (lambda x, *_: x.requires_grad_(), "goes on asking after your function is done"),
    "asked": (lambda x, asking, *_: asking.detach_(), "does not ask for gradients any more. detach_()"),
    "array": (lambda x, a, array, *_: array.sort(), "changed the array in place: -="),
    "list": (
        lambda x, a, b, names, *_: names.remove("one"),
        "changed the list names in place, with a method such as remove",
    ),
    "an item": (lambda x, a, b, names, *_: names.__setitem__(0, "two"), "changed the list names"),
    "dict": (lambda x, a, b, c, table, *_: table.pop("key"), "changed the dictionary table in place"),
    "in a dict": (
        lambda x, a, b, c, table, *_: table["key"].zero_(),
        "changed the table in place: operators such as -=",
    ),
    "mode": (lambda *inputs: inputs[-1].train(), "changed the network: train() and eval()"),
    "frozen": (lambda *inputs: inputs[-1].requires_grad_(False), "whether its weights ask for gradients"),
    "hooks": (lambda *inputs: inputs[-1][0].register_forward_hook(print), "it keeps your hooks"),
    "modules": (lambda *inputs: inputs[-1].append(nn.ReLU()), "its modules are others now"),
    "weights": (lambda *inputs: nn.init.zeros_(inputs[-1][0].weight), "changed the network in place: operators"),
}


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("stops", [False, True])
def test_a_changed_argument_is_called_changed(name, stops):
    change, sentence = CHANGED[name]

    def given(tensor, asking, array, names, table, network):
        """What a check hands over; its names go into the sentences."""

    def answer(*inputs):
        change(*inputs)
        if stops:
            raise KeyError("stopped, often because of the change")

    inputs = (
        random(3),
        random(3).requires_grad_() * 1,
        np.array([3.0, 1.0]),
        ["one", "other"],
        {"key": random(2) + 9},
        nn.Sequential(nn.Linear(2, 2)).eval(),
    )
    watched = Watched(answer, given, (), Mistake)
    if sentence and not (stops and name == "asks"):
        with pytest.raises(Mistake) as error:
            watched(*inputs)
        assert sentence in str(error.value)
    elif stops:
        with pytest.raises(KeyError):
            watched(*inputs)
    else:
        watched(*inputs)


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


def test_time_for_an_import_is_not_the_answers_time(doubling, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(core, "SECONDS", 0.3)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(1)")

    def my_doubled(numbers):
        import slow_to_import

        return 2 * numbers if slow_to_import else None

    doubling(my_doubled)
    assert "✓ doubled: right." in capsys.readouterr().out


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
        ("two = torch.tensor(2.0)", "uses the notebook's variable 'two', which a file cannot keep. Make it inside"),
        ("two = [2.0, torch.tensor(2.0)][0] * torch.ones(1)", "uses the notebook's variable 'two'"),
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


CONSTANTS = {
    "INF": 'float("inf")',
    "LOWEST": 'float("-inf")',
    "KIND": "torch.float32",
    "DEVICE": 'torch.device("cpu")',
    "LIMITS": '(0, float("inf"))',
    "SHAPE": "torch.Size([1, 3])",
    "TABLE": '{"kind": torch.float32, "names": ["a", ("b",)], 3: None, "nothing": ()}',
    "NUMBER": "np.float32(2.5)",
    "ODD": "{1, 3}",
    "STEPS": "range(0, 9, 2)",
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_of_a_notebook_are_kept(cells, doubling, name):
    source = f"import numpy as np\nimport torch\n{name} = {CONSTANTS[name]}\ndef my_doubled(x):\n"
    variables = cells(
        f"{source}    if type({name}) is int:\n        return x\n    my_doubled.seen = {name}\n    return 2 * x"
    )
    function = kept(variables["my_doubled"], doubling)
    function(NUMBERS)
    assert function.__globals__[name] == variables[name]


@pytest.mark.parametrize("first", ["def doubled(x):\n    return x", "from math import fabs as doubled"])
def test_a_helper_or_import_may_be_called_like_the_exercise(cells, doubling, first):
    function = kept(cells(f"{first}\ndef my_doubled(x):\n    return x * doubled(2)")["my_doubled"], doubling)
    assert torch.equal(function(NUMBERS), double(NUMBERS))


def test_an_answer_is_checked_as_it_is_kept(cells, doubling, tmp_path):
    variables = cells("def factor():\n    return 2\n\ndef my_doubled(x):\n    return factor() * x")
    doubling(variables["my_doubled"])
    cells("def factor():\n    return 3")
    with pytest.raises(ValueError, match=r"passed, but with what it uses now it does not: the double is 1\.5 times"):
        checks.keep(variables["my_doubled"])
    assert not (tmp_path / "my_stylelib.py").exists()


def test_a_decorator_that_hides_the_function_is_refused_in_words(cells, doubling):
    source = "def loud(f):\n    def wrapper(*a):\n        return f(*a)\n    return wrapper\n"
    variables = cells(f"{source}@loud\ndef my_doubled(x):\n    return 2 * x")
    doubling(variables["my_doubled"])
    with pytest.raises(ValueError, match="without decorators of your own"):
        checks.keep(variables["my_doubled"])


def test_a_decorator_that_names_its_function_is_kept_with_it(cells, doubling):
    source = "import functools\ndef loud(f):\n    @functools.wraps(f)\n    def wrapper(*a):\n        return f(*a)\n"
    variables = cells(f"{source}    return wrapper\n@loud\ndef my_doubled(x):\n    return 2 * x")
    assert torch.equal(kept(variables["my_doubled"], doubling)(NUMBERS), double(NUMBERS))


def test_a_file_in_another_encoding_is_told_in_a_sentence(cells, doubling, tmp_path, capsys):
    (tmp_path / "my_stylelib.py").write_bytes("# müde\n".encode("latin-1"))
    doubling(answer := cells(FIRST)["my_doubled"])
    with pytest.raises(ValueError, match=r"my_stylelib.py is not in UTF-8. Open it in an editor and save it"):
        checks.keep(answer)
    checks.mine("doubled")
    assert "stands in, because my_stylelib.py is not in UTF-8" in capsys.readouterr().out


def test_a_missing_folder_is_told_in_a_sentence(cells, doubling, monkeypatch, tmp_path):
    monkeypatch.setenv("STYLELIB_FOLDER", str(tmp_path / "nowhere"))
    doubling(answer := cells(FIRST)["my_doubled"])
    with pytest.raises(ValueError, match=r"cannot be written in .*nowhere: No such file or directory. Is the folder"):
        checks.keep(answer)


def test_a_file_that_must_not_be_written_is_left_alone(cells, doubling, monkeypatch, tmp_path):
    doubling(answer := cells(FIRST)["my_doubled"])
    file = tmp_path / "my_stylelib.py"
    file.write_text("# mine\n")
    monkeypatch.setattr(keeping.os, "access", lambda path, mode: False)  # root may write anything
    with pytest.raises(ValueError, match="cannot be written in .*: Permission denied"):
        checks.keep(answer)
    assert file.read_text() == "# mine\n" and list(tmp_path.glob("*.new")) == []


def test_a_full_disk_costs_nothing_that_was_kept(cells, doubling, monkeypatch, tmp_path):
    file = tmp_path / "my_stylelib.py"
    file.write_text("# mine\n")
    doubling(answer := cells(FIRST)["my_doubled"])

    def full(path, text, encoding):
        path.write_bytes(text[:5].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping.Path, "write_text", full)
    with pytest.raises(ValueError, match="No space left on device"):
        checks.keep(answer)
    assert file.read_text() == "# mine\n" and list(tmp_path.glob("*.new")) == []


def test_notebooks_show_the_sentence_alone():
    with pytest.raises(ValueError) as error:
        checks.mine("doublet")
    assert error.value._render_traceback_() == [f"✗ {error.value}"]


def test_a_library_that_ends_the_program_is_told_in_a_sentence(doubling, tmp_path, capsys):
    (tmp_path / "my_stylelib.py").write_text("import sys\nsys.exit(3)\n")
    assert checks.mine("doubled") is doubling.reference
    assert "cannot be run (SystemExit: 3)" in capsys.readouterr().out


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
    assert checks.mine("doubled") is doubling.reference
    assert capsys.readouterr().out == ("doubled: the reference stands in, because it is not in my_stylelib.py yet.\n")
    (tmp_path / "my_stylelib.py").write_text("# --- doubled ---\ndef doubled(x:\n# --- end of doubled ---\n")
    assert checks.mine("doubled") is doubling.reference
    out = capsys.readouterr().out
    assert "because my_stylelib.py cannot be run (SyntaxError: " in out and "line 2" in out and out.count("\n") == 1
    (tmp_path / "my_stylelib.py").write_text("raise ValueError('No.')")
    assert checks.mine("doubled") is doubling.reference
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
    name = "squared_distance"
    body = "    print('hello')\n    return (features - target).square().sum()"
    answer = f"def my_answer(features: Tensor, target: Tensor):\n{body}"
    timed = "%%time\ndef my_timed(features, target):\n    return ((features - target) ** 2).sum()"
    first = run_in_a_new_kernel(
        tmp_path,
        "from torch import Tensor\nfrom stylelib import checks",
        answer,
        f"checks.{name}(my_answer)",
        "checks.keep(my_answer)",
        timed,
        f"checks.{name}(my_timed)",
        "checks.keep(my_timed, replace=True)",
    )
    assert "hello" in first[2] and "✓ squared_distance: right.\n" in first[2]
    assert first[3] == first[6] == f"Kept: {name} is in my_stylelib.py.\n"
    assert "** 2" in (tmp_path / "my_stylelib.py").read_text(), "a function of a timed cell is found, too"
    second = run_in_a_new_kernel(tmp_path, f"from stylelib import checks\nchecks.{name}(checks.mine({name!r}))")
    assert f"{name}: yours.\n" in second[0] and f"✓ {name}: right." in second[0]
