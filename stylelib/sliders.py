"""What lessons give their readers to move: pictures behind a slider, channels, positions, and a blind comparison."""

import html
import io
import math
from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets
import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from .images import to_picture
from .look import Panel
from .losses import gram_matrix
from .plots import as_jpeg


class Flip(Panel):
    """Pictures in one place, one at a time: as the slider moves, the eye sees what changes.

    Args:
        pages: name → image (1, 3, H, W), or several of one size, shown side by side.
        description: what the slider chooses.
        first: name of the page that is shown at first; None takes the first there is.
        width: of the picture on the screen.
    """

    def __init__(
        self,
        pages: Mapping[str, Tensor | Sequence[Tensor]],
        description: str,
        first: str | None = None,
        width: int = 384,
    ):
        self._pages = {name: _jpeg(page, width) for name, page in pages.items()}
        first = first or next(iter(pages))
        self.slider = widgets.SelectionSlider(options=list(pages), value=first, description=description)
        self.picture = widgets.Image(value=self._pages[first], format="jpeg", width=width)
        self.slider.observe(lambda change: setattr(self.picture, "value", self._pages[change["new"]]), names="value")
        super().__init__(self.slider, self.picture, width=width)

    def __repr__(self) -> str:
        return "A slider: run this cell to move it."


class Drawn(Panel):
    """A figure that is drawn anew for each position of a slider.

    Args:
        draw: called with the value; returns the figure.
        values: that the slider has.
        description: what it chooses.
        first: the value at first; None takes the first there is.
        width: of the figure on the screen.
    """

    def __init__(
        self,
        draw: Callable[[float], Figure],
        values: Sequence[float],
        description: str,
        first: float | None = None,
        width: int = 640,
    ):
        first = values[0] if first is None else first
        self.slider = widgets.SelectionSlider(
            options=list(values), value=first, description=description, continuous_update=False
        )
        self.picture = widgets.Image(value=as_jpeg(draw(first)), format="jpeg", width=width)
        self.slider.observe(lambda change: setattr(self.picture, "value", as_jpeg(draw(change["new"]))), names="value")
        super().__init__(self.slider, self.picture, width=width)

    def __repr__(self) -> str:
        return "A slider: run this cell to move it."


class Channels(Panel):
    """Any channel of some feature maps, in false colors: its smallest value is dark, its largest yellow.

    Args:
        features: layer → (1, C, h, w).
        first: the layer that is shown at first; None takes the first there is.
        width: of the picture on the screen.
    """

    def __init__(self, features: Mapping[str, Tensor], first: str | None = None, width: int = 320):
        self._features, self._width = features, width
        self.layer = widgets.Dropdown(options=list(features), value=first or next(iter(features)), description="layer")
        self.channel = widgets.IntSlider(0, 0, 0, description="channel")
        self.text, self.picture = widgets.Label(), widgets.Image(format="png", width=width)
        for control in (self.layer, self.channel):
            control.observe(lambda change: self._draw(), names="value")
        self._draw()
        super().__init__(self.layer, self.channel, self.text, self.picture, width=width)

    def __repr__(self) -> str:
        return "A browser of channels: run this cell to see it."

    def _draw(self) -> None:
        channels = self._features[self.layer.value][0]
        self.channel.max = len(channels) - 1  # a channel that this layer does not have becomes its last one
        values = channels[self.channel.value].cpu()
        self.picture.value = _file(_enlarged(_false_colors(values), self._width), "png")
        height, width = values.shape
        self.text.value = f"{height} × {width} positions, values from {values.min():.1f} to {values.max():.1f}"


