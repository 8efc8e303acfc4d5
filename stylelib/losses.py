"""What style transfer minimizes, as pure functions of features and images.

Two conventions for the scale of a loss. `"relative"`, the default, divides each squared distance by the squared norm
of its target: 0 is a perfect match and 1 is as far away as a blank feature map, on every backbone, layer and size.
`"gatys"` is the scaling of the CVPR 2016 paper, for comparison with it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

CONVENTIONS = ("relative", "gatys")
TINY = 1e-12  # keeps a division by the norm of an all-zero target finite


def gram_matrix(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Correlations of the channels: G = F Fᵀ / (h·w), where the rows of F are the flattened channels.

    Where something is seen in the picture drops out of it; what is seen together stays. With a mask m it is *guided*:
    G = Σ m² F Fᵀ / Σ m², the sum over the positions. Divided by the mask's energy, the statistics of a small region are
    as large as those of the whole picture.

    Args:
        features: (N, C, h, w).
        mask: (1, 1, h, w) in [0, 1], how much each position counts; None counts all alike.

    Returns:
        (N, C, C).

    Raises:
        ValueError: features of another shape.

    Source: Gatys et al., CVPR 2016, equation 3; guided: Gatys et al., Controlling Perceptual Factors in Neural Style
    Transfer, CVPR 2017, section 4. The divisor h·w is ours: it makes the matrices of pictures of different sizes
    comparable.
    """
    total = gram_sum(features, mask)
    return total / (features[0, 0].numel() if mask is None else energy(mask))


