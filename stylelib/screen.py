"""Looking at films: flow as colors and as arrows, a slice through time, and a player."""

import io
import math
from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import torch
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from .images import resize_to, to_picture


def flow_colors(flow: Tensor, longest: float | None = None) -> Tensor:
    """An image of a flow: the hue says where to, the saturation how far; white does not move.

    Source of the idea: Baker et al., *A Database and Evaluation Methodology for Optical Flow*, IJCV 2011.

    Args:
        flow: (1, 2, H, W).
        longest: the length in pixels that is shown in full color; None takes the longest there is.
    """
    columns, rows = flow[0].cpu()
    length = torch.hypot(columns, rows)
    hue = torch.atan2(rows, columns) / (2 * math.pi) % 1
    full = (length / (longest or length.max().clamp_min(1e-6))).clamp(max=1)
    colors = hsv_to_rgb(torch.stack([hue, full, torch.ones_like(hue)], dim=-1).numpy())
    return torch.from_numpy(colors).permute(2, 0, 1)[None].float()


def flow_arrows(image: Tensor, flow: Tensor, every: int = 12, height: float = 3.2) -> Figure:
    """The image, and on every so many pixels an arrow from where its pixel was in the frame before to where it is."""
    rows, columns = image.shape[-2:]
    figure = Figure(figsize=(height * columns / rows, height), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.imshow(image.detach()[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy(), alpha=0.6)
    x, y = range(every // 2, columns, every), range(every // 2, rows, every)
    u, v = (part[every // 2 :: every, every // 2 :: every].numpy() for part in flow[0].cpu())
    axis.quiver(list(x), list(y), -u, -v, angles="xy", scale_units="xy", scale=0.5, color="black", pivot="tip")
    return figure


def time_slice(frames: Sequence[Tensor], row: int, thick: int = 6) -> Tensor:
    """An image of one row of pixels through time: frame after frame from top to bottom, `thick` rows for each.

    What stands still draws a vertical line, what moves a slanted one, and what flickers a ragged one.
    """
    rows = [frame[..., row : row + 1, :].expand(-1, -1, thick, -1) for frame in frames]
    return torch.cat(rows, dim=-2)


def strip(frames: Sequence[Tensor]) -> Tensor:
    """Frames side by side, as one image."""
    return torch.cat([frame.cpu() for frame in frames], dim=-1)


class Player(widgets.VBox):
    """Films side by side, to be played, stopped and gone through frame by frame.

    Args:
        films: title → frames (1, 3, H, W); all have the same number.
        width: of each, in screen pixels.
        rate: frames a second.
    """

    def __init__(self, films: Mapping[str, Sequence[Tensor]], width: int = 320, rate: float = 8):
        self._pages = [_page(frames, width) for frames in zip(*films.values(), strict=True)]
        count = len(self._pages)
        play = widgets.Play(min=0, max=count - 1, interval=round(1000 / rate), repeat=True)
        self.slider = widgets.IntSlider(0, 0, count - 1, description="frame")
        self.link = widgets.jslink((play, "value"), (self.slider, "value"))
        self.picture = widgets.Image(value=self._pages[0], format="jpeg", width=width * len(films))
        self.slider.observe(lambda change: setattr(self.picture, "value", self._pages[change["new"]]), names="value")
        titles = widgets.Label("   |   ".join(films))
        super().__init__([titles, self.picture, widgets.HBox([play, self.slider])])

    def __repr__(self) -> str:
        return "A player: run this cell to see it."


def _page(frames: Sequence[Tensor], width: int) -> bytes:
    """Frames side by side, each so wide, as a JPEG file."""
    wide = [resize_to(frame.cpu(), (round(frame.shape[-2] * width / frame.shape[-1]), width)) for frame in frames]
    file = io.BytesIO()
    to_picture(strip(wide)).save(file, format="jpeg", quality=88)
    return file.getvalue()
