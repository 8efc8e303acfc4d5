"""Clip ↔ frames: what a film file, a GIF or a folder of pictures shows, upright, one image after another.

Reading and writing stream: however long a clip is, only a few of its frames are in memory.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation
from PIL import ExifTags, Image
from torch import Tensor
from torch.nn.functional import pad

from . import files
from .decoding import name_of
from .images import ImageError, load_image, resize_to, save_image, scaled_shape

# FFmpeg would also read playlists that name other files and addresses, and show text files as films. These are clips.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif,avi,mpegts,mpeg,ogg,flv,asf,apng,m4v"
SAFE = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
RATE = Fraction(25)  # frames per second of pictures that do not say
LARGEST = 8192 * 4320  # pixels of a frame: films of 8K have that many
HIGH_DEFINITION = 720  # rows; from here on, films that do not name their colors have those of BT.709, below BT.601
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
BT601, BT709, UNSPECIFIED = 5, 1, 2  # as FFmpeg numbers them


class ClipError(ImageError):
    """A clip that cannot be read or written. The message is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Frame:
    """One picture of a clip: `image`, (1, 3, H, W) in [0, 1], and `time`, in seconds since the clip began."""

    image: Tensor
    time: Fraction


class Clip:
    """A film that can be gone through more than once: `for frame in clip.frames(): …`

    Attributes:
        name: for messages.
        shape: (H, W) of its frames: upright, with square pixels, scaled as asked.
        rate: frames per second, on average.
        tick: the unit of its times, in seconds.
        count: how many frames it has, as far as can be told without reading it through; None if it cannot.
        sound: where its sound comes from; None without sound.
        identity: tells it from other clips, and from itself after a change, without reading all of it.
    """

    name: str
    shape: tuple[int, int]
    rate: Fraction
    tick: Fraction
    count: int | None = None
    sound: "Sound | None" = None
    identity: str = ""

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        """The frames in order, without the first `skip`. Raises `ClipError` where the file is damaged."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sound:
    """Where a clip's sound comes from.

    Attributes:
        file: the film.
        origin: what its clock says when it begins.
        start, seconds: from when on, since then, and how long; None means to its end.
    """

    file: Path
    origin: Fraction
    start: Fraction
    seconds: Fraction | None


def open_clip(
    source: "str | PathLike | Sequence[Tensor] | Clip",
    size: int | None = None,
    *,
    start: float = 0,
    stop: float | None = None,
    rate: float | None = None,
) -> Clip:
    """Opens a film (MP4, MOV, WebM, GIF, …), a folder of pictures, or a sequence of images.

    The rotation that a camera stores is applied, and pixels that are not square are made so. Pictures of a folder are
    sorted as people mean it: frame2 comes before frame10.

    Args:
        source: a path, or images (1, 3, H, W), all of one size.
        size: long side of the frames in pixels; None keeps the clip's own.
        start, stop: seconds of the clip between which frames are taken; None means to its end.
        rate: frames per second: of a folder or a sequence, which do not say (None means 25). Of a film, at most so
            many are kept of its own; None keeps all.

    Raises:
        ClipError: no such file, no pictures in it, damaged, pictures of different sizes, an empty range.
    """
    if isinstance(source, Clip):
        return source
    if start < 0 or (stop is not None and stop <= start):
        raise ClipError(f"The range must begin at 0 s or later and end after that; {start:g} to {stop:g} s does not.")
    if rate is not None and not 0 < rate <= 1000:
        raise ClipError(f"The frame rate must be above 0 and at most 1000 a second; {rate:g} is not.")
    span = _Span(_exact(start), None if stop is None else _exact(stop))
    if not isinstance(source, str | PathLike):
        return _Pictures("The sequence", list(source), size, span, _exact(rate or RATE))
    path = Path(source)
    if os.path.isdir(path):  # which, unlike Path's, never raises
        return _Pictures(name_of(path), picture_files(path.absolute()), size, span, _exact(rate or RATE))
    return _Film(path, size, span, None if rate is None else _exact(rate))


def picture_files(folder: Path) -> list[Path]:
    """The picture files of a folder, sorted as people mean it: numbers in names by their value."""
    endings = Image.registered_extensions()
    try:
        inside = list(folder.iterdir())
    except OSError as error:
        raise ClipError(f"Cannot read the folder {folder}: {error.strerror or error}.") from error
    named = [path for path in inside if path.suffix.lower() in endings and not path.name.startswith(".")]
    files = [path for path in named if path.is_file()]  # and no pipe, which would be waited for
    return sorted(files, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)])


def _parts(name: str) -> list[str]:
    """Text and numbers of a name in turn, text first: "frame10.png" is "frame", "10", ".png"."""
    return re.split(r"(\d+)", name.lower())


def _exact(number: float) -> Fraction:
    """29.97 as people type it, and other such numbers, without the digits that binary fractions add."""
    return Fraction(number).limit_denominator(100_000)


class _Pictures(Clip):
    """Picture files, or images, one after another."""

    def __init__(self, name: str, pictures: list, size: int | None, span: "_Span", rate: Fraction):
        self.name, self.rate, self.tick = name, rate, 1 / rate
        self._pictures = [picture for index, picture in enumerate(pictures) if span.holds(index / rate)]
        if not self._pictures:
            raise ClipError(f"{name} has no pictures{' in this range' if pictures else ''}; a clip needs one at least.")
        self.count = len(self._pictures)
        self.identity = f"{self.count} pictures, {rate} a second: {_stamp(*pictures)}, {size}, {span}"
        self._whole = tuple(self._image(0).shape[-2:])
        self._check_sizes()
        self.shape = scaled_shape(*self._whole, size or max(self._whole))

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        for index in range(skip, self.count):
            yield Frame(resize_to(self._image(index), self.shape), index / self.rate)

    def _check_sizes(self) -> None:
        """From the heads of the files: no picture is decoded."""
        sizes = {_size(picture) for picture in self._pictures}
        if len(sizes) > 1:
            two = " and ".join(f"{width} × {height}" for width, height in sorted(sizes)[:2])
            raise ClipError(f"{self.name} has pictures of different sizes, {two}; make them one size first.")

    def _image(self, index: int) -> Tensor:
        picture = self._pictures[index]
        return picture if isinstance(picture, Tensor) else load_image(picture)


def _stamp(*files: Path | Tensor) -> str:
    """Digest of where files are, how large, and when they were changed; of images, of their pixels."""
    digest = hashlib.sha256()
    for file in files:
        if isinstance(file, Tensor):
            digest.update(file.detach().cpu().numpy().tobytes())
        else:
            digest.update(f"{file.resolve()} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def _size(picture: Path | Tensor) -> tuple[int, int]:
    """(width, height) of an image, or of a picture file as it is shown."""
    if isinstance(picture, Tensor):
        return picture.shape[-1], picture.shape[-2]
    try:
        with Image.open(picture) as file:
            turned = file.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
            return file.size[::-1] if turned else file.size
    except Exception as error:  # decoders raise anything
        raise ClipError(f"{name_of(picture)} is not a picture that can be read; take it out of the folder.") from error


@dataclass(frozen=True)
class _Span:
    """The seconds of a clip from which its frames are taken; without `stop`, to its end."""

    start: Fraction
    stop: Fraction | None

    def holds(self, time: Fraction) -> bool:
        return self.start <= time and not self.is_over(time)

    def is_over(self, time: Fraction) -> bool:
        return self.stop is not None and time >= self.stop


class _Film(Clip):
    """A film file, decoded by FFmpeg."""

    def __init__(self, path: Path, size: int | None, span: _Span, most: Fraction | None):
        with _opened(path) as container:
            if not container.streams.video:
                only = ", only sound" if container.streams.audio else ""
                raise ClipError(f"{name_of(path)} has no pictures{only}; choose a film.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ClipError(
                    f"{name_of(path)} has pictures of a kind that is not known here; export it as MP4 first."
                )
            _check_frame(stream.codec_context, name_of(path))
            own = _rate(stream)
            all_frames, whole = stream.frames, Fraction(container.duration or 0, av.time_base)
            self._origin = Fraction(container.start_time or 0, av.time_base)  # the file's clock when it begins
            self._pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
            has_sound = bool(container.streams.audio)
            self.tick = stream.time_base
        self.name, self.rate = name_of(path), min(own, most or own)
        # Absolute: the machines of a cluster may open it from other folders.
        self._file, self._span, self._most = path.absolute(), span, most
        self.shape = self._shape(size)
        seconds = min(whole, span.stop or whole) - span.start
        entire = all_frames and self.rate == own and span == _Span(Fraction(0), None)
        self.count = all_frames if entire else round(self.rate * seconds) or None
        self.identity = f"{_stamp(path)}, {size}, {span}, {most}"
        length = None if span.stop is None else span.stop - span.start
        self.sound = Sound(path, self._origin, span.start, length) if has_sound else None

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        for index, (picture, time) in enumerate(self._decoded()):
            if index >= skip:
                yield Frame(resize_to(_upright(picture), self.shape), time)

    def _shape(self, size: int | None) -> tuple[int, int]:
        """Of a frame as it is shown: its pixels made square, and turned upright."""
        for picture, _ in self._decoded():
            height, width = picture.height, round(picture.width * self._pixel_aspect)
            height, width = (width, height) if picture.rotation % 180 else (height, width)
            return scaled_shape(height, width, size or max(height, width))
        raise ClipError(f"{self.name} has no pictures in this range; a clip needs one at least.")

    def _decoded(self) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """The frames of the span, still in FFmpeg's hands, and their times since it began."""
        time, due = Fraction(-1), self._span.start
        with _opened(self._file) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            try:
                for picture in container.decode(stream):
                    _check_frame(picture, self.name)
                    before, time = time, self._time(picture, time)
                    if self._span.is_over(time):
                        return
                    if time < due or time <= before:  # not in the span, not yet due, or one time told twice
                        continue
                    yield picture, time - self._span.start
                    due = due if self._most is None else (time * self._most // 1 + 1) / self._most
            except av.FFmpegError as error:
                raise ClipError(
                    f"{self.name} is damaged after {max(0, float(time)):.1f} s ({error.strerror}); "
                    "choose a range that ends before."
                ) from error

    def _time(self, picture: av.VideoFrame, before: Fraction) -> Fraction:
        """Seconds since the film began; some old formats do not say, then one frame after the one before."""
        if picture.pts is None:
            return max(Fraction(0), before + 1 / self.rate)
        return picture.pts * picture.time_base - self._origin


def _rate(stream: av.VideoStream) -> Fraction:
    """Frames per second on average: counted if the file says how many it has, else what FFmpeg takes it for."""
    if stream.frames and stream.duration:
        return stream.frames / (stream.duration * stream.time_base)
    return stream.average_rate or stream.guessed_rate or RATE


def _check_frame(frame: av.VideoFrame | av.VideoCodecContext, name: str) -> None:
    """Raises a `ClipError` for one so large that its colors alone take gigabytes."""
    if frame.width * frame.height > LARGEST:
        raise ClipError(f"{name} has frames of {frame.width} × {frame.height} pixels, too many; make it smaller first.")


@contextmanager
def _opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Opens a file for reading, or raises the `ClipError` that explains why not."""
    name = name_of(path)
    try:
        files.check_plain(path)
        container = av.open(str(path), container_options=SAFE, metadata_errors="replace")
    except FileNotFoundError:
        raise ClipError(f"There is no file {name}.") from None
    except av.FFmpegError as error:
        raise ClipError(f"{name} is not a film that can be read, or it was cut off ({error.strerror}).") from error
    except OSError as error:
        raise ClipError(f"Cannot read {name}: {error.strerror or error}.") from error
    with container:
        yield container


def _upright(picture: av.VideoFrame) -> Tensor:
    """The pixels of a decoded frame, (1, 3, H, W): in RGB, on white where it is transparent, turned upright."""
    unnamed = BT709 if picture.height >= HIGH_DEFINITION else BT601
    colors = unnamed if picture.colorspace == UNSPECIFIED else picture.colorspace
    array = picture.to_ndarray(format="rgba", src_colorspace=colors, interpolation=EXACT).astype(np.float32) / 255
    array = 1 - array[..., 3:] * (1 - array[..., :3])
    array = np.rot90(array, round(picture.rotation / 90))
    array = array[::-1] if _is_mirrored(picture) else array
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].contiguous()


def _is_mirrored(picture: av.VideoFrame) -> bool:
    """Whether the matrix that the film is shown by turns it over: then a negative determinant is left of it.

    The matrix holds nine 32-bit numbers (FFmpeg, libavutil/display.h), of which FFmpeg reads the rotation alone.
    """
    data = next((data for data in picture.side_data if data.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return False
    a, b, _, c, d, *_ = np.frombuffer(data, dtype=np.int32).astype(np.float64)
    return a * d - b * c < 0


# --- writing ---

# Ending → what its pictures are encoded with, the first that this FFmpeg has; what sound it can hold; what with if not.
FILMS = {
    ".mp4": (["libx264", "libopenh264"], {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}, "aac"),
    ".mov": (["libx264", "libopenh264"], {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"}, "aac"),
    ".webm": (["libvpx-vp9"], {"opus", "vorbis"}, "libopus"),
}
ENCODER = {  # near to what the eye still tells apart, and a sharp picture rather than a small file
    "libx264": {"crf": "16", "preset": "medium"},
    "libopenh264": {"b": "8M"},
    "libvpx-vp9": {"crf": "20", "b": "0", "row-mt": "1", "cpu-used": "3"},
}
GIF_TICK = Fraction(1, 100)


def save_clip(
    frames: Iterable[Frame], file: str | PathLike, like: Clip, *, whole: bool = True, replace: bool = False
) -> None:
    """Writes frames as a film: .mp4 and .mov (H.264), .webm (VP9), .gif; a name without an ending is a folder of PNGs.

    Frames keep their times. Sound is copied as it is where the film can hold it, else encoded anew. The film is written
    beside its place and then renamed, so that there is never half of one.

    Args:
        frames: in order, of one size; they are taken one by one.
        file: where to.
        like: the clip that they were made from: its sound and its clock are used.
        whole: False ends the sound with the last frame.
        replace: whether a folder with frames in it is theirs, and these take their place.

    Raises:
        ClipError: no frames, an ending that stands for no film, or a place that cannot be written to.
    """
    check_clip_writable(file, replace=replace)
    path = Path(os.path.realpath(file))  # of a link, what it points to is replaced
    part = path.with_name(f".{path.stem}-part{path.suffix}")
    _remove(part)
    try:
        if _write(frames, part, like, whole) == 0:
            raise ClipError("There are no frames to write; a clip needs one at least.")
        if path.is_dir():
            _remove(path)
        elif path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    except (av.FFmpegError, OSError) as error:
        raise ClipError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        _remove(part)


def check_clip_writable(file: str | PathLike, *, replace: bool = False) -> None:
    """Raises the `ClipError` that `save_clip` would, before any work has gone into the frames. Arguments as there."""
    path = Path(file)
    ending = path.suffix.lower()
    if ending not in (*FILMS, ".gif", ""):
        raise ClipError(f"Cannot write the format that the name {path.name!r} asks for; let it end in .mp4 or .webm.")
    if ending in FILMS:
        _encoder(ending)
    if not path.parent.is_dir():
        raise ClipError(f"There is no folder {path.parent}; make it first.")
    try:
        inside = [each.name for each in path.iterdir()] if path.is_dir() else []
        theirs = replace and all(re.fullmatch(r"\d{6}\.png", name) for name in inside)
        if path.is_dir() and (ending or (inside and not theirs)):
            raise ClipError(f"{path} is a folder with things in it; empty it, or choose another name for the film.")
        if path.is_file() and not ending:
            raise ClipError(f"{path} is a file, and frames need a folder; choose another name.")
        if ending:
            files.check_writable(path)  # a film that is protected, a pipe
        with tempfile.TemporaryFile(dir=path.parent):  # permissions, a read-only disk: only trying tells
            pass
    except OSError as error:
        raise ClipError(f"Cannot write {path}: {error.strerror or error}.") from error


def _write(frames: Iterable[Frame], part: Path, like: Clip, whole: bool) -> int:
    """Writes the frames in the way that the ending says, and returns how many there were."""
    if not part.suffix:
        return _write_pictures(frames, part)
    timed = _with_durations(frames, like.rate)
    if part.suffix.lower() == ".gif":
        return _write_gif(timed, part, like.rate)
    return _write_film(timed, part, like, whole)


def _write_pictures(frames: Iterable[Frame], folder: Path) -> int:
    folder.mkdir()
    count = 0
    for count, frame in enumerate(frames, 1):
        save_image(frame.image, folder / f"{count:06}.png")
    return count


def _with_durations(frames: Iterable[Frame], rate: Fraction) -> Iterator[tuple[Frame, Fraction]]:
    """Each frame with the seconds until the next; the last lasts as long as a frame does on average."""
    before = None
    for frame in frames:
        if before is not None:
            yield before, frame.time - before.time
        before = frame
    if before is not None:
        yield before, 1 / rate


def _write_film(timed: Iterable[tuple[Frame, Fraction]], part: Path, like: Clip, whole: bool) -> int:
    count, seconds = 0, Fraction(0)
    with av.open(str(part), "w") as container, ExitStack() as stack:
        for count, (frame, duration) in enumerate(timed, 1):
            if count == 1:
                video = _video_stream(container, frame.image, like)
                sound = _sound_into(container, like.sound, stack)
            container.mux(video.encode(_picture(_even(frame.image), frame.time, duration, like.tick, "yuv420p")))
            seconds = frame.time + duration
            sound(seconds)
        if count:
            container.mux(video.encode(None))
            sound(None if whole else seconds)
    return count


def _video_stream(container: av.container.OutputContainer, image: Tensor, like: Clip) -> av.VideoStream:
    codec = _encoder(Path(container.name).suffix.lower())
    stream = container.add_stream(codec, rate=like.rate.limit_denominator(1001), options=ENCODER[codec])
    stream.height, stream.width = _even(image).shape[-2:]
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = like.tick
    stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = BT709
    stream.codec_context.color_range = 1  # 16 to 235, as films have it
    return stream


def _encoder(ending: str) -> str:
    for name in FILMS[ending][0]:
        if name in av.codecs_available:
            return name
    raise ClipError(f"This FFmpeg cannot encode {ending} films; try another ending: .mp4, .webm or .gif.")


def _even(image: Tensor) -> Tensor:
    """The image with an even number of rows and columns, as films need it: the last one is shown twice if it must."""
    height, width = image.shape[-2:]
    return pad(image, (0, width % 2, 0, height % 2), mode="replicate")


def _picture(image: Tensor, time: Fraction, duration: Fraction, tick: Fraction, pixels: str) -> av.VideoFrame:
    """An image as FFmpeg wants it, due at `time`."""
    array = (image.detach()[0].cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    picture = av.VideoFrame.from_ndarray(array.contiguous().numpy(), format="rgb24")
    if pixels != "rgb24":
        picture = picture.reformat(format=pixels, dst_colorspace=BT709, interpolation=EXACT)
    picture.pts, picture.duration, picture.time_base = round(time / tick), round(duration / tick), tick
    return picture


def _sound_into(
    container: av.container.OutputContainer, sound: Sound | None, stack: ExitStack
) -> Callable[[Fraction | None], None]:
    """A function that writes the sound up to a time, which it must be given in order; None means all of it."""
    if sound is None:
        return lambda until: None
    packets = _sound_packets(container, stack.enter_context(_opened(sound.file)), sound)
    next(packets)  # makes the stream, which must be there before the first picture is written
    waiting: list[av.Packet] = []

    def write(until: Fraction | None) -> None:
        for packet in chain(waiting[:], packets):
            waiting.clear()
            if until is not None and packet.pts * packet.time_base >= until:
                waiting.append(packet)
                return
            container.mux(packet)

    return write


def _sound_packets(
    container: av.container.OutputContainer, source: av.container.InputContainer, sound: Sound
) -> Iterator[av.Packet | None]:
    """First None, when the stream is there; then the sound in packets, whose times begin with the clip."""
    stream = source.streams.audio[0]
    _, holds, encoder = FILMS[Path(container.name).suffix.lower()]
    copied = stream.codec_context.name in holds
    if copied:
        track = container.add_stream_from_template(stream)
    else:
        track = container.add_stream(encoder, rate=48_000 if encoder == "libopus" else stream.rate)
    yield None
    for piece in source.demux(stream) if copied else source.decode(stream):
        if piece.pts is None:  # the end
            continue
        time = piece.pts * piece.time_base - sound.origin - sound.start
        if time < 0 < sound.start:  # what comes before a film's own beginning is for decoders to warm up; it stays
            continue
        if sound.seconds is not None and time >= sound.seconds:
            break
        later = round((sound.origin + sound.start) / piece.time_base)
        piece.pts -= later
        if copied:
            piece.dts -= later
            piece.stream = track
        yield from [piece] if copied else track.encode(piece)
    yield from [] if copied else track.encode(None)


def _write_gif(timed: Iterable[tuple[Frame, Fraction]], part: Path, rate: Fraction) -> int:
    """256 colors, chosen for each frame anew; their pattern stands still where the picture does."""
    count, last = 0, round(1 / rate / GIF_TICK)  # how long the last one lasts, its packet does not say
    with av.open(str(part), "w", options={"loop": "0", "final_delay": str(last)}) as container:
        for count, (frame, duration) in enumerate(timed, 1):
            picture = _picture(frame.image, frame.time, duration, GIF_TICK, "rgb24")
            if count == 1:
                stream = container.add_stream("gif", rate=GIF_TICK.denominator)
                stream.height, stream.width, stream.pix_fmt = picture.height, picture.width, "pal8"
                stream.time_base = stream.codec_context.time_base = GIF_TICK
            container.mux(stream.encode(_with_palette(picture)))
        if count:
            container.mux(stream.encode(None))
    return count


def _with_palette(picture: av.VideoFrame) -> av.VideoFrame:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format.name, time_base=picture.time_base
    )
    split, choose, use = (
        graph.add("split"),
        graph.add("palettegen", "stats_mode=single"),
        graph.add("paletteuse", "dither=bayer:bayer_scale=3"),
    )
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(choose, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(picture)
    graph.push(None)
    return graph.pull()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
