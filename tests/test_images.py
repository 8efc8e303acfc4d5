"""Picture files as people have them become images; what cannot be read or written says so in one sentence."""

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageFile, PngImagePlugin
from skimage import data

from stylelib import ImageError, load_image, memory, save_image
from stylelib.encoding import check_writable
from stylelib.images import as_image, load_alpha, resize

# EXIF orientation → how a camera held that way stores the upright pixels
STORED = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.transpose(pixels, (1, 0, 2)),
    6: lambda pixels: np.rot90(pixels, 1),
    7: lambda pixels: np.rot90(pixels[::-1], -1)[::-1, ::-1],
    8: lambda pixels: np.rot90(pixels, -1),
}


@pytest.fixture
def pixels():
    """A gradient, different along each axis and in each channel: no flip or rotation of it looks the same."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([y * 10, x * 6, 120 + 2 * y], axis=-1).astype(np.uint8)


def as_array(image):
    """The 8-bit pixels (H, W, 3) of an image."""
    return (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def encoded(picture, file_format, **options):
    file = io.BytesIO()
    picture.save(file, format=file_format, **options)
    return file.getvalue()


def loaded(picture, file_format, **options):
    """What load_image makes of a picture that was stored in this format; as an 8-bit array."""
    return as_array(load_image(io.BytesIO(encoded(picture, file_format, **options))))


def error_of(action, *arguments, **options):
    """The message of the ImageError that the call raises; it must be one line."""
    with pytest.raises(ImageError) as caught:
        action(*arguments, **options)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


# --- what an image is ---


@pytest.mark.parametrize("size", [None, 16])
def test_an_image_is_a_contiguous_float_tensor_in_0_1(tmp_path, pixels, size):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png", size)
    assert image.dtype == torch.float32 and image.is_contiguous()
    assert image.shape[:2] == (1, 3) and 0 <= image.min() and image.max() <= 1


def test_pixels_are_divided_by_255(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = torch.from_numpy(pixels / 255).float().permute(2, 0, 1)[None]
    torch.testing.assert_close(load_image(tmp_path / "a.png"), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", [str, lambda path: path, lambda path: io.BytesIO(path.read_bytes())])
def test_a_path_a_string_or_an_open_file_will_do(tmp_path, pixels, kind):
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    assert np.array_equal(as_array(load_image(kind(path))), pixels)


# --- formats ---


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_exif_orientation_ends_upright(pixels, orientation, file_format):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](pixels)))
    options = {"quality": 100} if file_format in ("JPEG", "WEBP") else {}
    result = loaded(stored, file_format, exif=exif(orientation), **options)
    assert result.shape == pixels.shape
    assert np.abs(result.astype(int) - pixels).mean() < 4


@pytest.mark.parametrize("damaged", [b"junk", b"Exif\0\0XX\0*\0\0\0\x08", exif(6)[:20]])
def test_damaged_exif_data_do_not_stop_loading(pixels, damaged):
    assert np.array_equal(loaded(Image.fromarray(pixels), "PNG", exif=damaged), pixels)


def test_the_orientation_counts_even_if_another_exif_tag_is_damaged(pixels):
    tags = Image.Exif()
    tags[0x0112], tags[0x0131] = 6, "a name"
    # A name where the resolution should be: Pillow can read that but not write it, as its exif_transpose does.
    damaged = tags.tobytes().replace(struct.pack(">HH", 0x0131, 2), struct.pack(">HH", 0x011A, 2))
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](pixels)))
    assert np.array_equal(loaded(stored, "PNG", exif=damaged), pixels)


def test_rgba_is_composited_on_white(pixels):
    alpha = np.linspace(0, 255, pixels.shape[1]).astype(np.uint8)[None].repeat(len(pixels), 0)
    weight = alpha[..., None] / 255
    result = loaded(Image.fromarray(np.dstack([pixels, alpha])), "PNG")
    np.testing.assert_allclose(result, pixels * weight + 255 * (1 - weight), atol=1.01)


@pytest.mark.parametrize("color, alpha", [(255, "logo"), (0, "none")], ids=["white logo", "all transparent"])
def test_a_picture_that_becomes_one_color_is_said(tmp_path, color, alpha):
    picture = Image.new("RGBA", (9, 7), (color, color, color, 0))
    if alpha == "logo":
        picture.paste((255, 255, 255, 255), (2, 2, 5, 5))
    picture.save(tmp_path / "logo.png")
    with pytest.warns(UserWarning, match=r"logo\.png is one color once its transparent parts show white"):
        assert (load_image(tmp_path / "logo.png") == 1).all()


def test_a_transparent_picture_that_can_be_seen_is_not_spoken_of(recwarn):
    picture = Image.new("RGBA", (9, 7), (0, 0, 0, 0))
    picture.putpixel((3, 3), (10, 20, 30, 255))
    loaded(picture, "PNG")
    assert not recwarn.list


def test_alpha_comes_upright_and_at_the_size(tmp_path, pixels):
    alpha = np.linspace(0, 255, 40).astype(np.uint8)[None].repeat(24, 0)
    stored = np.ascontiguousarray(STORED[6](np.dstack([pixels, alpha])))
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif(6))
    whole, small = load_alpha(tmp_path / "a.png"), load_alpha(tmp_path / "a.png", 20)
    assert torch.equal(whole, torch.from_numpy(alpha / 255).float()[None, None])
    assert small.shape == (1, 1, 12, 20) and 0 <= small.min() and small.max() <= 1
    Image.fromarray(pixels).save(tmp_path / "b.png")
    assert load_alpha(tmp_path / "b.png") is None


def test_gray_with_alpha_is_composited_on_white():
    picture = Image.merge("LA", [Image.new("L", (3, 1), 100), Image.fromarray(np.array([[0, 51, 255]], np.uint8))])
    assert loaded(picture, "PNG")[0].tolist() == [[255] * 3, [224] * 3, [100] * 3]


def test_a_transparent_palette_color_shows_white():
    picture = Image.new("P", (2, 1))
    picture.putpalette([200, 10, 30, 5, 6, 7])
    picture.putpixel((1, 0), 1)
    assert loaded(picture, "PNG", transparency=0)[0].tolist() == [[255, 255, 255], [5, 6, 7]]


def test_a_palette_gives_its_colors():
    picture = Image.new("P", (2, 1))
    picture.putpalette([200, 10, 30, 5, 6, 7])
    picture.putpixel((1, 0), 1)
    assert loaded(picture, "PNG")[0].tolist() == [[200, 10, 30], [5, 6, 7]]


def test_gray_has_three_equal_channels(pixels):
    result = loaded(Image.fromarray(pixels[..., 0]), "PNG")
    assert np.array_equal(result, pixels[..., :1].repeat(3, axis=2))


def test_one_bit_is_black_and_white():
    picture = Image.fromarray(np.array([[True, False]]))
    assert loaded(picture, "PNG")[0].tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_by_its_full_range(file_format):
    values = np.array([[0, 255, 32768, 65535]], np.uint16)
    image = load_image(io.BytesIO(encoded(Image.fromarray(values), file_format)))
    expected = torch.from_numpy(values / 65535).float().expand(1, 3, 1, 4)
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-6)


def test_a_float_tiff_keeps_its_values():
    values = np.array([[0.0, 0.001, 0.5, 1.0]], np.float32)
    image = load_image(io.BytesIO(encoded(Image.fromarray(values), "TIFF")))
    assert torch.equal(image, torch.from_numpy(values).expand(1, 3, 1, 4))


@pytest.mark.parametrize("value", [-0.5, 1.5, float("nan")])
def test_a_float_tiff_with_other_values_is_refused(tmp_path, value):
    Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / "depth.tif")
    assert "depth.tif" in error_of(load_image, tmp_path / "depth.tif")


def test_a_cmyk_jpeg_has_its_colors():
    cmyk = Image.new("RGB", (16, 16), (250, 20, 20)).convert("CMYK")
    assert np.abs(loaded(cmyk, "JPEG", quality=95).astype(int) - (250, 20, 20)).max() < 12


def test_webp(pixels):
    assert np.array_equal(loaded(Image.fromarray(pixels), "WEBP", lossless=True), pixels)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(file_format):
    first, second = Image.new("RGB", (9, 7), (255, 0, 0)), Image.new("RGB", (9, 7), (0, 0, 255))
    result = loaded(first, file_format, save_all=True, append_images=[second])
    assert np.abs(result.astype(int) - (255, 0, 0)).max() < 4


# --- color profiles ---


def swapped_profile():
    """sRGB with red and green exchanged: whoever ignores the profile shows the wrong color, plainly."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"XXXX").replace(b"gXYZ", b"rXYZ").replace(b"XXXX", b"gXYZ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_color_profile_is_converted_to_srgb(mode):
    red = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    result = loaded(red, "PNG", icc_profile=swapped_profile())
    assert np.abs(result.astype(int) - (0, 255, 0)).max() <= 3


