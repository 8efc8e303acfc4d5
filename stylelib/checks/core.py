"""What every check shares: how an answer is run, judged and reported.

An answer is a function the learner wrote. A check runs it on small tensors and compares with a reference that was
written for the check alone, never with the function of stylelib that the lesson teaches.
"""

import ctypes
import functools
import inspect
import math
import os
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import CodeType

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .watching import Watched

SECONDS = 10  # an answer that takes longer is stopped
RTOL, ATOL = 1e-4, 1e-6  # float32 sums in another order differ by less

Answer = Callable[..., object]


class Mistake(AssertionError):
    """A wrong answer. The message names the mistake and says what to look at."""

    def _render_traceback_(self) -> list[str]:
        # IPython prints this instead of a traceback: the learner needs the sentence, not our frames.
        return [f"✗ {self}"]


class NotAttempted(Mistake):
    """An exercise left as it was, where STYLELIB_STRICT=1 asks for an answer."""


class Exercise:
    """One check, called with the learner's function.

    Args:
        check: takes an answer, raises `Mistake` if it is wrong.
        reference: a right answer with the same signature.
        library: names of the package's functions that do the same. Calling one is no answer.
        used: where the course uses a kept answer again, such as "lesson 05"; "" if nowhere.
    """

    def __init__(self, check: Callable[[Answer], None], reference: Answer, library: Collection[str], used: str):
        functools.update_wrapper(self, check)
        self.name = check.__name__
        self.reference = reference
        self.library = {self.name, *library}
        self.used = used
        self.passed: list[Answer] = []
        self._check = check

    def __call__(self, answer: Answer) -> None:
        """Prints a verdict. Right, or not attempted: returns. Wrong: raises `Mistake`."""
        if not callable(answer):
            raise Mistake(f"{self.name}: hand over the function itself; do not call it in the brackets.")
        try:
            borrowed = self.judge(answer)
        except Mistake as mistake:
            raise Mistake(f"{self.name}: {mistake}") from None
        except NotImplementedError as error:
            self._not_attempted(error, answer)
        else:
            if borrowed:
                return self._not_theirs(borrowed)
            self.passed.append(answer)
            print(f"✓ {self.name}: right.{self._offer(_notebook_name(answer, sys._getframe(1).f_globals))}")

    def judge(self, answer: Answer) -> str:
        """Raises `Mistake` for a wrong answer of their own. "" if it is right, a sentence if the library did it."""
        watched, diagnosis = Watched(answer, self.reference, self.library, Mistake), ""
        try:
            _with_time_limit(lambda: self._check(watched))
        except Mistake as mistake:
            if not watched.borrowed:
                raise
            diagnosis = f" As it is: {mistake}"
        except SystemExit:
            raise Mistake("your function ends the program, with exit() or sys.exit(). Leave that out.") from None
        except Exception as error:
            if _is_stub(error):
                raise
            raise Mistake(_explained(error) or f"your function stopped with {_where(error, answer)}.") from error
        if not watched.borrowed:
            return ""
        theirs = f"that is the library's own function {watched.borrowed}."
        return f"{theirs} Write yours without it, and check again.{diagnosis}"

    def _not_attempted(self, error: Exception, answer: Answer) -> None:
        if _strict():
            raise NotAttempted(f"{self.name}: not attempted.") from None
        stub = _stub(error, answer)
        print(f"· {self.name}: not attempted yet. Write your code where {stub} raises NotImplementedError.")

    def _not_theirs(self, sentence: str) -> None:
        if _strict():
            raise Mistake(f"{self.name}: {sentence}")
        print(f"· {self.name}: {sentence}")

    def _offer(self, name: str) -> str:
        return f" To keep it for {self.used}, run checks.keep({name})." if self.used and name else ""


EXERCISES: dict[str, Exercise] = {}


def exercise(
    reference: Answer, library: Collection[str] = (), used: str = ""
) -> Callable[[Callable[[Answer], None]], Exercise]:
    """Makes an `Exercise` of a function that takes an answer and raises `Mistake` if it is wrong."""

    def register(check: Callable[[Answer], None]) -> Exercise:
        EXERCISES[check.__name__] = Exercise(check, reference, library, used)
        return EXERCISES[check.__name__]

    return register


def _strict() -> bool:
    return os.environ.get("STYLELIB_STRICT") == "1"


def _notebook_name(answer: Answer, variables: Mapping[str, object]) -> str:
    """What the notebook calls the answer; a decorated function's own name is often that of the decorator's wrapper."""
    names = [name for name, value in variables.items() if value is answer and not name.startswith("_")]
    own = getattr(answer, "__name__", "")
    return own if own in names else next(iter(names), "")