class Shuffle(Panel):
    """The positions of a layer in random order, as many of them as the slider says, and its Gram matrix beside them.

    In the same order in all channels the Gram matrix stays; where each channel has an order of its own, what was seen
    together is no longer together.

    Args:
        features: (1, C, h, w).
        channel: the one that is shown.
        width: of the picture on the screen.
    """

    TOGETHER, APART = "the same in all channels", "another in each channel"

    def __init__(self, features: Tensor, channel: int = 0, width: int = 480):
        self._features, self._channel, self._width = features.detach().cpu(), channel, width
        self._gram = gram_matrix(self._features)
        self.share = widgets.IntSlider(0, 0, 100, 5, description="shuffled, %", continuous_update=False)
        self.order = widgets.Dropdown(options=[self.TOGETHER, self.APART], description="order")
        self.text, self.picture = widgets.Label(), widgets.Image(format="png", width=width)
        for control in (self.share, self.order):
            control.observe(lambda change: self._draw(), names="value")
        self._draw()
        super().__init__(self.share, self.order, self.text, self.picture, width=width)

    def __repr__(self) -> str:
        return "Positions to shuffle: run this cell to see them."

    def _shuffled(self) -> Tensor:
        chance = torch.Generator().manual_seed(0)
        rows = self._features[0].flatten(1).clone()  # (C, hw)
        moved = torch.randperm(rows.shape[1], generator=chance)[: self.share.value * rows.shape[1] // 100]
        orders = torch.rand(len(rows), len(moved), generator=chance).argsort()
        if self.order.value == self.TOGETHER:
            orders = orders[:1].expand_as(orders)
        rows[:, moved] = rows[:, moved].gather(1, orders)
        return rows.view_as(self._features)

    def _draw(self) -> None:
        features = self._shuffled()
        gram = gram_matrix(features)
        side = self._width // 2
        # Square roots, because a few large fields would leave all others dark.
        scale = self._gram.max().clamp_min(1e-12)
        parts = [_false_colors(features[0, self._channel]), _false_colors((gram[0] / scale).clamp(0, 1).sqrt(), 0, 1)]
        self.picture.value = _file(_beside(*(interpolate(part, (side, side), mode="nearest") for part in parts)), "png")
        change = ((gram - self._gram).square().sum() / self._gram.square().sum().clamp_min(1e-12)).item()
        self.text.value = f"The Gram matrix has changed by {change:.4f} of itself (‖G − A‖² / ‖A‖²)."


class Blind(Panel):
    """Pairs of pictures in random order, their names hidden: judged before they are known, counted, then shown.

    Args:
        question: asks for one of the two.
        pairs: in each, the answer to the question, and the other one: images (1, 3, H, W) of one size.
        seed: of the sides and the order.
        width: of both on the screen.
    """

    def __init__(self, question: str, pairs: Sequence[tuple[Tensor, Tensor]], seed: int = 0, width: int = 480):
        self._pairs, self._width, self._chance = list(pairs), width, torch.Generator().manual_seed(seed)
        self.question = widgets.HTML(f"<b>{html.escape(question)}</b>")
        self.left, self.right = widgets.Button(description="the left one"), widgets.Button(description="the right one")
        self.again = widgets.Button(description="Once more")
        self.text, self.picture = widgets.HTML(), widgets.Image(format="jpeg", width=width)
        self.left.on_click(lambda _: self._choose(0))
        self.right.on_click(lambda _: self._choose(1))
        self.again.on_click(lambda _: self._begin())
        self._begin()
        buttons = widgets.Box([self.left, self.right, self.again], _dom_classes=["stylelib-row"])
        super().__init__(self.question, self.picture, buttons, self.text, width=width)

    def __repr__(self) -> str:
        return "A comparison with hidden names: run this cell to try it."

    def _begin(self) -> None:
        self.order = torch.randperm(len(self._pairs), generator=self._chance).tolist()
        self.sides = torch.randint(2, (len(self._pairs),), generator=self._chance).tolist()  # of the answers
        self.answers: list[bool] = []
        self.text.value = ""
        self._draw()

    def _choose(self, side: int) -> None:
        place = len(self.answers)
        self.answers.append(side == self.sides[place])
        was = (self.left, self.right)[self.sides[place]].description
        said = f"Pair {place + 1}: {'yes' if self.answers[-1] else 'no'}, it was {was}."
        self.text.value = said if len(self.answers) < len(self._pairs) else f"{said} {self.verdict()}"
        self._draw()

    def verdict(self) -> str:
        """How many were found, and how often guessing does as well: the upper tail of a binomial distribution."""
        count, total = sum(self.answers), len(self.answers)
        chance = sum(math.comb(total, k) for k in range(count, total + 1)) / 2**total
        return f"You found {count} of {total}. Guessing finds so many or more in {100 * chance:.0f} of 100 tries."

    def _draw(self) -> None:
        place, over = len(self.answers), len(self.answers) == len(self._pairs)
        self.left.disabled = self.right.disabled = over
        self.again.layout.display = None if over else "none"
        if over:
            return
        answer, other = self._pairs[self.order[place]]
        pair = [other, answer] if self.sides[place] else [answer, other]
        self.picture.value = _file(_beside(*(_enlarged(image.cpu(), self._width // 2) for image in pair)), "jpeg")


def _beside(left: Tensor, right: Tensor) -> Tensor:
    """Two images of one size with white between them."""
    return torch.cat([left, torch.ones(1, 3, left.shape[-2], 12), right], dim=-1)


def _false_colors(values: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """An image (1, 3, h, w) of a map (h, w), from dark at `low` to yellow at `high`, else at its least and largest."""
    low = values.min().item() if low is None else low
    high = values.max().item() if high is None else high
    colors = matplotlib.colormaps["viridis"](((values - low) / max(high - low, 1e-12)).numpy())[..., :3]
    return torch.from_numpy(colors).permute(2, 0, 1)[None]


def _jpeg(page: Tensor | Sequence[Tensor], width: int) -> bytes:
    images = [page] if isinstance(page, Tensor) else page
    return _file(_enlarged(torch.cat([image.cpu() for image in images], dim=-1), width), "jpeg")


def _enlarged(image: Tensor, width: int) -> Tensor:
    """So many times as large that it fills the width, its pixels still to be seen as squares."""
    return interpolate(image, scale_factor=max(1, -(-width // image.shape[-1])), mode="nearest")


def _file(image: Tensor, kind: str) -> bytes:
    file = io.BytesIO()
    to_picture(image).save(file, format=kind, quality=90)
    return file.getvalue()
