"""The learner's own library: answers that passed, kept in my_stylelib.py beside the notebook.

The file has one section per exercise, between two comment lines. A section runs alone: it carries the imports,
constants and helper functions that the answer uses. STYLELIB_FOLDER in the environment names another folder for it.
"""

import ast
import dis
import errno
import inspect
import io
import math
import os
import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import numpy as np
import torch

from .core import EXERCISES, Answer

FILE = "my_stylelib.py"
HEADER = '"""My own stylelib: functions that I wrote in the course and that passed their checks."""\n'
LOADS = ("LOAD_GLOBAL", "LOAD_NAME")  # how Python's bytecode looks up a name outside a function


class NotKept(ValueError):
    """An answer cannot be kept, or read back. The message is one sentence: why, and what to do."""

    def _render_traceback_(self) -> list[str]:
        # IPython prints this instead of a traceback: the learner needs the sentence, not our frames.
        return [f"✗ {self}"]


def keep(answer: Answer, *, replace: bool = False) -> None:
    """Saves an answer that has passed its check to my_stylelib.py in the notebook's folder.

    What is saved is checked once more as it stands in the file, with the helpers and constants of this moment.

    Args:
        answer: the function.
        replace: whether it may take the place of an earlier answer to the same exercise.

    Raises:
        ValueError: it has not passed, is kept already in another form, or uses something that cannot be saved.
    """
    names = [name for name, exercise in EXERCISES.items() if any(answer is passed for passed in exercise.passed)]
    if not names:
        raise NotKept("Only a function that has passed its check is kept. Run its check first.")
    name, text = names[-1], _read()
    section = _section(name, answer)
    kept = _pattern(name).search(text)
    if kept and kept[0] != section and not replace:
        call = f"checks.keep({answer.__name__}, replace=True)"
        raise NotKept(f"{FILE} already has another {name}. To replace it: {call}")
    _expect_right(name, section)
    _write(text.replace(kept[0], section) if kept else f"{text}\n\n{section}")
    print(f"Kept: {name} is in {FILE}.")


def mine(name: str) -> Callable:
    """Your function for an exercise, from my_stylelib.py; or the check's reference, said in one line.

    Raises:
        ValueError: there is no exercise of this name.
    """
    if name not in EXERCISES:
        raise NotKept(f"There is no exercise {name!r}. There are: {', '.join(EXERCISES)}.")
    why = f"it is not in {FILE} yet"
    if _path().exists():
        try:
            if function := _load(name, _read()):
                print(f"{name}: yours.")
                return function
        except NotKept as error:
            why = str(error).rstrip(".")
        except (Exception, SystemExit) as error:
            # Their file, so any error is possible. The lesson goes on, and says what is wrong with the file.
            why = f"{FILE} cannot be run ({type(error).__name__}: {str(error).rstrip('.')})"
    print(f"{name}: the reference stands in, because {why}.")
    return EXERCISES[name].reference


def _expect_right(name: str, section: str) -> None:
    """Checks the answer as it will be read back: a helper may have changed since, or stand in another cell's way."""
    try:
        with redirect_stdout(io.StringIO()):  # what the answer prints, it has printed before
            EXERCISES[name].judge(_load(name, section))
    except (Exception, SystemExit) as error:
        reason = str(error) or type(error).__name__
        raise NotKept(
            f"{name} passed, but with what it uses now it does not: {reason.rstrip('.')}. Run its cells and its check "
            "again."
        ) from None


def _read() -> str:
    """The text of the file; its first line where there is none yet."""
    try:
        return _path().read_text(encoding="utf-8") if _path().exists() else HEADER
    except UnicodeDecodeError:
        raise NotKept(f"{FILE} is not in UTF-8. Open it in an editor and save it as UTF-8.") from None
    except OSError as error:
        raise NotKept(f"{FILE} cannot be read: {error.strerror}. Look at the file and its permissions.") from None


def _write(text: str) -> None:
    """Beside the file first, so that a full disk does not cost what was kept before."""
    path = _path()
    beside = path.with_name(f"{FILE}.new")
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        folder = path.parent.resolve()
        raise NotKept(
            f"{FILE} cannot be written in {folder}: {error.strerror}. Is the folder there, and may you write into it? "
            "STYLELIB_FOLDER in the environment names another one."
        ) from None


def _path() -> Path:
    return Path(os.environ.get("STYLELIB_FOLDER", "."), FILE)


def _load(name: str, text: str) -> Callable | None:
    """What an exercise's section defines, run alone: another section may use the same names for other things."""
    if found := _pattern(name).search(text):
        text = "\n" * text.count("\n", 0, found.start()) + found[0]  # its line numbers are those of the file
    defined: dict[str, object] = {"__name__": Path(FILE).stem}
    exec(compile(text, str(_path()), "exec"), defined)
    return defined.get(_key(name, defined))