def expect(
    got: object,
    expected: Tensor | float | bool,
    mistakes: Mapping[str, object] | Callable[[], Mapping[str, object]] | None = None,
    what: str = "the result",
) -> None:
    """Is `got` what was expected? If not: raises `Mistake` with the name of the mistake.

    Args:
        got: what the answer returned.
        expected: a tensor, compared in shape, type, device and values; or a number, which may also come as a
            tensor of one element.
        mistakes: sentence → the value that this mistake leads to; the first that equals `got` is named. Or a function
            that returns them, where they cost a run each and a right answer need not wait for them.
        what: how messages call `got`.
    """
    if got is None:
        raise Mistake(f"{what} is None. Did you forget `return`?")
    right = _same(got, expected)  # up to its type: a mistake may lead to the same values by chance
    named = {} if right else (mistakes() if callable(mistakes) else mistakes) or {}
    if sentence := next((sentence for sentence, wrong in named.items() if _same(got, wrong)), None):
        raise Mistake(sentence)
    if isinstance(expected, Tensor):
        _expect_tensor(got, expected, what)
    elif not right:
        raise Mistake(f"{what} should be {_short(expected)}, but it is {_short(got)}.")


def plain(value: object) -> object:
    """Numbers of NumPy, and tensors and arrays of one number, as Python's own numbers; also in lists and tuples."""
    if isinstance(value, np.generic | np.ndarray | Tensor) and math.prod(np.shape(value)) == 1:
        return value.item() if not (isinstance(value, Tensor) and value.device.type == "meta") else value
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def by_adam(objective: Callable[[Tensor], Tensor], start: Tensor, steps: int, rate: float) -> Tensor:
    """Adam (Kingma and Ba 2015, algorithm 1) from its formulas; the image after `steps` steps.

    torch's would import torch's compiler, seconds, and the package's own is not used to judge what does the same.
    """
    image, mean, square = start.detach().clone(), 0.0, 0.0
    for step in range(1, steps + 1):
        pixels = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(pixels), pixels)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient.square()
        image = image - rate * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    return image


def by_hand(function: Callable[..., object], *arguments: object) -> object:
    """What the function gives while autograd is off: for a gradient that is to come from its formula."""
    try:
        with torch.no_grad():
            return function(*arguments)
    except RuntimeError as error:
        if "does not require grad" in str(error):
            raise Mistake("you asked autograd. Here the gradient is to come from the formula.") from None
        raise


def expect_gradient(loss: object, *inputs: Tensor) -> None:
    """Does a gradient reach each of `inputs` from `loss`? A `.item()`, `.detach()` or `.data` cuts its way."""
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise Mistake("no gradient flows through your function. Leave out .item(), .detach(), .data and no_grad().")
    gradients = torch.autograd.grad(loss.sum(), inputs, allow_unused=True)
    if any(gradient is None for gradient in gradients):
        raise Mistake("the gradient does not reach all inputs. Leave out .item(), .detach() and .data.")


