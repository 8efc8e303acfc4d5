"""Whatever is typed, a command ends with a picture or with one line that says why not, and leaves nothing half-done."""

import argparse
import contextlib
import io
import os
import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylelib import cli, gallery, save_image

# Option or place → what is right, and what is wrong, always or with some of the others.
PICTURES = ["content.png", "style.jpg", "alpha.png", "waves"]
FALSE_PICTURES = ["cut.jpg", "text.jpg", "folder.png", "missing.png", "thin.png", "clear.png", "-", "no\nline.png", ""]
WEIGHTS = ["1", "2", "32", "0.5"], ["0", "-1", "1e300", "nan", "inf", "x", ""]
VALUES = {
    "content": (PICTURES, FALSE_PICTURES),
    "style": (PICTURES, FALSE_PICTURES),
    "clip": (["clip", "moving.gif"], ["content.png", "empty", "text.jpg", "missing.mp4", ""]),
    "out": (["out.png", "OUT.PNG", "out.gif"], ["out.jpg", "out.txt", "out", "no/out.png", "folder.png"]),
    "size": (["64", "72", "80"], ["0", "15", "-3", "1000000", "nan", "40.5", "x", ""]),
    "steps": (["2", "3", "4"], ["1", "0", "-1", "x"]),
    "backbone": (["slim"], ["resnet50", ""]),
    "device": (["cpu", "auto"], ["cuda:9", "tpu", ""]),
    "seed": (["0", "7"], ["-1", "9223372036854775808", "x"]),
    "bits": (["8", "16"], ["7", "x"]),
    "dpi": (["300", "72.5"], ["0", "nan", "x"]),
    "style_weight": WEIGHTS,
    "stroke": (["1", "2", "0.5"], ["0", "1e-9", "1e7", "nan", "x"]),
    "start": (["content", "noise"], ["zero"]),
    "color": (["style", "content", "matched"], ["mine"]),
    "also": ([["waves"], ["style.jpg"], ["waves", "style.jpg"]], [["missing.png"], ["cut.jpg"]]),
    "blend": ([["1", "3"]], [["1", "0"], ["1"], ["0", "0"], ["nan", "1"]]),
    "mask": (["mask.png"], ["black.png", "text.jpg", "missing.png"]),
    "regions": ([["mask.png", "mask.png"]], [["mask.png", "black.png"], ["waves", "mask.png"], ["no.png", "mask.png"]]),
    "method": (["smooth", "linear", "covariance", "reinhard", "full"], ["magic"]),
    "strength": (["1", "0.5", "0"], ["2", "nan"]),
    "lut": (["map.cube"], ["text.jpg", "missing.cube"]),
    "save_lut": (["saved.cube"], ["none/saved.cube", "saved.txt", ""]),
    "range": (["0:1", "0:", ":0.04"], ["1:0", "9:10", "x", "nan:1", "-1:1", "0:inf"]),
    "fps": (["25", "5"], ["0", "nan", "x"]),
    "keep_alpha": ([[]], [[]]),
    "resume": ([[]], [[]]),
}  # fmt: skip
QUICK = {
    "stylize": ["--size", "64", "--steps", "2"],
    "texture": ["--size", "64", "--steps", "2"],
    "photo": ["--size", "64"],
    "video": ["--size", "64", "--steps", "2"],
    "doctor": ["--size", "64", "--steps", "2"],
}
ELSEWHERE = {"scheduler", "help"}  # tried in test_batch, test_cli
TRIES = {"doctor": 10}  # it takes a second or two; the others 60


def actions(command):
    """The options and places that argparse knows, so that a new one is tried as soon as it is there."""
    parser = cli._parser()
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return [each for each in commands.choices[command]._actions if each.dest not in ELSEWHERE]


def typed(command, chance):
    """What somebody types: each place filled, a few of the options, and every other time a slip in one of them."""
    words, options, known = [command], list(QUICK[command]), actions(command)
    slip = chance.choice([*known, *[None] * len(known)])
    for action in known:
        right, wrong = VALUES[action.dest]
        value = chance.choice(wrong if action is slip else right)
        if action.dest == "out":
            options += ["-o", value]
        elif not action.option_strings:
            words.append(value)
        elif action is slip or chance.random() < 0.12:
            options += [action.option_strings[-1], *([value] if isinstance(value, str) else value)]
    return words + options


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A current folder with pictures, and files that are none."""
    folder = tmp_path_factory.mktemp("typed")
    content = gallery.load("chelsea", 72)
    with contextlib.chdir(folder):
        save_image(content, "content.png")
        save_image(gallery.load("waves", 72), "style.jpg")
        save_image(content, "alpha.png", alpha=torch.ones(1, 1, *content.shape[-2:]).tril())
        Image.new("RGBA", (48, 40)).save("clear.png")
        Image.new("RGB", (2000, 3), "red").save("thin.png")
        Image.new("L", (48, 32)).save("black.png")
        mask = Image.new("L", (48, 32))
        mask.paste(255, (0, 0, 24, 32))
        mask.save("mask.png")
        Path("text.jpg").write_text("Dear diary,")
        Path("cut.jpg").write_bytes(Path("style.jpg").read_bytes()[:700])
        for name in ("folder.png", "clip", "empty"):
            Path(name).mkdir()
        for number in (1, 2):
            save_image(content.roll(number, -1), f"clip/{number}.png")
        first, second = (Image.open(f"clip/{number}.png") for number in (1, 2))
        first.save("moving.gif", save_all=True, append_images=[second])
        assert (
            cli.main("photo content.png style.jpg -o x.png --size 64 --method linear --save-lut map.cube".split()) == 0
        )
        Path("x.png").unlink()
        yield folder


def files():
    return {str(file): file.read_bytes() for file in Path().rglob("*") if file.is_file()}


def run(words):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = cli.main(words)
        except SystemExit as stop:
            status = stop.code
    return status, output.getvalue(), errors.getvalue()


@pytest.mark.parametrize("command", QUICK)
def test_whatever_is_typed(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    ended = []
    for number in range(TRIES.get(command, 60)):
        words = typed(command, random.Random(f"{command} {number}"))
        before = files()
        status, _, errors = run(words)
        lines = errors.splitlines()
        assert all(line.startswith("stylelib: ") and line.isprintable() for line in lines), (words, errors)
        after = files()
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        assert status in (0, 2) and len(lines) <= 2 + (status == 2), "a remark or two, and what was wrong"
        assert status == 0 or (lines and not changed), (words, changed)
        assert not [name for name in changed if os.path.basename(name).startswith(".")], "nothing half-written"
        for name in changed:
            file = Path(name)
            file.write_bytes(before[name]) if name in before else file.unlink()
        ended.append(status)

    assert ended.count(0) >= 2 and ended.count(2) >= 2, "both are tried"
