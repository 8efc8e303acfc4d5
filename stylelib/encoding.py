"""Pixels → picture file: what each format can hold, and how it is written."""

import io
import struct
import zlib
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from . import files
from .decoding import ImageError

# What Pillow can write and what holds any RGB picture; it knows many more endings that can only be read.
WRITABLE = {"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP"}
DEEP = {"PNG", "TIFF"}  # 16 bits per channel
TRANSPARENT = {"AVIF", "JPEG2000", "PNG", "TGA", "TIFF", "WEBP"}
PROFILED = {"AVIF", "JPEG", "PNG", "TIFF", "WEBP"}
WITH_DPI = {"BMP", "JPEG", "PNG", "TIFF"}
INCH = 0.0254  # meters
MOST_DPI = 65535  # what a JPEG file can hold


def check_writable(file: str | PathLike, *, bits: int = 8, alpha: bool = False, dpi: float | None = None) -> None:
    """Raises the `ImageError` that `save_image` would, before any work has gone into the picture."""
    path, kind = Path(file), format_of(file)
    if kind not in WRITABLE & Image.SAVE.keys():
        raise ImageError(f"Cannot write the format that the name {path.name!r} asks for; let it end in .png or .jpg.")
    if bits not in (8, 16):
        raise ImageError(f"A channel has 8 or 16 bits, not {bits}.")
    if bits == 16 and kind not in DEEP:
        raise ImageError(f"{path.name} cannot hold 16 bits per channel; let it end in .png or .tif.")
    if alpha and kind not in TRANSPARENT:
        raise ImageError(f"{path.name} cannot hold transparency; let it end in .png, .webp or .tif.")
    if dpi is not None and not 1 <= dpi <= MOST_DPI:
        raise ImageError(f"Dots per inch are a number from 1 to {MOST_DPI}; {dpi:g} is not.")
    if dpi is not None and kind not in WITH_DPI:
        raise ImageError(f"{path.name} cannot hold dots per inch; let it end in .png, .jpg or .tif.")
    try:
        if not path.parent.is_dir():
            raise ImageError(f"There is no folder {path.parent}; make it first.")
        files.check_writable(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def format_of(file: str | PathLike) -> str | None:
    """Pillow's word for the format that the ending of a name stands for."""
    return Image.registered_extensions().get(Path(file).suffix.lower())


def write(pixels: np.ndarray, file: str | PathLike, profile: bytes | None = None, dpi: float | None = None) -> None:
    """Writes pixels (H, W, 3), or 4 with transparency, of 8 or 16 bits; `file` changes only once all is written.

    Raises:
        ImageError: a place that cannot be written to, or not all of it.
    """
    path, kind = Path(file), format_of(file)
    try:
        with files.replacing(path) as beside:
            if pixels.dtype == np.uint16:
                {"PNG": _write_png, "TIFF": _write_tiff}[kind](pixels, beside, profile, dpi)
            else:
                options = {"icc_profile": profile} if profile else {}
                options |= {"dpi": (dpi, dpi)} if dpi else {}
                # Pillow's own writing of a file does not notice that the disk is full, so it writes to memory.
                memory = io.BytesIO()
                Image.fromarray(pixels).save(memory, format=kind, quality=95, **options)
                beside.write_bytes(memory.getvalue())
    except OSError as error:
        raise _unwritable(path, error) from error
    except (ValueError, RuntimeError, struct.error) as error:  # Pillow's, of a picture too large for its format
        height, width = pixels.shape[:2]
        raise ImageError(
            f"Cannot write {path}: the format does not hold {width} × {height} pixels ({error}); let it end in .png."
        ) from error


def write_bytes(data: bytes, file: str | PathLike) -> None:
    """Writes a picture that is encoded already. Raises as `write`."""
    try:
        with files.replacing(file) as beside:
            beside.write_bytes(data)
    except OSError as error:
        raise _unwritable(Path(file), error) from error


def _unwritable(path: Path, error: OSError) -> ImageError:
    return ImageError(f"Cannot write {path}: {error.strerror or error}.")


def _write_png(pixels: np.ndarray, file: Path, profile: bytes | None, dpi: float | None) -> None:
    """A PNG with 16 bits per channel, which Pillow cannot write: W3C, PNG specification, third edition, chapter 11."""
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels, dtype=">u2").view(np.uint8).reshape(height, -1).copy()
    rows[1:] -= rows[:-1].copy()  # filter 2, of each row the difference from the one above, packs well
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0))]
    if profile:
        chunks.append((b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    if dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", round(dpi / INCH), round(dpi / INCH), 1)))
    chunks += [(b"IDAT", zlib.compress(np.insert(rows, 0, 2, axis=1).tobytes(), 6)), (b"IEND", b"")]
    with file.open("wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n")
        for name, content in chunks:
            out.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))


def _write_tiff(pixels: np.ndarray, file: Path, profile: bytes | None, dpi: float | None) -> None:
    import tifffile  # comes with scikit-image; Pillow writes no color TIFF of 16 bits

    tifffile.imwrite(
        file,
        pixels,
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        compression="zlib",
        iccprofile=profile,
        resolution=(dpi, dpi) if dpi else None,
        resolutionunit="INCH" if dpi else None,
        metadata=None,
    )
