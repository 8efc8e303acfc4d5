"""What the shell commands do."""

import argparse
import math
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from . import console, doctor, gallery, lut, masks, photo, transfer
from .backbones import Backbone, load_backbone
from .console import INTERRUPTED
from .images import ImageError, check_writable, load_image, save_image
from .loop import Step
from .objective import Style
from .transfer import Result

SOFT_EDGE = 0.01  # of the mask's long side
PICTURE_SIZE, FILM_SIZE = 512, 384  # where doctor is not told; as the defaults of `stylize` and `video`
CLIPS = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".ts", ".gif"}


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
    content, styles = _read(options.content, options.size), _styles(options)
    return _produce(
        options,
        lambda backbone, on_step: transfer.stylize(
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
        ),
    )


def _styles(options: argparse.Namespace) -> list[Style]:
    """The styles that the options ask for: one after the other blended, inside a mask, or region by region."""
    names = [options.style, *options.also]
    weights = options.blend or [1.0] * len(names)
    if len(weights) != len(names):
        raise ValueError(f"--blend needs one weight for each style: {len(names)}, not {len(weights)}.")
    if options.regions and (options.also or options.mask):
        raise ValueError("--regions already says what is painted where; leave --also and --mask out.")
    if not options.stroke:
        raise ValueError("--stroke must be above 0; 1 leaves the strokes as they are.")
    images = [_read(name, math.ceil(options.size * options.stroke)) for name in names]
    if options.regions:
        pairs = masks.matching_regions(*(load_image(file) for file in options.regions))
        return [Style(*images, scale=options.stroke, where=where, part=part) for where, part in pairs]
    where = None
    if options.mask:
        mask = masks.load_mask(options.mask)
        where = masks.soften(mask, SOFT_EDGE * max(mask.shape[-2:]))
    return [Style(image, weight, options.stroke, where) for image, weight in zip(images, weights, strict=True)]


def _texture(options: argparse.Namespace) -> int:
    style = _read(options.style, options.size)
    return _produce(
        options,
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
    from .clips import ClipError, open_clip  # here: only films need FFmpeg
    from .video import stylize_video

    if Path(options.out).resolve() == Path(options.clip).resolve():
        raise ClipError(f"{options.out} is the clip itself; choose another name for the film.")
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
    if options.lut:
        result = content.lerp(lut.apply(lut.load(options.lut), content), options.strength)
    else:
        style = _read(options.style, options.size)
        if options.save_lut:
            lut.save(lut.sample(photo.global_map(content, style, options.method)), options.save_lut)
        regions = [tuple(_read_mask(file, options.size) for file in pair) for pair in options.regions]
        how = {"method": options.method, "strength": options.strength, "regions": regions}
        result = photo.transfer_photo(content, style, **how)
    save_image(result, options.out)
    height, width = result.shape[-2:]
    console.say(f"{options.out}: {width} × {height} pixels")
    return 0


def _read_mask(file: str, size: int | None) -> Tensor:
    return load_image(file, size, enlarge=False).mean(dim=1, keepdim=True)


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
        said = doctor.forecast(_read(options.content, size), backbone, size, options.steps)
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


def _produce(options: argparse.Namespace, recipe: Callable[[Backbone, Callable[[Step], None]], Result]) -> int:
    """Checks what can be checked first, runs the recipe with a progress bar, writes the picture."""
    _check_output(options)
    _check_seed(options)
    _check_device(options.device)
    backbone = load_backbone(options.backbone, options.device)
    # disable=None: no bar where standard error is not a terminal, so that a log holds messages only.
    with tqdm(total=options.steps, unit="step", leave=False, disable=None) as bar:

        def on_step(step: Step) -> None:
            bar.update()
            bar.set_postfix_str(f"loss {step.losses['total']:.3g}", refresh=False)

        result = recipe(backbone, on_step)
    save_image(result.image, options.out)
    height, width = result.image.shape[-2:]
    console.say(f"{options.out}: {width} × {height} pixels after {result.evaluations} evaluations")
    return INTERRUPTED if result.interrupted else 0


def _read(name: str, size: int | None) -> Tensor:
    """A picture file; or, where there is no such file, a picture of the gallery by name. No larger than `size`."""
    in_gallery = name in gallery.names() and not Path(name).is_file()
    return load_image(gallery.path(name) if in_gallery else name, size, enlarge=False)


def _check_output(options: argparse.Namespace) -> None:
    check_writable(options.out)
    sources = [Path(name).resolve() for name in _sources(options)]
    if Path(options.out).resolve() in sources:
        raise ImageError(f"{options.out} is one of the source pictures; choose another name for the result.")


def _sources(options: argparse.Namespace) -> list[str]:
    """Every file that the options read from."""
    named = [getattr(options, name, None) for name in ("content", "style", "mask")]
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