def test_a_transparent_picture_with_a_profile_still_lies_on_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (loaded(clear, "PNG", icc_profile=swapped_profile()) == 255).all()


def test_an_srgb_profile_changes_nothing(pixels):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    result = loaded(Image.fromarray(pixels), "PNG", icc_profile=profile)
    assert np.abs(result.astype(int) - pixels).max() <= 1


@pytest.mark.parametrize("broken", [b"no profile at all", swapped_profile()[:200]], ids=["noise", "cut off"])
def test_a_broken_profile_is_ignored(pixels, broken):
    assert np.array_equal(loaded(Image.fromarray(pixels), "PNG", icc_profile=broken), pixels)


def test_a_profile_for_other_pixels_is_ignored(pixels):
    gray = Image.fromarray(pixels[..., 0])
    assert np.array_equal(loaded(gray, "PNG", icc_profile=swapped_profile())[..., 0], pixels[..., 0])


# --- size ---


@pytest.mark.parametrize("width, height", [(40, 24), (24, 40), (30, 30)])
@pytest.mark.parametrize("size", [7, 20, 100])
def test_size_is_the_long_side_and_the_aspect_ratio_stays(width, height, size):
    file = io.BytesIO(encoded(Image.new("RGB", (width, height)), "PNG"))
    expected = [size, round(size * min(width, height) / max(width, height))]
    assert sorted(load_image(file, size).shape[-2:], reverse=True) == expected


