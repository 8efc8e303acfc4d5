"""The learner's own library: answers that passed, kept in my_stylelib.py beside the notebook.

The file has one section per exercise, between two comment lines. A section runs alone: it carries the imports and
helper functions that the answer uses.
"""

import dis
import inspect
import re
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from .core import EXERCISES, Answer

FILE = "my_stylelib.py"
HEADER = '"""My own stylelib: functions that I wrote in the course and that passed their checks."""\n'


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
    name, path = names[-1], Path(FILE)
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
    if Path(FILE).exists():
        try:
            functions = runpy.run_path(FILE)
            if name in functions:
                print(f"{name}: yours.")
                return functions[name]
        except Exception as error:
            # Their file, so any error is possible. The lesson goes on, and says what is wrong with the file.
            why = f"{FILE} cannot be run ({type(error).__name__}: {error})"
    print(f"{name}: the reference stands in, because {why}.")
    return EXERCISES[name].reference


def _pattern(name: str) -> re.Pattern:
    return re.compile(rf"# --- {name} ---\n.*?# --- end of {name} ---\n", re.DOTALL)


def _section(name: str, answer: Answer) -> str:
    """The part of the file that holds one answer and all it uses."""
    needed: dict[str, str] = {}
    _collect(answer, needed)
    if answer.__name__ != name:
        needed[name] = f"{name} = {answer.__name__}"
    return f"# --- {name} ---\n" + "\n\n".join(needed.values()) + f"\n# --- end of {name} ---\n"


def _collect(function: FunctionType, needed: dict[str, str]) -> None:
    """Adds name → source of a function, after those of everything it uses from its notebook."""
    needed.setdefault(function.__name__, "")  # a place already, should it call itself
    for name in dict.fromkeys(_global_names(function.__code__)):
        if name in function.__globals__ and name not in needed:
            _collect_value(name, function.__globals__[name], function.__name__, needed)
    del needed[function.__name__]
    needed[function.__name__] = textwrap.dedent(inspect.getsource(function)).rstrip()


def _collect_value(name: str, value: object, user: str, needed: dict[str, str]) -> None:
    if isinstance(value, ModuleType):
        needed[name] = f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}")
    elif isinstance(value, int | float | str | bool | tuple | None):
        needed[name] = f"{name} = {value!r}"
    elif isinstance(value, FunctionType) and value.__module__ == "__main__":
        _collect(value, needed)
    elif _importable(value):
        alias = "" if value.__name__ == name else f" as {name}"
        needed[name] = f"from {value.__module__} import {value.__name__}{alias}"
    else:
        raise ValueError(
            f"{user} uses the notebook's variable {name!r}, which a file cannot keep. Make it an argument instead."
        )


def _importable(value: object) -> bool:
    """Can it be had again with `from its_module import its_name`?"""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    return module is not None and getattr(module, getattr(value, "__name__", ""), None) is value


def _global_names(code: CodeType) -> Iterator[str]:
    """Names that a function looks up outside itself, also in the functions and comprehensions within it."""
    yield from (step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
