"""Photographs in the colors of others: still the photograph, and sensible for every picture."""

import json
import sys
from pathlib import Path

import pytest
import torch

from stylelib import gallery, photo
from stylelib.photo import transfer_photo

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import photo as benchmark

ASTRONAUT, ROCKET, CHELSEA = (gallery.load(name, size=200) for name in ("astronaut", "rocket", "chelsea"))
GRAY = CHELSEA.mean(1, keepdim=True).expand_as(CHELSEA)
every_method = pytest.mark.parametrize("method", photo.METHODS)


@pytest.fixture(autouse=True)
def few_evaluations(monkeypatch):
    monkeypatch.setattr(photo, "EVALUATIONS", 4)


# --- the promise


def test_the_default_has_the_colors_and_keeps_the_picture(capsys):
    """Two of the benchmark's four pictures, and what it measures there."""
    benchmark.main(["--pictures", "astronaut", "coffee", "--methods", "smooth", "linear", "--json"])
    means = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert means["better"] == 2  # pairs with at most 0.75 × the linear map's color and nearly its structure
    assert means["clipped"] <= 0.03
    assert 0.85 <= means["grain"] <= 1.15


def test_the_measures_know_a_copy_a_shuffle_and_a_clip():
    picture = benchmark.read("chelsea", 128)
    same = benchmark.measure(picture, picture, picture)
    assert same["color"] < 0.5 and same["structure"] > 0.999 and same["clipped"] == 0 and same["grain"] == 1
    pixels = picture.reshape(-1, 3)[torch.randperm(picture.shape[0] * picture.shape[1]).numpy()]
    shuffled = benchmark.measure(pixels.reshape(picture.shape), picture, picture)
    assert shuffled["color"] < 0.5 and shuffled["structure"] < 0.5 and shuffled["grain"] > 2
    assert benchmark.measure(picture // 128 * 255, picture, picture)["clipped"] > 0.9


# --- identity, strength, size


@every_method
def test_a_photograph_with_its_own_style_comes_back(method):
    assert (transfer_photo(ASTRONAUT, ASTRONAUT, method=method) - ASTRONAUT).abs().max() <= 1 / 255


def test_strength_goes_from_the_content_to_the_result():
    none, half, full = (transfer_photo(CHELSEA, ROCKET, strength=s) for s in (0, 0.5, 1))
    assert torch.equal(none, CHELSEA)
    torch.testing.assert_close(half, (none + full) / 2, atol=1e-5, rtol=0)


def test_strips_are_seamless(monkeypatch):
    whole = transfer_photo(CHELSEA, ROCKET)
    monkeypatch.setattr(photo, "STRIP", 7)
    torch.testing.assert_close(transfer_photo(CHELSEA, ROCKET), whole, atol=1e-5, rtol=0)


def test_enlarged_rows_are_those_of_interpolate():
    field = torch.randn(1, 6, 9, 13, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.interpolate(field, (50, 70), mode="bilinear", align_corners=False)
    for rows in (slice(0, 3), slice(11, 31), slice(49, 50)):
        torch.testing.assert_close(
            photo._enlarge_rows(field, rows, (50, 70)), whole[..., rows, :], atol=1e-5, rtol=1e-5
        )


def test_a_large_picture_gets_what_its_small_copy_gets():
    large = torch.nn.functional.interpolate(CHELSEA, scale_factor=3, mode="bilinear", align_corners=False)
    result = torch.nn.functional.interpolate(transfer_photo(large, ROCKET), CHELSEA.shape[-2:], mode="area")
    assert (result - transfer_photo(CHELSEA, ROCKET)).abs().mean() < 0.02


# --- what people bring


ONE_COLOR = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 60, 40)
PIXEL = ASTRONAUT[..., :1, :1]
PICTURES = {"gray": GRAY, "one color": ONE_COLOR, "black": 0 * CHELSEA, "white": 0 * CHELSEA + 1, "one pixel": PIXEL}
PICTURES |= {"upright": CHELSEA.mT, "a line": CHELSEA[..., :1, :]}


@every_method
@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_gives_a_picture(method, name):
    for content, style in ((PICTURES[name], ROCKET), (ROCKET, PICTURES[name]), (PICTURES[name], PICTURES[name])):
        result = transfer_photo(content, style, method=method)
        assert result.shape == content.shape and result.dtype == torch.float32
        assert torch.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
    assert (result - content).abs().max() <= 1 / 255


def test_a_gray_style_makes_a_nearly_gray_picture():
    """The default: what is left of the color is less than anybody sees as one."""
    result = transfer_photo(ASTRONAUT, GRAY)
    assert (result.amax(1) - result.amin(1)).mean() < 0.02


def test_one_color_stays_one_color():
    result = transfer_photo(ONE_COLOR, ROCKET)
    assert result.std((2, 3)).max() < 1 / 255


@pytest.mark.parametrize("method", ["smooth", "linear", "covariance", "reinhard"])
def test_a_smooth_sky_gets_no_bands(method):
    """A slow gradient in fine steps: between its darkest and its lightest, no level of 8 bits is left out."""
    sky = torch.linspace(0, 1, 2048).view(1, 1, 1, -1) * torch.tensor([0.3, 0.25, 0.2]).view(1, 3, 1, 1)
    sky = (sky + torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)).expand(1, 3, 64, 2048)
    result = (255 * transfer_photo(sky, CHELSEA, method=method)).round().long()
    for channel in result[0]:
        row = channel[32].unique()
        assert len(row) > 20
        assert row.diff().max() == 1, f"{row.tolist()}"