def test_landscape_stays_landscape(pixels):
    assert load_image(io.BytesIO(encoded(Image.fromarray(pixels), "PNG")), 20).shape == (1, 3, 12, 20)


def test_a_very_narrow_picture_keeps_at_least_one_pixel():
    file = io.BytesIO(encoded(Image.new("RGB", (400, 2)), "PNG"))
    assert load_image(file, 20).shape == (1, 3, 1, 20)


def test_scaling_down_averages_fine_detail_away():
    checkerboard = torch.from_numpy(np.indices((256, 256)).sum(axis=0) % 2).float().expand(1, 3, 256, 256)
    assert (resize(checkerboard, 32) - 0.5).abs().max() < 0.02


def test_scaling_up_stays_in_range():
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    larger = resize(edge, 64)  # bicubic: overshoots at the edge unless clamped
    assert larger.min() == 0 and larger.max() == 1


def test_the_fast_way_to_a_small_version_of_a_large_jpeg_loses_nothing(tmp_path):
    Image.fromarray(data.coffee()).resize((4000, 2667), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg")
    small = load_image(tmp_path / "large.jpg", 256)
    reference = resize(load_image(tmp_path / "large.jpg"), 256)
    assert small.shape == reference.shape
    assert (small - reference).abs().mean() < 0.004


def test_a_large_jpeg_is_not_decoded_at_full_size(tmp_path, monkeypatch):
    Image.new("RGB", (4000, 3000)).save(tmp_path / "large.jpg")
    decoded, load = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: (decoded.append(self.size), load(self))[1])
    assert load_image(tmp_path / "large.jpg", 256).shape == (1, 3, 192, 256)
    assert decoded and max(decoded[0]) <= 1000


