"""A folder from which the course installs on machines without internet.

    uv run python tools/offline_kit.py KIT                      # with internet: wheels for machines like this one
    uv run python tools/offline_kit.py KIT --weights vgg19      # and VGG-19 from your own download, 40 MB of it

Carry KIT to the lab. On each machine, with the same system and the same Python 3.x as here:

    python KIT/install.py FOLDER

The versions are those of requirements.lock. On Linux, PyTorch from PyPI brings CUDA along, which is most of the kit.
For machines without an NVIDIA card, take PyTorch's CPU build: wheels come from wherever this machine's pip is set to
look, so name PyTorch's own place in its settings first; PyTorch's page "Get Started" shows it for pip and CPU.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import release
import torch
from offline_install import HERE

from stylelib.backbones import RECIPES, load_backbone, weights_file

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"


def fill(folder: Path, weights: list[str]) -> None:
    wheels = folder / "wheels"
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", wheels, ROOT], check=True)
    (wheels / ".gitignore").unlink(missing_ok=True)
    own = next(wheels.glob("stylelib-*.whl"))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    # With the lock as a bound and without its hashes: PyTorch's CPU build is another file of the same version.
    pins = folder / "requirements.txt"
    pins.write_text(without_hashes(LOCK.read_text()))
    pip = ["uv", "tool", "run", "--python", sys.executable, "pip", "download", "--only-binary", ":all:"]
    subprocess.run([*pip, "--dest", wheels, "--constraint", pins, "pip", own, *wanted], check=True)
    pins.write_text("\n".join(["stylelib", *wanted]) + "\n")
    release.release(folder / "course")
    for name in weights:
        save_half(name, folder / "weights" / f"{name}_features.pt")
    shutil.copy(Path(__file__).with_name("offline_install.py"), folder / "install.py")
    (folder / "kit.json").write_text(json.dumps(HERE))


def without_hashes(lock: str) -> str:
    return re.sub(r" \\\n    --hash=\S+", "", lock)


def save_half(name: str, path: Path) -> None:
    """The convolutions of a network that is here, or is downloaded now, at half precision."""
    load_backbone(name)
    values = torch.load(weights_file(name), weights_only=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    features = {key: value for key, value in values.items() if not key.startswith("classifier.")}
    torch.save({key.removeprefix("features."): value.half() for key, value in features.items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="KIT", help="a new folder")
    choices = [name for name in RECIPES if name != "slim"]
    parser.add_argument("--weights", nargs="+", default=[], choices=choices, help="networks to bring along")
    options = parser.parse_args()
    release.write_whole(options.folder, lambda new: fill(new, options.weights))
    size = sum(file.stat().st_size for file in options.folder.rglob("*") if file.is_file())
    print(f"{size / 1e9:.1f} GB. On each machine: python {options.folder.name}/install.py FOLDER")


if __name__ == "__main__":
    main()
