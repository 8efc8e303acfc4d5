"""Losses against closed forms, and against independent computations in float64."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from stylelib.losses import (
    content_loss,
    gram_matrix,
    gram_sum,
    gram_sum_gradient,
    out_of_range,
    style_loss,
    total_variation,
)


def random_features(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# --- Gram matrices


def test_gram_of_constant_channels_is_the_product_of_the_constants():
    features = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 5, 7)
    assert torch.equal(gram_matrix(features), torch.tensor([[[4.0, 6.0], [6.0, 9.0]]]))


def test_gram_of_a_worked_example():
    features = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0]]).view(1, 2, 2, 2)
    assert torch.equal(gram_matrix(features), torch.tensor([[[30.0, 6.0], [6.0, 2.0]]]) / 4)


def test_gram_of_sines_is_half_the_identity():
    """Sines of different whole frequencies are orthogonal, with mean square 1/2."""
    x = torch.arange(64) / 64 * 2 * math.pi
    waves = torch.stack([torch.sin(k * x) for k in (1, 2, 3)]).view(1, 3, 1, 64).expand(1, 3, 8, 64)
    torch.testing.assert_close(gram_matrix(waves), torch.eye(3)[None] / 2, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 8, 1, 9), (1, 64, 17, 3), (1, 1, 1, 1)])
def test_gram_equals_an_einsum_in_float64(shape):
    features = random_features(*shape)
    double = features.double()
    expected = torch.einsum("nchw,ndhw->ncd", double, double) / (shape[2] * shape[3])
    torch.testing.assert_close(gram_matrix(features).double(), expected, atol=1e-5, rtol=1e-5)


def test_gram_does_not_see_where_things_are():
    features = random_features(1, 6, 8, 9)
    order = torch.randperm(72, generator=torch.Generator().manual_seed(1))
    shuffled = features.flatten(2)[..., order].view_as(features)
    torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(features))


def test_gram_of_a_tiled_picture_is_the_same():
    features = random_features(1, 4, 6, 5)
    torch.testing.assert_close(gram_matrix(features.repeat(1, 1, 2, 3)), gram_matrix(features))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gram_does_not_depend_on_the_memory_layout(memory_format):
    features = random_features(1, 6, 8, 9)
    laid_out = features.contiguous(memory_format=memory_format)
    torch.testing.assert_close(gram_matrix(laid_out), gram_matrix(features))


def test_gram_of_half_precision_features_is_computed_in_float32():
    features = torch.full((1, 2, 64, 64), 100.0, dtype=torch.float16)  # 100² · 4096 is beyond float16
    gram = gram_matrix(features)
    assert gram.dtype == torch.float32
    assert torch.equal(gram, torch.full((1, 2, 2), 1e4))


def test_gram_stays_in_float32_inside_autocast():
    features = random_features(1, 16, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(features)
    assert torch.equal(gram, gram_matrix(features))


def test_gram_gradient_of_bfloat16_features_is_close_to_that_of_float32():
    exact = random_features(1, 16, 32, 32).bfloat16().float().requires_grad_()
    short = exact.detach().bfloat16().requires_grad_()
    for features in (exact, short):
        (gram_matrix(features) - torch.eye(16)).square().sum().backward()
    assert short.grad.dtype == torch.bfloat16
    assert (short.grad - exact.grad).norm() < 0.01 * exact.grad.norm()


def test_gram_gradient_of_float16_features_does_not_vanish():
    """1e-9 is nothing in float16, and so would be every product with it; times 1000 it is something."""
    features = torch.full((1, 2, 1, 1), 1000.0, dtype=torch.float16, requires_grad=True)
    (1e-9 * gram_matrix(features)).sum().backward()
    torch.testing.assert_close(features.grad, torch.full_like(features, 4e-6), rtol=0.02, atol=0)


def test_gram_gradient():
    assert gradcheck(gram_matrix, random_features(1, 3, 2, 4, dtype=torch.float64).requires_grad_())


def test_gram_second_derivatives():
    assert gradgradcheck(gram_matrix, random_features(1, 3, 2, 4, dtype=torch.float64).requires_grad_())


def test_gram_gradient_lies_in_memory_as_the_features_do():
    features = random_features(1, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    gram_matrix(features).sum().backward()
    assert features.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5), (1, 1, 3, 4, 5)])
def test_gram_rejects_other_shapes(shape):
    with pytest.raises(ValueError, match=r"\(N, C, h, w\)"):
        gram_matrix(torch.zeros(shape))


# --- content and style


def two_layers(seed, dtype=torch.float32):
    return {
        "a": random_features(1, 3, 6, 5, seed=seed, dtype=dtype),
        "b": random_features(1, 7, 3, 2, seed=seed + 1, dtype=dtype),
    }


def grams(features):
    return {name: gram_matrix(feature) for name, feature in features.items()}


def squared_norm(tensor):
    """Summed by hand in Python's own float64, without torch's reductions."""
    return math.fsum(value * value for value in tensor.double().flatten().tolist())


def test_content_loss_is_the_relative_squared_distance():
    features, targets = two_layers(0), two_layers(10)
    parts = [squared_norm(features[k] - targets[k]) / squared_norm(targets[k]) for k in "ab"]
    assert content_loss(features, targets).item() == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_content_loss_in_the_scaling_of_the_paper():
    features, targets = two_layers(0), two_layers(10)
    parts = [0.5 * squared_norm(features[k] - targets[k]) for k in "ab"]
    assert content_loss(features, targets, convention="gatys").item() == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_style_loss_is_the_relative_squared_distance_of_grams():
    features, targets = two_layers(0), grams(two_layers(10))
    parts = [squared_norm(gram_matrix(features[k]) - targets[k]) / squared_norm(targets[k]) for k in "ab"]
    assert style_loss(features, targets).item() == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_style_loss_in_the_scaling_of_the_paper():
    """With the paper's unnormalized G' = G · M, its 1 / (4 C² M²) ‖G' − A'‖² is ours, 1 / (4 C²) ‖G − A‖²."""
    features, style = two_layers(0), two_layers(10)
    parts = []
    for k in "ab":
        channels, positions = features[k].shape[1], features[k][0, 0].numel()
        ours, theirs = (f[k].double().flatten(2)[0] for f in (features, style))
        difference = ours @ ours.T - theirs @ theirs.T
        parts.append(squared_norm(difference) / (4 * channels**2 * positions**2))
    loss = style_loss(features, grams(style), convention="gatys")
    assert loss.item() == pytest.approx(sum(parts) / 2, rel=1e-5)


@pytest.mark.parametrize("loss, targets", [(content_loss, two_layers(3)), (style_loss, grams(two_layers(3)))])
def test_losses_vanish_at_their_targets_and_are_one_for_a_blank(loss, targets):
    features = two_layers(3)
    assert loss(features, targets).item() == 0
    blank = {name: torch.zeros_like(feature) for name, feature in features.items()}
    assert loss(blank, targets).item() == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_relative_losses_do_not_depend_on_the_scale_of_the_network(scale):
    features, targets = two_layers(0), two_layers(10)
    scaled, scaled_targets = ({k: f * scale for k, f in side.items()} for side in (features, targets))
    assert content_loss(scaled, scaled_targets).item() == pytest.approx(
        content_loss(features, targets).item(), rel=1e-4
    )
    assert style_loss(scaled, grams(scaled_targets)).item() == pytest.approx(
        style_loss(features, grams(targets)).item(), rel=1e-4
    )


def test_weights_of_layers_are_scaled_to_sum_one():
    features, targets = two_layers(0), two_layers(10)
    only = [content_loss(features, {k: targets[k]}).item() for k in "ab"]
    loss = content_loss(features, targets, weights={"a": 3.0, "b": 1.0})
    assert loss.item() == pytest.approx(0.75 * only[0] + 0.25 * only[1], rel=1e-5)


def test_an_all_zero_target_gives_a_finite_loss():
    zero = {"a": torch.zeros(1, 3, 4, 4)}
    assert content_loss(zero, zero).item() == 0
    assert style_loss(zero, grams(zero)).item() == 0


@pytest.mark.parametrize("convention", ["relative", "gatys"])
def test_gradients_of_content_and_style_loss(convention):
    targets = two_layers(10, torch.float64)
    gram_targets = grams(targets)

    def content(a, b):
        return content_loss({"a": a, "b": b}, targets, convention=convention)

    def style(a, b):
        return style_loss({"a": a, "b": b}, gram_targets, convention=convention)

    inputs = [feature.requires_grad_() for feature in two_layers(0, torch.float64).values()]
    assert gradcheck(content, inputs)
    assert gradcheck(style, inputs)


def test_errors_name_what_is_wrong():
    features, targets = two_layers(0), two_layers(10)
    with pytest.raises(ValueError, match="'b'.*not among the features: a"):
        content_loss({"a": features["a"]}, targets)
    with pytest.raises(ValueError, match=r"At a .*\(1, 3, 6, 4\).*\(1, 3, 6, 5\)"):
        content_loss({"a": features["a"][..., :4]}, {"a": targets["a"]})
    with pytest.raises(ValueError, match="'mse'.*relative, gatys"):
        style_loss(features, grams(targets), convention="mse")
    with pytest.raises(ValueError, match="no targets"):
        content_loss(features, {})
    with pytest.raises(ValueError, match="weights"):
        content_loss(features, targets, weights={"a": 1.0})


# --- penalties of the pixels


def test_total_variation_of_a_ramp_is_its_squared_slope():
    ramp = torch.linspace(0, 1, 11).expand(1, 3, 8, 11)
    assert total_variation(ramp).item() == pytest.approx(0.01)
    assert total_variation(ramp.mT).item() == pytest.approx(0.01)
    assert total_variation(torch.full((1, 3, 4, 4), 0.3)).item() == 0


def test_total_variation_of_a_checkerboard_is_two():
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    assert total_variation(board.float().expand(1, 3, 8, 8)).item() == 2


def test_out_of_range_counts_only_what_lies_outside():
    image = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.25, 0.9]).view(1, 3, 1, 2)
    assert out_of_range(image).item() == pytest.approx((0.25 + 0.0625) / 6)


@pytest.mark.parametrize("penalty", [total_variation, out_of_range])
def test_gradients_of_penalties(penalty):
    assert gradcheck(penalty, (2 * random_features(1, 3, 4, 5, dtype=torch.float64)).requires_grad_())


# --- guided ---


def test_a_guided_gram_matrix_is_the_one_of_the_positions_that_count():
    features = torch.rand(1, 4, 6, 10, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 6, 10)
    mask[..., 2:5, 3:9] = 1
    torch.testing.assert_close(gram_matrix(features, mask), gram_matrix(features[..., 2:5, 3:9]))
    torch.testing.assert_close(gram_matrix(features, torch.ones(1, 1, 6, 10)), gram_matrix(features))
    torch.testing.assert_close(gram_matrix(features, 0.3 * mask), gram_matrix(features, mask))  # only relations count


def test_gram_sums_add_up_over_tiles():
    features = torch.rand(1, 4, 6, 10, generator=torch.Generator().manual_seed(0))
    tiles = [features[..., :3, :7], features[..., 3:, :7], features[..., 7:]]
    torch.testing.assert_close(sum(gram_sum(tile) for tile in tiles) / 60, gram_matrix(features))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("precision", [torch.float64, torch.float16])
def test_the_gradient_of_a_gram_sum_by_formula_is_that_of_autograd(masked, precision):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 4, 6, 10, generator=generator).to(precision).requires_grad_()
    mask = torch.rand(1, 1, 6, 10, generator=generator).to(precision) if masked else None
    gradient = torch.rand(1, 4, 4, generator=generator).to(gram_sum(features).dtype)
    (expected,) = torch.autograd.grad(gram_sum(features, mask), features, gradient)
    found = gram_sum_gradient(features.detach(), gradient, mask)
    tolerance = 1e-12 if precision == torch.float64 else 1e-2
    torch.testing.assert_close(found.to(precision), expected, rtol=tolerance, atol=tolerance)


def test_a_mask_that_covers_nothing_gives_zeros_and_not_nan():
    assert gram_matrix(torch.rand(1, 2, 3, 3), torch.zeros(1, 1, 3, 3)).abs().max() == 0
