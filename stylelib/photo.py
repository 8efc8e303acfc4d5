"""Recipes for photographs: the colors and the tone of another photograph, and no texture.

A map from color to color that matches exactly tears flat regions apart, and their noise shows. The default keeps what
such a map wants and gives up where it would show: the correction that it asks for is made smooth over the picture
(after Rabin, Delon, Gousseau, *Removing Artefacts From Color and Contrast Modifications*, IEEE TIP 20(11), 2011).
What every pixel gets is then a·(its brightness) + b beside one linear map, and a and b change slowly: locally affine
in the content's colors, so edges and straight lines stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from . import bilateral, color
from .backbones import load_backbone
from .color import ColorMap
from .images import as_image
from .masks import check_mask, resize_mask
from .objective import Objective, Style
from .transfer import SHORTEST

SIDE = 256  # of the small copies on which a transfer is found; it is then applied at full size
STRIP = 256  # rows that are worked on at a time: memory beside the pictures does not grow with them
STEPS = 6  # of sliced transport
LIGHTNESS = 0.3  # of the step that lightness takes: its edges are the picture; colors may go all the way
STEEPEST = 2.5  # slope of a step, at most: what is nearly one color, a sky, must stay so, or it gets blotches
RADIUS = 12  # pixels of the small copy
SMOOTH_LIGHTNESS, SMOOTH_COLOR = 0.1, 0.03  # guided filter: what counts as an edge; color may follow finer ones
EVALUATIONS = 40  # of the optimized method
LOOK_LAYERS = ("relu1_1", "relu2_1", "relu3_1")  # slim's: color and contrast; deeper ones ask for the style's things
LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709, on sRGB values: how bright, roughly, without a power for every pixel


Region = tuple[Tensor, Tensor]  # masks of the content and of the style, (1, 1, H, W)


@dataclass(frozen=True)
class Grade:
    """What is done to a picture, found on small copies.

    Attributes:
        moves: the map from color to color of each region.
        masks: (1, 1, H, W) of each region; none where there is one region, the whole picture.
        lines: slope and shift of the smooth correction, (1, 6, h, w): three channels each; None: no correction.
        grid: affine maps that are added, as in `bilateral`; None: none.
        low, high: where the colors of the result begin and end before they are bent into [0, 1].
    """

    moves: list[ColorMap]
    masks: list[Tensor]
    lines: Tensor | None = None
    grid: Tensor | None = None
    low: float = 0.0
    high: float = 1.0

    def apply(self, image: Tensor, strength: float = 1.0) -> Tensor:
        """The picture, graded, strip by strip. `strength` 0 is the picture itself."""
        height, width = image.shape[-2:]
        masks = [resize_mask(mask, (height, width)) for mask in self.masks]
        result = torch.empty_like(image)
        for top in range(0, height, STRIP):
            rows = slice(top, min(top + STRIP, height))
            strip = image[..., rows, :]
            graded = _blend(self.moves, [mask[..., rows, :] for mask in masks])(strip)
            if self.lines is not None:
                slope, shift = _enlarge_rows(self.lines, rows, (height, width)).chunk(2, dim=1)
                graded = graded + slope * _brightness(strip) + shift
            if self.grid is not None:
                graded = graded + bilateral.affine(
                    strip, bilateral.read(self.grid, _brightness(strip).clamp(0, 1), rows, height)
                )
            share = strength * sum(mask[..., rows, :] for mask in masks).clamp(max=1) if masks else strength
            result[..., rows, :] = strip + share * (color.compress(graded, self.low, self.high) - strip)
        return result


def transfer_photo(
    content: Tensor,
    style: Tensor,
    *,
    method: str = "smooth",
    strength: float = 1.0,
    regions: Sequence[Region] = (),
) -> Tensor:
    """Gives a photograph the colors and the tone of another one.

    Args:
        content, style: images (1, 3, H, W) of any sizes.
        method: "smooth", the default: close to all of the style's colors, without grain (see `photo`'s first lines);
            "optimized", which takes seconds: the style loss of shallow layers chooses an affine map for each place and
            brightness (see `bilateral`), and pictures under 32 pixels, too small for the network, get the linear map
            alone; or a map from color to color: "reinhard", "linear" (Monge-Kantorovich), "covariance", "full" (the
            whole distribution, which can speckle).
        strength: from 0, the content, to 1.
        regions: pairs of masks, of the content and of the style: these colors go there. What no region covers stays.

    Returns:
        image (1, 3, H, W) in [0, 1], of the content's size.

    Raises:
        ValueError: an unknown method, a strength outside [0, 1], a mask that is none, no images.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"The strength lies between 0, the content, and 1; {strength:g} was asked for.")
    content, style = as_image(content, "content"), as_image(style, "style")
    return find_grade(content, style, method, regions).apply(content, strength)


