"""Picture file ↔ image.

An *image* is a float32 tensor (1, 3, H, W), RGB, sRGB values in [0, 1]. Its *size* is its long side in pixels.
"""

import io
import warnings
from os import PathLike

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms
from torch import Tensor
from torch.nn.functional import interpolate

from . import decoding, encoding, memory, profiles
from .decoding import ImageError, PictureFile
from .encoding import check_writable

# Values of an image may lie a little outside of [0, 1], behind a bicubic scaling or a step of an optimizer. Further out
# they are of another kind: 0 to 255, or normalized for a network.
LEAST, MOST = -0.75, 1.75
LARGEST = 100_000  # pixels, the long side of a picture that is asked for: 8 m in print, and 120 GB of float32
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

TURNED = {  # the same, of an array (H, W, C)
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


class ImageWarning(UserWarning):
    """A picture that could be read, but shows nothing."""


def load_image(file: PictureFile, size: int | None = None, *, enlarge: bool = True) -> Tensor:
    """Reads a picture as people have them: JPEG, PNG, WebP, TIFF, …; rotated, transparent, gray, 16-bit.

    The rotation that cameras store beside the pixels (EXIF) is applied, a color profile is converted to sRGB, and
    transparent pixels show white. A warning tells if that leaves nothing to see.

    Args:
        file: a path or an open binary file.
        size: long side of the result in pixels; None keeps the picture's own.
        enlarge: False leaves a picture that is smaller than `size` as it is.

    Returns:
        image (1, 3, H, W), float32 in [0, 1].

    Raises:
        ImageError: no such file, not a picture, cut off, or more pixels than can be decoded safely, or than fit into
            the memory that is free.
    """
    if size is not None:
        check_size(size)
    name = decoding.name_of(file)
    picture = decoding.open_picture(file)
    needed, free = decoding.memory(picture, size), memory.free()
    if needed > free:
        raise ImageError(
            f"Reading {name} takes about {memory.gigabytes(needed)} of memory, and {memory.gigabytes(free)} are free; "
            f"make it smaller first{', or load it with a size' if size is None else ''}."
        )
    longest, shortest = max(picture.size), min(picture.size)
    pixels = _deep_rgb(picture, name, size)
    if pixels is None:
        pixels = _to_rgb(_decoded(picture, name, size), name)
    image = _from_pixels(pixels)
    if size is None or (longest <= size and not enlarge):
        return image
    height, width = image.shape[-2:]
    # In proportion to the whole picture: what was decoded of it may be smaller, and its sides rounded.
    whole = (shortest, longest) if height < width else (longest, shortest)
    return resize_to(image, scaled_shape(*whole, size))


def as_image(image: object, role: str = "image") -> Tensor:
    """The image in float32, unchanged if it is; or the error that says what it is instead.

    Raises:
        ImageError: what is no image, (1, 3, H, W) with values about [0, 1].
    """
    if isinstance(image, (str, PathLike)):
        raise ImageError(
            f"The {role} must be an image, and {str(image)!r} is a {type(image).__name__}; "
            "load it with stylelib.load_image first."
        )
    if not isinstance(image, Tensor):
        raise ImageError(
            f"The {role} must be an image, not a {type(image).__module__}.{type(image).__qualname__}; "
            "torchvision.transforms.functional.to_tensor(it)[None] makes an image of a Pillow picture or an array."
        )
    if image.ndim != 4 or image.shape[:2] != (1, 3) or 0 in image.shape:
        raise ImageError(
            f"The {role} must be an image, (1, 3, height, width) in [0, 1]; it is {tuple(image.shape)}"
            f"{_towards_image(image)}."
        )
    if not image.is_floating_point():
        raise ImageError(
            f"The {role} holds whole numbers ({image.dtype}), and an image fractions from 0 to 1; divide it by 255."
        )
    if not bool(torch.isfinite(image).all()):
        raise ImageError(f"The {role} contains NaN or infinite values.")
    least, most = (value.item() for value in image.detach().aminmax())
    if least < LEAST or most > MOST:
        how = f"divide it by {255 if most < 256 else 65535}" if least >= 0 else "undo its normalization"
        raise ImageError(f"The {role} has values from {least:.3g} to {most:.3g}, an image from 0 to 1; {how}.")
    return image.float()


def _towards_image(image: Tensor) -> str:
    """What makes an image of a tensor whose shape is nearly one, as the end of a sentence."""
    match tuple(image.shape):
        case (3, _, _):
            return "; image[None] adds the first dimension"
        case (1, _, _, 3) | (1, _, _, 4):
            return "; image.permute(0, 3, 1, 2)[:, :3] puts the channels first"
        case (_, _, 3) | (_, _, 4):
            return "; image.permute(2, 0, 1)[None, :3] puts the channels first"
        case (1, 1, _, _):
            return "; image.expand(1, 3, -1, -1) makes three channels of one"
        case (1, 4, _, _):
            return "; image[:, :3] leaves out the transparency"
        case (_, 3, _, _):
            return "; image[:1] takes the first of several"
    return ""


def save_image(
    image: Tensor,
    file: str | PathLike,
    *,
    bits: int = 8,
    alpha: Tensor | None = None,
    profile: bytes | None = None,
    dpi: float | None = None,
) -> None:
    """Writes an image; the ending of the name (.png, .jpg, .webp, .tif, …) says how. Values are clamped to [0, 1].

    The file changes only once all of the picture is written.

    Args:
        bits: per channel, 8, or 16 for .png and .tif.
        alpha: how opaque each pixel is, (1, 1, H, W) in [0, 1], of any size.
        profile: an ICC profile. The colors are converted to it, so that they look the same, and it goes into the file,
            if it is of a kind that allows it (a matrix and curves) and the file can hold one; otherwise they stay sRGB.
        dpi: dots per inch: how large the picture is in print.

    Raises:
        ImageError: not an image, an ending that stands for no picture format or for one that cannot hold what is asked
            for, or a place that cannot be written to.
    """
    image = as_image(image)
    check_writable(file, bits=bits, alpha=alpha is not None, dpi=dpi)
    values = image.detach()[0].cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    kept = profiles.parse(profile) if encoding.format_of(file) in encoding.PROFILED else None
    if kept:
        values = profiles.convert(values, profiles.srgb(), kept)
    if alpha is not None:
        opaque = resize_to(alpha.detach().cpu().float(), tuple(image.shape[-2:]))[0].clamp(0, 1)
        values = np.concatenate([values, opaque.permute(1, 2, 0).numpy()], axis=2)
    levels = 2**bits - 1
    pixels = (values * np.float32(levels)).round().astype(np.uint8 if bits == 8 else np.uint16)
    encoding.write(pixels, file, profile if kept else None, dpi)


def to_picture(image: Tensor) -> Image.Image:
    """The image as a Pillow picture: values are clamped to [0, 1] and rounded to 8 bits."""
    values = (image.detach()[0].cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).numpy())


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
    check_size(size)
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def check_size(size: int) -> None:
    """Raises an `ImageError` for what is no long side of a picture."""
    if not 1 <= size or size != size // 1:  # NaN is refused too
        raise ImageError(f"The size is the long side in pixels, a whole number, at least 1; {size} was asked for.")
    if size > LARGEST:
        raise ImageError(f"The size is the long side in pixels, at most {LARGEST}; {size} was asked for.")


