"""The style pictures: the code draws them, always the same, and the files in images/ are what it draws."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
STYLE = ROOT / "images" / "style"
SMALL = 160  # pixels on the long side: the whole composition, fast


def load_tool():
    spec = importlib.util.spec_from_file_location("render_styles", ROOT / "tools" / "render_styles.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up here
    spec.loader.exec_module(module)
    return module


tool = load_tool()
every_picture = pytest.mark.parametrize("name", tool.PICTURES)


@pytest.fixture(scope="module")
def small():
    return {name: tool.render(name, SMALL) for name in tool.PICTURES}


def patches(image):
    """The picture's mean colors on a grid of 6 × 6."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return np.asarray(image.resize((6, 6), Image.Resampling.BOX), float)


def difference(first, second):
    return np.abs(patches(first) - patches(second)).mean()


@every_picture
def test_the_same_seed_gives_the_same_picture(small, name):
    np.random.seed(1)  # noqa: NPY002 - the picture must not depend on the global generator
    again = tool.render(name, SMALL)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, small[name])


@every_picture
def test_another_seed_gives_another_picture(small, name, monkeypatch):
    monkeypatch.setitem(tool.PICTURES, name, replace(tool.PICTURES[name], seed=12345))
    assert (tool.render(name, SMALL) != small[name]).mean() > 0.3


@every_picture
def test_a_rendering_has_the_size_asked_for(small, name):
    picture = tool.PICTURES[name]
    assert max(picture.width, picture.height) == 1
    assert small[name].shape == (round(SMALL * picture.height), round(SMALL * picture.width), 3)


@every_picture
def test_a_picture_has_light_dark_and_color(small, name):
    pixels = small[name].reshape(-1, 3).astype(float)
    low, high = np.percentile(pixels.mean(1), [5, 95])
    assert high - low > 90
    assert np.percentile(np.ptp(pixels, axis=1), 75) > 25


def test_the_files_are_those_of_the_registry():
    assert {path.name for path in STYLE.iterdir()} == {f"{name}.jpg" for name in tool.PICTURES}


@every_picture
def test_a_file_has_the_promised_format(name):
    picture, path = tool.PICTURES[name], STYLE / f"{name}.jpg"
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert image.size == (round(picture.width * tool.LONG_SIDE), round(picture.height * tool.LONG_SIDE))
        assert max(image.size) == 768
    assert path.stat().st_size < 240_000


def test_the_files_are_small_together():
    assert sum(path.stat().st_size for path in STYLE.iterdir()) < 1_600_000


@every_picture
def test_a_file_shows_what_the_code_draws(small, name):
    """Also when somebody changes the code of a picture and forgets to render it again."""
    with Image.open(STYLE / f"{name}.jpg") as image:
        assert difference(image, small[name]) < 8


@every_picture
def test_the_readme_lists_each_file_with_its_seed_and_license(name):
    lines = (ROOT / "images" / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(f"| `style/{name}.jpg`")]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[3:] == [str(tool.PICTURES[name].seed), "CC0 1.0"]


def test_the_readme_lists_no_other_file():
    text = (ROOT / "images" / "README.md").read_text(encoding="utf-8")
    assert text.count("| `style/") == len(tool.PICTURES)


def test_the_command_renders_the_named_pictures_into_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool.render, "__defaults__", (SMALL,))
    monkeypatch.setattr(sys, "argv", ["render_styles.py", "waves", "--out", str(tmp_path / "new")])
    tool.main()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["waves.jpg"]
    assert "waves" in capsys.readouterr().out


def test_the_command_names_the_choices_when_a_name_is_wrong(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["render_styles.py", "wave"])
    with pytest.raises(SystemExit):
        tool.main()
    message = capsys.readouterr().err
    assert "no such picture: wave;" in message
    assert "stained_glass" in message
