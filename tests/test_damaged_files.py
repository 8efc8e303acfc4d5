"""A small part of what `tools/try_damaged_files.py` tries, and by name what it has found."""

import contextlib
import io
import os
import random
import sys
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylelib import ImageError, clips, load_image, masks, save_image
from stylelib.clips import ClipError, open_clip
from stylelib.images import load_alpha
from stylelib.studio_folder import Folder, settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    """By its name, so that another process finds it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import try_damaged_files

        yield try_damaged_files
        sys.modules.pop("try_damaged_files")


def test_a_damaged_or_strange_file_gives_a_picture_or_one_sentence(tool, tmp_path):
    for name in ("files", "work"):
        (tmp_path / name).mkdir()
    found = tool.faults(tmp_path / "files", 150, seed=3)
    results = tool.try_all(found, tmp_path / "work")
    assert not [each for each in results if each[2] not in ("picture", "sentence")]
    said = [each[2] for each in results]
    assert len(found) == 150 and said.count("picture") > 100 and said.count("sentence") > 100
    assert {fault.kind for fault in found} >= {"cut off", "absurd sizes", "color profile", "turned (EXIF)", "names"}


def test_it_would_tell(tool, tmp_path):
    def reads(result):
        def read(path, folder):
            if isinstance(result, Exception):
                raise result
            return result

        return tool.outcome(read, "a.png", tmp_path)

    assert reads(torch.zeros(1, 3, 4, 4)) == "picture"
    for wrong in (torch.full((1, 3, 4, 4), torch.nan), torch.full((1, 3, 4, 4), 1.1), torch.zeros(1, 3, 0, 4)):
        assert reads(wrong).startswith("no picture")
    assert reads(ValueError("not of this package.")).startswith("ValueError")
    assert reads(MemoryError()).startswith("MemoryError")


def test_the_same_seed_makes_the_same_files(tool, tmp_path):
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        found = tool.faults(tmp_path / name, 100, seed=5)
        contents = [Path(fault.path).read_bytes() for fault in found if fault.kind in tool.DAMAGED]
        made.append(([fault.kind for fault in found], contents))
    assert made[0] == made[1] and len(made[0][1]) > 10


# --- what was found ---


@pytest.fixture
def pipe(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes with names here")
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


@pytest.mark.parametrize("read", [load_image, masks.load_mask, open_clip])
def test_a_pipe_is_not_waited_for(read, pipe):
    with pytest.raises(ImageError, match=r"Cannot read .*pipe\.png: it is a pipe or a device, not a file\."):
        read(pipe)


def test_a_pipe_in_a_folder_of_pictures_is_passed_over(pipe):
    with pytest.raises(ClipError, match="no pictures"):
        open_clip(pipe.parent)


@pytest.mark.parametrize("read", [load_image, masks.load_mask, open_clip])
@pytest.mark.parametrize(
    "name, said", [("null\0byte.png", "null.byte.png: no name"), ("y" * 300, "File name too long")]
)
def test_names_that_no_file_can_have(read, name, said):
    with pytest.raises(ImageError, match=said):
        read(name)


@pytest.mark.parametrize("read", [load_image, masks.load_mask, open_clip])
def test_a_name_does_not_break_the_line_or_color_the_terminal(read, tmp_path):
    file = tmp_path / "two\nlines\x1b[31m.png"
    file.write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"two\?lines\?\[31m\.png is") as error:
        read(file)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("alpha", [None, torch.rand(1, 1, 32, 48)], ids=["rgb", "rgba"])
def test_a_damaged_png_of_sixteen_bits_does_not_end_the_process(alpha, tmp_path):
    save_image(torch.rand(1, 3, 32, 48), tmp_path / "a.png", bits=16, alpha=alpha)
    whole, place = (tmp_path / "a.png").read_bytes(), random.Random(0)
    for number in range(60):
        damaged = bytearray(whole)
        damaged[place.randrange(33, len(whole))] ^= 1 << place.randrange(8)
        (tmp_path / "a.png").write_bytes(damaged if number % 2 else whole[: place.randrange(33, len(whole) - 20)])
        with contextlib.suppress(ImageError):
            assert load_image(tmp_path / "a.png").shape == (1, 3, 32, 48) and number % 2, "half a picture is none"


def test_a_film_whose_metadata_are_no_text_is_one_all_the_same(tool, tmp_path):
    films = tool.whole_films(random.Random(0), tmp_path)
    (tmp_path / "a.mp4").write_bytes(films["film.mp4"].replace(b"Lavf", b"\xf0\xe4vf"))
    assert len(list(open_clip(tmp_path / "a.mp4").frames())) == 6


def test_a_huge_mask_is_read_smaller(tmp_path, monkeypatch):
    picture = Image.new("L", (90, 60))
    picture.paste(255, (0, 0, 45, 60))
    picture.save(tmp_path / "mask.png")
    assert masks.load_mask(tmp_path / "mask.png").shape == (1, 1, 60, 90)
    monkeypatch.setattr(masks, "HUGE", 5000)
    monkeypatch.setattr(masks, "HUGE_AT", 30)
    mask = masks.load_mask(tmp_path / "mask.png")
    assert mask.shape == (1, 1, 20, 30) and mask[..., :14].min() > 0.95 and mask[..., 16:].max() < 0.05


def test_a_mask_is_read_from_an_open_file_too(tmp_path):
    Image.new("LA", (8, 6), (255, 128)).save(tmp_path / "mask.png")
    with (tmp_path / "mask.png").open("rb") as file:
        assert torch.equal(masks.load_mask(file), masks.load_mask(tmp_path / "mask.png"))


def test_pictures_that_no_decoder_knows_are_named(tool, tmp_path):
    films = tool.whole_films(random.Random(0), tmp_path)
    (tmp_path / "a.mp4").write_bytes(films["film.mp4"].replace(b"avc1", b"zzzz"))
    with pytest.raises(ClipError, match="pictures of a kind that is not known here"):
        open_clip(tmp_path / "a.mp4")


def test_frames_that_would_take_gigabytes_are_refused(tmp_path, monkeypatch):
    Image.new("P", (60, 40)).save(tmp_path / "a.gif")
    assert open_clip(tmp_path / "a.gif").shape == (40, 60)
    monkeypatch.setattr(clips, "LARGEST", 2000)
    with pytest.raises(ClipError, match=r"a\.gif has frames of 60 × 40 pixels, too many"):
        open_clip(tmp_path / "a.gif")


@pytest.mark.parametrize("read", [load_image, load_alpha, masks.load_mask])
def test_a_picture_without_its_palette_is_damaged(tool, read):
    file = io.BytesIO(tool.png(8, 8, 8, 3, zlib.compress(bytes(8 * 9))))  # found by fuzzing
    with pytest.raises(ImageError, match="damaged"):
        read(file)


def test_a_picture_of_the_studio_whose_header_is_absurd_has_no_settings(tool, tmp_path):
    (tmp_path / "0001_a_b.png").write_bytes(tool.png(60_000, 60_000, 8, 2, b""))  # found by fuzzing
    assert settings(tmp_path / "0001_a_b.png") is None and Folder(tmp_path).entries() == []
