"""What the studio puts on the screen: pictures compared, as files for the browser; a loss curve."""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence

import torch
from PIL import ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

from .images import resize, resize_to, to_picture

WIDE = 768  # long side of what is sent to the screen
THUMBNAIL = 144  # pixels, two for each of the screen's
VIEWS = {"Picture": "picture", "Before | after": "split", "Side by side": "beside"}
DASHES = {"total": "", "style": "7 3", "content": "2 3"}


def compare(
    before: Tensor,
    after: Tensor,
    view: str = "picture",
    *,
    split: float = 0.5,
    zoom: int = 1,
    across: float = 0.5,
    down: float = 0.5,
) -> Tensor:
    """The picture that the screen shows.

    Args:
        before, after: images (1, 3, H, W); the first is scaled to the shape of the second.
        view: "picture", which is `after`; "split": left of a line the one, right of it the other; or "beside".
        split: where the line is, from 0, the left border, to 1.
        zoom: so many times as large: only that part of the picture, each pixel a sharp square.
        across, down: the middle of that part.
    """
    shape = tuple(after.shape[-2:])
    rows, columns = (_window(length, zoom, place) for length, place in zip(shape, (down, across), strict=True))
    before, after = (each[..., rows, columns] for each in (resize_to(before, shape), after))
    times = max(1, WIDE // (max(shape) // zoom)) if zoom > 1 else 1
    before, after = (each.repeat_interleave(times, 2).repeat_interleave(times, 3) for each in (before, after))
    height, width = after.shape[-2:]
    if view == "split":
        edge = round(split * width)
        line = torch.ones(1, 3, height, 2 if 0 < edge < width else 0)
        return torch.cat([before[..., :edge], line, after[..., edge:]], dim=-1)[..., :width]
    if view == "beside":
        return torch.cat([before, torch.full((1, 3, height, max(2, width // 100)), 0.5), after], dim=-1)
    return after


def _window(length: int, zoom: int, place: float) -> slice:
    size = max(1, length // zoom)
    first = round(place * (length - size))
    return slice(first, first + size)


def jpeg(image: Tensor, quality: int = 90) -> bytes:
    """An image as a file for the screen, made smaller if it is larger than that."""
    image = image.detach().cpu()
    if max(image.shape[-2:]) > 2 * WIDE:
        image = resize(image, 2 * WIDE)
    file = io.BytesIO()
    to_picture(image).save(file, format="jpeg", quality=quality, subsampling=0)
    return file.getvalue()


def enlarged_start(image: Tensor, size: int) -> Tensor:
    """A small image on the way, quickly scaled up to be looked at."""
    scale = size / max(image.shape[-2:])
    return image if scale <= 1 else interpolate(image, scale_factor=scale, mode="bilinear").clamp(0, 1)


def thumbnail(image: Tensor) -> str:
    """The middle of an image, square, as an address for style sheets."""
    picture = ImageOps.fit(to_picture(image), (THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, format="jpeg", quality=80)
    return address("image/jpeg", file.getvalue())


def address(kind: str, data: bytes) -> str:
    """A file as an address that holds all of it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def loss_curve(history: Sequence[Mapping[str, float]], steps: int) -> str:
    """The losses so far as a drawing in HTML, on a logarithmic axis; nothing before there are two steps.

    A string of a few kilobytes, which costs a hundredth of what a figure of matplotlib does.
    """
    if len(history) < 2:
        return ""
    every = history[:: math.ceil(len(history) / 160)]
    final = {name: history[-1][name] for name in DASHES if name in history[-1]}
    logs = {name: [math.log10(max(losses[name], 1e-9)) for losses in every] for name in final}
    # The content loss begins at zero, infinitely far below.
    low = min(math.log10(max(value, 1e-9)) for value in final.values()) - 0.5
    high = max(max(values) for values in logs.values())
    lines = [
        f'<polyline fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="{DASHES[name]}" points="'
        + " ".join(
            f"{300 * index / max(1, len(every) - 1) * len(history) / steps:.1f},"
            f"{100 - 96 * (max(value, low) - low) / max(high - low, 1e-9):.1f}"
            for index, value in enumerate(values)
        )
        + '" vector-effect="non-scaling-stroke"/>'
        for name, values in logs.items()
    ]
    marks = {"total": "solid", "style": "dashed", "content": "dotted"}
    words = ", ".join(f"{name} {final[name]:.3g} ({marks[name]})" for name in final)
    return (
        f'<figure class="stylelib-curve"><svg viewBox="0 0 300 104" preserveAspectRatio="none" role="img" '
        f'aria-label="Losses after {len(history)} of {steps} evaluations: {words}">{"".join(lines)}</svg>'
        f"<figcaption>Losses, logarithmic, after {len(history)} of {steps} evaluations: {words}</figcaption></figure>"
    )


def progress(done: int, steps: int, text: str) -> str:
    """A bar and what it says."""
    return f'<progress max="{steps}" value="{done}" aria-label="progress"></progress> <span>{html.escape(text)}</span>'
