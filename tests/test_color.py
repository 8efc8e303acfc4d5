"""Color spaces against scikit-image; transfers against closed forms and against what each promises."""

import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from stylelib import color


def picture(*shape, seed=0):
    """Colors that hang together, as in photographs: correlated channels, well inside the cube."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(3, shape[0] * shape[1], generator=generator)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    mix = rotation @ torch.tensor([0.09, 0.04, 0.02]).diag()
    return (0.5 + 0.1 * torch.randn(3, 1, generator=generator) + mix @ noise).clamp(0, 1).reshape(1, 3, *shape)


def statistics(image):
    rows = image[0].flatten(1).double()
    return rows.mean(1), torch.cov(rows, correction=0)


def as_array(image):
    return image[0].permute(1, 2, 0).numpy()


PHOTO, OTHER = picture(48, 64), picture(40, 56, seed=1)
TRANSFERS = [
    color.match_covariance,
    lambda image, reference: color.match_covariance(image, reference, root="cholesky"),
    color.monge_kantorovich,
    color.reinhard,
    color.match_distribution,
]
IDS = ["symmetric", "cholesky", "monge_kantorovich", "reinhard", "match_distribution"]
every_transfer = pytest.mark.parametrize("transfer", TRANSFERS, ids=IDS)


# --- spaces


def test_linear_light_of_known_values():
    grays = torch.tensor([0.0, 0.04045, 0.5, 1.0]).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    expected = torch.tensor([0.0, 0.0031308, 0.2140411, 1.0])
    torch.testing.assert_close(color.to_linear(grays)[0, 0, 0], expected, atol=1e-6, rtol=1e-5)


def test_lab_agrees_with_scikit_image():
    colors = torch.rand(1, 3, 50, 40, generator=torch.Generator().manual_seed(2))
    ours = color.to_lab(colors)
    assert abs(as_array(ours) - rgb2lab(as_array(colors))).max() < 0.03  # theirs rounds the white point
    assert abs(as_array(color.from_lab(ours)) - lab2rgb(as_array(ours))).max() < 0.001


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lab_and_back_is_the_identity_beyond_the_cube_too(dtype):
    colors = 1.6 * torch.rand(1, 3, 50, 40, generator=torch.Generator().manual_seed(2)).to(dtype) - 0.3
    back = color.from_lab(color.to_lab(colors))
    assert back.dtype == dtype
    torch.testing.assert_close(back, colors, atol=1e-4, rtol=0)


def test_grays_have_no_color_and_white_is_100():
    grays = torch.linspace(0, 1, 256).view(1, 1, 1, 256).expand(1, 3, 1, 256)
    lab = color.to_lab(grays)
    assert lab[:, 1:].abs().max() < 1e-3
    assert lab[0, 0, 0, 0].abs() < 1e-4 and (lab[0, 0, 0, -1] - 100).abs() < 1e-3


def test_luminance_is_taken_out_and_put_in_again():
    torch.testing.assert_close(color.with_luminance(PHOTO, color.luminance(PHOTO)), PHOTO, atol=1e-4, rtol=0)
    mixed = color.to_lab(color.with_luminance(PHOTO, color.luminance(PHOTO).flip(3)))
    torch.testing.assert_close(mixed[:, 1:], color.to_lab(PHOTO)[:, 1:], atol=0.02, rtol=0)
    torch.testing.assert_close(mixed[:, :1], color.to_lab(PHOTO)[:, :1].flip(3), atol=0.02, rtol=0)


def test_matched_luminance_has_the_mean_and_deviation_of_the_reference():
    matched, wanted = color.match_luminance(PHOTO, OTHER), color.luminance(OTHER)
    assert matched.shape == (1, 1, 48, 64)
    assert matched.mean().item() == pytest.approx(wanted.mean().item(), abs=1e-5)
    assert matched.std(correction=0).item() == pytest.approx(wanted.std(correction=0).item(), abs=1e-5)


# --- mean and covariance


@pytest.mark.parametrize("transfer", TRANSFERS[:3], ids=IDS[:3])
def test_mean_and_covariance_become_the_references(transfer):
    (mean, covariance), (wanted_mean, wanted) = statistics(transfer(PHOTO, OTHER)), statistics(OTHER)
    torch.testing.assert_close(mean, wanted_mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(covariance, wanted, atol=1e-7, rtol=1e-3)


def test_each_root_is_what_its_name_says():
    """A is read off the results: from centered colors to centered colors, by least squares."""
    (_, covariance), (_, wanted) = statistics(PHOTO), statistics(OTHER)

    def matrix(result):
        rows, moved = ((x[0].flatten(1) - x[0].flatten(1).mean(1, keepdim=True)).double() for x in (PHOTO, result))
        return torch.linalg.lstsq(rows.T, moved.T).solution.T

    def root(symmetric):
        values, vectors = torch.linalg.eigh(symmetric)
        return vectors @ values.sqrt().diag() @ vectors.T

    symmetric = root(wanted) @ torch.linalg.inv(root(covariance))
    lower = torch.linalg.cholesky(wanted) @ torch.linalg.inv(torch.linalg.cholesky(covariance))
    half = root(covariance)
    least = torch.linalg.inv(half) @ root(half @ wanted @ half) @ torch.linalg.inv(half)
    for transfer, expected in zip(TRANSFERS[:3], (symmetric, lower, least), strict=True):
        torch.testing.assert_close(matrix(transfer(PHOTO, OTHER)), expected, atol=1e-3, rtol=1e-3)


def test_of_the_linear_maps_monge_kantorovich_moves_colors_least():
    def moved(transfer):
        return (transfer(PHOTO, OTHER) - PHOTO).square().mean().item()

    symmetric, cholesky, least = (moved(transfer) for transfer in TRANSFERS[:3])
    assert least < min(symmetric, cholesky)


def test_an_unknown_root_is_refused():
    with pytest.raises(ValueError, match='"symmetric" or "cholesky", not \'square\''):
        color.match_covariance(PHOTO, OTHER, root="square")


def test_reinhard_gives_lab_the_mean_and_deviation_of_the_reference():
    lab, wanted = color.to_lab(color.reinhard(PHOTO, OTHER)), color.to_lab(OTHER)
    torch.testing.assert_close(lab.mean((2, 3)), wanted.mean((2, 3)), atol=0.01, rtol=0)
    torch.testing.assert_close(lab.std((2, 3)), wanted.std((2, 3)), atol=0.01, rtol=0.001)


# --- the whole distribution


def test_sorted_values_take_the_places_of_the_reference():
    """As many values as quantiles: then the rule is exactly "the k-th smallest becomes the k-th smallest"."""
    generator = torch.Generator().manual_seed(0)
    values, reference = torch.randn(2, 2, color.QUANTILES, generator=generator)
    matched = color.match_sorted(values, reference)
    torch.testing.assert_close(matched.sort(1).values, reference.sort(1).values, atol=1e-3, rtol=0)
    assert torch.equal(matched.argsort(1), values.argsort(1))


def test_uniform_numbers_become_a_parabola():
    """From uniform to the squares of uniform numbers, the transport is x → x²."""
    x = torch.linspace(0, 1, 10001)[None]
    torch.testing.assert_close(color.match_sorted(x, x**2), x**2, atol=1e-4, rtol=0)


def test_equal_values_stay_together_in_the_middle_of_their_ranks():
    values = torch.tensor([[0.0] * 600 + [1.0] * 400])
    matched = color.match_sorted(values, torch.linspace(0, 1, 1000)[None])
    assert len(matched.unique()) == 2
    assert matched[0, 0].item() == pytest.approx(0.3, abs=0.01)
    assert matched[0, -1].item() == pytest.approx(0.8, abs=0.01)


def sliced_distance(image, reference, directions=32):
    sides = torch.randn(directions, 3, generator=torch.Generator().manual_seed(9))
    sides = sides / sides.norm(dim=1, keepdim=True)
    levels = torch.linspace(0, 1, 200)
    ours, theirs = (torch.quantile(sides @ x[0].flatten(1), levels, dim=1) for x in (image, reference))
    return (ours - theirs).abs().mean().item()


def test_the_whole_cloud_takes_the_shape_of_the_reference():
    """Two separate clumps, which no mean and covariance can make of one."""
    clumps = torch.cat([picture(20, 56, seed=3) - 0.2, picture(20, 56, seed=4) + 0.2], dim=2)
    linear, full = color.monge_kantorovich(PHOTO, clumps), color.match_distribution(PHOTO, clumps, iterations=20)
    assert sliced_distance(full, clumps) < 0.25 * sliced_distance(linear, clumps)


def test_equal_colors_stay_equal():
    two_colors = torch.zeros(1, 3, 8, 8)
    two_colors[..., 4:] = 1
    matched = color.match_distribution(two_colors, OTHER)
    assert len(matched[0].flatten(1).unique(dim=1).T) == 2


# --- what every transfer must bear


@every_transfer
def test_a_picture_with_its_own_colors_comes_back(transfer):
    assert (transfer(PHOTO, PHOTO) - PHOTO).abs().max() < 0.5 / 255


GRAY = PHOTO.mean(1, keepdim=True).expand(1, 3, 48, 64)
ONE_COLOR = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 30, 20)
HARD = {"gray": GRAY, "one color": ONE_COLOR, "black": torch.zeros(1, 3, 9, 9), "one pixel": PHOTO[..., :1, :1]}


@every_transfer
@pytest.mark.parametrize("name", HARD)
def test_hard_pictures_stay_finite_near_the_cube_and_come_back(transfer, name):
    for image, reference in ((HARD[name], OTHER), (PHOTO, HARD[name]), (HARD[name], HARD[name])):
        result = transfer(image, reference)
        assert result.shape == image.shape and result.dtype == image.dtype
        assert torch.isfinite(result).all()
        assert -1 < result.min() and result.max() < 2
    assert (result - HARD[name]).abs().max() < 1 / 255


@every_transfer
def test_a_gray_style_makes_a_gray_picture(transfer):
    result = transfer(PHOTO, GRAY)
    colorfulness = (result - result.mean(1, keepdim=True)).abs()
    if transfer is TRANSFERS[4]:  # ten slices leave an outlier here and there
        assert colorfulness.mean() < 2 / 255
    else:
        assert colorfulness.max() < 1 / 255


@pytest.mark.parametrize("transfer", TRANSFERS[:4], ids=IDS[:4])
def test_rounding_noise_is_not_blown_up_into_colors(transfer):
    """In one gray field, one pixel in a hundred is one step off in one channel: that is no spread to stretch."""
    generator = torch.Generator().manual_seed(5)
    noise = (torch.rand(1, 3, 48, 64, generator=generator) < 0.01) / 255
    result = transfer(0.5 + noise, OTHER)
    assert result.std((2, 3)).max() < 0.3 * OTHER.std((2, 3)).min()


def test_bent_colors_are_inside_in_order_and_unmoved_in_the_middle():
    ramp = torch.linspace(-0.5, 1.5, 2001).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    bent = color.compress(ramp, low=-0.5, high=1.5)
    assert bent.min() == 0 and bent.max() == 1
    assert (bent.diff(dim=3) > 0).all()
    inside = (ramp > 0.05) & (ramp < 0.95)
    torch.testing.assert_close(bent[inside], ramp[inside])


def test_what_fits_is_not_bent():
    ramp = torch.linspace(0, 1, 256).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    torch.testing.assert_close(color.compress(ramp, low=0, high=1), ramp)


MAPS = [color.covariance_map, color.monge_kantorovich_map, color.reinhard_map, color.distribution_map]


@pytest.mark.parametrize("make", MAPS)
def test_a_map_moves_the_same_color_the_same_way_in_another_picture(make):
    """Maps are made on a small copy, and applied to the large picture piece by piece."""
    move = make(PHOTO, OTHER)
    torch.testing.assert_close(move(PHOTO)[..., 5:20, 7:9], move(PHOTO[..., 5:20, 7:9]), atol=1e-6, rtol=0)
    assert torch.isfinite(move(torch.rand(1, 3, 9, 9))).all()
