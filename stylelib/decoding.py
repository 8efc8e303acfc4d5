"""Picture file → decoded Pillow picture; or one sentence on why there is none."""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from . import files

PictureFile = str | PathLike | BinaryIO

RAW = "a camera's raw file"
RAW_ENDINGS = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 "
    ".srf .srw .x3f".split()
)
# How files begin that people take for pictures, or that are pictures which Pillow cannot read. A dot is any byte.
FOREIGN = {
    rb"....ftyp(hei|hev|mif1|msf1)": "a HEIC photo",
    rb"....ftypavi": "an AVIF picture",  # which some builds of Pillow lack
    rb"....ftypcrx |FUJIFILMCCD-RAW|IIU\0|IIR[OS]|MMOR|\0MRM|FOVb|II\x1a\0\0\0HEAP": RAW,
    rb"....ftyp|\0\0\x01[\xba\xb3]|\x1aE\xdf\xa3|RIFF....AVI": "a film",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL picture",
    rb"%PDF": "a PDF document",
    rb"%!PS|\xc5\xd0\xd3\xc6": "a PostScript drawing",
    rb"\xd7\xcd\xc6\x9a|\x01\0\x09\0\0\x03|\x01\0\0\0.{36} EMF": "a Windows metafile",
    rb"\x89HDF": "an HDF5 file",
    rb"GRIB|BUFR": "a file of weather data",
    rb"PK\x03\x04": "a ZIP archive or an office document",
    rb"(?i)(.{0,500}?)<svg": "an SVG drawing",
    rb"(?i)\s*<(!doctype )?html": "a web page",
}
# How pictures begin that Pillow can read when they are whole.
FAMILIAR = {
    rb"\xff\xd8\xff": "JPEG",
    rb"\x89PNG": "PNG",
    rb"GIF8": "GIF",
    rb"RIFF....WEBP": "WEBP",
    rb"II\*\0|MM\0\*|II\+\0|MM\0\+": "TIFF",
    rb"BM": "BMP",
}
UNSUPPORTED = re.compile("unknown|unsupported|unimplemented|not supported|not implemented|not available", re.IGNORECASE)
# What the pixels of a PNG file depend on, and texts that may say which way is up. Everything else is passed over.
PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
PNG_ORIENTATION = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0\0")
LONGEST_TEXT, LONGEST_PROFILE = 2**20, 2**24  # bytes; the profiles of printers take a few million
NEW_SUBFILE_TYPE, BITS, PHOTOMETRIC, SAMPLE_FORMAT, DNG_VERSION = 254, 258, 262, 339, 50706  # TIFF tags
REDUCED = 1  # a smaller version of another picture


class ImageError(ValueError):
    """A picture that cannot be read or written. The message is one sentence that says why and what to do."""


def name_of(file: PictureFile) -> str:
    """What to call a file in a sentence: its name, in which nothing breaks the line or colors the terminal."""
    name = str(file) if isinstance(file, (str, PathLike)) else str(getattr(file, "name", "The file"))
    return "".join(character if character.isprintable() else "?" for character in name)


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow warns of damaged metadata, and of large pictures from 89 million pixels on, which phones reach (it refuses
    from 179 million on). Nobody who loads a picture can mend either."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_picture(file: PictureFile) -> Image.Image:
    """Reads a file and its header; `decode` then reads the pixels.

    Raises:
        ImageError: no such file, or none that can be read as a picture.
    """
    name, data = name_of(file), _read(file)
    if not data:
        raise ImageError(f"{name} is empty, not a picture; download or export it again.")
    pixels, profile = _without_metadata(data)
    try:
        with quiet():
            picture = Image.open(io.BytesIO(pixels))
            _ = picture.has_transparency_data  # fails where a palette is missing; later nobody would expect it
    except Image.DecompressionBombError:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise ImageError(
            f"{name} has more than {limit} million pixels, too many to decode safely; make it smaller first."
        ) from None
    except UnidentifiedImageError:
        raise _unidentified(data, name) from None
    except Exception as error:  # there is hardly a type that one of Pillow's decoders does not raise on broken data
        raise _broken(error, name) from error
    if kind := _foreign_kind(picture, data, name):
        raise _foreign(kind, name)
    if profile:
        picture.info["icc_profile"] = profile
    picture.encoded = pixels
    return picture


def decode(picture: Image.Image, name: str, size: int | None = None) -> None:
    """Reads the pixels. Where `size` is all that is needed, a JPEG's at a half, a quarter or an eighth,
    never below twice that.

    Raises:
        ImageError: the pixels are damaged, cut off, or packed in a way that Pillow does not know.
    """
    try:
        if size is not None:
            picture.draft("RGB", _at_least(picture, 2 * size))
        with quiet():
            picture.load()
    except Exception as error:
        raise _broken(error, name) from error