def load_alpha(file: PictureFile, size: int | None = None) -> Tensor | None:
    """How opaque each pixel of a picture file is, (1, 1, H, W) in [0, 1]; None if it has no transparent parts.

    `size` and errors as in `load_image`.
    """
    picture = decoding.open_picture(file)
    if not picture.has_transparency_data:  # before all its pixels are decoded
        return None
    picture = _decoded(picture, decoding.name_of(file), size)
    alpha = torch.from_numpy(np.array(picture.convert("RGBA").getchannel("A"))).float().div_(255)[None, None]
    return alpha if size is None else resize(alpha, size)


def load_profile(file: PictureFile) -> bytes | None:
    """The ICC color profile in a picture file; None if there is none. Errors as in `load_image`."""
    return decoding.open_picture(file).info.get("icc_profile")


def _decoded(picture: Image.Image, name: str, size: int | None) -> Image.Image:
    """The picture, upright; no larger than is needed to have it at that size."""
    decoding.decode(picture, name, size)
    orientation = _orientation(picture)
    picture = picture if size is None else decoding.reduced(picture, size)
    return picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture


def _deep_rgb(picture: Image.Image, name: str, size: int | None) -> np.ndarray | None:
    """As `_to_rgb` of `_decoded`, with 16 bits per channel; None for a picture that has fewer, or is of a rare kind."""
    profile = picture.info.get("icc_profile")
    source = profiles.parse(profile)
    pixels = decoding.deep_pixels(picture, size) if source or not profile else None
    if pixels is None:
        return None
    pixels = TURNED.get(_orientation(picture), np.asarray)(pixels)
    rgb = profiles.convert(pixels[..., :3], source, profiles.srgb()) if source else pixels[..., :3]
    return rgb if pixels.shape[-1] == 3 else _on_white(rgb, pixels[..., 3:], name)


def _on_white(rgb: np.ndarray, alpha: np.ndarray, name: str) -> np.ndarray:
    blended = rgb * alpha + (1 - alpha)
    _check_colors(blended.min(axis=(0, 1)), blended.max(axis=(0, 1)), name)
    return blended


def _check_colors(least, most, name: str) -> None:
    """Warns of a picture with transparent parts whose least and largest value are the same in each channel."""
    if all(low == high for low, high in zip(least, most, strict=True)):
        warnings.warn(
            f"{name} is one color once its transparent parts show white; put it on another background first.",
            ImageWarning,
            stacklevel=2,
        )


def _from_pixels(pixels: np.ndarray) -> Tensor:
    """Pixels (H, W, 3), of 8 bits or floating-point, as an image."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).unsqueeze(0).contiguous()
    return image.float().div_(255) if image.dtype == torch.uint8 else image


def _to_rgb(picture: Image.Image, name: str) -> np.ndarray:
    """Pixels (H, W, 3), 8-bit or float32 in [0, 1]: in sRGB, on white."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        gray = _wide_gray(picture, name)
        return np.repeat(gray[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = _to_srgb(picture.convert("RGBA"))  # first: the composite would no longer carry the profile
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        _check_colors(*zip(*picture.getextrema(), strict=True), name)
    return np.array(_to_srgb(picture).convert("RGB"))


def _orientation(picture: Image.Image) -> int | None:
    """What the EXIF data say. Pillow's own `exif_transpose` also rewrites the rest of these data, and fails on pictures
    in which any of it is damaged."""
    try:
        with decoding.quiet():
            return picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # not even readable; the pixels are still good
        return None


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