def find_grade(
    content: Tensor,
    style: Tensor,
    method: str = "smooth",
    regions: Sequence[Region] = (),
) -> Grade:
    """What `transfer_photo` does to the content, ready to be done to other pictures, or to be saved as a table."""
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    for content_mask, style_mask in regions:
        check_mask(content_mask, "content's mask")
        check_mask(style_mask, "style's mask")
    content, style = _small(content), _small(style)
    masks = [resize_mask(mask, tuple(content.shape[-2:])) for mask, _ in regions]
    inside = [_inside(content, mask) for mask in masks] or [content]
    wanted = [_inside(style, resize_mask(mask, tuple(style.shape[-2:]))) for _, mask in regions] or [style]
    moves = [METHODS[method](*pair) for pair in zip(inside, wanted, strict=True)]
    result = _blend(moves, masks)(content)
    lines = grid = None
    if method == "smooth":
        result, lines = _smooth_correction(content, result, wanted, masks)
    elif method == "optimized" and min(*content.shape[-2:], *style.shape[-2:]) >= SHORTEST:
        result, grid = _optimized(content, result, style, regions)
    low, high = min(0.0, result.min().item()), max(1.0, result.max().item())
    return Grade(moves, [mask for mask, _ in regions], lines, grid, low, high)


def global_map(content: Tensor, style: Tensor, method: str = "linear") -> ColorMap:
    """The transfer as a map from color to color, which a color table can hold. The methods of `LOCAL` are none."""
    if method in LOCAL:
        others = ", ".join(name for name in METHODS if name not in LOCAL)
        raise ValueError(
            f"The method {method!r} treats places differently, which no color table can; choose one of {others}."
        )
    grade = find_grade(content, style, method)
    return grade.apply


def _full_map(image: Tensor, reference: Tensor) -> ColorMap:
    move = color.distribution_map(color.to_lab(image), color.to_lab(reference))
    return lambda colors: color.from_lab(move(color.to_lab(colors)))


METHODS: dict[str, Callable[[Tensor, Tensor], ColorMap]] = {
    "smooth": color.monge_kantorovich_map,  # where its correction starts
    "linear": color.monge_kantorovich_map,
    "covariance": color.covariance_map,
    "reinhard": color.reinhard_map,
    "full": _full_map,
    "optimized": color.monge_kantorovich_map,  # where it starts
}
LOCAL = ("smooth", "optimized")  # what it does to a color depends on its place


