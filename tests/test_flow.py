"""Flow, warping, masks and cuts, on motion that is known."""

import math

import pytest
import torch

from stylelib import flow, gallery, scenes
from stylelib.scenes import Layer, Scene, _move

SIZE = 128


@pytest.fixture(scope="module")
def passing():
    return scenes.passing(size=SIZE, step=3)


@pytest.fixture(scope="module")
def pan():
    return scenes.pan(size=SIZE, step=2)


@pytest.mark.parametrize("name", ["passing", "pan", "zoom", "still"])
def test_flow_is_found_to_a_fraction_of_a_pixel(name):
    scene = getattr(scenes, name)(size=SIZE)
    found = flow.optical_flow(scene.frame(3), scene.frame(2))
    assert flow.end_point_error(found, scene.flow(3), scene.visible(3)) < 0.4


def test_flow_in_a_smooth_sky_is_not_too_short():
    zoom = scenes.zoom(size=384)
    found = flow.optical_flow(zoom.frame(14), zoom.frame(13))
    assert flow.end_point_error(found, zoom.flow(14), zoom.visible(14)) < 0.12


def test_sharpening_finds_what_a_flow_misses(pan):
    image, before, true, seen = pan.frame(3), pan.frame(2), pan.flow(3), pan.visible(3)
    short = 0.8 * true
    sharp = flow.sharpen(image, before, short)
    assert flow.end_point_error(sharp, true, seen) < flow.end_point_error(short, true, seen) / 3


def test_sharpening_finds_next_to_nothing_in_noise():
    noisy = scenes.still(size=SIZE, noise=0.02)
    nothing = torch.zeros(1, 2, *noisy.shape)
    assert flow.sharpen(noisy.frame(1), noisy.frame(0), nothing).norm(dim=1).mean() < 0.02


def test_a_camera_that_stands_still_does_not_creep_in_noise():
    noisy = scenes.still(size=SIZE, noise=0.02)
    assert flow.optical_flow(noisy.frame(1), noisy.frame(0)).norm(dim=1).mean() < 0.02


def test_what_moves_before_a_camera_that_stands_still_is_found(passing):
    found = flow.optical_flow(passing.frame(3), passing.frame(2))
    moves = (passing.flow(3).norm(dim=1, keepdim=True) > 0).float() * passing.visible(3)
    assert flow.end_point_error(found, passing.flow(3), moves) < 0.8  # of 3.1; its edge counts


def test_warping_by_whole_pixels_moves_them_and_repeats_the_border():
    image = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    by = torch.zeros(1, 2, 5, 7)
    by[:, 0], by[:, 1] = 2, -1
    warped = flow.warp(image, by, "bilinear")
    assert torch.allclose(warped[..., 1:, :5], image[..., :4, 2:], atol=1e-5)
    assert torch.allclose(warped[..., 1:, 6], image[..., :4, 6], atol=1e-5)
    assert torch.allclose(flow.warp(image, torch.zeros_like(by)), image, atol=1e-5)


def test_a_frame_warped_along_the_true_flow_is_the_next_one(passing):
    gap = (flow.warp(passing.frame(4), passing.flow(5)) - passing.frame(5)).abs() * passing.visible(5)
    assert gap.mean() < 0.01
    assert (passing.frame(4) - passing.frame(5)).abs().mean() > 2 * gap.mean()


def test_two_flows_chained_are_the_flow_over_two_frames(passing):
    chained = flow.chain(passing.flow(5), passing.flow(4))
    seen = passing.visible(5) * passing.visible(5, 2)
    assert flow.end_point_error(chained, passing.flow(5, 2), seen) < 0.01
    assert flow.end_point_error(passing.flow(5), passing.flow(5, 2), seen) > 0.3


def test_end_point_error_by_hand():
    found, true = torch.zeros(1, 2, 1, 2), torch.tensor([3.0, 4.0])[None, :, None, None].expand(1, 2, 1, 2)
    assert flow.end_point_error(found, true) == 5
    assert (
        flow.end_point_error(found, torch.cat([true[..., :1], found[..., :1]], -1), torch.tensor([[[[0.0, 1.0]]]])) == 0
    )


def test_a_flow_grows_with_its_picture():
    small = torch.ones(1, 2, 3, 4)
    large = flow.resize_flow(small, (9, 8))
    assert large.shape == (1, 2, 9, 8)
    assert torch.equal(large[0, :, 0, 0], torch.tensor([2.0, 3.0]))


