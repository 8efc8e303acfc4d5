"""Looking: pictures side by side, loss curves, and a live preview of a running optimization.

Functions return a matplotlib `Figure`; `show` puts one into the notebook together with its description in words.
"""

import io
import math
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

import ipywidgets as widgets
from IPython.display import display
from matplotlib.figure import Figure
from torch import Tensor

from .images import resize, to_picture
from .loop import Step

CURVES = {"content": "--", "style": "-.", "total": "-"}  # line styles, so that no curve is known by its hue alone


def pictures(images: Mapping[str, Tensor], columns: int | None = None, height: float = 3.2) -> Figure:
    """Images side by side, each under its title.

    Args:
        images: title → image (1, 3, H, W) in [0, 1].
        columns: pictures in a row; None puts all of them into one.
        height: of a row, in inches.
    """
    columns = min(columns or len(images), len(images))
    rows = math.ceil(len(images) / columns)
    aspects = [image.shape[-1] / image.shape[-2] for image in images.values()]
    widths = [max(aspects[column::columns]) for column in range(columns)]
    figure = Figure(figsize=(height * sum(widths), rows * (height + 0.35)), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, width_ratios=widths).flat)
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, image) in zip(axes, images.items(), strict=False):
        axis.imshow(image.detach()[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy())
        axis.set_title(title, fontsize=11)
    return figure


def loss_curves(history: Sequence[Step]) -> Figure:
    """Total, content and style loss of each step, on a logarithmic scale; dotted lines where a new scale begins."""
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axis = figure.subplots()
    shown = [name for name in CURVES if name in history[0].losses]
    for name in shown:
        axis.plot([step.index for step in history], [step.losses[name] for step in history], CURVES[name], label=name)
    for before, after in pairwise(history):
        if before.shape != after.shape:
            axis.axvline(after.index, color="gray", linestyle=":", linewidth=1)
    axis.set(xlabel="step (one evaluation each)", ylabel="loss", yscale="log")
    if lowest := min(history[-1].losses[name] for name in shown):
        axis.set_ylim(bottom=lowest / 10)  # the content loss often starts at 0, infinitely far below
    axis.legend()
    axis.grid(alpha=0.3)
    return figure


def show(figure: Figure, alt: str) -> None:
    """Puts a figure into the notebook. `alt` says in words what there is to see, for those who cannot see it."""
    file = io.BytesIO()
    # JPEG: figures here are mostly photographs, and a PNG of those weighs about four times as much.
    figure.savefig(file, format="jpeg", dpi=100, pil_kwargs={"quality": 90, "subsampling": 0})
    bundle = {"image/jpeg": file.getvalue(), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/jpeg": {"alt": alt}})


class LivePreview(widgets.VBox):
    """A progress bar and the picture as it is now. Display it, then hand it to `stylize` as `on_step`.

    Args:
        width: of the picture shown, in pixels.
        interval: seconds between two pictures; drawing every step would cost more than computing it.
    """

    def __init__(self, width: int = 384, interval: float = 0.25):
        self._width, self._interval, self._drawn = width, interval, -math.inf
        self._bar = widgets.IntProgress(0, 0, 1, description="Steps", layout={"width": f"{width}px"})
        self._text = widgets.Label("not started")
        self._picture = widgets.Image(format="jpeg", width=width)
        super().__init__([widgets.HBox([self._bar, self._text]), self._picture])

    def __call__(self, step: Step) -> None:
        done = step.index + 1
        if done < step.steps and time.monotonic() - self._drawn < self._interval:
            return
        self._bar.max, self._bar.value = step.steps, done
        height, width = step.image.shape[-2:]
        self._text.value = f"{done} of {step.steps} at {width} × {height} pixels"
        self._picture.value = _jpeg(step.image, self._width)
        self._drawn = time.monotonic()

    def __repr__(self) -> str:
        return "A progress bar and a live preview: run this cell to see them."


def _jpeg(image: Tensor, width: int) -> bytes:
    """The image as a JPEG file, scaled down for the screen; the browser scales small ones up."""
    scale = min(1.0, width / image.shape[-1])
    image = resize(image.detach().cpu(), max(1, round(max(image.shape[-2:]) * scale)))
    file = io.BytesIO()
    to_picture(image).save(file, format="jpeg", quality=85)
    return file.getvalue()
