"""What a student handed in, put into the released lesson, and judged there exercise by exercise.

The check cells are those of the released lesson, in their places. All other cells are the student's, where there are
any. For each exercise only the statements run that its function needs: its own, and before them those that define a
name it uses, and so on. That takes the checks' own time, a second or two, where a whole lesson takes twenty; and
what stops or loops elsewhere costs no other exercise.
"""

import ast
import dis
import json
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import NamedTuple

import torch
from IPython.core.inputtransformer2 import TransformerManager

from . import checks
from .checks import Mistake, hidden

CHECK = re.compile(r"^checks\.(\w+)\((my_\w+)\)", re.MULTILINE)
CELL_MAGIC = re.compile(r"\A\s*%%(time|timeit|capture|prun)\b.*")  # around a cell that still defines what it defines
CHANGERS = {
    "add",
    "append",
    "clear",
    "extend",
    "insert",
    "manual_seed",
    "pop",
    "remove",
    "setdefault",
    "sort",
    "update",
}
TEXT_LENGTH = 300


class Check(NamedTuple):
    """A graded cell of the released lesson."""

    source: str
    exercise: str  # gram_matrix
    answer: str  # my_gram_matrix
    points: float


class Cell(NamedTuple):
    name: str
    source: str
    check: Check | None


class Task(NamedTuple):
    cells: list[Cell]
    exercises: list[str]  # which are to be judged, in this order
    seed: int  # of the hidden tests


# --- the released lesson with the student's cells ---


def read_lesson(notebook: dict) -> list[Cell]:
    """The code cells of a released lesson."""
    return [Cell(_name(cell), _source(cell), _check(cell)) for cell in _code_cells(notebook)]


def merge(lesson: list[Cell], handed_in: dict) -> list[Cell]:
    """The lesson with the student's cells in it: those it knows in their places, new ones behind those they follow."""
    places = {cell.name: place for place, cell in enumerate(lesson)}
    found: list[list[Cell]] = [[] for _ in lesson]
    known, place = set(), 0
    for cell in _code_cells(handed_in):
        name = _known_name(cell, lesson, places)
        place = places.get(name, place)
        if _is_check(cell) or (lesson[place].check and name):
            continue
        known.add(name)
        found[place].append(Cell(name or f"{lesson[place].name}+{len(found[place])}", _source(cell), None))
    merged = []
    for cell, theirs in zip(lesson, found, strict=True):
        merged += [*([] if cell.name in known else [cell]), *theirs]
    return merged


def _code_cells(notebook: dict) -> Iterator[dict]:
    yield from (cell for cell in notebook["cells"] if cell.get("cell_type") == "code")


def _source(cell: dict) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _marks(cell: dict) -> dict:
    return cell.get("metadata", {}).get("nbgrader", {})


def _name(cell: dict) -> str:
    return str(_marks(cell).get("grade_id") or cell.get("id") or "")


def _check(cell: dict) -> Check | None:
    found = CHECK.search(_source(cell)) if _marks(cell).get("grade") else None
    return Check(_source(cell), *found.groups(), _marks(cell).get("points", 1)) if found else None


def _is_check(cell: dict) -> bool:
    return bool(_marks(cell).get("grade")) and not _marks(cell).get("solution")


def _known_name(cell: dict, lesson: list[Cell], places: dict[str, int]) -> str:
    """Which cell of the lesson this is: by its name; by its text, where an editor has dropped names; or none."""
    for name in (_marks(cell).get("grade_id"), cell.get("id")):
        if isinstance(name, str) and name in places:
            return name
    source = _source(cell).strip()
    return next((known.name for known in lesson if known.source.strip() == source), "")


# --- which statements an exercise needs ---


class Statement(NamedTuple):
    code: CodeType
    binds: set[str]  # names that it gives a value, or whose value it changes
    replaces: bool  # whether an earlier value no longer matters
    now: set[str]  # names that it reads when it runs
    later: set[str]  # names that its functions read when they are called