def test_the_mask_is_dark_where_something_is_new_and_light_elsewhere(passing, pan):
    for scene in (passing, pan):
        image, before, true, seen = scene.frame(5), scene.frame(4), scene.flow(5), scene.visible(5)
        mask = flow.agreement(image, flow.warp(before, true), true)
        assert 0 <= mask.min() and mask.max() <= 1
        assert (mask * seen).sum() / seen.sum() > 0.85
        hidden = 1 - seen
        assert (mask * hidden).sum() / hidden.sum() < 0.5


def test_nothing_is_trusted_that_comes_from_outside():
    right = torch.zeros(1, 2, 20, 30)
    right[:, 0] = 8
    assert torch.equal(flow.inside(right), torch.cat([torch.ones(1, 1, 20, 22), torch.zeros(1, 1, 20, 8)], -1))


def test_stretch_of_a_zoom_is_the_area_it_grows_by():
    places = flow.positions(10, 12)
    assert torch.allclose(flow.stretch(0.1 * places), torch.tensor(1.21), atol=1e-4)
    assert flow.stretch(-1.5 * places).min() > 0  # turned over twice is not folded
    assert flow.stretch(torch.cat([-1.5 * places[:, :1], 0 * places[:, :1]], 1)).max() < 0


def test_a_softened_mask_stays_inside_the_hard_one():
    hard = torch.zeros(1, 1, 40, 40)
    hard[..., 10:30, 10:30] = 1
    soft = flow.soften(hard, 7)
    assert (soft * (1 - hard)).sum() == 0 and soft[..., 20, 20] == 1
    assert len(soft[0, 0, 20].unique()) > 4


def test_blur_keeps_what_is_even_and_has_the_width_asked_for():
    assert torch.allclose(flow.blur(torch.full((1, 3, 9, 11), 0.3), 4), torch.tensor(0.3), atol=1e-5)
    point = torch.zeros(1, 1, 61, 61)
    point[..., 30, 30] = 1
    row = flow.blur(point, 4)[0, 0].sum(0)
    spread = (row * (torch.arange(61) - 30.0) ** 2).sum() / row.sum()
    assert math.sqrt(spread) == pytest.approx(4, rel=0.05)


def test_holes_are_filled_from_around_and_the_rest_is_kept():
    image = torch.full((1, 3, 40, 40), 0.7)
    mask = torch.ones(1, 1, 40, 40)
    mask[..., 15:25, 15:25] = 0
    holed = image * mask - 5 * (1 - mask)
    assert torch.allclose(flow.fill(holed, mask, 6), image, atol=0.01)


def test_histograms_tell_colors_and_nothing_else():
    image, other = gallery.load("chelsea", size=SIZE), gallery.load("rocket", size=SIZE)
    assert flow.histogram_distance(image, image.flip(-1)) == 0
    assert flow.histogram_distance(image, other) > 0.5
    assert flow.histogram_distance(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)) == 2


def test_cuts_are_found_and_motion_is_none(passing, pan):
    other = scenes.zoom(size=SIZE).frame(0)
    assert flow.is_cut(other, passing.frame(5), flow.optical_flow(other, passing.frame(5)))
    for scene in (passing, pan, scenes.still(size=SIZE), scenes.zoom(size=SIZE)):
        for number in (1, 6):
            image, before = scene.frame(number), scene.frame(number - 1)
            assert not flow.is_cut(image, before, flow.optical_flow(image, before))


def test_a_cut_between_pictures_of_the_same_colors_is_found_by_the_flow():
    image = gallery.load("chelsea", size=SIZE)
    before = image.flip(-1).flip(-2)
    found = flow.optical_flow(image, before)
    assert flow.histogram_distance(image, before) == 0
    assert flow.is_cut(image, before, found)


# --- the scenes themselves ---


def test_the_flow_of_a_scene_is_that_of_what_is_in_front(passing):
    middle = passing.flow(2)[0, :, SIZE * 3 // 8, SIZE // 3]
    assert middle.tolist() == pytest.approx([-3, -0.75], abs=1e-3)
    assert passing.flow(2)[0, :, -1, 0].tolist() == [0, 0]


def test_what_comes_in_at_the_border_was_not_visible(pan):
    assert pan.visible(4)[..., -2:].sum() == 0
    assert pan.visible(4)[..., 20:80, 20:100].min() == 1


def test_a_covered_place_is_visible_again_only_when_it_was(passing):
    new = 1 - passing.visible(6, lag=6)
    assert 0.01 < new.mean() < 0.3


def test_noise_is_another_in_each_frame_and_the_same_in_each_run():
    scene = Scene([Layer(gallery.load("chelsea", size=200), lambda index: _move(9, 9))], (60, 80), noise=0.05)
    assert torch.equal(scene.frame(3), scene.frame(3))
    assert 0.03 < (scene.frame(3) - scene.frame(4)).std() < 0.09