PEAKS = """
import ctypes
import sys
from pathlib import Path
from stylelib import decoding, load_image

for option in (-1, -3):  # memory that is let go goes back at once, so that a peak can be seen
    ctypes.CDLL(None).mallopt(option, 2**17)

def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

load_image(sys.argv[1], 16)
for name in sys.argv[1:]:
    for size in (200, None):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = peak()
        load_image(name, size)
        print(name, size, peak() - before, decoding.memory(decoding.open_picture(name), size))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a process")
def test_the_memory_of_decoding_is_known_before_and_small_where_the_picture_is_to_be_small(tmp_path):
    whole = Image.fromarray(data.coffee()).resize((4000, 3000))
    files = {
        "plain.jpg": {"quality": 80},
        "progressive.jpg": {"quality": 80, "progressive": True},
        "a.png": {"compress_level": 1},
    }
    for name, options in files.items():
        whole.save(tmp_path / name, **options)
    command = [sys.executable, "-c", PEAKS, *files]
    lines = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.splitlines()
    pixels = whole.width * whole.height
    for name, size, peak, expected in map(str.split, lines):
        assert int(peak) < 1.25 * int(expected) + 5e6, (name, size, peak, expected)
        assert int(peak) > 0.5 * int(expected) - 5e6, (name, size, peak, expected)
        if size == "200":
            assert int(peak) < {"plain.jpg": 1, "progressive.jpg": 7, "a.png": 7}[name] * pixels + 5e6, (name, peak)


def test_a_smaller_picture_stays_as_it_is_where_it_should_not_be_enlarged(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(as_array(load_image(tmp_path / "a.png", 64, enlarge=False)), pixels)
    assert load_image(tmp_path / "a.png", 20, enlarge=False).shape == (1, 3, 12, 20)


@pytest.mark.parametrize("size", [0, -5])
def test_a_size_below_one_is_refused(tmp_path, pixels, size):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert str(size) in error_of(load_image, tmp_path / "a.png", size)


# --- files that are no pictures ---


def test_a_missing_file(tmp_path):
    assert "no file" in (message := error_of(load_image, tmp_path / "nowhere.jpg")) and "nowhere.jpg" in message


def test_a_folder(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    assert "folder.jpg" in error_of(load_image, tmp_path / "folder.jpg")


def test_a_name_too_long_for_the_file_system(tmp_path):
    assert "Cannot read" in error_of(load_image, tmp_path / ("x" * 5000))


FOREIGN = {
    "empty": b"",
    "not a picture": b"Dear diary,\n",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
    "web page": b"<!DOCTYPE html><html></html>",
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "PDF": b"%PDF-1.7\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n",
    "JPEG XL": b"\xff\x0a" + bytes(64),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "weather": b"GRIB" + b"\0\0\0\x01" + bytes(64),
    "metafile": b"\xd7\xcd\xc6\x9a\0\0"
    + struct.pack("<4hH", 0, 0, 100, 100, 72)
    + bytes(6)
    + b"\1\0\x09\0\0\3"
    + bytes(64),
    "enhanced metafile": b"\1\0\0\0" + struct.pack("<I8i", 108, 0, 0, 99, 99, 0, 0, 99, 99) + b" EMF" + bytes(64),
    "a film": b"\0\0\1\xb3" + b"\x10\0\x10" + bytes(64),
    "film from a phone": b"\0\0\0\x18ftypmp42" + bytes(64),
    "ZIP": b"PK\3\4" + bytes(64),
    "raw": b"FUJIFILMCCD-RAW " + bytes(64),
    "raw of a newer kind": b"\0\0\0\x18ftypcrx " + bytes(64),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_is_told_what_it_is(tmp_path, kind):
    (tmp_path / "photo.jpg").write_bytes(FOREIGN[kind])
    message = error_of(load_image, tmp_path / "photo.jpg")
    word = next(word for word in ("film", "metafile", "raw", kind) if word in kind)
    assert "photo.jpg is " in message and word in message and "damaged" not in message


@pytest.mark.parametrize("tag", [(50706, "B", 4, b"\1\4\0\0", True), None], ids=["DNG", "NEF, a thumbnail first"])
def test_a_cameras_raw_file_does_not_silently_give_its_thumbnail(tmp_path, tag):
    """Most of them are TIFF files whose first picture is a small preview."""
    options = {"extratags": [tag]} if tag else {"subfiletype": 1}
    tifffile.imwrite(tmp_path / "photo.tif", data.coffee()[:60, :80], photometric="rgb", **options)
    assert "raw file" in (message := error_of(load_image, tmp_path / "photo.tif")) and "export it as JPEG" in message


@pytest.mark.parametrize("ending", ["cr2", "NEF", "dng", "arw", "raf", "orf"])
def test_the_name_of_a_raw_file_tells_too(tmp_path, ending):
    Image.new("RGB", (16, 12)).save(tmp_path / f"a.{ending}", format="TIFF")
    assert "raw file" in error_of(load_image, tmp_path / f"a.{ending}")
    (tmp_path / f"a.{ending}").write_bytes(bytes(range(256)))
    assert "raw file" in error_of(load_image, tmp_path / f"a.{ending}")


def test_an_ordinary_tiff_is_no_raw_file(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    assert np.array_equal(as_array(load_image(tmp_path / "a.tif")), pixels)


def test_an_unsupported_kind_is_not_called_damaged(tmp_path):
    tifffile.imwrite(tmp_path / "half.tif", np.zeros((8, 8, 3), np.float16), photometric="rgb")
    message = error_of(load_image, tmp_path / "half.tif")
    assert "of a kind that cannot be read" in message and "damaged" not in message


# --- metadata ---


def png(*chunks):
    """A gray PNG, 2 × 1 pixels, with these (name, content) chunks before its pixels and again after them."""

    def chunk(name, content, checksum=None):
        checksum = zlib.crc32(name + content) if checksum is None else checksum
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    more = b"".join(chunk(*each) for each in chunks)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x64\xc8"))
    return b"\x89PNG\r\n\x1a\n" + header + more + pixels + more + chunk(b"IEND", b"")


LONG = zlib.compress(bytes(2 * 2**20))


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"Comment\0\0" + LONG),
        (b"iTXt", b"Comment\0\1\0\0\0" + LONG),
        (b"tEXt", b"Comment\0" + bytes(2 * 2**20)),
        (b"zTXt", b"Raw profile type exif\0\0" + LONG),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + bytes(2 * 2**20)),
        (b"iCCP", b"name\0\0" + LONG),
        (b"iCCP", b"name\0\0" + zlib.compress(bytes(2**25))),
        (b"iCCP", b"name\0\0 not compressed"),
        (b"tEXt", b"Comment\0abc", 12345),
        (b"eXIf", b"junk", 12345),
        (b"pHYs", b"\0"),
        (b"tIME", b""),
        (b"cHRM", b"\0\0"),
        (b"sRGB", b""),
        (b"gAMA", b""),
    ],
    ids=lambda chunk: f"{chunk[0].decode()} {len(chunk[1])}",
)
def test_metadata_never_cost_the_pixels(chunk):
    assert as_array(load_image(io.BytesIO(png(chunk))))[0, :, 0].tolist() == [100, 200]


def test_damage_in_a_phones_list_of_further_pictures_does_not_cost_the_first(pixels):
    whole = encoded(Image.fromarray(pixels), "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    start = whole.index(b"MPF\0") + 4
    random = np.random.default_rng(0)
    for _ in range(50):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[start + random.integers(0, 60, 4)] = random.integers(0, 256, 4)
        assert load_image(io.BytesIO(damaged.tobytes())).shape == (1, 3, 24, 40)


def test_a_profile_of_two_megabytes_is_still_converted():
    profile = swapped_profile() + bytes(2 * 2**20)
    red = encoded(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG", icc_profile=profile)
    assert np.abs(as_array(load_image(io.BytesIO(red))).astype(int) - (0, 255, 0)).max() <= 3


def test_the_orientation_in_a_text_counts(pixels):
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.decode())
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](pixels)))
    assert np.array_equal(loaded(stored, "PNG", pnginfo=texts), pixels)


def test_an_open_file_has_no_name_to_mention():
    assert error_of(load_image, io.BytesIO(b"text")).startswith("The file is not a picture")


@pytest.mark.parametrize("file_format, ending", [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off(tmp_path, file_format, ending, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), file_format)
    (tmp_path / f"cut.{ending}").write_bytes(whole[: int(share * len(whole))])
    assert f"cut.{ending}" in error_of(load_image, tmp_path / f"cut.{ending}")


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "QOI", "JPEG2000"])
def test_random_damage_gives_an_image_or_a_clear_error(file_format):
    """Pillow's decoders raise nearly anything on broken data; none of it may get through."""
    if file_format not in Image.SAVE:
        pytest.skip(f"this Pillow was built without {file_format}")
    whole = encoded(Image.fromarray(data.coffee()[:40, :60]), file_format)
    random = np.random.default_rng(1)
    for _ in range(40):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(0, min(len(whole), 600), 8)] = random.integers(0, 256, 8)
        try:
            image = load_image(io.BytesIO(damaged.tobytes()), 16)
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            assert 0 <= image.min() and image.max() <= 1


