"""What this machine has, which backbones are ready, and how long a picture will take."""

import os
import platform
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torch
from torch import Tensor

from . import cost
from .backbones import (
    MIXED,
    RECIPES,
    WORTHWHILE,
    Backbone,
    bfloat16_speedup,
    chosen_device,
    has_weights,
    load_backbone,
)
from .images import resize, scaled_shape
from .objective import Near, Objective
from .tiles import TILE
from .transfer import STEPS, check_image, plan

if TYPE_CHECKING:
    from .clips import Clip

ASPECT = (3, 4)  # height : width of a photograph


def report(device: str = "auto", *, backbone: str = "slim", size: int = 512, steps: int = STEPS) -> str:
    """The machine, the libraries and the backbones in a few lines, and what a picture of that size takes here.

    Args:
        device, backbone: as in `load_backbone`.
        size, steps: as in `stylize`. If that picture is impossible here, its line says why.
    """
    photograph = torch.full((1, 3, *ASPECT), 0.5)  # scaled up to the size where it is needed
    device = chosen_device(device)
    try:
        one_picture = forecast(photograph, load_backbone(backbone, device), size, steps)
    except ValueError as error:  # a size too large, weights that are not there: the rest of the report is still of use
        one_picture = str(error)
    return "\n".join(
        [
            f"python        {platform.python_version()} on {platform.system()} {platform.machine()}",
            f"torch         {torch.__version__}, torchvision {version('torchvision')}",
            f"processor     {processor()}, {torch.get_num_threads()} threads on {os.cpu_count()} cores",
            f"memory        {cost.gigabytes(psutil.virtual_memory().available)} free of "
            f"{cost.gigabytes(psutil.virtual_memory().total)}",
            f"accelerator   {_accelerator()}",
            f"precision     {_precision(device)}",
            *(f"{name:13} {_readiness(name)}" for name in RECIPES),
            f"one picture   {one_picture}",
        ]
    )


def forecast(content: Tensor, backbone: Backbone, size: int = 512, steps: int = STEPS, reading: int = 0) -> str:
    """Seconds and memory that `stylize` will take, in one line; `reading` is what decoding the content took before.

    Raises:
        ValueError: what `stylize` would refuse, a size beyond the free memory among it.
    """
    content = check_image("content", content, size)

    def objective_at(scale: int, make: type[Objective]) -> Objective:
        picture = resize(content, scale)
        return make(backbone, picture, picture.flip(-1))  # any style of this shape costs the same

    shape, device = tuple(content.shape[-2:]), backbone.mean.device
    _, last = plan(size, steps, [scaled_shape(*shape, size)])[-1]
    way = cost.fitting_way(objective_at, device, shape, size, last)
    used = _in_use(device)  # before steps are timed: what they let go is kept for the next ones
    seconds = estimate(backbone, size, steps, shape, way.make)
    height, width = scaled_shape(*shape, size)
    tensors = cost.memory(objective_at, shape, size, last, way=way, values=size <= cost.SMALL)  # it fits, as `way` says
    memory = used + max(reading, cost.CAUTION * tensors)
    return (
        f"{width} × {height} pixels with {backbone.name} on {device}, {steps} evaluations: "
        f"about {max(seconds, 1):.0f} s and {cost.gigabytes(memory)} of memory"
    )


def forecast_film(clip: "Clip", backbone: Backbone, size: int = 384, steps: int = STEPS) -> str:
    """Seconds and memory that `stylize_video` will take, in one line. How many shots there are it cannot know.

    Raises:
        ValueError: what `stylize_video` would refuse.
    """
    from .flow import optical_flow, sharpen  # here: a picture needs neither these nor scikit-image
    from .video import Carry

    content = torch.rand(1, 3, *clip.shape, generator=torch.Generator().manual_seed(0))
    one_picture = forecast(content, backbone, size, steps)
    memory = re.search("[^ ]+ [^ ]+ of memory", one_picture)[0]
    first = estimate(backbone, size, steps, clip.shape)
    objective = Objective(backbone, content, content.flip(-1), also=[Near(content), Near(content, name="long-term")])
    sharpen(content, content, optical_flow(content, content))  # the first call imports scikit-image
    began = time.perf_counter()
    sharpen(content, content, optical_flow(content, content))  # as for each frame, to the last one and far back
    each = cost.seconds(objective, content, Carry().steps) + time.perf_counter() - began
    height, width = clip.shape
    count = clip.count or 1
    total = max(1, first + each * (count - 1))
    duration = f"{total:.0f} s" if total < 120 else f"{total / 60:.0f} min"
    return (
        f"{count} frames of {width} × {height} pixels with {backbone.name} on {backbone.mean.device}: "
        f"about {duration} in one shot, {max(first, 1):.0f} s more for each further one, and {memory}"
    )


def estimate(
    backbone: Backbone, size: int, steps: int, shape: tuple[int, int], make: Callable[..., Objective] = Objective
) -> float:
    """Seconds that `stylize` will take: a few steps at each scale, timed, for as many as each scale gets.

    Args:
        shape: (H, W) of the content, in any size.
        make: kind of objective of the largest scale. Tiles cost the same each, so one stands for all of them.
    """
    total = 0.0
    for scale, count in plan(size, steps, [scaled_shape(*shape, size)]):
        timed, kind = min(scale, TILE), make if scale == size else Objective
        picture = torch.rand(1, 3, *scaled_shape(*shape, timed), generator=torch.Generator().manual_seed(0))
        total += (scale / timed) ** 2 * cost.seconds(kind(backbone, picture, picture.flip(-1)), picture, count)
    return total


def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as Linux or Python knows it, and the instructions that torch uses on it."""
    try:
        known = dict(re.findall(r"^(model name|cpu family|model)\s*: (.+)$", file.read_text(), re.MULTILINE))
    except OSError:  # not Linux
        known = {}
    name = known.get("model name") or platform.processor() or platform.machine()
    if "model" in known:  # a virtual machine may call all processors of a maker by one name
        name += f" (family {known['cpu family']}, model {known['model']})"
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _in_use(device: torch.device) -> int:
    """Bytes that the libraries and the network already take."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def _accelerator() -> str:
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is None:
        return "none found; everything in the course runs on the processor too"
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {cost.gigabytes(properties.total_memory)}"
    return device.type


def _precision(device: torch.device) -> str:
    """What `load_backbone` takes unless it is told, and what it has measured."""
    speedup = bfloat16_speedup(device)
    if speedup == 0:
        return f"float32, as {device} has no instructions for bfloat16"
    if speedup > WORTHWHILE:
        return f"bfloat16 for {' and '.join(MIXED)}: {speedup:.1f} times as fast as float32 on {device}"
    return f"float32, as convolutions in bfloat16 take {1 / speedup:.1f} times as long on {device}"


def _readiness(name: str) -> str:
    if has_weights(name):
        return "ready"
    return f"not downloaded ({RECIPES[name].megabytes} MB, fetched when first used)"
