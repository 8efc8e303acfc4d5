"""The objective of one transfer: fixed targets, fixed weights, and a function of the image."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .backbones import Backbone
from .losses import content_loss, gram_matrix, out_of_range, style_loss, total_variation

# Chosen on four pairs of pictures; tools/train_slim.md shows what other values gave.
STYLE_WEIGHT = 32.0
VARIATION_WEIGHT = 4.0
RANGE_WEIGHT = 10.0

Layers = Sequence[str] | Mapping[str, float]


class Objective:
    """total = content_weight · content + style_weight · style + variation_weight · variation + range_weight · range.

    The targets, features of the content and Gram matrices of the style, are computed once, here. Leave out `style`
    to reconstruct a picture from its features, leave out `content` to synthesize a texture.

    Args:
        backbone: the network that sees the pictures; images are moved to its device.
        content: image (1, 3, H, W). The image that is optimized must have the same height and width.
        style: image (1, 3, H', W') of any size: Gram matrices do not depend on it.
        content_weight, style_weight: the trade-off. Losses are dimensionless, so one style weight means about the
            same on every backbone and at every size.
        variation_weight: smoothness (`total_variation`).
        range_weight: how hard pixels are held in [0, 1] (`out_of_range`).
        content_layers, style_layers: names, or name → weight; None takes the backbone's own.
        convention: the scale of the losses, see `stylelib.losses`.

    Raises:
        ValueError: neither content nor style, or a negative weight.
        BackboneError: a layer the backbone does not have.
    """

    def __init__(
        self,
        backbone: Backbone,
        content: Tensor | None = None,
        style: Tensor | None = None,
        *,
        content_weight: float = 1.0,
        style_weight: float = STYLE_WEIGHT,
        variation_weight: float = VARIATION_WEIGHT,
        range_weight: float = RANGE_WEIGHT,
        content_layers: Layers | None = None,
        style_layers: Layers | None = None,
        convention: str = "relative",
    ):
        if content is None and style is None:
            raise ValueError("An objective needs a content picture, a style picture, or both.")
        if min(content_weight, style_weight, variation_weight, range_weight) < 0:
            raise ValueError("Weights must not be negative: a negative weight rewards what it should punish.")
        self.backbone = backbone
        self.convention = convention
        self.weights = {
            "content": content_weight,
            "style": style_weight,
            "variation": variation_weight,
            "range": range_weight,
        }
        self.content_layers = _as_weights(content_layers or [backbone.content_layer])
        self.style_layers = _as_weights(style_layers or backbone.style_layers)
        self.content_targets: dict[str, Tensor] = {}
        self.gram_targets: dict[str, Tensor] = {}
        with torch.no_grad():  # targets are constants: no gradient may reach the pictures they come from
            if content is not None:
                self.content_targets = backbone(content.to(self.device), self.content_layers)
            if style is not None:
                features = backbone(style.to(self.device), self.style_layers)
                self.gram_targets = {name: gram_matrix(feature) for name, feature in features.items()}

    @property
    def device(self) -> torch.device:
        return self.backbone.mean.device

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """The losses of `image` (1, 3, H, W): `"content"`, `"style"`, `"variation"`, `"range"` unweighted (those
        that apply), and `"total"`, the weighted sum to minimize. All are scalar tensors."""
        features = self.backbone.taps(image, {**self.content_targets, **self.gram_targets})
        losses = {}
        if self.content_targets:
            losses["content"] = content_loss(
                features, self.content_targets, weights=self.content_layers, convention=self.convention
            )
        if self.gram_targets:
            losses["style"] = style_loss(
                features, self.gram_targets, weights=self.style_layers, convention=self.convention
            )
        losses["variation"] = total_variation(image)
        losses["range"] = out_of_range(image)
        losses["total"] = sum(self.weights[name] * loss for name, loss in losses.items())
        return losses


def _as_weights(layers: Layers) -> dict[str, float]:
    return dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers, 1.0)
