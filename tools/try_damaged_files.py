"""Damaged and strange files, a few thousand, through everything that reads pictures and films.

    uv run python tools/try_damaged_files.py              # 2,400 files, a few minutes
    uv run python tools/try_damaged_files.py 300 --seed 1

Each must give a picture or one sentence: no other exception, no more than 5 seconds or 2 GB, no half of a file written.
They are read in another process, which is watched, and ended when it breaks a limit. The exit status is 1 if one did.
"""

import argparse
import io
import os
import random
import struct
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms
from PIL.ExifTags import Base

from stylelib import console, load_image, sandbox, save_image
from stylelib.clips import Frame, open_clip, save_clip
from stylelib.masks import load_mask
from stylelib.studio_folder import Folder

LIMITS = sandbox.Limits(seconds=5, memory=2_000_000_000)
SIZE, FRAMES = 256, 8
SHAPE = (32, 48)  # rows and columns of the pictures that are damaged
NO_FILE = "no files"  # which a browser would not send to the studio
DAMAGED = ("bits turned", "cut off", "overwritten", "doubled")  # made in any number; of the others there are some each


@dataclass(frozen=True)
class Fault:
    """A file that is not as it should be."""

    kind: str
    path: str


# --- whole files ---


def pixels(seed: random.Random) -> np.ndarray:
    """Smooth colors with some noise, (H, W, 3)."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] / 12
    noise = np.random.default_rng(seed.randrange(2**32))
    waves = [np.sin(rows * a + columns * b) for a, b in noise.uniform(-1, 1, (3, 2))]
    return (128 + 90 * np.stack(waves, axis=2) + noise.normal(0, 6, (*SHAPE, 3))).clip(0, 255).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()


def whole_pictures(seed: random.Random) -> dict[str, bytes]:
    """Name → content of sound files of every kind."""
    color = Image.fromarray(pixels(seed))
    more = [Image.fromarray(pixels(seed)) for _ in range(3)]
    clear = color.copy()
    clear.putalpha(Image.linear_gradient("L").resize(color.size))
    deep = Image.fromarray(np.asarray(color.convert("L"), np.uint16) * 257)
    several = {"save_all": True, "append_images": more}
    made = {
        "rgb.png": (color, "PNG", {}),
        "clear.png": (clear, "PNG", {}),
        "palette.png": (color.quantize(16), "PNG", {"transparency": 3}),
        "bits.png": (color.convert("1"), "PNG", {}),
        "deep.png": (deep, "PNG", {}),
        "moving.png": (color, "PNG", several),
        "rgb.jpg": (color, "JPEG", {"exif": turned(6)}),
        "progressive.jpg": (color, "JPEG", {"progressive": True}),
        "gray.jpg": (color.convert("L"), "JPEG", {}),
        "inks.jpg": (color.convert("CMYK"), "JPEG", {}),
        "still.gif": (color, "GIF", {}),
        "moving.gif": (color, "GIF", several),
        "rgb.webp": (color, "WEBP", {}),
        "lossless.webp": (clear, "WEBP", {"lossless": True}),
        "moving.webp": (color, "WEBP", several),
        "rgb.tif": (color, "TIFF", {}),
        "packed.tif": (color, "TIFF", {"compression": "tiff_lzw"}),
        "zipped.tif": (clear, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "inks.tif": (color.convert("CMYK"), "TIFF", {}),
        "float.tif": (color.convert("F").point(lambda value: value / 255), "TIFF", {}),
        "rgb.bmp": (color, "BMP", {}),
        "rgb.ppm": (color, "PPM", {}),
        "rgb.tga": (color, "TGA", {"compression": "tga_rle"}),
        "rgb.ico": (color, "ICO", {"sizes": [(32, 32)]}),
        "rgb.pcx": (color, "PCX", {}),
        "rgb.jp2": (color, "JPEG2000", {}),
        "rgb.avif": (color, "AVIF", {}),
    }
    Image.init()
    deeper = {f"deep.{kind}{ending}": in_sixteen_bits(pixels(seed), kind, ending) for kind, ending in DEEP}
    return deeper | {
        name: encoded(picture, kind, **o) for name, (picture, kind, o) in made.items() if kind in Image.SAVE
    }


DEEP = (("rgb", ".png"), ("rgba", ".png"), ("rgb", ".tif"))


def in_sixteen_bits(colors: np.ndarray, kind: str, ending: str) -> bytes:
    """Of colors, Pillow writes 8 bits only."""
    image = torch.from_numpy(colors).permute(2, 0, 1)[None] / 255
    with tempfile.TemporaryDirectory() as folder:
        save_image(image, Path(folder, f"a{ending}"), bits=16, alpha=image[:, :1] if kind == "rgba" else None)
        return Path(folder, f"a{ending}").read_bytes()


def whole_films(seed: random.Random, folder: Path) -> dict[str, bytes]:
    frames = [torch.from_numpy(pixels(seed)).permute(2, 0, 1)[None] / 255 for _ in range(6)]
    like, found = open_clip(frames), {}
    for ending in (".mp4", ".webm", ".gif"):
        file = folder / f"film{ending}"
        save_clip((Frame(image, Fraction(index, 25)) for index, image in enumerate(frames)), file, like)
        found[file.name] = file.read_bytes()
    return found


# --- what is done to them ---


def damaged(kind: str, data: bytes, seed: random.Random) -> bytes:
    """A file spoiled in one of the ways that disks, downloads and editors do it."""
    spoiled = bytearray(data)
    if kind == "bits turned":
        reach = len(data) if seed.random() < 0.5 else min(len(data), 200)  # of headers, a bit is worth more
        for _ in range(seed.choice([1, 1, 2, 5, 20])):
            spoiled[seed.randrange(reach)] ^= 1 << seed.randrange(8)
    elif kind == "cut off":
        del spoiled[seed.choice([seed.randrange(min(len(data), 64)), seed.randrange(len(data))]) :]
    elif kind == "overwritten":
        start, length = seed.randrange(len(data)), seed.choice([4, 16, 300])
        junk = seed.choice([bytes(length), b"\xff" * length, seed.randbytes(length)])
        spoiled[start : start + length] = junk
    else:
        start, length = seed.randrange(len(data)), seed.randrange(1, 400)
        spoiled[start:start] = data[start : start + length]
    return bytes(spoiled)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return exif.tobytes()


def png(width: int, height: int, depth: int, color: int, content: bytes) -> bytes:
    """A PNG whose checksums are right, whatever its header says."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", content), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def zeros(count: int) -> bytes:
    """So many zeros, packed, without ever having them all."""
    packer, block = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def absurd_headers(whole: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    sizes = [
        (0, 5),
        (2**31 - 1, 2**31 - 1),
        (2**31 - 1, 1),
        (60_000, 60_000),
        (40_000, 4000),
        (1, 2**30),
        (2**32 - 1, 3),
    ]
    for number, (width, height) in enumerate(sizes):
        for depth, color in ((8, 2), (1, 0), (16, 6)):
            yield f"{number}-{depth}.png", png(width, height, depth, color, zlib.compress(bytes(99)))
        yield f"{number}.ppm", f"P6 {width} {height} 255\n".encode() + bytes(99)
        yield f"{number}.pgm", f"P5 {width} {height} 65535\n".encode() + bytes(99)
        bmp = bytearray(whole["rgb.bmp"])
        bmp[18:26] = struct.pack("<ii", min(width, 2**31 - 1), -min(height, 2**31 - 1))
        yield f"{number}.bmp", bytes(bmp)
        tga = bytearray(whole["rgb.tga"])
        tga[12:16] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
        yield f"{number}.tga", bytes(tga)
        gif = bytearray(whole["still.gif"])
        gif[6:10] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
        yield f"{number}.gif", bytes(gif)
        jpeg = bytearray(whole["rgb.jpg"])
        place = jpeg.index(b"\xff\xc0") + 5
        jpeg[place : place + 4] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
        yield f"{number}.jpg", bytes(jpeg)
        tiff = bytearray(whole["rgb.tif"])
        for tag, value in ((256, width), (257, height)):
            place = tiff.index(struct.pack("<HH", tag, 4)) if struct.pack("<HH", tag, 4) in tiff else None
            if place is not None:
                tiff[place + 8 : place + 12] = struct.pack("<I", value)
        yield f"{number}.tif", bytes(tiff)


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files of huge pictures: above Pillow's limit, and just below it."""
    for side in (30_000, 13_000):
        yield f"{side}.bits.png", png(side, side, 1, 0, zeros(side * (1 + -(-side // 8))))
    yield "gray.png", png(13_000, 13_000, 8, 0, zeros(13_000 * 13_001))
    yield "color.png", png(13_000, 13_000, 8, 2, zeros(13_000 * (1 + 3 * 13_000)))
    yield "gray.jpg", encoded(Image.new("L", (13_000, 13_000)), "JPEG", quality=10)
    yield "progressive.jpg", encoded(Image.new("RGB", (8000, 8000)), "JPEG", quality=10, progressive=True)
    yield "gif.gif", encoded(Image.new("P", (12_000, 12_000)), "GIF")
    small, gigabyte = png(8, 8, 8, 2, zlib.compress(bytes(8 * 25))), zeros(2**30)
    for name, key in ((b"iCCP", b"x"), (b"zTXt", b"Raw profile type exif")):
        yield f"{name.decode()}.png", small[:33] + chunk(name, key + b"\0\0" + gigabyte) + small[33:]


def profiles(seed: random.Random) -> list[bytes]:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    broken = [damaged("bits turned", srgb, seed) for _ in range(6)]
    return [srgb, lab, *broken, srgb[:200], srgb[:131], b"", b"junk", seed.randbytes(3000), srgb + bytes(2**20)]


def strange(whole: dict[str, bytes], seed: random.Random, with_bombs: bool) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and content of files that are whole and yet not what most people have."""
    for name, data in whole.items():
        yield "as they should be", name, data
        others = [Path(other).suffix for other in whole if Path(other).suffix != Path(name).suffix]
        yield "wrong ending", Path(name).stem + seed.choice([*others, ".mp4", ".txt", "", ".nef"]), data
    color = Image.fromarray(pixels(seed))
    for shape in ((1, 1), (1, 10_000), (10_000, 1), (2, 3), (1, 65_000)):
        for mode, kind in (
            ("RGB", "png"),
            ("L", "png"),
            ("RGB", "tif"),
            ("RGBA", "webp"),
            ("RGB", "jpg"),
            ("P", "gif"),
        ):
            if kind != "webp" or max(shape) < 16_000:
                data = encoded(Image.new(mode, shape, 200), {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()))
                yield "one pixel wide", f"{mode}-{shape[0]}x{shape[1]}.{kind}", data
    for orientation in (*range(10), 255, 65_535):
        for ending, kind in ((".jpg", "JPEG"), (".png", "PNG"), (".tif", "TIFF"), (".webp", "WEBP")):
            yield "turned (EXIF)", f"{orientation}{ending}", encoded(color, kind, exif=turned(orientation))
        yield (
            "turned (EXIF)",
            f"broken{orientation}.jpg",
            encoded(color, "JPEG", exif=damaged("bits turned", turned(6), seed)),
        )
    for number, profile in enumerate(profiles(seed)):
        for mode, kind, ending in (
            ("RGB", "PNG", ".png"), ("RGB", "JPEG", ".jpg"), ("CMYK", "JPEG", ".cmyk.jpg"), ("L", "TIFF", ".tif"),
            ("RGBA", "WEBP", ".webp"),
        ):  # fmt: skip
            yield "color profile", f"{number}{ending}", encoded(color.convert(mode), kind, icc_profile=profile)
    for name in ("with space .png", "Ünïcødé 写真.png", "🎨.png", "'quoted\".png", "-o.png", "a;b&c.png", "%s{}.png",
                 "two\nlines.png", "\x1b[31mred.png", "x" * 200 + ".png", os.fsdecode(b"\xff\xfe.png")):  # fmt: skip
        yield "names", name, whole["rgb.png"]
        yield "names", f"cut {name}" if len(name) < 200 else f"c{name}", whole["rgb.png"][:60]
    for name, data in absurd_headers(whole):
        yield "absurd sizes", name, data
    for name, data in bombs() if with_bombs else ():
        yield "bombs", name, data
    nothing = encoded(Image.fromarray(np.full(SHAPE, np.nan, np.float32)), "TIFF")
    for name, data in {
        "empty.png": b"",
        "text.jpg": b"Dear diary,",
        "zero.png": bytes(9999),
        "junk.jpg": seed.randbytes(9999),
        "page.png": b"<html>not found</html>",
        "list.gif": b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n",
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "zip.png": b"PK\x03\x04" + bytes(99),
        "nan.tif": nothing,
    }.items():
        yield "no pictures", name, data


def places(folder: Path, picture: bytes) -> Iterator[str]:
    """Paths that are no files, or that may not be read."""
    (folder / "folder.png").mkdir(parents=True)
    (folder / "endless.png").symlink_to("endless.png")
    (folder / "nowhere.png").symlink_to("missing.jpg")
    (folder / "secret.png").write_bytes(picture)
    (folder / "secret.png").chmod(0)
    yield from (str(folder / name) for name in ("folder.png", "endless.png", "nowhere.png", "secret.png", "none.png"))
    yield from (str(folder / "secret.png" / "below.png"), str(folder / ("y" * 300)), "null\0byte.png", "")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
        (folder / "with pipe").mkdir()
        os.mkfifo(folder / "with pipe" / "pipe.png")
        yield from (str(folder / "pipe.png"), str(folder / "with pipe"), "/dev/zero")


def faults(folder: Path, count: int, seed: int) -> list[Fault]:
    """Makes about so many files, always the same for one seed."""
    chance = random.Random(seed)
    pictures = whole_pictures(chance)
    found = [Fault(NO_FILE, path) for path in places(folder / "places", pictures["rgb.png"])]
    whole = pictures | whole_films(chance, folder)

    def add(kind: str, name: str, data: bytes) -> None:
        path = folder / str(len(found)) / name
        path.parent.mkdir()
        path.write_bytes(data)
        found.append(Fault(kind, str(path)))

    special = list(strange(pictures, chance, with_bombs=count >= 1000))  # they take seconds to make
    if len(special) > count // 2:  # for a short run, some of each kind
        kinds = Counter(kind for kind, *_ in special)
        special = [each for each in special if chance.random() < max(4 / kinds[each[0]], count / 2 / len(special))]
    for each in special:
        add(*each)
    names = list(whole)
    while len(found) < count:
        name = chance.choice(names)
        kind = chance.choice(DAMAGED)
        add(kind, name, damaged(kind, whole[name], chance))
    return found


# --- what reads them ---


def by_image(path: str, folder: Path) -> torch.Tensor:
    return load_image(path, SIZE)


def by_mask(path: str, folder: Path) -> torch.Tensor:
    return load_mask(path)


def by_clip(path: str, folder: Path) -> torch.Tensor:
    clip = open_clip(path, 64)
    return torch.cat([frame.image for frame in islice(clip.frames(), FRAMES)])


def by_studio(path: str, folder: Path) -> torch.Tensor:
    """As somebody brings it: its name, and its bytes."""
    data, studio = Path(path).read_bytes(), Folder(folder / "studio")
    before = set(studio.brought())
    try:
        kept = studio.keep(Path(path).name, data)
        assert kept.read_bytes() == data, "not all of it was written"
        return torch.zeros(1)  # it has been read as a picture
    except ValueError:
        assert set(studio.brought()) == before, "a file is left of what was refused"
        raise
    finally:
        lying = [file.name for file in studio.path.rglob(".*")]
        assert not lying, f"half-written files are left: {lying}"


ROADS: dict[str, Callable[[str, Path], torch.Tensor]] = {
    "image": by_image,
    "mask": by_mask,
    "clip": by_clip,
    "studio": by_studio,
}


def outcome(read: Callable[[str, Path], torch.Tensor], path: str, folder: Path) -> str:
    """ "picture", "sentence", or what happened instead."""
    try:
        values = read(path, folder)
    except Exception as error:
        said = console.sentence(error)
        if not isinstance(error, ValueError) or said is None:
            return f"{type(error).__name__}: {error}"
        good = said.isprintable() and said.endswith((".", ").")) and 10 < len(said) < 700 + 2 * len(path)
        return "sentence" if good else f"no sentence: {said!r}"
    good = values.numel() and bool(torch.isfinite(values).all()) and 0 <= values.min() and values.max() <= 1
    return "picture" if good else f"no picture: {tuple(values.shape)}"


def work(task: object, send: sandbox.Send) -> None:
    """In the process that is watched: tries each file on each road."""
    warnings.simplefilter("ignore")
    for path, road in task:
        send(outcome(ROADS[road], path, Path.cwd()))


def try_all(found: list[Fault], folder: Path, roads: list[str] | None = None) -> list[tuple[Fault, str, str]]:
    """Each file, each road, and what came of it. A process that breaks a limit is replaced by a new one."""
    tasks = [(fault, road) for fault in found for road in roads or ROADS if road != "studio" or fault.kind != NO_FILE]
    said: list[str] = []
    sandbox.prepare("stylelib.studio_folder")
    while len(said) < len(tasks):
        rest = [(fault.path, road) for fault, road in tasks[len(said) :]]
        try:
            said.extend(sandbox.run(work, rest, folder, LIMITS))
        except sandbox.Stopped as reason:
            said.append(str(reason))
    return [(fault, road, each) for (fault, road), each in zip(tasks, said, strict=True)]


def table(results: list[tuple[Fault, str, str]]) -> str:
    counts: dict[str, Counter] = {}
    for fault, _, said in results:
        counts.setdefault(fault.kind, Counter())[said if said in ("picture", "sentence") else "failure"] += 1
    lines = ["| class | tried | pictures | sentences | failures |", "|---|---|---|---|---|"]
    counts["all"] = sum(counts.values(), Counter())
    for kind, each in counts.items():
        lines.append(f"| {kind} | {each.total()} | {each['picture']} | {each['sentence']} | {each['failure']} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=2400, help="of files (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stylelib-") as name:
        files, own = Path(name, "files"), Path(name, "work")
        files.mkdir()
        own.mkdir()
        found = faults(files, options.count, options.seed)
        results = try_all(found, own)
        console.say(f"{len(found)} files, seed {options.seed}; each on {len(ROADS)} roads: {', '.join(ROADS)}.\n")
        console.say(table(results))
        failures = [each for each in results if each[2] not in ("picture", "sentence")]
        for fault, road, said in failures:
            console.say(f"{fault.kind}, {road}: {os.path.relpath(fault.path or '.', files)!r}: {said[:300]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
