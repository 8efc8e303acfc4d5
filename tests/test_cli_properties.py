"""Whatever is typed, a command ends with a picture or with one line that says why not, and leaves nothing half-done."""

import argparse
import contextlib
import io
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from stylelib import cli, gallery, save_image

# Right values come first and several times: one that is wrong is enough for a refusal.
NUMBERS = ["1", "2", "32", "0.5", "1", "0", "-1", "1e300", "nan", "inf", "x", ""]
PICTURES = ["content.png", "style.jpg", "alpha.png", "waves", "clear.png"]
FALSE_PICTURES = ["cut.jpg", "text.jpg", "folder.png", "missing.png", "thin.png", "", "-", "no\nline.png"]
MASKS = ["mask.png", "mask.png", "content.png", "black.png", "text.jpg", "missing.png"]
OUTS = (
    "out.png out.jpg out.tif out.webp OUT.PNG out.gif OUT.GIF out.txt out none/out.png folder.png content.png".split()
)
VALUES = {
    "size": ["40", "48", "64", "40", "0", "15", "-3", "1000000", "nan", "40.5", "x", ""],
    "steps": ["2", "3", "4", "2", "1", "0", "-1", "x"],
    "backbone": ["slim", "slim", "slim", "resnet50", ""],
    "device": ["cpu", "auto", "cpu", "cuda:9", "tpu", ""],
    "seed": ["0", "7", "-1", "9223372036854775808", "x"],
    "bits": ["8", "16", "7", "x"],
    "dpi": ["300", "72.5", "0", "nan", "x"],
    "style_weight": NUMBERS,
    "stroke": ["1", "2", "0.5", "0", "1e-9", "1e7", "nan", "x"],
    "start": ["content", "noise", "zero"],
    "color": ["style", "content", "matched", "mine"],
    "also": [["waves"], ["style.jpg"], ["waves", "style.jpg"], ["missing.png"]],
    "blend": [["1", "3"], ["1", "0"], ["1"], ["0", "0"], ["nan", "1"]],
    "mask": MASKS,
    "regions": [["mask.png"] * 2, ["mask.png", "black.png"], ["content.png", "mask.png"], ["missing.png", "mask.png"]],
    "method": ["smooth", "linear", "covariance", "reinhard", "full", "magic"],
    "strength": ["1", "0.5", "0", "2", "nan"],
    "lut": ["map.cube", "text.jpg", "missing.cube"],
    "save_lut": ["saved.cube", "none/saved.cube", "saved.txt", ""],
    "range": ["0:1", "0:", ":0.04", "1:0", "9:10", "x", "nan:1"],
    "fps": ["25", "5", "0", "nan", "x"],
    "keep_alpha": [[]],
    "resume": [[]],
}  # fmt: skip
PLACES = {
    "content": PICTURES + FALSE_PICTURES,
    "style": PICTURES + FALSE_PICTURES,
    "clip": ["clip", "moving.gif", "content.png", "empty", "text.jpg", "missing.mp4", ""],
}
QUICK = {
    "stylize": ["--size", "40", "--steps", "2"],
    "texture": ["--size", "40", "--steps", "2"],
    "photo": ["--size", "40"],
    "video": ["--size", "40", "--steps", "2"],
    "doctor": ["--size", "40", "--steps", "2"],
}
ELSEWHERE = {"scheduler", "help"}  # tried in test_batch, test_cli
tries = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def actions(command):
    """The options and places that argparse knows, so that a new one is tried as soon as it is there."""
    parser = cli._parser()
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return [each for each in commands.choices[command]._actions if each.dest not in ELSEWHERE]


def typed(command, draw):
    """What somebody types: each place filled, and a few of the options."""
    words, options = [command], list(QUICK[command])
    for action in actions(command):
        if action.dest == "out":
            options += ["-o", draw(st.sampled_from([*OUTS, ""]))]
        elif not action.option_strings:
            values = PLACES[action.dest]
            words.append(draw(st.sampled_from([*values[:2], *values])))
        elif draw(st.integers(0, 3)) == 0:
            value = draw(st.sampled_from(VALUES[action.dest]))
            options += [action.option_strings[-1], *([value] if isinstance(value, str) else value)]
    return words + options


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A current folder with pictures, and files that are none."""
    folder = tmp_path_factory.mktemp("typed")
    content = gallery.load("chelsea", 48)
    with contextlib.chdir(folder):
        save_image(content, "content.png")
        save_image(gallery.load("waves", 48), "style.jpg")
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
        assert cli.main("photo content.png style.jpg -o x.png --size 40 --save-lut map.cube".split()) == 0
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
def test_whatever_is_typed(command, folder):
    ended = []

    @tries
    @given(st.data())
    def attempt(data):
        words = typed(command, data.draw)
        before = files()
        with contextlib.chdir(folder):
            status, _, errors = run(words)
        lines = errors.splitlines()
        assert all(line.startswith("stylelib: ") and line.isprintable() for line in lines), (words, errors)
        after = files()
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        if status == 0:
            assert len(lines) <= 2, "a remark or two"
        else:
            assert status == 2 and len(lines) == 1 and not changed, (words, status, errors, changed)
        assert not [name for name in changed if os.path.basename(name).startswith(".")], "nothing half-written"
        for name in changed:
            file = Path(name)
            file.write_bytes(before[name]) if name in before else file.unlink()
        ended.append(status)

    with contextlib.chdir(folder):
        attempt()
    assert ended.count(0) >= 3 and ended.count(2) >= 3, "both are tried"
