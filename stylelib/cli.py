"""The shell commands: their names and options, and how each of them ends.

What they do is in `commands`, which is imported when the options are known to be right: torch comes with it, and
neither `--help` nor a mistyped option should wait for that.
"""

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from . import console
from .console import INTERRUPTED, USER_ERROR

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, a polite kill or a batch system's time limit, a closed window
PATIENCE = 3  # seconds after a signal in which further ones change nothing
# As in `photo`, `backbones`, `transfer` and `objective`, which would bring torch along. A test keeps them equal.
METHODS = ("smooth", "linear", "covariance", "reinhard", "full", "optimized")
BACKBONES, STEPS, STYLE_WEIGHT = ("slim", "vgg19", "squeezenet1_0"), 240, 32.0


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status. A mistake of the user costs one line, without a traceback."""
    console.prepare()
    options = _parser().parse_args(arguments)
    try:
        with _stopping(_stop_at_once):
            from . import commands
        with _stopping(_interrupt):
            return commands.run(options)
    except KeyboardInterrupt:  # outside the optimization, which keeps its best picture
        console.complain("interrupted before there was a picture to keep.")
        return INTERRUPTED
    except Exception as error:
        if not (sentence := console.sentence(error)):
            raise
        console.complain(sentence)
        return USER_ERROR


@contextmanager
def _stopping(handler: Callable) -> Iterator[None]:
    """Has the signals that stop a program call `handler`. One that is ignored, as nohup asks, stays so."""
    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _stop_at_once(number: int, frame: object) -> None:
    """While modules are imported there is nothing to keep, and an exception would come out of the middle of one."""
    console.complain("interrupted before there was a picture to keep.")
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: object) -> None:
    """As Ctrl-C. A closing terminal or a batch system may send several signals, and people press twice; the picture is
    being saved then. Only a Ctrl-C some seconds later ends that, too.
    """
    for name in set(STOP_SIGNALS) - {"SIGINT"}:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    until = time.monotonic() + PATIENCE

    def again(number: int, frame: object) -> None:
        if time.monotonic() > until:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, again)
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line; argparse would print the whole usage before it."""

    def error(self, message: str):
        self.exit(USER_ERROR, f"stylelib: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """Looks the version up only when asked: where the package is on the path and not installed, there is none."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        console.say(f"stylelib {version('stylelib')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="stylelib", description="Neural style transfer, offline and on any machine.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "stylize",
        help="paint one picture, or many, in the style of another",
        usage="stylelib stylize CONTENT … STYLE -o OUT [options]",
    )
    command.add_argument(
        "content",
        metavar="CONTENT",
        nargs="+",
        help="a picture file, or a name from the gallery; several, or a folder of them, make OUT a folder of results, "
        "and what is already there is left out",
    )
    _add_recipe_options(command, size=512)
    command.add_argument("--keep-alpha", action="store_true", help="the result is transparent where the content is")
    _add_resume(command)
    command.add_argument("--scheduler", metavar="ADDRESS", help="paint many pictures on this Dask cluster")
    _add_style_weight(command)
    command.add_argument(
        "--start",
        choices=["content", "noise"],
        default="content",
        help="what the first picture is (default %(default)s, which keeps the layout best)",
    )
    _add_control_options(command)

    command = commands.add_parser("texture", help="grow a texture from a picture")
    _add_recipe_options(command, size=256)
    command.set_defaults(start="noise")

    command = commands.add_parser("video", help="paint a film in the style of a picture, without flicker")
    command.add_argument("clip", metavar="CLIP", help="a film (MP4, MOV, WebM, GIF, …), or a folder of pictures")
    command.add_argument("style", metavar="STYLE", help="a picture file, or a name from the gallery")
    command.add_argument(
        "-o", "--out", required=True, help="film to write: .mp4, .mov, .webm, .gif, or a folder of PNGs"
    )
    command.add_argument(
        "--range", type=_seconds, default=(0.0, None), metavar="A:B", help="only these seconds of the clip, as in 2:10"
    )
    command.add_argument(
        "--fps",
        type=_number(float, least=0.01, below=1000.01),
        metavar="N",
        help="frames a second: of a folder (default 25); of a film, at most so many are kept",
    )
    command.add_argument(
        "--scheduler", metavar="ADDRESS", help="paint the shots on this Dask cluster, whose machines see the same files"
    )
    _add_resume(command)
    _add_style_weight(command)
    _add_run_options(command, size=384)

    command = commands.add_parser("photo", help="give a photograph the colors and the tone of another one")
    command.add_argument("content", metavar="CONTENT", help="a picture file, or a name from the gallery")
    command.add_argument("style", metavar="STYLE", nargs="?", help="the same; not with --lut")
    command.add_argument("-o", "--out", required=True, help="file to write; its ending (.png, .jpg) says the format")
    command.add_argument("--size", type=_number(int, least=1), help="long side in pixels, at most (default: all of it)")
    command.add_argument("--method", choices=METHODS, default=METHODS[0], help="default %(default)s")
    strength = _number(float, least=0, most=1)
    command.add_argument("--strength", type=strength, default=1.0, help="from 0, the content, to 1 (default)")
    command.add_argument(
        "--regions",
        nargs=2,
        action="append",
        default=[],
        metavar=("CONTENT_MASK", "STYLE_MASK"),
        help="pictures, white where the colors go and where they come from; may be given several times",
    )
    command.add_argument("--save-lut", metavar="X.cube", help="keep the map of colors for photo and film editors")
    command.add_argument("--lut", metavar="X.cube", help="use a map of colors instead of a style")

    command = commands.add_parser("doctor", help="what this machine has and how long a picture takes")
    command.add_argument("content", nargs="?", metavar="CONTENT", help="only say what this picture or clip will take")
    _add_run_options(command, size=None, meaning="512, of a clip 384")

    commands.add_parser("gallery", help="names of the course's pictures")

    command = commands.add_parser("grade", help="marks for lessons that students handed in")
    command.add_argument("submissions", metavar="SUBMISSIONS", help="a folder with a folder for each student")
    command.add_argument("-o", "--out", required=True, help="the table to write, as CSV")
    command.add_argument(
        "--released", metavar="NOTEBOOKS", help="folder of the lessons as students got them (the course's)"
    )
    command.add_argument(
        "--seconds", type=_number(float, least=1), default=30, help="for an exercise (default %(default)s)"
    )
    command.add_argument(
        "--memory", type=_number(float, least=0.1), default=2, help="in GB, beside torch (default %(default)s)"
    )
    command.add_argument(
        "--jobs", type=_number(int, least=1), help="how many at once (as many as there are processors)"
    )
    command.add_argument(
        "--seed", type=_number(int, least=0), help="of the hidden tests, to try a mark again (a secret one)"
    )
    return parser


def _add_control_options(command: argparse.ArgumentParser) -> None:
    """Whose colors, how large the strokes, which styles, and where."""
    colors = command.add_argument("--color", choices=["style", "content", "matched"], default="style")
    colors.help = "whose colors: the style's; the content's; or the style matched to the content first (default style)"
    number = _number(float, least=0, below=1e6)
    command.add_argument("--stroke", type=number, default=1, metavar="S", help="size of the strokes (try 0.5 to 4)")
    command.add_argument(
        "--also", nargs="+", default=[], metavar="STYLE", help="further styles, blended with the first"
    )
    command.add_argument("--blend", nargs="+", type=number, metavar="W", help="weights of STYLE and the further styles")
    command.add_argument("--mask", metavar="PNG", help="what is white in it is painted, the rest stays the photograph")
    command.add_argument(
        "--regions",
        nargs=2,
        metavar=("CONTENT_PNG", "STYLE_PNG"),
        help="regions of both pictures, each in one color: equal colors belong together",
    )


def _add_recipe_options(command: argparse.ArgumentParser, size: int) -> None:
    command.add_argument("style", metavar="STYLE", help="a picture file, or a name from the gallery")
    command.add_argument("-o", "--out", required=True, help="file to write; its ending (.png, .jpg) says the format")
    seed = _number(int, least=0, below=2**63)
    command.add_argument("--seed", type=seed, help="of the random start: another one, another picture (default 0)")
    command.add_argument("--bits", type=int, choices=[8, 16], default=8, help="per channel; 16 for .png and .tif")
    command.add_argument(
        "--dpi", type=_number(float, least=1, most=65535), help="dots per inch, for print; kept in the file"
    )
    _add_run_options(command, size)


def _add_resume(command: argparse.ArgumentParser) -> None:
    command.add_argument("--resume", action="store_true", help="go on with a run that was stopped")


def _add_style_weight(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--style-weight",
        type=_number(float, least=0),
        default=STYLE_WEIGHT,
        metavar="W",
        help="more of the style, less of the content (default %(default)g; try 1 to 256)",
    )


def _add_run_options(command: argparse.ArgumentParser, size: int | None, meaning: str = "%(default)s") -> None:
    """What decides how long a run takes."""
    positive = _number(int, least=1)
    command.add_argument("--size", type=positive, default=size, help=f"long side in pixels (default {meaning})")
    command.add_argument("--backbone", default="slim", help=f"{', '.join(BACKBONES)} (default %(default)s)")
    command.add_argument("--steps", type=positive, default=STEPS, help="evaluations in all (default %(default)s)")
    command.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default)")


def _seconds(text: str) -> tuple[float, float | None]:
    """ "2:10", "2:" or ":10" as the seconds where a range begins and ends; argparse calls it."""
    try:
        start, stop = text.split(":")
        seconds = float(start or 0), float(stop) if stop else None
        if not all(math.isfinite(each or 0) for each in seconds):
            raise ValueError("no number")
        return seconds
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be two numbers of seconds, as in 2:10, not {text!r}") from None


def _number(kind: type, least: int, below: float = math.inf, most: float = math.inf) -> Callable[[str], int | float]:
    """What argparse calls to read one number; argparse's own complaint would name this function, not the mistake."""

    def read(text: str) -> int | float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not (least <= number < below and number <= most):  # NaN is refused too
            limits = f"at least {least}" + (f" and below {below}" if below < math.inf else "")
            limits += f" and at most {most}" if most < math.inf else ""
            raise argparse.ArgumentTypeError(
                f"must be a {'whole ' if kind is int else ''}number, {limits}, not {text!r}"
            )
        return number

    return read


if __name__ == "__main__":
    sys.exit(main())
