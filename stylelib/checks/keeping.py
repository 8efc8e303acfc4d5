"""The learner's own library: answers that passed, kept in my_stylelib.py beside the notebook.

The file has one section per exercise, between two comment lines. A section runs alone: it carries the imports,
constants and helper functions that the answer uses. STYLELIB_FOLDER in the environment names another folder for it.
"""

import ast
import dis
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from .core import EXERCISES, Answer

FILE = "my_stylelib.py"
HEADER = '"""My own stylelib: functions that I wrote in the course and that passed their checks."""\n'
LOADS = ("LOAD_GLOBAL", "LOAD_NAME")  # how Python's bytecode looks up a name outside a function


def keep(answer: Answer, *, replace: bool = False) -> None:
    """Saves an answer that has passed its check to my_stylelib.py in the notebook's folder.

    Args:
        answer: the function.
        replace: whether it may take the place of an earlier answer to the same exercise.

    Raises:
        ValueError: it has not passed, is kept already in another form, or uses something that cannot be saved.
    """
    names = [name for name, exercise in EXERCISES.items() if answer in exercise.passed]
    if not names:
        raise ValueError("Only a function that has passed its check is kept. Run its check first.")
    name, path = names[-1], _path()
    section = _section(name, answer)
    text = path.read_text(encoding="utf-8") if path.exists() else HEADER
    kept = _pattern(name).search(text)
    if kept and kept[0] != section and not replace:
        call = f"checks.keep({answer.__name__}, replace=True)"
        raise ValueError(f"{FILE} already has another {name}. To replace it: {call}")
    text = text.replace(kept[0], section) if kept else f"{text}\n\n{section}"
    path.write_text(text, encoding="utf-8")
    print(f"Kept: {name} is in {FILE}.")


def mine(name: str) -> Callable:
    """Your function for an exercise, from my_stylelib.py; or the check's reference, said in one line.

    Raises:
        ValueError: there is no exercise of this name.
    """
    if name not in EXERCISES:
        raise ValueError(f"There is no exercise {name!r}. There are: {', '.join(EXERCISES)}.")
    why = f"it is not in {FILE} yet"
    if _path().exists():
        try:
            kept = _load(name)
            if name in kept:
                print(f"{name}: yours.")
                return kept[name]
        except Exception as error:
            # Their file, so any error is possible. The lesson goes on, and says what is wrong with the file.
            why = f"{FILE} cannot be run ({type(error).__name__}: {str(error).rstrip('.')})"
    print(f"{name}: the reference stands in, because {why}.")
    return EXERCISES[name].reference


def _path() -> Path:
    return Path(os.environ.get("STYLELIB_FOLDER", "."), FILE)


def _load(name: str) -> dict[str, object]:
    """What an exercise's section defines, run alone: another section may use the same names for other things."""
    text = _path().read_text(encoding="utf-8")
    if found := _pattern(name).search(text):
        text = "\n" * text.count("\n", 0, found.start()) + found[0]  # its line numbers are those of the file
    defined: dict[str, object] = {"__name__": Path(FILE).stem}
    exec(compile(text, str(_path()), "exec"), defined)
    return defined


def _pattern(name: str) -> re.Pattern:
    return re.compile(rf"# --- {name} ---\n.*?# --- end of {name} ---\n", re.DOTALL)


def _section(name: str, answer: Answer) -> str:
    """The part of the file that holds one answer and all it uses."""
    if not isinstance(answer, FunctionType):
        raise ValueError("Only a function can be kept. Write it with def, and run its check again.")
    needed: dict[str, str] = {}
    _collect(answer, needed)
    if answer.__name__ != name:
        needed[name] = f"{name} = {answer.__name__}"
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
        raise ValueError(
            f"{name} cannot be kept. Write it with def, outside of other functions, and run its check again."
        )
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except OSError:
        raise ValueError(f"The source of {name} is not in a cell. Write it into one and run it.") from None


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
    elif _constant(value):
        needed[name] = f"{name} = {value!r}"
    else:
        raise ValueError(
            f"{user} uses the notebook's variable {name!r}, which a file cannot keep. Make it an argument instead."
        )


def _importable(value: object) -> bool:
    """Can it be had again with `from its_module import its_name`? Not what was made in the notebook itself."""
    home, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not (isinstance(home, str) and isinstance(name, str)) or home == "__main__":
        return False
    return getattr(sys.modules.get(home), name, None) is value


def _constant(value: object) -> bool:
    """Is it a number, a text or a collection of them, which Python can read back as it writes it?"""
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False


def _global_names(code: CodeType) -> Iterator[str]:
    """Names that code looks up outside its functions, also in the functions and comprehensions within it."""
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in LOADS)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
