"""Coverage-guided fuzzing of what reads other people's files: atheris changes files so that they reach new lines.

    uv run --with atheris python tools/fuzz_files.py picture --seconds 3600 --corpus fuzz/picture
    uv run --with atheris python tools/fuzz_files.py cube --seconds 600 --corpus fuzz/cube

Each file must give a result or one sentence, within 5 seconds and 2 GB more. One that does not ends the run; it is
written to --found. Mend the fault, put the case into a test, and go on with the same corpus. Runs on Linux and macOS.
What is watched is this package's and Pillow's Python, not the decoders in C, which their own projects fuzz.
"""

import argparse
import io
import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris
import psutil
import torch

with atheris.instrument_imports(include=["PIL", "stylelib"]):
    from PIL import Image

    from stylelib import console, load_image, lut
    from stylelib.machine import give_memory_back
    from stylelib.masks import load_mask
    from stylelib.studio_folder import settings

import try_damaged_files

SIZE = 64
SECONDS, MEGABYTES = 5, 3500  # torch itself takes more than one gigabyte
TIDY = 1500 * 2**20  # bytes; stylelib keeps what it lets go (`machine.KEPT`), and large pictures come in any order
PROCESS = psutil.Process()


def picture(data: bytes) -> None:
    """An image, a mask, and the settings that the studio looks for."""
    for read in (lambda file: load_image(file, SIZE), load_mask, settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expect_sentence(lambda read=read: read(io.BytesIO(data)))
    if PROCESS.memory_info().rss > TIDY:
        give_memory_back()  # what is left after that is a leak, or was needed at once


def cube(data: bytes) -> None:
    """A color table, and a picture whose colors go through it."""
    with tempfile.NamedTemporaryFile(suffix=".cube") as file:
        file.write(data)
        file.flush()
        table = expect_sentence(lambda: lut.load(file.name))
    if table is not None:
        assert bool(lut.apply(table, torch.rand(1, 3, 4, 4)).isfinite().all())


def expect_sentence(read: Callable) -> object:
    """What was read, or nothing where it was refused as users are told."""
    try:
        return read()
    except Exception as error:
        if not isinstance(error, ValueError) or console.sentence(error) is None:
            raise
    return None


def seeds(road: str) -> dict[str, bytes]:
    """Sound files to begin with."""
    if road == "picture":
        return try_damaged_files.whole_pictures(random.Random(0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.cube")
        lut.save(lut.sample(lambda image: image.flip(1), 2), file)
        text = file.read_bytes()
    domain = b"# a comment\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1.0 1.0 1.0\n"
    return {"plain.cube": text, "domain.cube": domain + text}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("road", choices=["picture", "cube"])
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the files that reach new lines; kept")
    parser.add_argument("--found", type=Path, default=Path("found"), help="folder for files that do harm")
    options = parser.parse_args()
    for folder in (options.corpus, options.found):
        folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds(options.road).items():
        (options.corpus / name).write_bytes(data)
    Image.init()
    limits = [f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", "-max_len=20000", "-seed=1"]
    limits += [f"-max_total_time={options.seconds}", f"-artifact_prefix={options.found}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(options.corpus)], {"picture": picture, "cube": cube}[options.road])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
