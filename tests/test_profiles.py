"""Colors of a profile become those of sRGB and back, as Pillow's own conversion has them, and at 16 bits too."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from stylelib import load_image, save_image
from stylelib.encoding import write
from stylelib.images import load_profile, resize
from stylelib.profiles import convert, parse, srgb

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Primaries of Display P3 and of Adobe RGB in XYZ, adapted to D50.
P3 = [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)]
ADOBE = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
GAMMA = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
TABLE = b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *(round(65535 * (i / 1023) ** 1.8) for i in range(1024)))
PARAMETRIC = {
    0: [2.4],
    1: [2.0, 1.1, -0.1],
    2: [2.0, 1.1, -0.1, 0.0],
    3: [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045],
    4: [2.4, 0.9, 0.05, 0.07, 0.04, 0.02, 0.0],
}


def parametric(kind):
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(fixed(value) for value in PARAMETRIC[kind])


def fixed(number):
    return struct.pack(">i", round(number * 65536))


def profile(primaries, curve):
    """An ICC profile of a matrix and one curve for all channels: sRGB's, with its tags exchanged."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + b"".join(fixed(value) for value in (0.9642, 1.0, 0.8249))}
    tags |= {
        name: b"XYZ \0\0\0\0" + b"".join(map(fixed, xyz))
        for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags[b"cprt"] = b"text\0\0\0\0none\0"
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content
    header = bytearray(SRGB[:128])
    header[0:4] = struct.pack(">I", start + len(body))
    return bytes(header) + table + body


KINDS = {"sRGB": SRGB, "P3": profile(P3, parametric(3)), "Adobe": profile(ADOBE, GAMMA), "table": profile(P3, TABLE)}
KINDS |= {f"parametric {kind}": profile(P3, parametric(kind)) for kind in PARAMETRIC}


@pytest.fixture
def colors():
    """Colors (H, W, 3) of 8 bits, from black to white and everything between; none of them beyond sRGB in P3."""
    levels = np.linspace(60, 200, 12).round()
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(48, 36, 3).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_conversions_agree_with_pillows(colors, kind):
    data = KINDS[kind]
    theirs = ImageCms.ImageCmsProfile(io.BytesIO(data))
    ours = parse(data)
    for source, target, there in ((ours, srgb(), True), (srgb(), ours, False)):
        converted = convert(colors.astype(np.float32) / 255, source, target) * 255
        profiles = [theirs, ImageCms.createProfile("sRGB")]
        expected = ImageCms.profileToProfile(Image.fromarray(colors), *(profiles if there else profiles[::-1]))
        assert np.abs(converted - np.asarray(expected)).max() < 1.6


def test_a_curve_that_does_not_begin_at_zero():
    """Of such a profile, Pillow moves the black point too; what the curve itself is stands in the standard."""
    (curve, *_) = parse(
        profile(P3, b"para\0\0\0\0" + struct.pack(">HH", 2, 0) + b"".join(map(fixed, [2, 0.8, -0.1, 0.1])))
    ).curves
    assert curve(np.array([0, 0.1, 0.5, 1])) == pytest.approx([0.1, 0.1, 0.3**2 + 0.1, 0.7**2 + 0.1], abs=1e-4)


@pytest.mark.parametrize("kind", ["P3", "Adobe", "table"])
def test_there_and_back_is_the_same_to_16_bits(kind):
    pixels = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32) * 0.6 + 0.2
    other = parse(KINDS[kind])
    assert np.abs(convert(convert(pixels, srgb(), other), other, srgb()) - pixels).max() < 1 / 65535


@pytest.mark.parametrize(
    "data",
    [None, b"", b"junk" * 100, SRGB[:200], SRGB.replace(b"RGB XYZ ", b"CMYKLab "), SRGB.replace(b"rXYZ", b"rXYY")],
)
def test_a_profile_of_another_kind_is_none(data):
    assert parse(data) is None


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_a_result_carries_the_profile_and_looks_the_same(tmp_path, name):
    image = (
        torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
        .repeat_interleave(16, 2)
        .repeat_interleave(16, 3)
        * 0.6
        + 0.2
    )
    save_image(image, tmp_path / name, profile=KINDS["P3"])
    assert load_profile(tmp_path / name) == KINDS["P3"]
    with Image.open(tmp_path / name) as file:
        stored = np.asarray(file.convert("RGB")) / 255
    assert np.abs(stored.transpose(2, 0, 1) - image[0].numpy()).max() > 0.02, "its numbers are others"
    assert (load_image(tmp_path / name) - image).abs().mean() < 0.012


@pytest.mark.parametrize("name", ["a.bmp", "a.ppm"])
def test_where_a_file_can_hold_none_the_colors_stay_srgb(tmp_path, name):
    image = torch.rand(1, 3, 8, 8)
    save_image(image, tmp_path / name, profile=KINDS["P3"])
    assert (load_image(tmp_path / name) - image).abs().max() < 1 / 255


# --- 16 bits ---


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("kind", [None, "P3"])
def test_16_bits_come_back_as_they_were_written(tmp_path, name, kind):
    image = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    save_image(image, tmp_path / name, bits=16, profile=KINDS.get(kind), dpi=300)
    assert (load_image(tmp_path / name) - image).abs().max() < (3 if kind else 1.01) / 65535
    with Image.open(tmp_path / name) as file:
        assert file.info["dpi"] == pytest.approx((300, 300), rel=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"byteorder": ">"},
        {"planarconfig": "separate"},
    ],
)
def test_16_bit_tiffs_of_several_makes_are_read_whole(tmp_path, options):
    pixels = np.random.default_rng(0).integers(0, 65536, (24, 40, 3)).astype(np.uint16)
    stored = pixels.transpose(2, 0, 1) if "planarconfig" in options else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **options)
    expected = torch.from_numpy(pixels.astype(np.float32) / 65535).permute(2, 0, 1)[None]
    assert (load_image(tmp_path / "a.tif") - expected).abs().max() < 1e-6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_pictures_are_turned_as_8_bit_ones_are(tmp_path, orientation, name):
    pixels = np.random.default_rng(0).integers(0, 65536, (24, 40, 3)).astype(np.uint16)
    tags = Image.Exif()
    tags[0x0112] = orientation
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        write(pixels, tmp_path / name)
        data = (tmp_path / name).read_bytes()
        chunk = b"eXIf" + tags.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / name).write_bytes(data[:33] + chunk + data[33:])
    Image.fromarray((pixels >> 8).astype(np.uint8)).save(tmp_path / f"8{name}", exif=tags)
    deep, plain = load_image(tmp_path / name), load_image(tmp_path / f"8{name}")
    assert deep.shape == plain.shape and (deep - plain).abs().max() < 1 / 255


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_small_version_of_a_16_bit_picture_is_that_of_the_whole(tmp_path, name):
    rows, columns = np.mgrid[0:301, 0:417]
    pixels = np.stack([rows * 200, columns * 150, rows * 50 + columns * 50], axis=-1).astype(np.uint16)
    write(pixels, tmp_path / name)
    small, whole = load_image(tmp_path / name, 40), resize(load_image(tmp_path / name), 40)
    assert small.shape == whole.shape and (small - whole).abs().mean() < 0.01


def test_16_bits_with_transparency_lie_on_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint16)
    pixels[..., 3] = 16384
    write(pixels, tmp_path / "a.png")
    with pytest.warns(UserWarning, match="one color"):
        assert (load_image(tmp_path / "a.png") - (1 - 16384 / 65535)).abs().max() < 1e-6
