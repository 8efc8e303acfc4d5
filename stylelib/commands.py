"""What the shell commands do."""

import argparse
import difflib
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import torch
from torch import Tensor
from tqdm import tqdm

from . import batch, console, decoding, doctor, encoding, gallery, lut, masks, photo, transfer
from .backbones import Backbone, load_backbone
from .checkpoint import CheckpointError
from .console import INTERRUPTED, USER_ERROR
from .decoding import PictureFile
from .images import ImageError, check_writable, load_alpha, load_image, load_profile, save_image
from .loop import Step
from .objective import Style
from .transfer import Result

SOFT_EDGE = 0.01  # of the mask's long side
PICTURE_SIZE, FILM_SIZE = 512, 384  # where doctor is not told; as the defaults of `stylize` and `video`
CLIPS = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".ts", ".gif"}
OnStep = Callable[[Step], None]


def run(options: argparse.Namespace) -> int:
    """Runs the command that the options name; returns its exit status. Warnings are printed in one line each."""
    command = {
        "stylize": _stylize,
        "texture": _texture,
        "photo": _photo,
        "video": _video,
        "doctor": _doctor,
        "gallery": _gallery,
        "grade": _grade,
    }[options.command]
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: _warn(str(message))
        return command(options)


def _warn(text: str) -> None:
    with tqdm.external_write_mode(sys.stderr):  # takes the progress bar away for a moment
        console.complain(text)


def _stylize(options: argparse.Namespace) -> int:
    if len(options.content) > 1 or os.path.isdir(gallery.find(options.content[0])):
        return _stylize_all(options)
    if options.scheduler:
        raise ValueError("--scheduler is for many pictures; give several contents, or a folder of them.")
    (content,) = options.content
    _check_output(options)
    extras = _extras(options, content)
    if options.keep_alpha and extras["alpha"] is None:
        raise ValueError(f"{content} has no transparent parts that --keep-alpha could keep.")
    kept = checkpoint_of(options.out)
    if _exists(kept) and not options.resume:
        raise CheckpointError(f"{kept} holds an unfinished run; go on with it (--resume), or delete that file.")
    pictures = _read(content, options.size), _styles(options)
    return _produce(options, extras, lambda backbone, on_step: _stylized(options, *pictures, backbone, on_step, kept))


def _exists(checkpoint: Path) -> bool:
    try:
        os.stat(checkpoint)
    except FileNotFoundError:
        return False
    except OSError as error:  # its name is longer than that of the result
        raise CheckpointError(f"Cannot write {checkpoint}: {error.strerror}; choose another name.") from error
    return True


def checkpoint_of(out: str | PathLike) -> Path:
    """Where it is kept how far a picture has come."""
    return Path(f"{os.fspath(out)}.checkpoint")


def _stylized(
    options: argparse.Namespace,
    content: Tensor,
    styles: list[Style],
    backbone: Backbone,
    on_step: OnStep,
    checkpoint: Path | None,
) -> Result:
    return transfer.stylize(
        content,
        styles,
        backbone=backbone,
        size=options.size,
        steps=options.steps,
        seed=options.seed or 0,
        start=options.start,
        color=options.color,
        style_weight=options.style_weight,
        on_step=on_step,
        checkpoint=checkpoint,
    )


def _styles(options: argparse.Namespace) -> list[Style]:
    """The styles that the options ask for: one after the other blended, inside a mask, or region by region."""
    names = [options.style, *options.also]
    weights = options.blend or [1.0] * len(names)
    if options.blend and not options.also:
        raise ValueError("--blend weighs several styles; name further ones with --also, or leave it out.")
    if len(weights) != len(names):
        raise ValueError(f"--blend needs one weight for each style: {len(names)}, not {len(weights)}.")
    if options.regions and (options.also or options.mask):
        raise ValueError("--regions already says what is painted where; leave --also and --mask out.")
    if not options.stroke:
        raise ValueError("--stroke must be above 0; 1 leaves the strokes as they are.")
    images = [_read(name, math.ceil(options.size * options.stroke)) for name in names]
    if options.regions:
        pairs = masks.matching_regions(*(masks.load_regions(file) for file in options.regions))
        return [Style(*images, scale=options.stroke, where=where, part=part) for where, part in pairs]
    where = None
    if options.mask:
        mask = masks.load_mask(options.mask)
        where = masks.soften(mask, SOFT_EDGE * max(mask.shape[-2:]))
    return [Style(image, weight, options.stroke, where) for image, weight in zip(images, weights, strict=True)]


