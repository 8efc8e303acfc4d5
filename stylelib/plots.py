"""Looking: pictures side by side, loss curves, and a live preview of a running optimization.

Functions return a matplotlib `Figure`; `show` puts one into the notebook together with its description in words.
"""

import html
import io
import math
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image
from torch import Tensor

from .images import resize, to_picture
from .look import Panel
from .loop import Step

CURVES = {"content": "--", "style": "-.", "total": "-"}  # line styles, so that no curve is known by its hue alone
# The last two cost nothing but a little time: the same pixels, a tenth less to download.
JPEG = {"quality": 85, "subsampling": 0, "optimize": True, "progressive": True}
BACKWARD = "#b34700"  # what flows backward, in drawings


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
        axis.imshow(_pixels(image))
        axis.set_title(title, fontsize=11)
    return figure


def _pixels(image: Tensor) -> np.ndarray:
    """(H, W, 3) in [0, 1], as matplotlib wants it."""
    return image.detach()[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()


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
    axis.yaxis.set_major_locator(LogLocator(numticks=8))
    axis.yaxis.set_minor_formatter(NullFormatter())
    legend_beside(axis)
    axis.grid(alpha=0.3)
    return figure


def lines(
    curves: Mapping[str, Sequence[float]],
    places: Sequence[object] | None = None,
    *,
    ylabel: str,
    xlabel: str = "",
    log: bool = False,
    ylim: tuple[float | None, float | None] | None = None,
    markers: bool = True,
) -> Figure:
    """Curves by name, told apart by line and marker as well as by color, with their names beside them.

    Args:
        curves: name → heights.
        places: where they stand, such as names of layers; None counts from 0.
        ylabel, xlabel: what the axes say.
        log: whether heights are drawn on a logarithmic axis.
        ylim: lowest and highest height shown; None leaves it to matplotlib.
        markers: whether each point is marked.
    """
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axis = figure.subplots()
    for (name, heights), line, marker in zip(
        curves.items(), cycle(["-", "--", "-.", ":"]), cycle("os^Dvx"), strict=False
    ):
        at = range(len(heights)) if places is None else places
        axis.plot(at, heights, line, marker=marker if markers else None, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    axis.set_ylim(*(ylim or (None, None)))
    if log:
        _few_ticks(axis)
    legend_beside(axis)
    axis.grid(alpha=0.3)
    return figure


def _few_ticks(axis: Axes) -> None:
    """Names few heights of a logarithmic axis: powers of ten, or 1, 2 and 5 where it spans hardly more than one."""
    lowest, highest = axis.get_ylim()
    short = highest < 300 * lowest
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if short else (1,), numticks=8))
    if short:
        axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def color_clouds(images: Mapping[str, Tensor], angle: float = -60, points: int = 2500) -> Figure:
    """The pixels of each image as points in the cube of red, green and blue, each drawn in its own color.

    Args:
        images: title → image (1, 3, H, W) in [0, 1].
        angle: from which side, in degrees around the axis of blue.
        points: pixels drawn of each image, evenly spread over it.
    """
    figure = Figure(figsize=(3.0 * len(images), 3.2))
    for place, (title, image) in enumerate(images.items(), 1):
        axis = figure.add_subplot(1, len(images), place, projection="3d", azim=angle, elev=18)
        pixels = _pixels(image).reshape(-1, 3)
        pixels = pixels[:: max(1, len(pixels) // points)]
        axis.scatter(*pixels.T, c=pixels, s=5, linewidths=0, depthshade=False)
        axis.set(xlim=(0, 1), ylim=(0, 1), zlim=(0, 1), xlabel="red", ylabel="green", zlabel="blue")
        axis.set(xticks=[0, 1], yticks=[0, 1], zticks=[0, 1])
        axis.set_box_aspect((1, 1, 1), zoom=0.78)
        axis.set_title(title, fontsize=11)
    return figure


def as_jpeg(figure: Figure) -> bytes:
    """A figure as a file for `ipywidgets.Image`."""
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=100, pil_kwargs={"quality": 88})
    return file.getvalue()


def legend_beside(axis: Axes) -> None:
    """A legend to the right of the axes, where it covers no curve. For figures with a constrained layout."""
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)


