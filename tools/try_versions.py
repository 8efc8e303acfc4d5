"""The suite on the oldest and on the newest versions that pyproject.toml allows, each in a fresh environment.

    uv run python tools/try_versions.py                             # both, the whole suite
    uv run python tools/try_versions.py oldest --python 3.11 -- tests/test_loop.py notebooks/00_start_here.ipynb

What follows `--` goes to pytest. Downloads what it needs (torch alone is gigabytes, where it comes with CUDA). The exit
status is 1 if a suite failed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENDS = {"oldest": "lowest-direct", "newest": "highest"}  # uv's words for how it chooses
SHOWN = "torch torchvision numpy pillow matplotlib scikit-image ipywidgets jupyterlab av pytest".split()


def versions(python: Path) -> str:
    """What stands in an environment of the packages that matter most."""
    code = (
        "import importlib.metadata as m, sys; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    return subprocess.run([python, "-c", code, *SHOWN], check=True, capture_output=True, text=True).stdout.strip()


def attempt(end: str, python: str, tests: list[str]) -> bool:
    """Makes an environment, runs the tests in it, and says what came of it."""
    with tempfile.TemporaryDirectory(prefix=f"stylelib-{end}-") as folder:
        home = Path(folder, "environment")
        inside = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        began = time.monotonic()
        subprocess.run(["uv", "venv", "--quiet", "--python", python, home], check=True)
        command = ["uv", "pip", "install", "--quiet", "--python", inside, "--resolution", ENDS[end]]
        subprocess.run([*command, "--editable", ROOT, "--group", f"{ROOT / 'pyproject.toml'}:dev"], check=True)
        installed = time.monotonic()
        print(f"{end}: {versions(inside)}", flush=True)
        done = subprocess.run([inside, "-m", "pytest", *tests], cwd=ROOT)
        tested = time.monotonic()
    said = "passed" if done.returncode == 0 else f"FAILED (pytest's exit status {done.returncode})"
    print(
        f"{end}: {said}; {installed - began:.0f} s to install, {(tested - installed) / 60:.1f} min to test", flush=True
    )
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ends", nargs="*", choices=[*ENDS, []], help="oldest, newest (default: both)")
    parser.add_argument("--python", default=sys.executable, help="version or file (default: this one)")
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:cut])
    passed = [attempt(end, options.python, words[cut + 1 :]) for end in options.ends or ENDS]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