def random(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, the same in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def expect_any_device(answer: Callable, *arguments: object, trap: str) -> None:
    """Raises `Mistake(trap)` for an answer that leaves something on the CPU when it is given tensors of a GPU.

    The device "meta" stands for the GPU: once for what the answer makes new, once for the tensors it is given. It has
    no values, so a right answer may stumble over one of the two; a wrong one stumbles over both. Of an answer that
    reads values into Python or brings a module along nothing can be said this way, and nothing is.
    """
    with _Reading() as reading:
        answer(*arguments)
    if reading.seen:
        return
    moved = [argument.to("meta") if isinstance(argument, Tensor) else argument for argument in arguments]
    if not _stays_on_device(answer, arguments, default="meta") and not _stays_on_device(answer, moved, default="cpu"):
        raise Mistake(trap)


class _Reading(TorchFunctionMode):
    """Notices whether values of tensors become Python's or NumPy's, or a module's weights take part."""

    READS = "item tolist numpy __array__ __float__ __int__ __bool__ __index__ __format__ __repr__".split()

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(self, function: Callable, types: object, args: tuple = (), kwargs: dict | None = None):
        parameters = any(isinstance(argument, nn.Parameter) for argument in args)
        self.seen = self.seen or parameters or getattr(function, "__name__", "") in self.READS
        return function(*args, **(kwargs or {}))


def _stays_on_device(answer: Callable, arguments: Sequence[object], default: str) -> bool:
    try:
        with torch.device(default):
            got = answer(*arguments)
    except Exception as error:  # of another kind: the stand-in has failed then, not the learner
        return "meta" not in str(error)
    return isinstance(got, Tensor) and got.device == arguments[0].device


def _expect_tensor(got: object, expected: Tensor, what: str) -> None:
    if not isinstance(got, Tensor):
        if isinstance(got, np.ndarray):
            raise Mistake(f"{what} should be a tensor, but it is a NumPy array. Make one of it: torch.from_numpy(…).")
        if type(got).__module__ == "torch.return_types":
            raise Mistake(
                f"{what} should be a tensor, but it is what {type(got).__name__}() gives, values and their places. "
                "Take .values."
            )
        raise Mistake(f"{what} should be a tensor, but it is {_article(type(got).__name__)}.")
    if got.shape != expected.shape:
        raise Mistake(f"{what} should have the shape {tuple(expected.shape)}, but it has {tuple(got.shape)}.")
    if got.device != expected.device:
        raise Mistake(f"{what} should be on the device of the input, {expected.device}, but it is on {got.device}.")
    if got.device.type == "meta":
        return  # a device without values
    if got.dtype != expected.dtype:
        raise Mistake(f"{what} should be {expected.dtype}, but it is {got.dtype}. Convert it: .to({expected.dtype}).")
    if bool(torch.isnan(got).any()):
        raise Mistake(
            f"{what} contains NaN (not a number): something was divided by zero, or a root was taken of a "
            "negative number."
        )
    if bool((got == 0).all()) and bool((expected != 0).any()):
        raise Mistake(f"{what} is all zeros.")
    if not _same(got, expected):
        if expected.numel() == 1:  # of a single number any ratio is constant, and proves nothing
            raise Mistake(f"{what} should be {expected.item():.4g}, but it is {got.item():.4g}.")
        ratio = (got / expected).flatten()
        if bool(torch.isfinite(ratio).all()) and bool((ratio - ratio[0]).abs().max() < 1e-3 * abs(ratio[0])):
            raise Mistake(f"{what} is {ratio[0]:.4g} times what it should be, everywhere. Look at what you divide by.")
        raise Mistake(f"{what} has the right shape, but its values differ by up to {_gap(got, expected):.3g}.")


def _gap(got: Tensor, expected: Tensor) -> float:
    return (got.double() - expected.double()).abs().max().item()  # double: booleans have no difference


def _same(got: object, expected: object) -> bool:
    """Equal up to rounding; tensors also in shape and device."""
    if isinstance(expected, Tensor):
        alike = isinstance(got, Tensor) and got.shape == expected.shape and got.device == expected.device
        return alike and got.device.type != "meta" and torch.allclose(got.to(expected.dtype), expected, RTOL, ATOL)
    got = plain(got)
    if isinstance(expected, float) and isinstance(got, int | float) and not isinstance(got, bool):
        return math.isclose(got, expected, rel_tol=RTOL, abs_tol=ATOL)
    if isinstance(expected, int) and isinstance(got, float) and not isinstance(expected, bool):
        return got == expected  # 24.0 is as good as 24
    with suppress(RuntimeError, ValueError):  # torch and NumPy refuse to say whether many numbers are true
        return type(got) is type(expected) and bool(got == expected)
    return False


def _article(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def _short(value: object) -> str:
    value = plain(value)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _explained(error: Exception) -> str:
    """What torch says when an answer mixes types of numbers or asks NumPy, in our words; "" for anything else."""
    if "Can't call numpy() on Tensor that requires grad" in str(error):
        return (
            "here gradients are to flow through your function, and through NumPy none do. Use the functions of torch; "
            "most have the same names."
        )
    mixed = ("same dtype", "expected scalar type", "should be the same", "Found dtype", "same datatype")
    if isinstance(error, RuntimeError) and any(part in str(error) for part in mixed):
        return (
            "two types of numbers meet, such as float32 and float64, and PyTorch does not mix them here. Keep to the "
            "type of the tensors that you are given: leave out .double(), or come back with .float()."
        )
    return ""


def _is_stub(error: Exception) -> bool:
    """Is it the stub's `raise NotImplementedError()`? torch's own errors of this type have a text."""
    return isinstance(error, NotImplementedError) and not error.args


def _code(answer: Answer) -> CodeType | None:
    return getattr(inspect.unwrap(answer), "__code__", None)  # unwrap: what a decorator was put around


def _stub(error: Exception, answer: Answer) -> str:
    """Which function is still a stub: the answer, or another one of the learner's that it calls."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return "the function" if frame.f_code is _code(answer) else frame.f_code.co_name


def _where(error: Exception, answer: Answer) -> str:
    """Type and text of an exception, and the line of the learner's function in which it happened."""
    code = _code(answer)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
    where = f" in line {lines[-1] - code.co_firstlineno + 1} of the function" if lines else ""
    first, *_ = [*str(error).splitlines(), "no message"]
    return f"{type(error).__name__}{where}: {first.rstrip('.')}"


def _with_time_limit(work: Callable[[], None]) -> None:
    """Runs `work`; after SECONDS raises `Mistake`. In a thread, because signals do not exist everywhere."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        left = SECONDS
        while left > 0 and thread.is_alive():
            thread.join(min(left, 0.25))
            left -= 0 if _importing(thread) else 0.25
        stopped = thread.is_alive()
    finally:  # here too when the learner interrupts the kernel
        if thread.is_alive():
            # The only way to end an endless Python loop from outside: the next line it runs raises SystemExit.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    if stopped:
        raise Mistake(f"it ran for more than {SECONDS} seconds and was stopped. Does a loop never end?")
    if errors:
        raise errors[0]


def _importing(thread: threading.Thread) -> bool:
    """Whether the thread waits for an import, as the first use of torch.optim does: that may take many seconds."""
    frame = sys._current_frames().get(thread.ident)
    return any("importlib" in line.f_code.co_filename for line, _ in traceback.walk_stack(frame)) if frame else False