def method_diagram(content: Tensor, style: Tensor, image: Tensor) -> Figure:
    """The whole method in one drawing: two pictures in, a network, targets, losses, and the gradient to the pixels.

    Args:
        content, style: the two pictures that are given, (1, 3, H, W).
        image: the picture that is being painted, (1, 3, H, W).
    """
    figure = Figure(figsize=(6.0, 6.5))
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, 6), ylim=(0, 6.5))
    axis.set_axis_off()
    for x, title, picture in ((1, "content", content), (3, "the image", image), (5, "style", style)):
        _thumbnail(figure, axis, picture, x, title)
        _arrow(axis, (x, 4.45), (x, 4.2))
        _arrow(axis, (x, 3.6), (x, 3.3))
    _box(axis, 3, 3.9, 5.8, 0.6, "network, frozen: picture → features", "#e6e6e6")
    _box(axis, 1, 2.9, 1.75, 0.8, "target:\nits features", "white")
    _box(axis, 3, 2.9, 1.75, 0.8, "features and\nstatistics", "white")
    _box(axis, 5, 2.9, 1.75, 0.8, "target: its\nstatistics", "white")
    for side, name in ((-1, "content loss"), (1, "style loss")):
        _arrow(axis, (3 + 1.9 * side, 2.5), (3 + 1.75 * side, 2.06))
        _arrow(axis, (3 + 0.6 * side, 2.5), (3 + 1.15 * side, 2.06))
        _arrow(axis, (3 + 1.45 * side, 1.54), (3 + 1.2 * side, 1.16))
        _box(axis, 3 + 1.5 * side, 1.8, 1.9, 0.52, name, "#cfe3f5")
    _box(axis, 3, 0.9, 5.6, 0.52, "total: content loss + weight × style loss", "#cfe3f5")
    for start, end in ((1.16, 2.5), (3.3, 3.6), (4.2, 4.45)):
        _arrow(axis, (3.25, start), (3.25, end), BACKWARD, linestyle=(0, (3, 1.2)), linewidth=2.4)
    axis.text(
        3, 0.36, "dashed: the gradient, back to the pixels", color=BACKWARD, fontsize=14, ha="center", va="center"
    )
    return figure


def _thumbnail(figure: Figure, axis: Axes, picture: Tensor, x: float, title: str) -> None:
    width, height = figure.get_size_inches()
    inset = figure.add_axes(((x - 0.85) / width, 4.45 / height, 1.7 / width, 1.6 / height), anchor="S")
    inset.imshow(_pixels(picture))
    inset.set_axis_off()
    axis.text(x, 6.27, title, fontsize=15, ha="center", va="center")


def _box(axis: Axes, x: float, y: float, width: float, height: float, text: str, color: str) -> None:
    corner, style = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.08"
    axis.add_patch(FancyBboxPatch(corner, width, height, style, facecolor=color, edgecolor="#333333"))
    axis.text(x, y, text, fontsize=14, ha="center", va="center", linespacing=1.25)


def _arrow(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], color: str = "#333333", **line: object
) -> None:
    style = {"arrowstyle": "-|>", "mutation_scale": 15, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0} | line
    axis.add_patch(FancyArrowPatch(start, end, color=color, **style))


def show(figure: Figure, alt: str) -> None:
    """Puts a figure into the notebook. `alt` says in words what there is to see, for those who cannot see it.

    JupyterLab, nbconvert's lab template and GitHub all drop the alt text of an image output, so the words follow
    the picture once more as folded HTML, which all three show. (An HTML output with the picture in it would not do:
    nbval compares HTML, and no two processors compute the same pixels.)
    """
    kind, file, width = _picture_file(figure)
    display({kind: file, "text/plain": alt}, raw=True, metadata={kind: {"alt": alt, "width": width}})
    words = f"<details><summary>The figure in words</summary>{html.escape(alt)}</details>"
    display({"text/html": words}, raw=True)


def _picture_file(figure: Figure) -> tuple[str, bytes, int]:
    """MIME type, file and width on the screen, which has 100 pixels for an inch of the figure.

    Lines and letters are drawn with two pixels for each of the screen's, so that they are sharp; a figure that is
    mostly photographs is not, and is stored as JPEG: as a PNG it would weigh about four times as much.
    """
    figure.draw_without_rendering()  # now the axes have their places
    places = [axis.get_position() for axis in figure.axes if axis.images]
    share = sum(place.width * place.height for place in places)
    options = {"format": "jpeg", "pil_kwargs": JPEG} if places else {"format": "png"}
    file = io.BytesIO()
    figure.savefig(file, dpi=100 if share > 0.5 else 200, **options)
    if not places:  # lines have few colors: a palette of them takes a third of the bytes
        few, file = Image.open(file).convert("RGB").quantize(64), io.BytesIO()
        few.save(file, format="png", optimize=True)
    return f"image/{options['format']}", file.getvalue(), round(100 * figure.get_figwidth())


class LivePreview(Panel):
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
        super().__init__(widgets.HBox([self._bar, self._text]), self._picture, width=width)

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


HATCHES = ("", "//", "..", "xx")


def bars(groups: Mapping[str, Mapping[str, float]], ylabel: str) -> Figure:
    """Bars side by side for each label, one of each group, told apart by hatching as well as by color.

    Args:
        groups: name of a group → label → height, at most four; all groups have the same labels.
        ylabel: what the vertical axis says.
    """
    figure = Figure(figsize=(7.5, 3.1), layout="constrained")
    axis = figure.subplots()
    width = 0.8 / len(groups)
    for index, ((name, heights), hatch) in enumerate(zip(groups.items(), HATCHES[: len(groups)], strict=True)):
        places = [place + (index - (len(groups) - 1) / 2) * width for place in range(len(heights))]
        axis.bar(places, heights.values(), 0.95 * width, hatch=hatch, edgecolor="white", label=name)
    axis.set_xticks(range(len(heights)), heights)
    axis.set_ylabel(ylabel)
    axis.grid(axis="y", alpha=0.3)
    legend_beside(axis)
    return figure
