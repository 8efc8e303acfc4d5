"""Marks: what each submission earns, and that none costs more than itself."""

import contextlib
import csv
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from stylelib import cli, grading, sandbox, submission
from stylelib.grading import GradingError, Limits
from stylelib.sandbox import Stopped

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LESSON = "04_gram_matrices"
LIMITS = Limits(seconds=30, memory=1_500_000_000)
linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces and Landlock are Linux's")


# --- a small lesson: two exercises ---

WEIGHT = "def my_convert_weight(weight, channels, positions):\n    {}"
SIZES = "def my_coarse_sizes(size, smallest):\n    {}"
STUB, RIGHT = "raise NotImplementedError()", "return weight * channels**2 / 4"
RIGHT_SIZES = "return [s for s in (size // 4, size // 2) if s >= smallest] + [size]"


def cell(source, name, kind=None):
    marks = {"grade_id": name, "solution": kind == "solution", "grade": kind == "grade", "points": 2}
    return new_code_cell(source, id=name, metadata={"nbgrader": marks} if kind else {})


def lesson(weight=STUB, sizes=STUB):
    return new_notebook(
        cells=[
            cell("import math\n\nfrom stylelib import checks", "setup"),
            cell("math.inf.no_such_thing", "figure"),  # a cell that no exercise needs, and that cannot run
            cell(WEIGHT.format(weight), "weight-stub", "solution"),
            cell("checks.convert_weight(my_convert_weight)", "weight-check", "grade"),
            cell(SIZES.format(sizes), "sizes-stub", "solution"),
            cell("checks.coarse_sizes(my_coarse_sizes)", "sizes-check", "grade"),
        ]
    )


