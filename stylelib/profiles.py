"""Color profiles: from the colors of a profile to those of sRGB and back, at any depth.

A profile that consists of a matrix and three curves, as cameras, phones and screens have, says all there is in a line:
curve(pixel) is linear light, matrix · linear light is a color in XYZ. (ICC.1:2022, annex F.3.) Pillow's own conversion
knows more kinds, printers' tables among them, but 8 bits only.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import ImageCms

SAMPLES = 65536  # of a curve, to invert it
PARAMETRIC = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}  # function type → its parameters


@dataclass(frozen=True)
class Profile:
    """Three curves, encoded value → linear light, and the matrix (3, 3) from linear light to XYZ."""

    curves: tuple[Callable[[np.ndarray], np.ndarray], ...]
    matrix: np.ndarray


def convert(pixels: np.ndarray, source: Profile, target: Profile) -> np.ndarray:
    """Pixels (H, W, 3), float32 in [0, 1], of the source as the nearest of the target."""
    linear = np.stack([curve(pixels[..., i]) for i, curve in enumerate(source.curves)], axis=-1)
    linear = (linear @ (np.linalg.inv(target.matrix) @ source.matrix).T).clip(0, 1)
    grid = np.linspace(0, 1, SAMPLES)
    encoded = [np.interp(linear[..., i], curve(grid), grid) for i, curve in enumerate(target.curves)]
    return np.stack(encoded, axis=-1).astype(np.float32)


@cache
def srgb() -> Profile:
    """What images are in."""
    return parse(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def parse(profile: bytes | None) -> Profile | None:
    """The profile, if it is one of a matrix and curves for RGB; None for any other, and for a damaged one."""
    try:
        if profile[16:24] != b"RGB XYZ ":
            return None
        tags = {name: profile[start : start + length] for name, start, length in _tags(profile)}
        if b"A2B0" in tags:  # a table, which would come first
            return None
        matrix = np.array([_fixed(tags[name][8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T
        curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        rises = all((np.diff(curve(np.linspace(0, 1, 256))) >= 0).all() for curve in curves)
        return Profile(curves, matrix) if rises and abs(np.linalg.det(matrix)) > 1e-6 else None
    except (KeyError, TypeError, ValueError, struct.error):
        return None


def _tags(profile: bytes) -> list[tuple[bytes, int, int]]:
    (count,) = struct.unpack_from(">I", profile, 128)
    return [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100))]


def _fixed(data: bytes) -> np.ndarray:
    """Signed numbers of 16 bits before the point and 16 behind it."""
    return np.frombuffer(data, ">i4") / 65536


def _curve(tag: bytes) -> Callable[[np.ndarray], np.ndarray]:
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        names = PARAMETRIC[kind]
        return _parametric(dict(zip(names, _fixed(tag[12 : 12 + 4 * len(names)]), strict=True)))
    (count,) = struct.unpack_from(">I", tag, 8)
    values = np.frombuffer(tag[12 : 12 + 2 * count], ">u2")
    if count < 2:  # no curve at all, or the exponent of one
        gamma = float(values[0]) / 256 if count else 1.0
        return lambda x: x**gamma
    return lambda x: np.interp(x, np.linspace(0, 1, count), values / 65535)


def _parametric(p: dict[str, float]) -> Callable[[np.ndarray], np.ndarray]:
    """y = (a x + b)^g + e above d, c x + f below; the standard's table 68 lists which of them are there."""
    g, a, b = p["g"], p.get("a", 1.0), p.get("b", 0.0)
    if "d" in p:
        d, slope, e, f = p["d"], p["c"], p.get("e", 0.0), p.get("f", 0.0)
    else:  # types 0 to 2: above the place where a x + b is 0, and one constant on both of its sides
        d, slope, e, f = -b / a, 0.0, p.get("c", 0.0), p.get("c", 0.0)
    return lambda x: np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, slope * x + f)