def _stylize_all(options: argparse.Namespace) -> int:
    """Paints each content into a folder of results."""
    folder = Path(options.out)
    if folder.is_file() or (encoding.format_of(folder) and not folder.is_dir()):
        raise ImageError(
            f"{options.content[0]} … need a folder for their results; {folder} is the name of one picture."
        )
    ending = ".png" if options.bits == 16 or options.keep_alpha else None
    every = batch.jobs(options.content, folder, ending)
    _check_seed(options)
    _check_device(options.device)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ImageError(f"Cannot make the folder {folder}: {error.strerror or error}.") from error
    work = [job for job in every if not os.path.exists(job.out)]
    for job in work:
        check_writable(job.out, bits=options.bits, alpha=options.keep_alpha, dpi=options.dpi)
    if skipped := len(every) - len(work):
        console.say(f"{skipped} of {len(every)} are in {folder} already")
    paint = partial(paint_one, options, _styles(options))
    if options.scheduler:
        outcomes = batch.on_cluster(work, paint, options.scheduler)
    else:
        _backbone(options.backbone, options.device)  # if that fails, it would for each picture
        outcomes = batch.here(work, paint)
    failed = []
    for number, (job, outcome) in enumerate(outcomes, start=1):
        if outcome.interrupted:
            console.complain(f"interrupted with {len(work) - number + 1} to go; run it again to go on.")
            return INTERRUPTED
        if outcome.file is None:
            failed.append(job.content)
            console.complain(f"{number} of {len(work)}: {outcome.says}")
        else:
            encoding.write_bytes(outcome.file, job.out)
            console.say(f"{number} of {len(work)}: {job.out}: {outcome.says}")
    if failed:
        console.complain(f"{len(failed)} of {len(work)} could not be painted: {', '.join(failed)}.")
    return USER_ERROR if failed else 0


def paint_one(options: argparse.Namespace, styles: list[Style], content: PictureFile, out: Path) -> batch.Outcome:
    """One picture of many, on this machine or on another of a cluster, where there is no folder of results.

    As what is finished is left out, what was begun is gone on with.
    """
    extras, picture = _extras(options, content), _read(content, options.size)
    backbone = _backbone(options.backbone, options.device)
    with _progress(options, content.name) as on_step:
        kept = None if options.scheduler else checkpoint_of(out)
        result = _stylized(options, picture, styles, backbone, on_step, kept)
    with TemporaryDirectory() as folder:
        file = Path(folder, f"out{out.suffix}")
        save_image(result.image, file, **extras)
        return batch.Outcome(_says(result), file.read_bytes(), result.interrupted)


_backbone = cache(load_backbone)  # for one picture after the other


def _texture(options: argparse.Namespace) -> int:
    _check_output(options)
    style = _read(options.style, options.size)
    return _produce(
        options,
        _extras(options, options.style),
        lambda backbone, on_step: transfer.synthesize_texture(
            style,
            backbone=backbone,
            size=options.size,
            steps=options.steps,
            seed=options.seed or 0,
            on_step=on_step,
        ),
    )


def _video(options: argparse.Namespace) -> int:
    from .clips import open_clip  # here: only films need FFmpeg
    from .video import stylize_video

    _check_not_a_source(options)
    _check_device(options.device)
    start, stop = options.range
    clip = open_clip(options.clip, options.size, start=start, stop=stop, rate=options.fps)
    frames = stylize_video(
        clip,
        _read(options.style, options.size),
        options.out,
        backbone=load_backbone(options.backbone, options.device),
        size=options.size,
        steps=options.steps,
        resume=options.resume,
        scheduler=options.scheduler,
        style_weight=options.style_weight,
    )
    done, interrupted = 0, False
    with closing(frames), tqdm(total=clip.count, unit="frame", leave=False, disable=None) as bar:
        try:
            for _ in frames:
                done += 1
                bar.update()
        except KeyboardInterrupt:
            interrupted = True
    if not done:
        raise KeyboardInterrupt
    height, width = clip.shape
    more = "; the rest will be added by the same command with --resume" if interrupted else ""
    console.say(f"{options.out}: {done} frames of {width} × {height} pixels{more}")
    return INTERRUPTED if interrupted else 0