def test_only_a_weak_halo_beside_a_straight_edge():
    """A dark roof before a light sky: the correction is smooth, so that a little of the roof's reaches into the sky."""
    scene = torch.full((1, 3, 120, 200), 0.75)
    scene[..., 60:, :] = 0.15
    for style in (CHELSEA, ROCKET):
        result = transfer_photo(scene, style)
        halo = (result[..., 50:59, :] - result[..., 20:29, :]).abs().max()
        assert halo < 0.14


def test_what_is_nearly_one_color_stays_nearly_one_color():
    """A sky with a trace of noise, the style with many colors: no step of the transport tears the sky apart."""
    noise = torch.randn(1, 3, 120, 200, generator=torch.Generator().manual_seed(0))
    scene = torch.tensor([0.45, 0.55, 0.7]).view(1, 3, 1, 1) + 0.01 * noise
    scene[..., 80:, :] = ROCKET[..., 40:80, :200]
    result, linear = (transfer_photo(scene, CHELSEA, method=method) for method in ("smooth", "linear"))
    assert result[..., :70, :].std((2, 3)).max() < 2.5 * linear[..., :70, :].std((2, 3)).max()


# --- regions


def halves(image):
    left = torch.zeros(1, 1, *image.shape[-2:])
    left[..., : image.shape[-1] // 2] = 1
    return left, 1 - left


def test_each_region_gets_the_colors_of_its_own():
    red, blue = torch.zeros(1, 3, 40, 80), torch.zeros(1, 3, 40, 80)
    red[:, 0], blue[:, 2] = 0.6, 0.6
    style = torch.cat([red[..., :40], blue[..., :40]], dim=3)
    regions = list(zip(halves(CHELSEA), halves(style), strict=True))
    for method in ("smooth", "linear", "covariance", "reinhard", "full"):
        result = transfer_photo(CHELSEA, style, regions=regions, method=method)
        left, right = result[..., :60].mean((0, 2, 3)), result[..., -60:].mean((0, 2, 3))
        assert left[0] > 0.5 > 0.1 > left[2] and right[2] > 0.5 > 0.1 > right[0], method


def test_what_no_region_covers_stays():
    left, _ = halves(CHELSEA)
    result = transfer_photo(CHELSEA, ROCKET, method="linear", regions=[(left, torch.ones(1, 1, 10, 10))])
    assert torch.equal(result[..., 100:], CHELSEA[..., 100:])
    assert (result[..., :100] - CHELSEA[..., :100]).abs().mean() > 0.05


# --- mistakes


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((CHELSEA, ROCKET), {"method": "magic"}, "no method 'magic'; choose one of smooth, linear"),
        ((CHELSEA, ROCKET), {"strength": 1.5}, "between 0, the content, and 1; 1.5"),
        ((CHELSEA[0], ROCKET), {}, "content must be an image"),
        ((CHELSEA, (255 * ROCKET).byte()), {}, "style holds whole numbers"),
        ((CHELSEA, ROCKET * torch.nan), {}, "style contains NaN"),
        ((CHELSEA, ROCKET), {"regions": [(torch.zeros(1, 1, 9, 9), torch.ones(1, 1, 9, 9))]}, "covers nothing"),
    ],
)
def test_mistakes_are_named_in_one_sentence(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        transfer_photo(*arguments, **options)


@pytest.mark.parametrize("method", photo.LOCAL)
def test_what_depends_on_the_place_is_no_table(method):
    with pytest.raises(ValueError, match="no color table can; choose one of linear"):
        photo.global_map(CHELSEA, ROCKET, method)
