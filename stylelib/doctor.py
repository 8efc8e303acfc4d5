"""What this machine has, which backbones are ready, and how long a picture will take."""

import os
import platform
import statistics
import time

import psutil
import torch
import torchvision

from .backbones import RECIPES, Backbone, load_backbone, weights_file
from .images import scaled_shape
from .loop import optimize
from .objective import Objective
from .transfer import STEPS, scales, shares

ASPECT = (3, 4)  # height : width of the photograph that `estimate` assumes


def report(device: str = "auto") -> str:
    """The machine, the libraries and the backbones in a few lines, with the time that a default picture takes here."""
    backbone = load_backbone("slim", device)
    return "\n".join(
        [
            f"python        {platform.python_version()} on {platform.system()} {platform.machine()}",
            f"torch         {torch.__version__}, torchvision {torchvision.__version__}",
            f"processor     {torch.get_num_threads()} threads on {os.cpu_count()} cores",
            f"memory        {_gigabytes(psutil.virtual_memory().available)} free of "
            f"{_gigabytes(psutil.virtual_memory().total)}",
            f"accelerator   {_accelerator()}",
            *(f"{name:13} {_readiness(name)}" for name in RECIPES),
            f"one picture   about {estimate(backbone):.0f} s with slim at 512 pixels on {backbone.mean.device}",
        ]
    )


def estimate(backbone: Backbone, size: int = 512, steps: int = STEPS) -> float:
    """Seconds that `stylize` will take: a few steps at each scale, timed, times the steps each scale gets."""
    seconds = 0.0
    for scale, count in zip(scales(size), shares(steps, len(scales(size))), strict=True):
        picture = torch.rand(1, 3, *scaled_shape(*ASPECT, scale), generator=torch.Generator().manual_seed(0))
        seconds += count * _seconds_per_step(Objective(backbone, picture, picture.flip(-1)), picture)
    return seconds


def _seconds_per_step(objective: Objective, picture: torch.Tensor) -> float:
    """Median of a few steps after one of warm-up. Reading the losses in `optimize` waits for the device."""
    times = []
    start = time.perf_counter()
    for _ in optimize(picture, objective, steps=8):
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
    return statistics.median(times[1:])


def _accelerator() -> str:
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is None:
        return "none found; everything in the course runs on the processor too"
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {_gigabytes(properties.total_memory)}"
    return device.type


def _readiness(name: str) -> str:
    if weights_file(name).is_file():
        return "ready"
    return f"not downloaded ({RECIPES[name].megabytes} MB, fetched when first used)"


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