def _key(name: str, taken: Collection[str]) -> str:
    """The name an answer goes by in its section: that of the exercise, or with a _ where a helper has that one."""
    return f"{name}_" if f"{name}_" in taken else name


def _pattern(name: str) -> re.Pattern:
    return re.compile(rf"# --- {name} ---\n.*?# --- end of {name} ---\n", re.DOTALL)


def _section(name: str, answer: Answer) -> str:
    """The part of the file that holds one answer and all it uses."""
    if not isinstance(answer, FunctionType):
        raise NotKept("Only a function can be kept. Write it with def, and run its check again.")
    needed: dict[str, str] = {}
    _collect(answer, needed)
    if answer.__name__ != name:
        key = f"{name}_" if name in needed else name  # a helper or an import may be called like the exercise
        needed[key] = f"{key} = {answer.__name__}"
    return f"# --- {name} ---\n" + "\n\n".join(needed.values()) + f"\n# --- end of {name} ---\n"


def _collect(function: FunctionType, needed: dict[str, str]) -> None:
    """Adds name → source of a function, after those of everything it uses from its notebook."""
    source = _source(function)
    outside = inspect.unwrap(function).__globals__
    needed.setdefault(function.__name__, "")  # a place already, should it call itself
    # All of its text is compiled, not its body alone: types in the first line must be imported too.
    for name in dict.fromkeys(_global_names(compile(source, FILE, "exec"))):
        if name in outside and name not in needed and not name.startswith("__"):
            _collect_value(name, outside[name], function.__name__, needed)
    del needed[function.__name__]
    needed[function.__name__] = source


def _source(function: FunctionType) -> str:
    name = function.__name__
    if name == "<lambda>" or inspect.unwrap(function).__closure__:
        raise NotKept(
            f"{name} cannot be kept. Write it with def in a cell, outside of other functions and without decorators of "
            "your own, and run its check again."
        )
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except OSError:
        if source := _source_in_history(inspect.unwrap(function)):
            return source
        raise NotKept(f"The source of {name} is not in a cell. Write it into one and run it.") from None


def _source_in_history(function: FunctionType) -> str | None:
    """From the notebook's own record of its cells, for one that ran under a magic such as %%time."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    for cell in reversed(shell.history_manager.input_hist_raw if shell else []):
        text = re.sub(r"^[%!].*$", "", cell, flags=re.MULTILINE)
        with suppress(SyntaxError):
            for statement in ast.parse(text).body:
                if isinstance(statement, ast.FunctionDef) and statement.name == function.__name__:
                    return _text_of(statement, text)
    return None


def _text_of(function: ast.FunctionDef, text: str) -> str:
    first = min(line.lineno for line in [function, *function.decorator_list])
    return "\n".join(text.splitlines()[first - 1 : function.end_lineno])


def _collect_value(name: str, value: object, user: str, needed: dict[str, str]) -> None:
    alias = "" if getattr(value, "__name__", "") == name else f" as {name}"
    if isinstance(value, ModuleType):
        needed[name] = f"import {value.__name__}{alias}"
    elif _importable(value):
        needed[name] = f"from {value.__module__} import {value.__name__}{alias}"
    elif isinstance(value, FunctionType):
        _collect(value, needed)
        if alias:
            needed[name] = f"{name} = {value.__name__}"
    elif expression := _expression(value):
        if "torch." in expression:
            needed.setdefault("torch", "import torch")
        needed[name] = f"{name} = {expression}"
    else:
        raise NotKept(
            f"{user} uses the notebook's variable {name!r}, which a file cannot keep. Make it inside the function, "
            "from numbers or from what the function is given."
        )


def _expression(value: object) -> str:
    """Python code that gives the value again; "" if there is none. For numbers, texts, types, and collections."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, torch.dtype | torch.Size):
        return str(value)
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    if isinstance(value, np.generic):
        return _expression(value.item())
    if type(value) in (list, tuple, set):
        items = [_expression(item) for item in value]
        start, end = {list: "[]", tuple: "()", set: "{}"}[type(value)]
        comma = "," if len(items) == 1 else ""
        return f"{start}{', '.join(items)}{comma}{end}" if all(items) and (items or type(value) is not set) else ""
    if type(value) is dict:
        pairs = [(_expression(key), _expression(item)) for key, item in value.items()]
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}" if all(map(all, pairs)) else ""
    return repr(value) if value is None or type(value) in (bool, int, float, complex, str, bytes, range) else ""


def _importable(value: object) -> bool:
    """Can it be had again with `from its_module import its_name`? Not what was made in the notebook itself."""
    home, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not (isinstance(home, str) and isinstance(name, str)) or home == "__main__":
        return False
    return getattr(sys.modules.get(home), name, None) is value


def _global_names(code: CodeType) -> Iterator[str]:
    """Names that code looks up outside its functions, also in the functions and comprehensions within it."""
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in LOADS)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