def _photo(options: argparse.Namespace) -> int:
    _check_output(options)
    if (options.style is None) == (options.lut is None):
        raise ValueError("stylelib photo needs either a STYLE or --lut with a .cube file, and not both.")
    content = _read(options.content, options.size)
    if options.lut and (options.save_lut or options.regions or options.method != next(iter(photo.METHODS))):
        raise ValueError("--lut is the whole map of colors; leave --method, --regions and --save-lut out.")
    if options.save_lut and options.regions:
        raise ValueError("--save-lut keeps one map of colors for the whole picture; leave --regions out.")
    if options.lut:
        result = content.lerp(lut.apply(lut.load(options.lut), content), options.strength)
    else:
        style = _read(options.style, options.size)
        if options.save_lut:
            move = photo.global_map(content, style, options.method)
            lut.save(lut.sample(lambda colors: colors.lerp(move(colors), options.strength)), options.save_lut)
        regions = [tuple(map(masks.load_mask, pair)) for pair in options.regions]
        how = {"method": options.method, "strength": options.strength, "regions": regions}
        result = photo.transfer_photo(content, style, **how)
    _save(result, Path(options.out), {})
    height, width = result.shape[-2:]
    console.say(f"{options.out}: {width} × {height} pixels")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    _check_device(options.device)
    if options.content is None:
        size = options.size or PICTURE_SIZE
        console.say(doctor.report(options.device, backbone=options.backbone, size=size, steps=options.steps))
        return 0
    backbone = load_backbone(options.backbone, options.device)
    if Path(options.content).is_dir() or Path(options.content).suffix.lower() in CLIPS:
        from .clips import open_clip  # here: only films need FFmpeg

        size = options.size or FILM_SIZE
        said = doctor.forecast_film(open_clip(options.content, size), backbone, size, options.steps)
    else:
        size = options.size or PICTURE_SIZE
        reading = _reading(options.content, size)
        said = doctor.forecast(_read(options.content, size), backbone, size, options.steps, reading)
    console.say(f"{options.content}: {said}")
    return 0


def _gallery(options: argparse.Namespace) -> int:
    console.say(f"styles        {', '.join(gallery.styles())}")
    console.say(f"photographs   {', '.join(gallery.photographs())}")
    console.say(f"paintings     {', '.join(gallery.paintings())} (downloaded when first used)")
    return 0


def _grade(options: argparse.Namespace) -> int:
    from . import grading  # brings IPython, which no other command needs

    limits = grading.Limits(options.seconds, round(options.memory * 1e9))
    try:
        marks = grading.grade(
            options.submissions,
            options.out,
            options.released,
            jobs=options.jobs,
            limits=limits,
            seed=options.seed,
            say=lambda line: console.say(line, sys.stderr),
        )
    except KeyboardInterrupt:
        console.complain("interrupted; no marks were written.")
        return INTERRUPTED
    console.say(f"{options.out}: {len(marks)} rows, {sum(not mark.wrong for mark in marks)} of them without a mistake")
    return 0


def _produce(options: argparse.Namespace, extras: dict, recipe: Callable[[Backbone, OnStep], Result]) -> int:
    """Checks what can be checked first, runs the recipe with a progress bar, writes the picture."""
    _check_seed(options)
    _check_device(options.device)
    backbone = load_backbone(options.backbone, options.device)
    with _progress(options) as on_step:
        result = recipe(backbone, on_step)
    _save(result.image, Path(options.out), extras)
    kept = options.command == "stylize" and checkpoint_of(options.out).exists()
    more = "; the same command goes on with --resume" if kept else ""
    console.say(f"{options.out}: {_says(result)}{more}")
    return INTERRUPTED if result.interrupted else 0