def reduced(picture: Image.Image, size: int) -> Image.Image:
    """A decoded picture made smaller by a whole factor, each square of pixels its mean, never below twice `size`."""
    factor = max(picture.size) // (2 * size)
    if factor < 2 or picture.mode.startswith("I;"):  # of those, Pillow takes no mean
        return picture
    if picture.has_transparency_data and picture.mode not in ("RGBA", "LA"):
        picture = picture.convert("RGBA")
    elif picture.mode in ("1", "P"):  # a palette's numbers have no mean
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return picture.reduce(factor)


def deep_pixels(picture: Image.Image, size: int | None = None) -> np.ndarray | None:
    """Pixels (H, W, 3 or 4), float32 in [0, 1], of an opened color picture with 16 bits per channel, of which Pillow
    keeps 8; reduced as by `reduced` if `size` is given.

    None for any other picture, and for one that is packed in a way (LZW in a TIFF) that only Pillow knows.
    """
    if not _is_deep(picture):
        return None
    with suppress(Exception):  # whatever is wrong with it, Pillow will say
        pixels = _read_png(picture.encoded) if picture.format == "PNG" else _read_tiff(picture.encoded)
        factor = 1 if size is None else max(1, max(picture.size) // (2 * size))
        edges = ((0, -pixels.shape[0] % factor), (0, -pixels.shape[1] % factor), (0, 0))
        pixels = np.pad(pixels, edges, mode="edge") if factor > 1 else pixels
        height, width, channels = pixels.shape
        squares = pixels.reshape(height // factor, factor, width // factor, factor, channels)
        return squares.mean(axis=(1, 3), dtype=np.float32) / np.float32(65535)
    return None


def _is_deep(picture: Image.Image) -> bool:
    if picture.format == "PNG":
        return picture.encoded[24] == 16 and picture.encoded[25] in (2, 6)  # of the header: bits, and kind of color
    if picture.format != "TIFF":
        return False
    tags = picture.tag_v2
    is_rgb = tags.get(PHOTOMETRIC) == 2 and set(tags.get(SAMPLE_FORMAT, (1,))) == {1}
    return is_rgb and tags.get(BITS) in ((16,) * 3, (16,) * 4)


def _read_png(data: bytes) -> np.ndarray:
    """Decoded by FFmpeg. torchvision's decoder, where libpng finds an error in a file, ends the whole process."""
    import av  # rarely needed

    if not _has_all_rows(data):
        raise ValueError("cut off")
    decoder = av.CodecContext.create("png", "r")
    (frame,) = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    return frame.to_ndarray()


def _has_all_rows(data: bytes) -> bool:
    """Whether a PNG with 16 bits holds as many bytes as its header says; FFmpeg would fill up what is missing."""
    width, height, channels = *struct.unpack(">II", data[16:24]), {2: 3, 6: 4}[data[25]]
    missing, unpacker = height * (1 + 2 * channels * width), zlib.decompressobj()
    for kind, start, end in _png_chunks(data):
        content = data[start + 8 : end - 4] if kind == b"IDAT" else b""
        while content and missing > 0:
            missing -= len(unpacker.decompress(content, 2**20))
            content = unpacker.unconsumed_tail
    return missing <= 0


def _read_tiff(data: bytes) -> np.ndarray:
    import tifffile  # comes with scikit-image

    pixels = tifffile.imread(io.BytesIO(data), key=0)
    return pixels if pixels.shape[-1] in (3, 4) else np.moveaxis(pixels, 0, -1)


def memory(picture: Image.Image, size: int | None = None) -> int:
    """Bytes that `load_image` will need at its peak for a picture that was opened, about.

    Pillow keeps 4 bytes of a color pixel and 1 of a gray one. A JPEG is decoded at a fraction of its size where that is
    enough, but a progressive one keeps all its coefficients, 2 bytes each, until the last pass over it.
    """
    width, height = picture.size
    pixels, coefficients = width * height, 0
    if picture.format == "JPEG":
        fraction = 1
        while size is not None and fraction < 8 and max(width, height) // (2 * fraction) >= 2 * size:
            fraction *= 2
        coefficients = 2 * 3 * pixels if picture.info.get("progressive") else 0
        pixels //= fraction**2
    per_pixel = {"1": 1, "L": 1, "P": 5, "LA": 4, "I;16": 2, "I;16B": 2, "I": 4, "F": 4}.get(picture.mode, 4)
    result = pixels * 18 if size is None else 0  # whole: an 8-bit array, its copy by channels, and the floats
    if _is_deep(picture):
        per_pixel, result = 16, 4 * result  # 16-bit arrays, and floats that a profile is applied to
    return len(picture.encoded) + coefficients + pixels * per_pixel + result


def _read(file: PictureFile) -> bytes:
    if not isinstance(file, (str, PathLike)) and not hasattr(file, "read"):
        raise ImageError(
            f"load_image reads a file; a {type(file).__module__}.{type(file).__qualname__} is in memory already. "
            "torchvision.transforms.functional.to_tensor(it)[None] makes an image of a Pillow picture or an array."
        )
    try:
        if not isinstance(file, (str, PathLike)):
            return file.read()
        files.check_plain(file)
        return Path(file).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"There is no file {name_of(file)}.") from None
    except OSError as error:
        raise ImageError(f"Cannot read {name_of(file)}: {error.strerror or error}.") from error


def _without_metadata(data: bytes) -> tuple[bytes, bytes | None]:
    """A file with what its pixels need; and if it is a PNG, its color profile.

    Pillow would refuse the whole picture for a text or a profile of more than a megabyte, and for damage in either; and
    a phone's JPEG for damage in the list of further pictures behind it.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return re.sub(rb"(\xff\xe2..)MPF\0", rb"\1none", data, count=1, flags=re.DOTALL), None
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data, None
    kept, profile, end = [data[:8]], None, 8
    for kind, start, end in _png_chunks(data):
        content = data[start + 8 : end - 4]
        if kind == b"iCCP":
            profile = _unpacked(content, LONGEST_PROFILE)
        elif kind in PNG_PIXELS or _tells_orientation(kind, content, data[end - 4 : end]):
            kept.append(data[start:end])
    return b"".join([*kept, data[end:]]), profile


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The parts of a PNG file: name, and where each begins and ends. The last one may be cut off.

    First come 4 bytes that say how long the content is, and the name; then the content, then its checksum.
    """
    start = 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        yield data[start + 4 : start + 8], start, end
        start = end


def _tells_orientation(kind: bytes, content: bytes, checksum: bytes) -> bool:
    """Is this a chunk, whole and of a usual length, that may say which way is up?"""
    if zlib.crc32(kind + content) != int.from_bytes(checksum) or len(content) > LONGEST_TEXT:
        return False
    if kind == b"zTXt":
        return content.startswith(PNG_ORIENTATION) and _unpacked(content, LONGEST_TEXT) is not None
    return kind == b"eXIf" or (kind in (b"tEXt", b"iTXt") and content.startswith(PNG_ORIENTATION))


def _unpacked(content: bytes, longest: int) -> bytes | None:
    """What stands compressed behind a name and a byte for the method; None if it is damaged or too long."""
    try:
        unpacked = zlib.decompressobj().decompress(content.partition(b"\0")[2][1:], longest)
    except zlib.error:
        return None
    return unpacked if len(unpacked) < longest else None


def _foreign_kind(picture: Image.Image, data: bytes, name: str) -> str | None:
    """What a file is that Pillow knows by name and would not show, or of which it would show a thumbnail."""
    if isinstance(picture, ImageFile.StubImageFile) or picture.format in ("MPEG", "EPS", "WMF"):
        return _kind(data, FOREIGN) or f"a {picture.format} file"
    if picture.format != "TIFF":
        return None
    tags = picture.tag_v2
    is_raw = DNG_VERSION in tags or data[8:10] == b"CR" or Path(name).suffix.lower() in RAW_ENDINGS
    if is_raw:
        return RAW
    return f"{RAW}, or begins with a preview as those do" if tags.get(NEW_SUBFILE_TYPE, 0) & REDUCED else None


def _unidentified(data: bytes, name: str) -> ImageError:
    """Pillow knows no format that this could be."""
    if kind := RAW if Path(name).suffix.lower() in RAW_ENDINGS else _kind(data, FOREIGN):
        return _foreign(kind, name)
    if familiar := _kind(data, FAMILIAR):
        try:  # once more, with this format only: that tells the reason
            Image.init()
            with quiet():
                Image.OPEN[familiar][0](io.BytesIO(data))
        except Exception as error:
            return _broken(error, name)
    return ImageError(f"{name} is not a picture that can be read; save it as JPEG or PNG first (HEIC photos too).")


def _kind(data: bytes, beginnings: dict[bytes, str]) -> str | None:
    return next((kind for start, kind in beginnings.items() if re.match(start, data[:1024], re.DOTALL)), None)


def _foreign(kind: str, name: str) -> ImageError:
    return ImageError(f"{name} is {kind}, which cannot be read here; export it as JPEG or PNG first.")


def _broken(error: Exception, name: str) -> ImageError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if UNSUPPORTED.search(reason) or isinstance(error, NotImplementedError):
        return ImageError(
            f"{name} is a picture of a kind that cannot be read ({reason}); save it as JPEG or PNG first."
        )
    return ImageError(f"{name} is damaged or was cut off ({reason}).")


def _at_least(picture: Image.Image, size: int) -> tuple[int, int]:
    """(width, height) of the picture with that long side."""
    scale = size / max(picture.size)
    return max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