class Program:
    """The statements of merged cells, and what could not be read."""

    def __init__(self, cells: list[Cell]):
        self.statements: list[Statement] = []
        self.checks: dict[str, tuple[Check, int]] = {}  # exercise → its check, and how many statements precede it
        self.unreadable: list[tuple[str, str]] = []  # source, what is wrong with it
        for cell in cells:
            if cell.check:
                self.checks[cell.check.exercise] = (cell.check, len(self.statements))
            else:
                self._read(cell)

    def _read(self, cell: Cell) -> None:
        try:
            source = TransformerManager().transform_cell(CELL_MAGIC.sub("", cell.source))
            file = f"<{cell.name}>"
            linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
            self.statements += [_statement(node, file) for node in ast.parse(source, file).body]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f" in line {error.lineno}" if getattr(error, "lineno", None) else ""
            self.unreadable.append((cell.source, f"{type(error).__name__}{line}: {getattr(error, 'msg', error)}"))

    def needed(self, name: str, end: int) -> list[int]:
        """The statements, of the first `end`, that a name needs."""
        found: set[int] = set()
        seen: set[tuple[str, int]] = set()
        todo = [(name, end)]
        while todo:
            name, before = todo.pop()
            if (name, before) in seen:
                continue
            seen.add((name, before))
            for place in self._binding(name, before):
                found.add(place)
                statement = self.statements[place]
                todo += [(used, place) for used in statement.now]
                todo += [(used, before) for used in statement.later]
        return sorted(found)

    def _binding(self, name: str, before: int) -> Iterator[int]:
        for place in reversed(range(before)):
            statement = self.statements[place]
            if name in statement.binds or "*" in statement.binds:
                yield place
                if statement.replaces and name in statement.binds:
                    return


def _statement(node: ast.stmt, file: str) -> Statement:
    code = compile(ast.Module([node], []), file, "exec", dont_inherit=True)
    names = {"LOAD_NAME": set(), "STORE_NAME": set()}
    for step in dis.get_instructions(code):
        if step.opname in names:
            names[step.opname].add(step.argval)
    changed = set(_changed(node))
    plain = isinstance(node, ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
    star = {"*"} if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" else set()
    later = set(_later(code))
    now = names["LOAD_NAME"] | (set() if isinstance(node, ast.FunctionDef) else later)  # a comprehension runs at once
    return Statement(code, names["STORE_NAME"] | changed | star, plain and not changed, now, later)


def _later(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from (
                step.argval for step in dis.get_instructions(constant) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
            )
            yield from _later(constant)


def _changed(node: ast.stmt) -> Iterator[str]:
    """Names whose values a statement changes in place: x[0] = 1, x.a = 1, x.append(1), torch.set_default_dtype(…)."""
    for part in ast.walk(node):
        target = None
        if isinstance(part, ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store | ast.Del):
            target = part
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            method = getattr(part.value.func, "attr", "")
            target = (
                part.value.func if method in CHANGERS or method.startswith("set_") or method.endswith("_") else None
            )
        while isinstance(target, ast.Subscript | ast.Attribute):
            target = target.value
        if isinstance(target, ast.Name):
            yield target.id


# --- running them: all of this happens in the process of the student ---


def work(task: Task, send: Callable[[str], None]) -> None:
    """Judges exercise by exercise and sends a verdict each, as JSON: what is wrong, or replies to hidden questions."""
    os.environ["STYLELIB_STRICT"] = "1"
    torch.set_num_threads(1)
    sys.path.insert(0, os.getcwd())
    program = Program(task.cells)
    for exercise in task.exercises:
        send(json.dumps(_verdict(program, exercise, task.seed)))


def _verdict(program: Program, exercise: str, seed: int) -> dict:
    check, end = program.checks[exercise]
    variables: dict[str, object] = {"__name__": "__main__"}
    trouble = _run(program, program.needed(check.answer, end), variables)
    if check.answer not in variables:
        return {"wrong": f"{exercise}: {_why_missing(program, check, trouble)}"}
    answer = variables[check.answer]
    try:
        exec(compile(check.source, f"<check of {exercise}>", "exec"), variables | {"checks": checks})
        return {"replies": hidden.replies(exercise, answer, seed)}
    except Mistake as mistake:
        also = f" Before that, {trouble}." if trouble else ""
        return {"wrong": f"{mistake}{also}"}
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too
        return {"wrong": f"{exercise}: it stopped the grader with {_said(error)}."}


def _run(program: Program, places: list[int], variables: dict[str, object]) -> str:
    """Runs statements one by one, as far as they run; returns what the first that failed said."""
    trouble = ""
    for place in places:
        try:
            exec(program.statements[place].code, variables)
        except BaseException as error:
            trouble = trouble or f"a line that it needs stopped with {_said(error)}"
    return trouble


def _why_missing(program: Program, check: Check, trouble: str) -> str:
    for source, what in program.unreadable:
        if check.answer in source:
            return f"its cell cannot be read ({what})."
    return f"{trouble}." if trouble else f"there is no {check.answer} before the check."


def _said(error: BaseException) -> str:
    first, *_ = [*str(error).splitlines(), ""]
    return f"{type(error).__name__}: {first}".rstrip(": .")


def one_line(text: object) -> str:
    """A stranger's text for a table: one line, printable, not too long."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"
