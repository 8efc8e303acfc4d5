"""What lessons give their readers to move: pictures behind a slider, and the channels of a network."""

import io
from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import matplotlib
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .images import to_picture


class Flip(widgets.VBox):
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
        super().__init__([self.slider, self.picture])

    def __repr__(self) -> str:
        return "A slider: run this cell to move it."


class Channels(widgets.VBox):
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
        super().__init__([self.layer, self.channel, self.text, self.picture])

    def __repr__(self) -> str:
        return "A browser of channels: run this cell to see it."

    def _draw(self) -> None:
        channels = self._features[self.layer.value][0]
        self.channel.max = len(channels) - 1  # a channel that this layer does not have becomes its last one
        values = channels[self.channel.value].cpu()
        low, high = values.min(), values.max()
        colors = matplotlib.colormaps["viridis"](((values - low) / (high - low).clamp_min(1e-12)).numpy())[..., :3]
        self.picture.value = _file(_enlarged(torch.from_numpy(colors).permute(2, 0, 1)[None], self._width), "png")
        height, width = values.shape
        self.text.value = f"{height} × {width} positions, values from {low:.1f} to {high:.1f}"


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