@contextmanager
def _progress(options: argparse.Namespace, name: str | None = None) -> Iterator[OnStep]:
    """A progress bar: what to call with each step."""
    # disable=None: no bar where standard error is not a terminal, so that a log holds messages only.
    with tqdm(total=options.steps, desc=name, unit="step", leave=False, disable=None) as bar:

        def on_step(step: Step) -> None:
            bar.update(step.index + 1 - bar.n)  # a run that is gone on with begins in its middle
            bar.set_postfix_str(f"loss {step.losses['total']:.3g}", refresh=False)

        yield on_step


def _says(result: Result) -> str:
    height, width = result.image.shape[-2:]
    return f"{width} × {height} pixels after {result.evaluations} evaluations"


def _extras(options: argparse.Namespace, source: PictureFile) -> dict:
    """What goes into the result's file beside its colors, as arguments of `save_image`."""
    alpha = None
    if getattr(options, "keep_alpha", False):
        alpha = load_alpha(_found(source), options.size)
    return {"bits": options.bits, "dpi": options.dpi, "profile": load_profile(_found(source)), "alpha": alpha}


def _save(image: Tensor, out: Path, extras: dict) -> None:
    """Writes a result; where that fails, on a full disk or for its size, in the folder for temporary files."""
    try:
        save_image(image, out, **extras)
    except ImageError as error:
        rescued = Path(gettempdir(), f"stylelib-{os.getpid()}.png")  # which holds any size and all extras
        try:
            save_image(image, rescued, **extras)
        except ImageError:
            raise error from None
        raise ImageError(f"{error} The picture is in {rescued} instead.") from error


def _read(file: PictureFile, size: int | None) -> Tensor:
    """A picture file or one of the gallery, no larger than `size`."""
    return load_image(_found(file), size, enlarge=False)


def _reading(file: PictureFile, size: int | None) -> int:
    """Bytes that decoding a picture takes."""
    return decoding.memory(decoding.open_picture(_found(file)), size)


def _found(file: PictureFile) -> PictureFile:
    """What to read: the file behind a name, or an open file from its beginning."""
    if isinstance(file, str):
        found = gallery.find(file)
        if not found.suffix and os.sep not in file and 0 < len(file) < 64 and not os.path.lexists(found):
            near = difflib.get_close_matches(file.lower(), gallery.names(), 1)
            meant = f"did you mean {near[0]}?" if near else "`stylelib gallery` lists its names."
            raise ImageError(f"There is no file {file!r}, and no picture of that name in the gallery; {meant}")
        return found
    file.seek(0)
    return file


def _check_output(options: argparse.Namespace) -> None:
    extras = {"bits": getattr(options, "bits", 8), "dpi": getattr(options, "dpi", None)}
    check_writable(options.out, alpha=getattr(options, "keep_alpha", False), **extras)
    _check_not_a_source(options)


def _check_not_a_source(options: argparse.Namespace) -> None:
    """No picture that is read, of the gallery neither, is replaced by what is made of it."""
    if os.path.realpath(options.out) in [os.path.realpath(gallery.find(name)) for name in _sources(options)]:
        raise ImageError(f"{options.out} is one of the source pictures; choose another name for the result.")


def _sources(options: argparse.Namespace) -> list[str]:
    """Every file that the options read from."""
    contents = getattr(options, "content", None) or []
    contents = [contents] if isinstance(contents, str) else contents
    named = [*contents, *(getattr(options, name, None) for name in ("clip", "style", "mask"))]
    regions = getattr(options, "regions", None) or []  # one pair of files, or for photographs several
    pairs = [region if isinstance(region, list) else [region] for region in regions]
    listed = [*getattr(options, "also", []), *(file for pair in pairs for file in pair)]
    return [name for name in [*named, *listed] if name]


def _check_seed(options: argparse.Namespace) -> None:
    if options.seed is not None and options.start != "noise":
        raise ValueError(
            "--seed chooses the noise of a random start, and this start is the content; add --start noise, "
            "or leave --seed out."
        )


def _check_device(name: str) -> None:
    try:
        if name != "auto":
            torch.ones(1, device=name).item()  # reading it back shows that the device computes
    except (RuntimeError, AssertionError, ImportError) as error:  # which of them depends on how torch was built
        raise ValueError(f"This machine has no device {name!r} that torch can use; try --device cpu.") from error
