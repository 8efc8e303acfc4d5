"""A file is written whole or not at all."""

import os
import re
import stat
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylelib import ImageError, files, save_image

resource = pytest.importorskip("resource", reason="limits of this kind are POSIX")


ROOT = Path(__file__).parent.parent


@pytest.fixture
def small_disk():
    """No file may grow beyond 1000 bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_is_written_takes_the_files_place(tmp_path):
    (tmp_path / "a.txt").write_text("older")
    with files.replacing(tmp_path / "a.txt") as beside:
        assert beside.parent == tmp_path and beside.suffix == ".txt"
        beside.write_text("newer")
        assert (tmp_path / "a.txt").read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "newer"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, ValueError])
def test_an_error_leaves_the_older_file_and_nothing_beside_it(tmp_path, error):
    (tmp_path / "a.txt").write_text("older")
    with pytest.raises(error), files.replacing(tmp_path / "a.txt") as beside:
        beside.write_text("half of i")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "older"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_a_full_disk_does_not_cost_the_older_picture(tmp_path, small_disk, name, bits):
    if bits == 16 and name not in ("a.png", "a.tif"):
        pytest.skip("holds 8 bits only")
    Image.new("RGB", (4, 4)).save(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(ImageError, match="Cannot write"):
        save_image(torch.rand(1, 3, 64, 64), tmp_path / name, bits=bits)
    assert (tmp_path / name).read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_link_stays_one_and_its_file_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.txt").write_text("older")
    (tmp_path / "link.txt").symlink_to("folder/a.txt")
    with files.replacing(tmp_path / "link.txt") as beside:
        beside.write_text("newer")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "folder/a.txt").read_text() == "newer"


def test_permissions_stay(tmp_path):
    (tmp_path / "a.txt").write_text("older")
    (tmp_path / "a.txt").chmod(0o640)
    with files.replacing(tmp_path / "a.txt") as beside:
        beside.write_text("newer")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_protected_file_is_not_replaced(tmp_path):
    (tmp_path / "a.txt").write_text("older")
    (tmp_path / "a.txt").chmod(0o400)
    with pytest.raises(PermissionError):
        files.check_writable(tmp_path / "a.txt")
    with pytest.raises(PermissionError), files.replacing(tmp_path / "a.txt"):
        pytest.fail("it would be written")


WRITERS = re.compile(r"(\w+)\.write_(?:text|bytes)\(|(?:torch\.save|nbformat\.write)\(.*?(\w+)\)$", re.MULTILINE)


@pytest.mark.parametrize("path", [*ROOT.glob("stylelib/**/*.py"), *ROOT.glob("tools/*.py")], ids=lambda path: path.name)
def test_every_writer_of_the_project_writes_beside(path):
    if path.name in ("release.py", "offline_kit.py", "try_nbgrader.py", "try_damaged_files.py", "reel.py"):
        pytest.skip("writes into a folder that it has made itself, or has a way of its own")
    for written in WRITERS.finditer(path.read_text(encoding="utf-8")):
        assert (written[1] or written[2]) in ("beside", "encoding", "log"), written[0]


def test_what_killed_writers_left_can_be_told_from_other_files(tmp_path):
    mine = ["a[1].txt", "a.txt", ".b-12345678.txt", ".a[1]-12345678.png", ".a[1]-my_notes.txt"]
    for name in [*mine, ".a[1]-12345678.txt"]:
        (tmp_path / name).touch()
    files.remove_leftovers(tmp_path / "a[1].txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(mine)
    with files.replacing(tmp_path / "a[1].txt") as beside:
        beside.touch()
        files.remove_leftovers(tmp_path / "a[1].txt")
        assert not beside.exists(), "its own names are of that kind"
        beside.touch()


def test_checking_leaves_nothing(tmp_path):
    files.check_writable(tmp_path / "new.txt")
    assert not list(tmp_path.iterdir())
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        files.check_writable(tmp_path / "folder")
