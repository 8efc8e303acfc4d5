"""How much memory there is to take, on a machine and in the container that a process may run in."""

from pathlib import Path

import psutil

CONTROL_GROUPS = {  # where Linux tells a container how much memory it may use and uses: version 2, version 1
    "memory.max": ("memory.current", "inactive_file"),
    "memory/memory.limit_in_bytes": ("memory/memory.usage_in_bytes", "total_inactive_file"),
}


def free() -> int:
    """Bytes that this process can still take."""
    return int(min(psutil.virtual_memory().available, *allowances()))


def gigabytes(count: float) -> str:
    """So many bytes in words: 1610612736 is "1.5 GiB"."""
    return f"{count / 2**30:.1f} GiB"


def allowances(folder: Path = Path("/sys/fs/cgroup")) -> list[float]:
    """What the container that this process may run in leaves it: limit − used + files that can be dropped."""
    found = [float("inf")]
    for limit, (used, droppable) in CONTROL_GROUPS.items():
        try:
            files = dict(line.split() for line in (folder / used).with_name("memory.stat").read_text().splitlines())
            left = int((folder / limit).read_text()) - int((folder / used).read_text()) + int(files[droppable])
        except (OSError, ValueError, KeyError):  # no such version, or no limit ("max")
            continue
        found.append(left)
    return found