def _smooth_correction(
    content: Tensor, result: Tensor, wanted: list[Tensor], masks: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Sliced transport in Lab whose every step is smoothed before it is taken: the result, and its sum of lines."""
    guide, lines = _brightness(content), torch.zeros_like(content).repeat(1, 2, 1, 1)
    targets = [color.to_lab(pixels) for pixels in wanted]
    for rotation in color.rotations(STEPS).to(content):
        lab = color.to_lab(result)
        inside = [_inside(lab, mask) for mask in masks] or [lab]
        moves = [color.slice_map(*pair, rotation, STEEPEST) for pair in zip(inside, targets, strict=True)]
        step = _blend(moves, masks)(lab) - lab
        for share, edge in ((_lab(step, LIGHTNESS, 0), SMOOTH_LIGHTNESS), (_lab(step, 0, 1), SMOOTH_COLOR)):
            change = color.from_lab(lab + share * step) - color.from_lab(lab)
            slope, shift = local_lines(guide, change, RADIUS, edge)
            lines = lines + torch.cat([slope, shift], dim=1)
            result = result + slope * guide + shift
    return result, lines


def _optimized(content: Tensor, start: Tensor, style: Tensor, regions: Sequence[Region]) -> tuple[Tensor, Tensor]:
    """A grid of affine maps that brings the start nearer to the style's look: the result, and the grid."""
    styles = [Style(style, where=where, part=part) for where, part in regions] or style
    backbone = load_backbone("slim", content.device)
    objective = Objective(backbone, content, styles, variation_weight=0, style_layers=LOOK_LAYERS)
    guide = _brightness(content)
    grid = bilateral.optimize_grid(content, guide, start, objective, EVALUATIONS)
    return start + bilateral.affine(content, bilateral.read(grid, guide)), grid


def local_lines(guide: Tensor, values: Tensor, radius: int, edge: float) -> tuple[Tensor, Tensor]:
    """Slope and shift of the guided filter: in every window, the line of the guide that comes closest to the values.

    slope = cov(guide, values) / (var(guide) + edge), shift = mean(values) - slope · mean(guide), both averaged over the
    windows that hold a pixel. Source: He, Sun, Tang, *Guided Image Filtering*, ECCV 2010, equations 5, 6 and 8.

    Args:
        guide: (1, 1, H, W).
        values: (1, C, H, W).
        radius: the window has 2 · radius + 1 pixels a side.
        edge: a variance of the guide; where it is larger, the result follows the guide's edges.

    Returns:
        two tensors (1, C, H, W).
    """

    def mean(x: Tensor) -> Tensor:
        return window_mean(x, radius)

    center = mean(guide)
    slope = (mean(guide * values) - center * mean(values)) / (mean(guide * guide) - center**2 + edge)
    return mean(slope), mean(mean(values) - slope * center)


def window_mean(x: Tensor, radius: int) -> Tensor:
    side = 2 * radius + 1
    rows = avg_pool2d(pad(x, (radius, radius, 0, 0), mode="replicate"), (1, side), 1)
    return avg_pool2d(pad(rows, (0, 0, radius, radius), mode="replicate"), (side, 1), 1)


def _blend(moves: Sequence[ColorMap], masks: Sequence[Tensor]) -> ColorMap:
    """Each region's map in its region; where regions overlap, their mean; where there is none, nothing changes."""
    if not masks:
        return moves[0]
    total = sum(masks).clamp(min=1e-6)

    def blended(image: Tensor) -> Tensor:
        changes = [mask / total * (move(image) - image) for move, mask in zip(moves, masks, strict=True)]
        return image + sum(changes)

    return blended


def _inside(image: Tensor, mask: Tensor) -> Tensor:
    """The pixels of a region, as an image of one row: those that the mask holds at least half as much as any."""
    return image[..., mask[0, 0] >= mask.max() / 2].unsqueeze(2)


def _enlarge_rows(field: Tensor, rows: slice, shape: tuple[int, int]) -> Tensor:
    """Some rows of the field, enlarged to (H, W): bilinear, as `interpolate` does it for all of them at once."""
    height, width = shape
    place = ((torch.arange(rows.start, rows.stop).to(field) + 0.5) * field.shape[-2] / height - 0.5).clamp(min=0)
    above = place.long().clamp(max=field.shape[-2] - 1)
    below = (above + 1).clamp(max=field.shape[-2] - 1)
    lines = field[..., above, :].lerp(field[..., below, :], (place - above)[:, None])
    return interpolate(lines, (lines.shape[-2], width), mode="bilinear", align_corners=False)


def _small(image: Tensor) -> Tensor:
    scale = SIDE / max(image.shape[-2:])
    if scale >= 1:
        return image
    shape = [max(1, round(side * scale)) for side in image.shape[-2:]]
    return interpolate(image, shape, mode="bilinear", antialias=True, align_corners=False)


def _brightness(image: Tensor) -> Tensor:
    return sum(weight * image[:, channel : channel + 1] for channel, weight in enumerate(LUMA))


def _lab(lab: Tensor, lightness: float, colors: float) -> Tensor:
    return lab.new_tensor([lightness, colors, colors])[:, None, None]