def gram_sum(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """F Fᵀ, a sum over positions: `gram_matrix` before its division. Of the parts of a picture it simply adds up.

    Computed in float32, because sums over this many positions overflow in float16 and lose digits in bfloat16.
    Arguments and errors as in `gram_matrix`.
    """
    if features.ndim != 4:
        raise ValueError(f"Features have the shape (N, C, h, w); these have {tuple(features.shape)}.")
    if mask is not None:
        features = features * mask.to(features.dtype)
    with torch.autocast(features.device.type, enabled=False):
        # Even the gradient would leave float16's range.
        return _SelfProduct.apply(features.float() if features.dtype == torch.float16 else features)


def gram_sum_gradient(features: Tensor, gradient: Tensor, mask: Tensor | None = None) -> Tensor:
    """m² (g + gᵀ) F: the gradient at the features of a loss whose gradient at their `gram_sum` is g, (N, C, C).

    Autograd finds the same; this is for when g is known and the sum is not needed again.

    Args:
        features, mask: as of `gram_sum`.
        gradient: g.

    Returns:
        (N, C, h, w), in the memory layout of the features.
    """
    if features.dtype == torch.float16:
        features = features.float()
    both = (gradient + gradient.mT).to(features.dtype)
    result = torch.empty_like(features)
    torch.bmm(features.flatten(2).mT, both, out=result.flatten(2).mT)
    return result if mask is None else result.mul_(mask.square().to(features.dtype))


def energy(mask: Tensor) -> Tensor:
    """Σ m²: by how many positions a guided Gram matrix is divided."""
    return mask.square().sum().clamp_min(TINY)


class _SelfProduct(torch.autograd.Function):
    """F Fᵀ in float32 or better, with the gradient (g + gᵀ) F in one product, in the precision of F.

    Autograd by itself sees two factors, multiplies once for each, and adds two results of different memory layouts:
    a quarter of the time of an evaluation on VGG-19. And where F is bfloat16, the gradient ends as bfloat16 anyway.
    """

    @staticmethod
    def forward(context, features: Tensor) -> Tensor:
        context.save_for_backward(features)
        flat = features.flatten(2)
        wide = flat if flat.dtype == torch.float64 else flat.float()
        return wide @ wide.mT

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (features,) = context.saved_tensors
        if torch.is_grad_enabled():  # asked for a gradient of this gradient
            both = (gradient + gradient.mT).to(features.dtype)
            return (both @ features.flatten(2)).view_as(features)
        # Laid out in memory as the features are. Being no view, it is also where autograd adds what the deeper layers
        # say, instead of making a third tensor.
        return gram_sum_gradient(features, gradient)


def content_loss(
    features: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    *,
    weights: Mapping[str, float] | None = None,
    convention: str = "relative",
) -> Tensor:
    """Distance of feature maps, averaged over the layers of `targets`.

    relative: ‖F − P‖² / ‖P‖².  gatys: ½ ‖F − P‖² (CVPR 2016, equation 1).

    Args:
        features, targets: name → (1, C, h, w): F of the image, P of the content.
        weights: name → weight of the layer, scaled to sum 1; None weighs all alike.

    Returns:
        A scalar tensor ≥ 0.

    Raises:
        ValueError: a layer that is missing, shapes that differ, or an unknown convention.
    """
    return scaled_content(squared_distances(features, targets), targets, weights=weights, convention=convention)


def squared_distances(features: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """‖F − P‖² of each layer of `targets`, a sum over positions: of the parts of a picture it adds up."""
    return {name: _squared_distance(name, features, target) for name, target in targets.items()}


def scaled_content(
    distances: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    *,
    weights: Mapping[str, float] | None = None,
    convention: str = "relative",
) -> Tensor:
    """`content_loss`, from the `squared_distances` of its layers."""
    scaled = {
        name: distances[name] * (0.5 if convention == "gatys" else 1 / _squared_norm(target))
        for name, target in _checked(targets, convention).items()
    }
    return _weighted_mean(scaled, weights)


def style_loss(
    features: Mapping[str, Tensor],
    gram_targets: Mapping[str, Tensor],
    *,
    weights: Mapping[str, float] | None = None,
    convention: str = "relative",
) -> Tensor:
    """Distance of Gram matrices, averaged over the layers of `gram_targets`.

    relative: ‖G − A‖² / ‖A‖².  gatys: ‖G − A‖² / (4 C²) (CVPR 2016, equations 4 and 5, with each matrix divided by
    its own number of positions, so that a style picture of another size can be compared).

    Args:
        features: name → (1, C, h, w) of the image.
        gram_targets: name → (1, C, C), the Gram matrices A of the style.
        weights: name → weight of the layer, scaled to sum 1; None weighs all alike.

    Returns:
        A scalar tensor ≥ 0.

    Raises:
        ValueError: a layer that is missing, shapes that differ, or an unknown convention.
    """
    grams = {name: gram_matrix(_get(name, features)) for name in gram_targets}
    return gram_distance(grams, gram_targets, weights=weights, convention=convention)


def gram_distance(
    grams: Mapping[str, Tensor],
    gram_targets: Mapping[str, Tensor],
    *,
    weights: Mapping[str, float] | None = None,
    convention: str = "relative",
) -> Tensor:
    """`style_loss`, from the Gram matrices of its layers."""
    distances = {
        name: _squared_distance(name, grams, target)
        / (4 * target.shape[-1] ** 2 if convention == "gatys" else _squared_norm(target))
        for name, target in _checked(gram_targets, convention).items()
    }
    return _weighted_mean(distances, weights)


def total_variation(image: Tensor) -> Tensor:
    """Squared differences of neighboring pixels, averaged: small for smooth pictures, large for grainy ones.

    mean (x[i, j+1] − x[i, j])² + mean (x[i+1, j] − x[i, j])².

    Args:
        image: (1, 3, H, W).

    Returns:
        A scalar tensor ≥ 0.

    Source: the squared form of Mahendran and Vedaldi, CVPR 2015, section 2 (β = 2).
    """
    return mse_loss(image[..., 1:], image[..., :-1]) + mse_loss(image[..., 1:, :], image[..., :-1, :])


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared distance of the pixels from [0, 1].

    A soft wall: clamping inside the loop instead would hide the gradient and mislead L-BFGS.
    """
    # Where the nearest value in range moves with the pixel, it is the pixel: it counts as a constant all the same.
    return mse_loss(image, image.detach().clamp(0, 1))


def _checked(targets: Mapping[str, Tensor], convention: str) -> Mapping[str, Tensor]:
    if convention not in CONVENTIONS:
        raise ValueError(f"There is no convention {convention!r}. There are: {', '.join(CONVENTIONS)}.")
    if not targets:
        raise ValueError("There are no targets to compare with.")
    return targets


def _get(name: str, features: Mapping[str, Tensor]) -> Tensor:
    if name not in features:
        raise ValueError(
            f"The targets name the layer {name!r}, which is not among the features: {', '.join(features)}."
        )
    return features[name]


def _squared_distance(name: str, values: Mapping[str, Tensor], target: Tensor) -> Tensor:
    value = _get(name, values)
    if value.shape != target.shape:
        raise ValueError(
            f"At {name} the features have the shape {tuple(value.shape)} and the target {tuple(target.shape)}; "
            "image and content must have the same height and width."
        )
    return (value - target).square().sum()


def _squared_norm(target: Tensor) -> Tensor:
    return target.square().sum().clamp_min(TINY)


def _weighted_mean(distances: Mapping[str, Tensor], weights: Mapping[str, float] | None) -> Tensor:
    weights = weights or dict.fromkeys(distances, 1.0)
    total = sum(weights.values())
    if set(weights) != set(distances) or min(weights.values()) < 0 or not 0 < total < float("inf"):  # NaN is neither
        raise ValueError("The weights must name exactly the layers of the targets, none negative, not all zero.")
    return sum(weights[name] * distance for name, distance in distances.items()) / total
