"""The recipes from a shell: stylelib stylize, stylelib texture, stylelib doctor."""

import argparse
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from . import doctor, gallery
from .backbones import RECIPES, Backbone, load_backbone
from .images import ImageError, check_writable, load_image, save_image
from .loop import Step
from .objective import STYLE_WEIGHT
from .transfer import STEPS, Result, stylize, synthesize_texture

USER_ERROR, INTERRUPTED = 2, 130  # exit statuses; 130 is what shells report for Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    Every `ValueError` of this package carries a sentence for the user; it is printed alone, without a traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except ValueError as error:
        print(f"stylelib: {error}", file=sys.stderr)
    except KeyboardInterrupt:  # outside the optimization, which keeps its best picture
        print("stylelib: interrupted before there was a picture to keep.", file=sys.stderr)
        return INTERRUPTED
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print("stylelib: not enough memory for this size; choose a smaller --size.", file=sys.stderr)
    return USER_ERROR


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line; argparse would print the whole usage before it."""

    def error(self, message: str):
        self.exit(USER_ERROR, f"stylelib: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="stylelib", description="Neural style transfer, offline and on any machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("stylize", help="paint one picture in the style of another")
    command.add_argument("content", metavar="CONTENT", help="a picture file, or a name from the gallery")
    _add_recipe_options(command, size=512)
    command.add_argument(
        "--style-weight",
        type=_number(float, least=0),
        default=STYLE_WEIGHT,
        metavar="W",
        help="more of the style, less of the content (default %(default)g; try 1 to 256)",
    )
    command.set_defaults(run=_stylize)

    command = commands.add_parser("texture", help="grow a texture from a picture")
    _add_recipe_options(command, size=256)
    command.set_defaults(run=_texture)

    command = commands.add_parser("doctor", help="what this machine has and how long a picture takes")
    command.add_argument("content", nargs="?", metavar="CONTENT", help="only say what stylizing this picture will take")
    _add_run_options(command, size=512)
    command.set_defaults(run=_doctor)

    command = commands.add_parser("gallery", help="names of the course's pictures")
    command.set_defaults(run=_gallery)
    return parser


def _add_recipe_options(command: argparse.ArgumentParser, size: int) -> None:
    command.add_argument("style", metavar="STYLE", help="a picture file, or a name from the gallery")
    command.add_argument("-o", "--out", required=True, help="file to write; its ending (.png, .jpg) says the format")
    seed = _number(int, least=0, below=2**63)
    command.add_argument("--seed", type=seed, default=0, help="of the random start (default %(default)s)")
    _add_run_options(command, size)


def _add_run_options(command: argparse.ArgumentParser, size: int) -> None:
    """What decides how long a run takes."""
    positive = _number(int, least=1)
    command.add_argument("--size", type=positive, default=size, help="long side in pixels (default %(default)s)")
    command.add_argument("--backbone", default="slim", help=f"{', '.join(RECIPES)} (default %(default)s)")
    command.add_argument("--steps", type=positive, default=STEPS, help="evaluations in all (default %(default)s)")
    command.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default)")


def _stylize(options: argparse.Namespace) -> int:
    content, style = _read(options.content), _read(options.style)
    return _produce(
        options,
        lambda backbone, on_step: stylize(
            content,
            style,
            backbone=backbone,
            size=options.size,
            steps=options.steps,
            seed=options.seed,
            style_weight=options.style_weight,
            on_step=on_step,
        ),
    )


def _texture(options: argparse.Namespace) -> int:
    style = _read(options.style)
    return _produce(
        options,
        lambda backbone, on_step: synthesize_texture(
            style,
            backbone=backbone,
            size=options.size,
            steps=options.steps,
            seed=options.seed,
            on_step=on_step,
        ),
    )


def _doctor(options: argparse.Namespace) -> int:
    _check_device(options.device)
    if options.content is None:
        print(doctor.report(options.device, backbone=options.backbone, size=options.size, steps=options.steps))
    else:
        content = _read(options.content)
        backbone = load_backbone(options.backbone, options.device)
        print(f"{options.content}: {doctor.forecast(content, backbone, options.size, options.steps)}")
    return 0


def _gallery(options: argparse.Namespace) -> int:
    print("styles       ", ", ".join(gallery.styles()))
    print("photographs  ", ", ".join(gallery.photographs()))
    print("paintings    ", ", ".join(gallery.paintings()), "(downloaded when first used)")
    return 0


def _produce(options: argparse.Namespace, recipe: Callable[[Backbone, Callable[[Step], None]], Result]) -> int:
    """Checks what can be checked first, runs the recipe with a progress bar, writes the picture."""
    _check_output(options)
    _check_device(options.device)
    backbone = load_backbone(options.backbone, options.device)
    # disable=None: no bar where standard error is not a terminal, so that a log holds messages only.
    with warnings.catch_warnings(), tqdm(total=options.steps, unit="step", leave=False, disable=None) as bar:
        warnings.showwarning = lambda message, *_: tqdm.write(f"stylelib: {message}", file=sys.stderr)

        def on_step(step: Step) -> None:
            bar.update()
            bar.set_postfix_str(f"loss {step.losses['total']:.3g}", refresh=False)

        result = recipe(backbone, on_step)
    save_image(result.image, options.out)
    height, width = result.image.shape[-2:]
    print(f"{options.out}: {width} × {height} pixels after {result.evaluations} evaluations")
    return INTERRUPTED if result.interrupted else 0


def _read(name: str) -> Tensor:
    """A picture file; or, where there is no such file, a picture of the gallery by name."""
    if name in gallery.names() and not Path(name).exists():
        return gallery.load(name)
    return load_image(name)


def _check_output(options: argparse.Namespace) -> None:
    check_writable(options.out)
    sources = [Path(name).resolve() for name in (options.style, getattr(options, "content", options.style))]
    if Path(options.out).resolve() in sources:
        raise ImageError(f"{options.out} is one of the source pictures; choose another name for the result.")


def _check_device(name: str) -> None:
    try:
        if name != "auto":
            torch.ones(1, device=name).item()  # reading it back shows that the device computes
    except (RuntimeError, AssertionError, ImportError) as error:  # which of them depends on how torch was built
        raise ValueError(f"This machine has no device {name!r} that torch can use; try --device cpu.") from error


def _number(kind: type, least: int, below: float = math.inf) -> Callable[[str], int | float]:
    """What argparse calls to read one number; argparse's own complaint would name this function, not the mistake."""

    def read(text: str) -> int | float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not least <= number < below:  # NaN is refused too
            limits = f"at least {least}" + (f" and below {below}" if below < math.inf else "")
            raise argparse.ArgumentTypeError(
                f"must be a {'whole ' if kind is int else ''}number, {limits}, not {text!r}"
            )
        return number

    return read


def _is_out_of_memory(error: Exception) -> bool:
    """For the processor and for Apple's GPUs, torch raises a plain RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "memory" in str(error)


if __name__ == "__main__":
    sys.exit(main())
