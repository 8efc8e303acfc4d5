"""Color tables: .cube files that other programs write and read, and what a table makes of a picture."""

import pytest
import torch
from PIL import ImageFilter
from skimage.color import deltaE_ciede2000, rgb2lab
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from stylelib import gallery, lut, photo

CHELSEA = gallery.load("chelsea", size=160)
IDENTITY = lut.sample(lambda colors: colors, points=5)


def as_lab(image):
    return rgb2lab(image[0].permute(1, 2, 0).numpy())


def test_the_identity_changes_nothing():
    torch.testing.assert_close(lut.apply(IDENTITY, CHELSEA), CHELSEA, atol=1e-5, rtol=0)


def test_the_axes_are_red_green_and_blue():
    swapped = lut.sample(lambda colors: colors[:, [2, 0, 1]])
    torch.testing.assert_close(lut.apply(swapped, CHELSEA), CHELSEA[:, [2, 0, 1]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", [name for name in photo.METHODS if name not in photo.LOCAL])
def test_33_points_are_as_good_as_the_map_to_the_eye(method):
    move = photo.global_map(CHELSEA, gallery.load("rocket", size=160), method)
    looked_up = lut.apply(lut.sample(move), CHELSEA)
    assert deltaE_ciede2000(as_lab(looked_up), as_lab(move(CHELSEA))).mean() < (
        1.05 if method == "full" else 1
    )  # it is steep


def test_pillow_reads_our_order_of_the_table(tmp_path):
    """A second implementation of the same lookup, fed from our file."""
    table = lut.sample(lambda colors: colors[:, [1, 2, 0]] ** 2, points=17)
    lut.save(table, tmp_path / "look.cube")
    lines = (tmp_path / "look.cube").read_text().splitlines()
    assert lines[1] == "LUT_3D_SIZE 17" and len(lines) == 2 + 17**3
    numbers = [tuple(map(float, line.split())) for line in lines[2:]]
    theirs = to_pil_image(CHELSEA[0]).filter(ImageFilter.Color3DLUT(17, numbers))
    ours = lut.apply(lut.load(tmp_path / "look.cube"), CHELSEA)
    assert (
        pil_to_tensor(theirs) / 255 - ours[0]
    ).abs().max() < 2.5 / 255  # its tables and its weights are whole numbers


def test_saved_and_loaded_is_the_same(tmp_path):
    lut.save(IDENTITY, tmp_path / "a.cube")
    torch.testing.assert_close(lut.load(tmp_path / "a.cube"), IDENTITY, atol=1e-6, rtol=0)


def test_comments_blank_lines_and_domains_of_other_programs_are_read(tmp_path):
    file = tmp_path / "other.cube"
    lut.save(IDENTITY, file)
    head = "# made elsewhere\n\nDOMAIN_MIN 0.0 0.0 0.0\nDOMAIN_MAX 1.0 1.0 1.0\n"
    file.write_text(head + file.read_text())
    torch.testing.assert_close(lut.load(file), IDENTITY, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no complete 3-D table"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 1\n", "no complete 3-D table"),
        ("LUT_3D_SIZE 2\n0 0 0\n", "no complete 3-D table"),
        ("LUT_3D_SIZE two\n0 0 0\n", "no complete 3-D table"),
        ("LUT_3D_SIZE 2\nDOMAIN_MAX 4 4 4\n" + "0 0 0\n" * 8, "another range"),
        ("LUT_3D_SIZE 2\n" + "nan 0 0\n" * 8, "no numbers"),
        ("LUT_3D_SIZE 2\n" + "1e39 0 0\n" * 8, "no numbers"),
        ("LUT_3D_SIZE 2\nDOMAIN_MIN 0 \x12 0\n" + "0 0 0\n" * 8, "another range"),  # found by fuzzing
        ("LUT_3D_SIZE 2\nDOMAIN_MIN\n" + "0 0 0\n" * 8, "another range"),
        ("LUT_3D_SIZE\n" + "0 0 0\n" * 8, "no complete 3-D table"),
        ("LUT_3D_SIZE 2 2\n" + "0 0 0\n" * 8, "no complete 3-D table"),
        ("LUT_3D_SIZE ²\n" + "0 0 0\n" * 8, "no complete 3-D table"),
        (f"LUT_3D_SIZE {'2' * 5000}\n" + "0 0 0\n" * 8, "no complete 3-D table"),
        ("LUT_3D_SIZE 2\n" + "0 0 0\n" * 7 + "0 0\n", "no complete 3-D table"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(tmp_path, text, message):
    (tmp_path / "bad.cube").write_text(text, encoding="utf-8")
    with pytest.raises(lut.LutError, match=message):
        lut.load(tmp_path / "bad.cube")


def test_files_that_cannot_be_read_or_written_are_refused(tmp_path):
    (tmp_path / "picture.cube").write_bytes(bytes(range(256)))
    with pytest.raises(lut.LutError, match="not a .cube file"):
        lut.load(tmp_path / "picture.cube")
    with pytest.raises(lut.LutError, match="Cannot read"):
        lut.load(tmp_path / "missing.cube")
    with pytest.raises(lut.LutError, match="saved as .cube"):
        lut.save(IDENTITY, tmp_path / "a.txt")
    with pytest.raises(lut.LutError, match="Cannot write"):
        lut.save(IDENTITY, tmp_path / "missing" / "a.cube")
