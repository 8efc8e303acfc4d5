"""Picture file ↔ image.

An *image* is a float32 tensor (1, 3, H, W), RGB, sRGB values in [0, 1]. Its *size* is its long side in pixels.
"""

import io
import warnings
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from . import files

PictureFile = str | PathLike | BinaryIO

# What Pillow can write and what holds any RGB picture; it knows many more endings that can only be read.
WRITABLE = {"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP"}
# EXIF orientation → what turns the pixels upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A picture that cannot be read or written. The message is one sentence that says why and what to do."""


def load_image(file: PictureFile, size: int | None = None, *, enlarge: bool = True) -> Tensor:
    """Reads a picture as people have them: JPEG, PNG, WebP, TIFF, …; rotated, transparent, gray, 16-bit.

    The rotation that cameras store beside the pixels (EXIF) is applied, a color profile is converted to sRGB, and
    transparent pixels show white.

    Args:
        file: a path or an open binary file.
        size: long side of the result in pixels; None keeps the picture's own.
        enlarge: False leaves a picture that is smaller than `size` as it is.

    Returns:
        image (1, 3, H, W), float32 in [0, 1].

    Raises:
        ImageError: no such file, not a picture, cut off, or more pixels than can be decoded safely.
    """
    if size is not None:
        _check_size(size)
    name = str(file) if isinstance(file, (str, PathLike)) else getattr(file, "name", "The file")
    with warnings.catch_warnings():
        # Pillow warns of damaged metadata, and of large pictures from 89 million pixels on, which phones reach (it
        # refuses from 179 million on). Nobody who loads a picture can mend either.
        warnings.simplefilter("ignore")
        with _open(file, name, size) as picture:
            array = _to_rgb(picture, name)
    image = torch.from_numpy(array).permute(2, 0, 1).unsqueeze(0).contiguous()
    if size is None or (max(image.shape) <= size and not enlarge):
        return image
    return resize(image, size)


def save_image(image: Tensor, file: str | PathLike) -> None:
    """Writes an image; the ending of the name (.png, .jpg, .webp, .tif, …) says how. Values are clamped to [0, 1].

    Raises:
        ImageError: not an image, an ending that stands for no picture format, or a place that cannot be written to.
    """
    path = Path(file)
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise ImageError(f"An image has the shape (1, 3, height, width); this one has {tuple(image.shape)}.")
    if not image.is_floating_point():
        raise ImageError(f"An image holds floating-point numbers in [0, 1]; this one is {image.dtype}. Divide by 255.")
    if not bool(torch.isfinite(image).all()):
        raise ImageError("The image contains NaN or infinite values, so it was not saved.")
    check_writable(path)
    try:
        with files.replacing(path) as beside:
            to_picture(image).save(beside, quality=95)
    except OSError as error:
        raise ImageError(f"Cannot write {path}: {error.strerror or error}.") from error


def to_picture(image: Tensor) -> Image.Image:
    """The image as a Pillow picture: values are clamped to [0, 1] and rounded to 8 bits."""
    values = (image.detach()[0].cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).numpy())


def check_writable(file: str | PathLike) -> None:
    """Raises the `ImageError` that `save_image` would, before any work has gone into the picture."""
    path = Path(file)
    picture_format = Image.registered_extensions().get(path.suffix.lower())  # loads Pillow's formats, so comes first
    if picture_format not in WRITABLE & Image.SAVE.keys():
        raise ImageError(f"Cannot write the format that the name {path.name!r} asks for; let it end in .png or .jpg.")
    try:
        if not path.parent.is_dir():
            raise ImageError(f"There is no folder {path.parent}; make it first.")
        files.check_writable(path)
    except OSError as error:
        raise ImageError(f"Cannot write {path}: {error.strerror or error}.") from error


def resize(image: Tensor, size: int) -> Tensor:
    """Scales an image so that its long side is `size` pixels; the aspect ratio stays (to the nearest pixel).

    Bicubic and antialiased: without the low-pass filter, a picture made smaller shows patterns it never had.
    """
    height, width = image.shape[-2:]
    return resize_to(image, scaled_shape(height, width, size))


def resize_to(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Scales an image to (height, width) exactly, bicubic and antialiased, and clamps it to [0, 1]."""
    if tuple(image.shape[-2:]) == shape:
        return image
    return interpolate(image, shape, mode="bicubic", antialias=True).clamp(0, 1).contiguous()


def scaled_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) scaled so that the longer one is `size`."""
    _check_size(size)
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _check_size(size: int) -> None:
    if size < 1:
        raise ImageError(f"The size is the long side in pixels, at least 1; {size} was asked for.")


def _open(file: PictureFile, name: str, size: int | None) -> Image.Image:
    """Opens and fully decodes a picture, or raises the `ImageError` that explains why not."""
    try:
        data = Path(file).read_bytes() if isinstance(file, (str, PathLike)) else file.read()
    except FileNotFoundError:
        raise ImageError(f"There is no file {name}.") from None
    except OSError as error:
        raise ImageError(f"Cannot read {name}: {error.strerror or error}.") from error
    try:
        picture = Image.open(io.BytesIO(data))
        if size is not None:
            picture.draft("RGB", (2 * size, 2 * size))  # JPEG only: decodes at 1/2, 1/4 or 1/8, much faster
        picture.load()
    except Image.DecompressionBombError:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise ImageError(
            f"{name} has more than {limit} million pixels, too many to decode safely; make it smaller first."
        ) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not a picture that can be read; save it as JPEG or PNG first (HEIC photos too)."
        ) from None
    except Exception as error:  # there is hardly a type that one of Pillow's decoders does not raise on broken data
        raise ImageError(f"{name} is damaged or was cut off ({error}).") from error
    return picture


def _to_rgb(picture: Image.Image, name: str) -> np.ndarray:
    """Pixels (H, W, 3), float32 in [0, 1]: upright, in sRGB, on white."""
    picture = _upright(picture)
    if picture.mode == "F" or picture.mode.startswith("I"):
        gray = _wide_gray(picture, name)
        return np.repeat(gray[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = _to_srgb(picture.convert("RGBA"))  # first: the composite would no longer carry the profile
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(_to_srgb(picture).convert("RGB"), dtype=np.float32) / 255


def _upright(picture: Image.Image) -> Image.Image:
    """Applies the rotation in the EXIF data. Pillow's own `exif_transpose` also rewrites the rest of these data, and
    fails on pictures in which any of it is damaged."""
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # not even readable; the pixels are still good
        return picture
    return picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture


def _wide_gray(picture: Image.Image, name: str) -> np.ndarray:
    """16-bit gray scaled by its full range; 32-bit float as it is. Pillow's own conversion would clip both."""
    values = np.asarray(picture, dtype=np.float32)
    if picture.mode != "F":
        values = values / 65535
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ImageError(f"{name} holds values beyond black and white; save it with 8 or 16 bits per channel.")
    return values


def _to_srgb(picture: Image.Image) -> Image.Image:
    """Converts an embedded color profile (phones store Display P3) to sRGB."""
    profile = picture.info.get("icc_profile")
    if picture.mode == "P":
        picture = picture.convert("RGB")
    if profile and picture.mode in ("RGB", "RGBA", "CMYK", "L"):
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            mode = "RGBA" if picture.mode == "RGBA" else "RGB"
            picture = ImageCms.profileToProfile(picture, source, target, outputMode=mode)
        except (ImageCms.PyCMSError, OSError):
            pass  # a profile that does not fit its pixels; viewers ignore it too and show the pixels as sRGB
    return picture