def test_pillows_warnings_do_not_add_to_the_message(recwarn):
    whole = encoded(Image.fromarray(data.coffee()[:40, :60]), "TIFF", compression="tiff_lzw")
    error_of(load_image, io.BytesIO(whole[: int(0.9 * len(whole))]))
    assert not recwarn.list


def png_header(width, height):
    """A PNG file of a few bytes that claims to be this large."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_before_anything_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(png_header(60000, 60000))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    message = error_of(load_image, tmp_path / "bomb.png")
    assert re.search(r"bomb\.png has more than \d+ million pixels", message)


# --- what is no image ---

WRONG = {
    "a name": ("photo.jpg", "stylelib.load_image"),
    "a path": (Path("photo.jpg"), "stylelib.load_image"),
    "a Pillow picture": (Image.new("RGB", (8, 8)), "to_tensor"),
    "an array": (np.zeros((8, 8, 3), np.uint8), "to_tensor"),
    "bytes": (torch.full((1, 3, 8, 8), 100, dtype=torch.uint8), "divide it by 255"),
    "0 to 255": (torch.full((1, 3, 8, 8), 100.0), "divide it by 255"),
    "16 bits": (torch.full((1, 3, 8, 8), 30000.0), "divide it by 65535"),
    "normalized": (torch.linspace(-2.1, 2.6, 192).view(1, 3, 8, 8), "undo its normalization"),
    "unbatched": (torch.rand(3, 8, 8), "image[None]"),
    "channels last": (torch.rand(8, 8, 3), "permute(2, 0, 1)"),
    "batched, channels last": (torch.rand(1, 8, 8, 4), "permute(0, 3, 1, 2)"),
    "gray": (torch.rand(1, 1, 8, 8), "expand(1, 3, -1, -1)"),
    "transparent": (torch.rand(1, 4, 8, 8), "[:, :3]"),
    "several": (torch.rand(2, 3, 8, 8), "[:1]"),
    "nothing": (torch.rand(1, 3, 0, 8), "(1, 3, 0, 8)"),
    "NaN": (torch.full((1, 3, 8, 8), float("nan")), "NaN"),
}

# --- saving ---


@pytest.mark.parametrize("ending", ["png", "PNG", "tif", "bmp", "ppm"])
def test_a_lossless_file_gives_the_same_pixels_back(tmp_path, pixels, ending):
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    save_image(image, tmp_path / f"a.{ending}")
    assert np.array_equal(as_array(load_image(tmp_path / f"a.{ending}")), pixels)


@pytest.mark.parametrize("ending", ["jpg", "JPG", "jpeg", "webp"])
def test_a_lossy_file_gives_nearly_the_same_pixels_back(tmp_path, pixels, ending):
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    save_image(image, str(tmp_path / f"a.{ending}"))
    assert (load_image(tmp_path / f"a.{ending}") - image).abs().mean() < 0.02


def test_values_are_rounded_to_the_nearest_level(tmp_path):
    save_image(torch.full((1, 3, 2, 2), 99.6 / 255), tmp_path / "a.png")
    assert (as_array(load_image(tmp_path / "a.png")) == 100).all()


def test_values_beyond_the_range_are_clamped(tmp_path):
    image = torch.tensor([-0.7, 0.0, 1.0, 1.7]).expand(1, 3, 1, 4)
    save_image(image, tmp_path / "a.png")
    assert torch.equal(load_image(tmp_path / "a.png"), image.clamp(0, 1))


def test_saving_does_not_change_the_image(tmp_path):
    image = torch.tensor([-0.7, 0.3]).expand(1, 3, 1, 2).clone()
    before = image.clone()
    save_image(image, tmp_path / "a.png")
    assert torch.equal(image, before)


def test_an_image_that_is_being_optimized_can_be_saved(tmp_path):
    save_image(torch.rand(1, 3, 8, 8, requires_grad=True), tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").shape == (1, 3, 8, 8)


@pytest.mark.parametrize("wrong, advice", WRONG.values(), ids=WRONG)
def test_what_is_no_image_is_told_how_to_become_one(tmp_path, wrong, advice):
    assert advice in error_of(as_image, wrong)
    assert advice in error_of(save_image, wrong, tmp_path / "a.png") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [WRONG["a Pillow picture"][0], WRONG["an array"][0], torch.rand(1, 3, 8, 8), None, 3])
def test_load_image_reads_files_only(wrong):
    assert "to_tensor" in error_of(load_image, wrong)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_accepted(tmp_path, dtype):
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert as_image(image.to(dtype)).dtype == torch.float32
    save_image(image.to(dtype), tmp_path / "a.png")
    assert (load_image(tmp_path / "a.png") - image).abs().max() < 0.01


def test_an_image_in_float32_is_not_copied():
    image = torch.rand(1, 3, 8, 8)
    assert as_image(image) is image


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.psd", "a.xbm", "a.hdf5", "png"])
def test_an_ending_that_cannot_be_written_is_refused(tmp_path, name):
    assert ".png or .jpg" in (message := error_of(save_image, torch.rand(1, 3, 8, 8), tmp_path / name))
    assert repr(name) in message and not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path):
    assert "nowhere" in error_of(save_image, torch.rand(1, 3, 8, 8), tmp_path / "nowhere" / "a.png")


def test_a_folder_cannot_be_overwritten(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert "a.png" in error_of(save_image, torch.rand(1, 3, 8, 8), tmp_path / "a.png")


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (2, 3, 8, 8), (1, 8, 8, 3), (8, 8)])
def test_a_tensor_of_another_shape_is_refused(tmp_path, shape):
    assert str(shape) in error_of(save_image, torch.rand(shape), tmp_path / "a.png")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    image = torch.rand(1, 3, 8, 8)
    image[0, 1, 2, 3] = value
    assert "NaN" in error_of(save_image, image, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_checking_whether_a_file_can_be_written_leaves_no_file(tmp_path):
    check_writable(tmp_path / "new.png")
    assert not list(tmp_path.iterdir())


def test_checking_whether_a_file_can_be_written_leaves_its_content(tmp_path):
    (tmp_path / "old.png").write_bytes(b"content")
    check_writable(tmp_path / "old.png")
    assert (tmp_path / "old.png").read_bytes() == b"content"


def test_a_picture_that_does_not_fit_into_the_memory_is_refused_and_a_smaller_one_of_it_read(tmp_path, monkeypatch):
    Image.new("RGB", (400, 300), "teal").save(tmp_path / "a.jpg")
    monkeypatch.setattr(memory, "free", lambda: 400_000)
    with pytest.raises(ImageError, match=r"Reading .*a\.jpg takes about .* are free; .* or load it with a size\.$"):
        load_image(tmp_path / "a.jpg")
    assert load_image(tmp_path / "a.jpg", 40).shape == (1, 3, 30, 40), "a JPEG is decoded at a fraction of its size"
