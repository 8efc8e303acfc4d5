"""The objective of one transfer: targets and weights, as a function of the image.

It is a weighted sum of *terms*. Those that look at features are losses of **sums over positions**: squared distances,
Gram matrices. Sums over positions add up over the parts of a picture, so a large picture can be seen part by part.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .backbones import Backbone
from .images import resize_to, scaled_shape
from .losses import (
    energy,
    gram_distance,
    gram_matrix,
    gram_sum,
    gram_sum_gradient,
    out_of_range,
    scaled_content,
    squared_distances,
    total_variation,
)
from .masks import check_mask, resize_mask, to_layers, union

# Chosen on four pairs of pictures; tools/train_slim.md shows what other values gave.
STYLE_WEIGHT = 32.0
VARIATION_WEIGHT = 4.0
RANGE_WEIGHT = 10.0

Layers = Sequence[str] | Mapping[str, float]
Features = Mapping[str, Tensor]
Places = Mapping[str, tuple[slice, slice]]  # layer → which rows and columns of its feature map a part of it is


@dataclass(frozen=True, eq=False)
class Style:
    """A style: whose strokes, how much of them, how large, and where.

    Attributes:
        image: the picture (1, 3, H', W').
        weight: against the other styles of the same transfer.
        scale: of its strokes: 2 paints them twice as large.
        where: mask of the content that it paints, (1, 1, H, W) of any size; None paints all of it.
        part: mask of the style picture that it is taken from; None takes all of it.
        layers: names, or name → weight: shallow ones hold the fine structure, deep ones the coarse; None takes the
            objective's own.
    """

    image: Tensor
    weight: float = 1.0
    scale: float = 1.0
    where: Tensor | None = None
    part: Tensor | None = None
    layers: Layers | None = None

    def __post_init__(self):
        if not (0 <= self.weight < float("inf") and 0 < self.scale < float("inf")):
            raise ValueError("A style's weight must not be negative, and its scale must be above 0; both are finite.")
        for mask, role in ((self.where, "mask where a style paints"), (self.part, "mask of a part of a style")):
            if mask is not None:
                check_mask(mask, role)

    def at(self, size: int) -> "Style":
        """This style for a picture of long side `size`: its image that long times the scale, the scale then 1."""
        return replace(self, image=resize_to(self.image, self.shape_at(size)), scale=1.0)

    def shape_at(self, size: int) -> tuple[int, int]:
        """(H', W') of its image for a picture of long side `size`."""
        return scaled_shape(*self.image.shape[-2:], max(1, round(size * self.scale)))


def as_styles(style: "Tensor | Style | SeenStyle | Sequence[Tensor | Style | SeenStyle]") -> list:
    """An image, a `Style`, or a list of them, as a list of styles; those of weight 0 are left out."""
    styles = style if isinstance(style, (list, tuple)) else [style]
    styles = [each if isinstance(each, (Style, SeenStyle)) else Style(each) for each in styles]
    if not (styles := [each for each in styles if each.weight]):
        raise ValueError("There is no style, or the weights of all styles are zero; one at least must be above.")
    return styles


@dataclass(frozen=True, eq=False)
class SeenStyle:
    """A style as a network sees it; computed once, it serves any number of contents.

    Attributes:
        grams: layer → Gram matrix (1, C, C).
        layers: layer → weight.
        weight, where: of the `Style`.
    """

    grams: dict[str, Tensor]
    layers: dict[str, float]
    weight: float = 1.0
    where: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ContentTerm:
    """Features near those of the content.

    Attributes:
        targets: layer → features (1, C, h, w) of the whole content.
        layers: layer → weight.
    """

    targets: dict[str, Tensor]
    layers: dict[str, float]
    convention: str = "relative"
    name: str = "content"

    def sums(self, features: Features, places: Places | None = None) -> dict[str, Tensor]:
        """Layer → ‖F − P‖² over the positions given: of a part of the picture if `places` says which."""
        return squared_distances(features, _cut(self.targets, places))

    def gradient(self, layer: str, feature: Tensor, of_sum: Tensor, places: Places) -> Tensor:
        """The gradient at features F (1, C, h, w) of a layer, from g, that of the loss at their sum: 2 g (F − P)."""
        return (feature - self.targets[layer][..., *places[layer]]).mul_(2 * of_sum)

    def loss(self, sums: Mapping[str, Tensor], positions: Mapping[str, int]) -> Tensor:
        """The content loss, from the sums over the whole picture."""
        return scaled_content(sums, self.targets, weights=self.layers, convention=self.convention)


@dataclass(frozen=True, eq=False)
class StyleTerm:
    """Gram matrices near those of the styles that paint the same part of the picture.

    Attributes:
        styles: what is to be come near to.
        shares: how much of the style loss each of them is.
        masks: layer → mask (1, 1, h, w) of the whole picture; empty if all of it is painted.
    """

    styles: list[SeenStyle]
    shares: list[float]
    masks: dict[str, Tensor] = field(default_factory=dict)
    convention: str = "relative"
    name: str = "style"

    @property
    def layers(self) -> dict[str, float]:
        """Every layer that one of the styles asks for."""
        return {name: weight for style in self.styles for name, weight in style.layers.items()}

    def sums(self, features: Features, places: Places | None = None) -> dict[str, Tensor]:
        """Layer → Σ m² F Fᵀ over the positions given: of a part of the picture if `places` says which."""
        masks = _cut(self.masks, places)
        return {name: gram_sum(features[name], masks.get(name)) for name in self.layers}

    def gradient(self, layer: str, feature: Tensor, of_sum: Tensor, places: Places) -> Tensor:
        """The gradient at features F (1, C, h, w) of a layer, from g, that at their sum (1, C, C): m² (g + gᵀ) F."""
        mask = self.masks[layer][..., *places[layer]] if self.masks else None
        return gram_sum_gradient(feature, of_sum, mask)

    def loss(self, sums: Mapping[str, Tensor], positions: Mapping[str, int]) -> Tensor:
        """The style loss, from the sums over the whole picture and its number of positions at each layer."""
        counts = {name: energy(mask) for name, mask in self.masks.items()} or positions
        grams = {name: total / counts[name] for name, total in sums.items()}
        return sum(
            share * gram_distance(grams, style.grams, weights=style.layers, convention=self.convention)
            for style, share in zip(self.styles, self.shares, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Near:
    """Pixels near those of a picture: mean of m (x − target)², for the objective's `also`.

    Attributes:
        target: image (1, 3, H, W).
        mask: (1, 1, H, W), where it counts; None counts all.
        weight: in the total.
        name: of this loss.
    """

    target: Tensor
    mask: Tensor | None = None
    weight: float = 1.0
    name: str = "near"

    def __call__(self, image: Tensor) -> Tensor:
        distance = (image - self.target.to(image.device)).square()
        return (distance if self.mask is None else self.mask.to(image.device) * distance).mean()


class Objective:
    """total = content_weight · content + style_weight · style + variation_weight · variation + range_weight · range.

    The targets, features of the content and Gram matrices of the style, are computed once, here. Leave out `style`
    to reconstruct a picture from its features, leave out `content` to synthesize a texture.

    Args:
        backbone: the network that sees the pictures; images are moved to its device.
        content: image (1, 3, H, W). The image that is optimized must have the same height and width.
        style: image (1, 3, H', W') of any size: Gram matrices do not depend on it. Or a `Style`, or a list of them.
            Weights are relative: each style counts with its weight times the area that it paints.
        content_weight, style_weight: the trade-off. Losses are dimensionless, so one style weight means about the
            same on every backbone and at every size.
        variation_weight: smoothness (`total_variation`).
        range_weight: how hard pixels are held in [0, 1] (`out_of_range`).
        content_layers, style_layers: names, or name → weight; None takes the backbone's own.
        convention: the scale of the losses, see `stylelib.losses`.
        also: further terms of the image, such as `Near`.

    Attributes:
        terms: those that look at features: `ContentTerm`, `StyleTerm`.
        image_terms: name → function of the image.
        weights: name → weight in the total.

    Raises:
        ValueError: neither content nor style, a weight that is negative or not finite, a mask without a content that
            it is a mask of.
        BackboneError: a layer the backbone does not have.
    """

    def __init__(
        self,
        backbone: Backbone,
        content: Tensor | None = None,
        style: Tensor | Style | SeenStyle | Sequence[Tensor | Style | SeenStyle] | None = None,
        *,
        content_weight: float = 1.0,
        style_weight: float = STYLE_WEIGHT,
        variation_weight: float = VARIATION_WEIGHT,
        range_weight: float = RANGE_WEIGHT,
        content_layers: Layers | None = None,
        style_layers: Layers | None = None,
        convention: str = "relative",
        also: Iterable[Near] = (),
    ):
        if content is None and style is None:
            raise ValueError("An objective needs a content picture, a style picture, or both.")
        for name, layers, picture in (("content", content_layers, content), ("style", style_layers, style)):
            if layers and picture is None:
                raise ValueError(f"There is no {name}, so {name}_layers would do nothing; leave them out.")
        also = list(also)
        self.backbone = backbone
        self.convention = convention
        self.content_layers = _as_weights(content_layers or [backbone.content_layer])
        self.style_layers = _as_weights(style_layers or backbone.style_layers)
        self.weights = {
            "content": content_weight,
            "style": style_weight,
            "variation": variation_weight,
            "range": range_weight,
            **{term.name: term.weight for term in also},
        }
        _check_weights(self.weights)
        self.terms: list[ContentTerm | StyleTerm] = []
        self.image_terms = {
            "variation": total_variation,
            "range": out_of_range,
            **{term.name: term for term in also},
        }
        with torch.no_grad():  # targets are constants: no gradient may reach the pictures they come from
            if content is not None:
                targets = self.see(content, self.content_layers)
                self.terms.append(ContentTerm(targets, self.content_layers, convention))
            if style is not None:
                seen = [self.see_style(each) for each in as_styles(style)]
                self.terms += self._style_terms(seen, None if content is None else tuple(content.shape[-2:]))

    @property
    def device(self) -> torch.device:
        return self.backbone.mean.device

    @property
    def layers(self) -> list[str]:
        """Every layer that a term looks at."""
        return list(dict.fromkeys(name for term in self.terms for name in term.layers))

    @property
    def content_targets(self) -> dict[str, Tensor]:
        """Layer → features (1, C, h, w) of the content."""
        return next((term.targets for term in self.terms if isinstance(term, ContentTerm)), {})

    @property
    def gram_targets(self) -> dict[str, Tensor]:
        """Layer → Gram matrix (1, C, C) of the style, of the first one if there are several."""
        return next((term.styles[0].grams for term in self.terms if isinstance(term, StyleTerm)), {})

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """The losses of `image` (1, 3, H, W): `"content"`, `"style"`, `"variation"`, `"range"` unweighted (those
        that apply), and `"total"`, the weighted sum to minimize. All are scalar tensors."""
        features = self.backbone.taps(image, self.layers)
        positions = {name: feature[0, 0].numel() for name, feature in features.items()}
        return self.losses([term.sums(features) for term in self.terms], positions, self.pixel_losses(image))

    def pixel_losses(self, image: Tensor) -> dict[str, Tensor]:
        """Name → loss, a scalar, of each term that looks at the pixels of `image` (1, 3, H, W)."""
        return {name: term(image) for name, term in self.image_terms.items()}

    def losses(
        self, sums: Sequence[Mapping[str, Tensor]], positions: Mapping[str, int], of_pixels: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The losses, as from a call, from what the terms have summed up over the whole picture.

        Args:
            sums: of each of `terms`, its `sums`.
            positions: layer → h·w of the whole picture's feature map.
            of_pixels: the `pixel_losses`.
        """
        losses: dict[str, Tensor] = {}
        for term, found in zip(self.terms, sums, strict=True):
            loss = term.loss(found, positions)
            losses[term.name] = losses[term.name] + loss if term.name in losses else loss
        losses |= of_pixels
        losses["total"] = sum(self.weights[name] * loss for name, loss in losses.items())
        return losses

    def see(self, picture: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Layer → features (1, C, h, w) of a picture."""
        return self.backbone(picture.to(self.device), layers)

    def see_style(self, style: Style | SeenStyle) -> SeenStyle:
        """The Gram matrices of a style at its layers; of its `part`, if it has one."""
        if isinstance(style, SeenStyle):
            return style
        style = style.at(max(style.image.shape[-2:])) if style.scale != 1 else style
        layers = _as_weights(style.layers) if style.layers else self.style_layers
        return SeenStyle(self.see_grams(style.image, layers, style.part), layers, style.weight, style.where)

    def see_grams(self, picture: Tensor, layers: Iterable[str], part: Tensor | None = None) -> dict[str, Tensor]:
        """Layer → Gram matrix (1, C, C) of a picture, or of the part of it that a mask covers."""
        masks = self._layer_masks(part, layers, tuple(picture.shape[-2:]))
        return {name: gram_matrix(feature, masks.get(name)) for name, feature in self.see(picture, layers).items()}

    def _style_terms(self, styles: list[SeenStyle], shape: tuple[int, int] | None) -> list[StyleTerm]:
        """One term for each region. Styles that paint the same region share its Gram matrices."""
        shares = _shares(styles, shape)
        regions: dict[int, list[int]] = {}
        for index, style in enumerate(styles):
            regions.setdefault(id(style.where), []).append(index)
        return [
            StyleTerm(
                [styles[index] for index in members],
                [shares[index] for index in members],
                self._layer_masks(
                    styles[members[0]].where, {name for index in members for name in styles[index].layers}, shape
                ),
                self.convention,
            )
            for members in regions.values()
        ]

    def _layer_masks(
        self, mask: Tensor | None, layers: Iterable[str], shape: tuple[int, int] | None
    ) -> dict[str, Tensor]:
        if mask is None:
            return {}
        return to_layers(mask.to(self.device), self.backbone.network, layers, shape)


def _shares(styles: list[SeenStyle], shape: tuple[int, int] | None) -> list[float]:
    """How much of the style loss each style is: its weight × the area it paints, scaled to sum to all that is painted.

    So a pixel is pulled to its style as hard in a small region as in a large one.
    """
    masks = [style.where for style in styles]
    if all(mask is None for mask in masks):
        return [style.weight / sum(style.weight for style in styles) for style in styles]
    if shape is None:
        raise ValueError("A mask says where in the content a style paints, so it needs a content picture.")
    masks = [torch.ones(1, 1, *shape) if mask is None else resize_mask(mask.cpu(), shape) for mask in masks]
    painted = union(masks).mean().item()
    parts = [style.weight * mask.mean().item() for style, mask in zip(styles, masks, strict=True)]
    return [painted * part / sum(parts) for part in parts]


def _cut(maps: Mapping[str, Tensor], places: Places | None) -> Mapping[str, Tensor]:
    """The parts of the maps that lie at `places`."""
    return maps if places is None else {name: each[..., *places[name]] for name, each in maps.items()}


def _check_weights(weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise ValueError(f"Weights must be finite numbers; that of {name} is {weight}.")
        if weight < 0:
            raise ValueError("Weights must not be negative: a negative weight rewards what it should punish.")


def _as_weights(layers: Layers) -> dict[str, float]:
    return dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers, 1.0)
