"""Installs the course from this kit, without a network: python install.py FOLDER

Makes FOLDER with the course and an environment of its own, and changes nothing else on the machine.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

KIT = Path(__file__).resolve().parent
HERE = {
    "python": ".".join(platform.python_version_tuple()[:2]),
    "system": platform.system(),
    "machine": platform.machine(),
}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    made_for = json.loads((KIT / "kit.json").read_text())
    if made_for != HERE:
        sys.exit(f"This kit is for {_told(made_for)}; this is {_told(HERE)}. Make one on a machine like this.")
    if folder.exists():
        sys.exit(f"{folder} exists already; name a new folder.")
    try:
        _install(folder)
    except (subprocess.CalledProcessError, OSError, StopIteration) as error:
        shutil.rmtree(folder, ignore_errors=True)  # whole or not at all
        sys.exit(f"Nothing was installed: {error!r}")


def _install(folder: Path) -> None:
    python = _environment(folder / "env")
    # pip runs from its own wheel, because some systems' Python comes without it, and without the machine's settings.
    pip = [python, next((KIT / "wheels").glob("pip-*.whl")) / "pip", "install", "--quiet", "--no-index"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    clean["PIP_CONFIG_FILE"] = os.devnull
    wanted = ["--find-links", KIT / "wheels", "--requirement", KIT / "requirements.txt"]
    subprocess.run([*pip, *wanted], check=True, env=clean)
    find = "import stylelib; print(stylelib.__path__[0])"
    found = subprocess.run([python, "-c", find], check=True, capture_output=True, text=True, cwd=folder)
    package = Path(found.stdout.strip())
    for weights in (KIT / "weights").glob("*.pt"):
        shutil.copy(weights, package / "data" / weights.name)
    shutil.copytree(KIT / "course", folder / "course")
    start = folder / "course" / "notebooks" / "00_start_here.ipynb"
    print(f"Installed. Start with:\n\n    {python.parent / 'jupyter'} lab {start}")


def _environment(folder: Path) -> Path:
    builder = venv.EnvBuilder(symlinks=sys.platform != "win32", with_pip=False)
    builder.create(folder)
    return Path(builder.ensure_directories(folder).env_exe)


def _told(machine: dict[str, str]) -> str:
    return f"Python {machine['python']} on {machine['system']} ({machine['machine']})"


if __name__ == "__main__":
    main()