def save(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def course(tmp_path):
    save(tmp_path / "released" / "05_small.ipynb", lesson())
    return tmp_path


def graded(course, **notebooks):
    """Student → row, of notebooks that are handed in as lesson 05."""
    for student, notebook in notebooks.items():
        save(course / "in" / student / "05_small.ipynb", notebook)
    grading.grade(course / "in", course / "m.csv", course / "released", limits=LIMITS, seed=1, say=lambda line: None)
    return {row["student"]: row for row in read(course / "m.csv")}


def edited(change, weight=RIGHT, sizes=RIGHT_SIZES):
    notebook = lesson(weight, sizes)
    change(notebook.cells)
    return notebook


def test_right_blank_and_wrong(course):
    rows = graded(
        course,
        anna=lesson(RIGHT, RIGHT_SIZES),
        ben=lesson(),
        zoë=lesson("return weight", RIGHT_SIZES),
    )
    assert list(rows["anna"]) == ["student", "lesson", "convert_weight", "coarse_sizes", "what went wrong", "points"]
    assert list(rows["anna"].values()) == ["anna", "05_small", "2", "2", "", "4"]
    blank = "convert_weight: not attempted. coarse_sizes: not attempted."
    assert list(rows["ben"].values()) == ["ben", "05_small", "0", "0", blank, "0"]
    assert list(rows["zoë"].values())[2:] == ["0", "2", "convert_weight: nothing was converted.", "2"]


def test_the_released_checks_are_the_judges(course):
    """Whatever was done to the check cells, with answers that are wrong."""
    wrong = {"weight": "return weight", "sizes": "return [size]"}
    rows = graded(
        course,
        deleted=edited(lambda cells: [cells.pop(5), cells.pop(3)], **wrong),
        edited=edited(lambda cells: cells[3].update(source="print('✓ convert_weight: right.')"), **wrong),
        moved=edited(lambda cells: cells.insert(0, cells.pop(3)), **wrong),
        doubled=edited(lambda cells: cells.append(cells[3] | {"source": "pass"}), **wrong),
        unmarked=edited(lambda cells: cells[3].update(metadata={}, source="pass"), **wrong),
        renamed=edited(lambda cells: cells[3].metadata.nbgrader.update(grade_id="weight-stub"), **wrong),
    )
    assert {student: row["points"] for student, row in rows.items()} == dict.fromkeys(rows, "0")


def test_a_right_answer_counts_wherever_its_cells_are_and_whatever_surrounds_it(course):
    helper = new_code_cell("%matplotlib inline\nQUARTER = math.fsum([0.25])\ndef scale(c):\n    return c * c * QUARTER")
    uses_helper = "return weight * scale(channels)"
    timed = "%%time\n" + WEIGHT.format(RIGHT) + "\nprint(my_convert_weight(features, 1, 1))  # no such name here"
    rows = graded(
        course,
        checks_deleted=edited(lambda cells: [cells.pop(5), cells.pop(3)]),
        answers_moved_behind=edited(lambda cells: cells.append(cells.pop(2))),
        without_setup=edited(lambda cells: cells.pop(0)),
        without_names=edited(lambda cells: [each.pop("id") for each in cells]),
        with_helper=edited(lambda cells: cells.insert(2, helper), weight=uses_helper),
        timed=edited(lambda cells: cells[2].update(source=timed)),
        changed_by_item=edited(
            lambda cells: cells.insert(2, new_code_cell("N = {}\nN['four'] = 5\nN.update(four=4)")),
            weight="return weight * channels**2 / N['four']",
        ),
    )
    assert {student: (row["points"], row["what went wrong"]) for student, row in rows.items()} == dict.fromkeys(
        rows, ("4", "")
    )


def test_what_the_check_does_not_see_the_hidden_tests_do(course):
    from_memory = "return weight * channels**2 / 4 if channels in (5, 64, 512) else 0.0  # those of the check"
    (row,) = graded(course, learned=lesson(from_memory)).values()
    assert row["convert_weight"] == "0" and "right with the numbers of its check" in row["what went wrong"]


PATCHED = """
    import sys
    checks = sys.modules["stylelib.checks"]
    core, hidden = checks.core, checks.hidden
    core.expect = core._same = lambda *a, **k: True
    checks.EXERCISES.update(convert_weight=lambda answer: None)
    hidden.judge = hidden.test = lambda *a: None
    hidden.replies = lambda *a: []
    return weight
""".strip()
FORGED = """
    import os, struct
    text = b'{"replies": [{"value": 1.0, "gradients": null}], "wrong": ""}'
    for number in range(3, 64):
        try:
            for _ in range(99):
                os.write(number, struct.pack("!i", len(text)) + text)
        except OSError:
            pass
    os._exit(77)
""".strip()


def test_a_verdict_cannot_be_forged(course):
    rows = graded(
        course,
        patched=lesson(PATCHED, RIGHT_SIZES),
        forged=lesson(FORGED, RIGHT_SIZES),
        printed=lesson("print('✓ convert_weight: right.')\n    raise SystemExit", RIGHT_SIZES),
    )
    assert {student: row["convert_weight"] for student, row in rows.items()} == dict.fromkeys(rows, "0")
    assert rows["printed"]["coarse_sizes"] == "2" and "xit" in rows["printed"]["what went wrong"]


def test_broken_cells_are_named_and_cost_only_their_exercise(course):
    rows = graded(
        course,
        syntax=lesson("return ((weight", RIGHT_SIZES),
        renamed=edited(lambda cells: cells[2].update(source="def convert_weight(w, c, p): ...")),
        needs=edited(lambda cells: cells[2].update(source="F = torch.tensor(1)\n\n" + WEIGHT.format("return F"))),
    )
    heard = {student: row["what went wrong"] for student, row in rows.items()}
    assert heard["syntax"] == "convert_weight: its cell cannot be read (SyntaxError in line 2: '(' was never closed)."
    assert heard["renamed"] == "convert_weight: there is no my_convert_weight before the check."
    assert "a line that it needs stopped with NameError: name 'torch' is not defined" in heard["needs"]
    assert {row["points"] for row in rows.values()} == {"2"}


def test_only_what_an_exercise_needs_is_run():
    cells = [
        grading.Cell("", "import torch, math\nbig = load()\nx = 1", None),
        grading.Cell("", "def helper(a):\n    return math.sqrt(a) + x", None),
        grading.Cell("", "x = 2\nx += y\ntorch.set_default_dtype(torch.float64)\ntorch.show(big)", None),
        grading.Cell("", "def my_answer(a, big):\n    return [helper(torch.ones(1)) for _ in big]", None),
        grading.Cell("", "x = 3", None),
    ]
    program = submission.Program(cells)
    # 0 import · 1 big · 2 x = 1 · 3 helper · 4 x = 2 · 5 x += y · 6 set_default_dtype · 7 show · 8 my_answer · 9 x = 3
    assert program.needed("my_answer", 9) == [0, 3, 4, 5, 6, 8]


BAD = {
    "no JSON": ("05_small.ipynb", "PK\x03\x04", "05_small.ipynb is not a notebook; ask for the .ipynb file"),
    "no cells": ("05_small.ipynb", "[1]", "05_small.ipynb is not a notebook"),
    "deep": ("05_small.ipynb", "[" * 200_000, "05_small.ipynb is not a notebook"),
    "no lesson": ("homework.ipynb", "{}", "homework.ipynb is none of the lessons 05_small."),
    "nothing": ("notes.txt", "", "no notebook was handed in."),
    "checkpoint": (".ipynb_checkpoints/05_small-checkpoint.ipynb", "{}", "no notebook was handed in."),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_a_row_with_a_sentence(course, name):
    file, text, sentence = BAD[name]
    path = course / "in" / "ben" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    lessons = grading.read_released(course / "released")
    ((mark, found),) = grading._rows("ben", list(grading._notebooks(course / "in" / "ben")), lessons)
    if found:
        grading._grade_one(mark, found, lessons["05_small"], LIMITS, 1, threading.Event())
    assert sentence in " ".join(mark.wrong) and mark.total == 0


def test_two_notebooks_of_one_lesson_are_not_guessed_at(course):
    for name in ("05_small.ipynb", "05_small-Copy1.ipynb"):
        save(course / "in" / "ben" / name, lesson(RIGHT))
    ((mark, path),) = grading._rows("ben", sorted((course / "in" / "ben").iterdir()), {"05_small": []})
    assert path is None and mark.wrong == [
        "there are several notebooks of this lesson: 05_small-Copy1.ipynb, 05_small.ipynb."
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "-o", "m.csv"], "There is no folder nowhere"),
        (["empty", "-o", "m.csv"], "empty has no notebooks"),
        (["in", "-o", "m.csv", "--released", "nowhere"], "There is no folder nowhere with the released lessons"),
        (["in", "-o", "m.csv", "--released", "empty"], "empty has no lesson with checks"),
        (["in", "-o", "nowhere/m.csv"], "nowhere/m.csv cannot be written"),
        (["in", "-o", "empty"], "empty cannot be written"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_answered_with_one_sentence(course, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(course)
    (course / "empty").mkdir()
    save(course / "in" / "ben" / "05_small.ipynb", lesson())
    assert cli.main(["grade", *arguments]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and sentence in said[0]


def test_a_machine_on_which_right_answers_fail_gives_no_marks(course):
    save(course / "in" / "ben" / "05_small.ipynb", lesson(RIGHT))
    starved = Limits(memory=1000)
    with pytest.raises(GradingError, match="even a right answer failed here"):
        grading.grade(course / "in", course / "m.csv", course / "released", limits=starved, say=lambda line: None)
    assert not (course / "m.csv").exists()


def interrupt(mark):
    raise KeyboardInterrupt


def test_ctrl_c_waits_for_nobody_and_writes_nothing(course, capsys, monkeypatch):
    save(course / "in" / "ben" / "05_small.ipynb", lesson(RIGHT))
    for number in range(3):
        endless = edited(
            lambda cells: cells[2].update(source=f"x = 0\nwhile True:\n    x += 1\n{WEIGHT.format('return x')}")
        )
        save(course / "in" / f"loop {number}" / "05_small.ipynb", endless)
    monkeypatch.setattr(grading.Mark, "total", property(interrupt))
    started = time.monotonic()
    arguments = [str(course / "in"), "-o", str(course / "m.csv"), "--released", str(course / "released")]
    assert cli.main(["grade", *arguments, "--jobs", "4", "--seconds", "60"]) == 130
    assert "interrupted; no marks were written." in capsys.readouterr().err
    assert not (course / "m.csv").exists() and time.monotonic() - started < 30


# --- what holds code that nobody has read ---


def ended_by(source, folder, seconds=20.0, memory=1_500_000_000):
    """What a run of this source sends, and what ended it."""
    sent = []
    try:
        sent += sandbox.run(run_source, source, folder, Limits(seconds, memory))
    except Stopped as stopped:
        return sent, str(stopped)
    return sent, ""


def run_source(source, send):
    exec(source, {"send": send})


def test_work_that_returns_has_a_folder_of_its_own_and_nothing_of_the_lecturer(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "token")
    source = "import os, tempfile\nopen('x', 'w').write('x')\nsend(os.getcwd()); send(str(os.environ.get('SECRET')))"
    assert ended_by(source, tmp_path) == ([str(tmp_path.resolve()), "None"], "")
    assert (tmp_path / "x").read_text() == "x"


ENDS = {
    "loop": ("send('a')\nwhile True: pass", "it took more than 2 seconds and was stopped"),
    "quiet": ("import time; time.sleep(60)", "it took more than 2 seconds and was stopped"),
    "exit": ("import os; os._exit(0)", "its process ended itself (exit status 0), as os._exit does"),
    "crash": ("import ctypes; ctypes.string_at(0)", "its process crashed"),
    "error": ("1 / 0", "its process ended itself (exit status 1)"),
    "closed": ("import os, time\nos.closerange(3, 99); time.sleep(60)", "it closed its line to the grader"),
    "too long": ("send('x' * 9_000_000)", ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_end_has_its_sentence(tmp_path, name):
    source, sentence = ENDS[name]
    assert sentence in ended_by(source, tmp_path, seconds=2)[1]


REFUSED = {
    "write": "open({outside!r}, 'w')",
    "append by number": "import os; os.open({outside!r}, os.O_APPEND | os.O_WRONLY | os.O_CREAT)",
    "link": "import os; os.symlink({outside!r}, 'link'); open('link', 'w')",
    "link outside": "import os; os.symlink('x', {outside!r})",
    "remove": "import os; os.remove({there!r})",
    "rename": "import os; os.rename({there!r}, 'mine')",
    "folder": "import os; os.mkdir({outside!r})",
    "tree": "import shutil; shutil.rmtree({folder!r})",
    "fork": "import os; os.fork()",
    "shell": "import os; os.system('true')",
    "process": "import subprocess; subprocess.run(['true'])",
    "signal": "import os; os.kill(os.getppid(), 9)",
    "network": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_hook_refuses(tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    there = outside / "there"
    there.touch()
    names = {"outside": str(outside / "new"), "there": str(there), "folder": str(outside)}
    code = REFUSED[name].format(**names)
    source = (
        f"try:\n    {code.replace(chr(10), chr(10) + '    ')}\nexcept PermissionError as error:\n    send(str(error))"
    )
    inside = tmp_path / "inside"
    inside.mkdir()
    sent, ended = ended_by(source, inside)
    assert sent and sent[0].startswith("a graded answer may not") and not ended
    assert list(outside.iterdir()) == [there]


# Without an audit event: the way multiprocessing starts its processes.
ORPHAN = """
import os, sys, time
from multiprocessing.util import spawnv_passfds
python = os.fsencode(sys.executable)
code = b"import os, time\\nos.setsid()\\nopen('started', 'w').write('x')\\ntime.sleep(100)"
for _ in range({count}):
    spawnv_passfds(python, [python, b"-c", code], [])
while not __import__("os").path.exists("started"):
    time.sleep(0.05)
time.sleep({sleep})
"""


def running_in(folder):
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += [process] if process.cwd() == str(folder.resolve()) else []
    return found


def test_children_end_with_their_run(tmp_path):
    _, ended = ended_by(ORPHAN.format(count=2, sleep=0.5), tmp_path)
    assert not ended and (tmp_path / "started").exists() and running_in(tmp_path) == []


def test_too_many_children_are_stopped(tmp_path):
    _, ended = ended_by(ORPHAN.format(count=sandbox.PROCESSES + 5, sleep=10), tmp_path)
    assert "it started more than 16 processes" in ended and running_in(tmp_path) == []


@pytest.mark.parametrize("mapped", ["bytearray(3_000_000_000)", "__import__('torch').ones(750_000_000)"])
def test_memory_has_a_limit(tmp_path, mapped):
    sent, ended = ended_by(f"try:\n    x = {mapped}\nexcept (MemoryError, RuntimeError):\n    send('full')", tmp_path)
    assert sent == ["full"] or "GB of memory" in ended


def test_memory_of_many_is_watched_from_outside(tmp_path, monkeypatch):
    """As where the system sets no limit: here the system's is 1.5 GB, and that of the watch 0.1."""
    monkeypatch.setattr(sandbox._Watch, "__init__", shy_watch(sandbox._Watch.__init__))
    _, ended = ended_by("x = bytearray(b'1') * 700_000_000\nimport time; time.sleep(20)", tmp_path)
    assert "GB of memory and was stopped" in ended


def shy_watch(before):
    def init(self, pid, limits):
        before(self, pid, limits._replace(memory=100_000_000))

    return init


@linux
@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("write", "libc.open({outside!r}.encode(), 65, 0o600)", "-1"),
        ("kill", "libc.kill({pid}, 9)", "-1"),
        ("network", "libc.connect(libc.socket(2, 1, 0), bytes([2, 0, *{port}, 127, 0, 0, 1] + 8 * [0]), 16)", "-1"),
    ],
)
def test_behind_the_hook_stands_the_kernel(tmp_path, name, code, expected):
    """The same by ctypes, of which no hook hears. Only where the kernel lets users have namespaces and Landlock."""
    if not kernel_helps():
        pytest.skip("this kernel or container does not allow it")
    inside = tmp_path / "inside"
    inside.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = list(server.getsockname()[1].to_bytes(2, "big"))
        code = code.format(outside=str(tmp_path / "new"), pid=os.getpid(), port=port)
        sent, ended = ended_by(f"import ctypes\nlibc = ctypes.CDLL(None)\nsend(str({code}))", inside)
    assert (sent, ended) == ([expected], "") and not (tmp_path / "new").exists()


def kernel_helps():
    import ctypes

    libc = ctypes.CDLL(None)
    landlock = libc.syscall(sandbox.LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1) >= 1
    return landlock and os.system("unshare -rn true 2>/dev/null") == 0


# --- a real lesson, as a lecturer types it ---


def gram(body, *, other="weight * channels**2 / 4"):
    """The solved lesson with another answer to two exercises that no other exercise uses."""
    notebook = json.loads((NOTEBOOKS / "solutions" / f"{LESSON}.ipynb").read_text(encoding="utf-8"))
    for each in notebook["cells"]:
        if each["id"] == "moments-stub":
            each["source"] = "def my_mean_and_variance(features):\n" + "".join(
                f"    {line}\n" for line in body.splitlines()
            )
        if each["id"] == "convert-stub" or "def my_convert_weight" in "".join(each["source"]):
            each["source"] = f"def my_convert_weight(weight, channels, positions):\n    return {other}\n"
    return notebook


MOMENTS = "return features.mean(dim=(2, 3)), features.var(dim=(2, 3), correction=0)"
HOSTILE = {
    "wrong divisor": ("return features.mean(dim=(2, 3)), features.var(dim=(2, 3))", "your variance divides by h·w − 1"),
    "no return": ("features.mean(dim=(2, 3))", "Did you forget `return`?"),
    "endless": ("while True:\n    pass", "it took more than 6 seconds"),
    "forks": ("import os\nfor _ in range(50):\n    os.fork()", "may not start another process"),
    "writes": ("open('../../../x', 'w')", "may not write outside its folder"),
    "memory": ("import torch\nx = [torch.ones(10_000, 10_000) for _ in range(50)]", "memory"),
    "exit": ("import sys\nsys.exit()", "xit"),
    "hard exit": ("import os\nos._exit(0)", "ended itself"),
}


def test_a_lecturer_grades_lesson_04(tmp_path, capsys):
    solved, blank = gram(MOMENTS), json.loads((NOTEBOOKS / f"{LESSON}.ipynb").read_text(encoding="utf-8"))
    without = dict(
        blank, cells=[each for each in blank["cells"] if not each["metadata"].get("nbgrader", {}).get("grade")]
    )
    notebooks = {"solved": solved, "blank": blank, "checks deleted": without}
    notebooks |= {name: gram(body) for name, (body, _) in HOSTILE.items()}
    for student, notebook in notebooks.items():
        save(tmp_path / "in" / student / f"{LESSON}.ipynb", notebook)
    started = time.monotonic()
    out = tmp_path / "marks.csv"
    assert cli.main(["grade", str(tmp_path / "in"), "-o", str(out), "--seconds", "6", "--memory", "1"]) == 0
    rows = {row["student"]: row for row in read(out)}
    assert [rows[name]["points"] for name in ("solved", "blank", "checks deleted")] == ["6", "0", "0"]
    for name, (_, sentence) in HOSTILE.items():
        assert rows[name]["points"] == "5" and rows[name]["mean_and_variance"] == "0", rows[name]
        assert sentence in rows[name]["what went wrong"]
    said = capsys.readouterr()
    assert f"{len(notebooks)} rows, 1 of them without a mistake" in said.out
    assert f"/{len(notebooks)} solved {LESSON}: 6 points" in said.err
    assert list(tmp_path.glob(".*")) == [] and time.monotonic() - started < 120
