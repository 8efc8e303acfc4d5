"""What the figures of lesson 06 claim, checked as arrays: nbval does not look at pictures."""

import pytest
import torch

import stylelib
from stylelib import Style, color, gallery, masks
from stylelib.checks import EXERCISES
from stylelib.images import resize_to
from stylelib.objective import Objective
from stylelib.tiles import TiledObjective

SIZE, STEPS = 128, 40
PAIRS = [("astronaut", "flow_strokes", "stained_glass"), ("coffee", "waves", "points")]

backbone = stylelib.load_backbone("slim")
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])


def picture(name):
    return gallery.load(name, size=SIZE)


def paint(content, style, **options):
    return stylelib.stylize(content, style, backbone=backbone, size=SIZE, steps=STEPS, **options).image


def left_of(content):
    mask = torch.zeros(1, 1, *content.shape[-2:])
    mask[..., : content.shape[-1] // 2] = 1
    return masks.soften(mask, 3)


def style_loss(image, style):
    with torch.no_grad():
        return Objective(backbone, style=style)(image)["style"].item()


@each_pair
def test_the_contents_colors_stay_in_their_places_and_strokes_show_in_lightness(pair):
    content, strokes = picture(pair[0]), picture(pair[1])
    plain, kept = (paint(content, strokes, color=whose) for whose in ("style", "content"))
    hue = [(color.to_lab(image) - color.to_lab(content))[:, 1:].abs().mean() for image in (plain, kept)]
    assert hue[1] < 0.25 * hue[0]
    assert (color.luminance(kept) - color.luminance(content)).abs().mean() > 0.03


@each_pair
def test_both_roots_give_the_style_the_contents_mean_and_covariance(pair):
    content, strokes = picture(pair[0]), picture(pair[1])
    rows = [color.match_covariance(strokes, content, root=root)[0].flatten(1) for root in ("cholesky", "symmetric")]
    wanted = content[0].flatten(1)
    for row in rows:
        torch.testing.assert_close(row.mean(1), wanted.mean(1), atol=1e-3, rtol=0)
        torch.testing.assert_close(torch.cov(row), torch.cov(wanted), atol=1e-3, rtol=0)
    assert (rows[0] - rows[1]).abs().mean() > 0.01, "and are two pictures all the same"


def test_the_lessons_own_answers_are_what_the_package_computes():
    features, mask = torch.rand(1, 4, 6, 10), torch.rand(1, 1, 6, 10)
    guided = EXERCISES["guided_gram_matrix"].reference(features, mask)
    torch.testing.assert_close(stylelib.gram_matrix(features, mask), guided)
    tiles = [features[..., :4, :], features[..., 4:, :]]
    torch.testing.assert_close(stylelib.gram_matrix(features), EXERCISES["gram_by_tiles"].reference(tiles))
    averaged = EXERCISES["mask_to_layer"].reference(torch.rand(1, 1, 8, 12), (4, 3))
    assert averaged.shape == (1, 1, 4, 3)


@each_pair
def test_each_region_is_near_to_its_own_style_and_outside_a_mask_is_the_photograph(pair):
    content, first, second = map(picture, pair)
    mask = left_of(content)
    both = paint(content, [Style(first, where=mask), Style(second, where=1 - mask)])
    middle = content.shape[-1] // 2
    halves = [(both[..., : middle - 12], first, second), (both[..., middle + 12 :], second, first)]
    for half, own, other in halves:
        assert style_loss(half, own) < style_loss(half, other)
    only = paint(content, Style(first, where=mask))
    assert (only - content).abs()[(mask == 0).expand_as(content)].max() < 1e-5
    assert (only - content).abs()[(mask == 1).expand_as(content)].mean() > 0.05


def test_a_larger_style_picture_makes_textures_of_larger_pieces():
    detailed = gallery.load("flow_strokes")

    def fineness(scale):
        style = Style(detailed, scale=scale)
        image = stylelib.synthesize_texture(style, backbone=backbone, size=SIZE, steps=STEPS).image
        light = color.luminance(image)[0, 0]
        energy = torch.fft.rfft2(light - light.mean()).abs().square()
        f = SIZE * torch.hypot(torch.fft.fftfreq(SIZE)[:, None], torch.fft.rfftfreq(SIZE))
        return ((f * energy).sum() / energy.sum()).item()

    assert fineness(0.5) > fineness(2)


@each_pair
def test_a_blend_moves_from_one_style_to_the_other(pair):
    content, first, second = map(picture, pair)
    images = [paint(content, [Style(first, weight=1 - share), Style(second, weight=share)]) for share in (0, 0.5, 1)]
    to_first, to_second = ([style_loss(image, style) for image in images] for style in (first, second))
    assert to_first == sorted(to_first) and to_second == sorted(to_second, reverse=True)


def test_where_color_has_no_lightness_the_run_sees_an_even_gray():
    disk = torch.zeros(1, 1, 64, 64)
    disk[..., 16:48, 16:48] = 1
    lab = torch.cat([torch.full_like(disk, 60.0), 80 * disk - 40, torch.full_like(disk, 20.0)], dim=1)
    trap = color.from_lab(lab)
    assert 0 <= trap.min() and trap.max() <= 1, "both colors exist on a screen"
    assert color.to_gray(trap).std() < 0.01 < trap.std()


def test_tiles_have_the_gradient_of_the_whole():
    content, first, second = map(picture, PAIRS[0])
    mask = left_of(content)
    styles = [Style(first, where=mask), Style(second, where=1 - mask)]
    gradients = []
    for objective in (Objective(backbone, content, styles), TiledObjective(backbone, content, styles, tile=64)):
        pixels = resize_to(first, tuple(content.shape[-2:])).requires_grad_()
        objective(pixels)["total"].backward()
        gradients.append(pixels.grad)
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[0].norm()
