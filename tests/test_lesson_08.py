"""What the figures of lesson 08 claim, checked as arrays: nbval does not look at pictures."""

import pytest
import torch

import stylelib
from stylelib import flow, gallery, scenes, screen, video

SIZE, FRAMES, STEPS = 128, 6, 30
MIDDLE = FRAMES // 2


@pytest.fixture(scope="module")
def backbone():
    return stylelib.load_backbone("slim")


@pytest.fixture(scope="module")
def style():
    return gallery.load("flow_strokes", size=SIZE)


@pytest.fixture(scope="module")
def scene():
    return scenes.passing(size=SIZE, step=3)


@pytest.fixture(scope="module")
def clip(scene):
    return [scene.frame(number) for number in range(FRAMES)]


@pytest.fixture(scope="module")
def one_by_one(clip, style, backbone):
    return [
        stylelib.stylize(frame, style, backbone=backbone, size=SIZE, steps=STEPS).image for frame in clip[MIDDLE - 1 :]
    ]


@pytest.fixture(scope="module")
def film(clip, style, backbone):
    shot = video.Shot(backbone, style, SIZE, STEPS)
    return [shot.paint(frame) for frame in clip]


def raggedness(frames, row):
    """Mean change from one band of a slice through time to the next."""
    return screen.time_slice(frames, row, thick=1).diff(dim=-2).abs().mean().item()


def test_stripes_of_the_photographs_are_straight_those_one_by_one_ragged_those_carried_nearly_straight(
    clip, one_by_one, film
):
    row = round(0.75 * clip[0].shape[-2])
    photographed, ragged, carried = (raggedness(frames, row) for frames in (clip, one_by_one, film))
    assert photographed < 1e-4
    assert ragged > 0.02 and carried < ragged / 3


def test_the_warped_frame_differs_from_this_one_in_a_sickle_behind_the_cat(scene, clip):
    found = flow.optical_flow(clip[MIDDLE], clip[MIDDLE - 1])
    gap = (clip[MIDDLE] - flow.warp(clip[MIDDLE - 1], found)).abs().mean(1, keepdim=True)
    hidden, visible = 1 - scene.visible(MIDDLE), scene.visible(MIDDLE)
    assert (gap * hidden).sum() / hidden.sum() > 2 * (gap * visible).sum() / visible.sum()


def test_the_target_holds_the_paint_where_the_flow_is_right(scene, clip, one_by_one):
    found = flow.optical_flow(clip[MIDDLE], clip[MIDDLE - 1])
    target, mask = video.carried(clip[MIDDLE], video.Past(clip[MIDDLE - 1], one_by_one[0], None), found)
    moved = flow.warp(one_by_one[0], scene.flow(MIDDLE))
    sure = scene.visible(MIDDLE) * (mask > 0.99)
    assert sure.mean() > 0.7
    assert ((target - moved).abs() * sure).sum() / sure.sum() / 3 < 0.03


def test_bilinear_sampling_wears_a_picture_out_and_bicubic_less(film):
    half = torch.zeros(1, 2, *film[0].shape[-2:])
    half[:, 0] = 0.5
    worn = {}
    for mode in ("bilinear", "bicubic"):
        image = film[0]
        for _ in range(8):
            image = flow.warp(flow.warp(image, half, mode), -half, mode)
        worn[mode] = image.diff(dim=-1).abs().mean() / film[0].diff(dim=-1).abs().mean()
    assert worn["bilinear"] < 0.7
    assert abs(worn["bicubic"] - 1) < 0.1, "its weights below zero sharpen a little"


def test_the_bars_of_the_cuts_stand_out():
    shots = [scenes.passing(size=SIZE, step=3), scenes.zoom(size=SIZE), scenes.still(size=SIZE)]
    frames = [scene.frame(number) for scene in shots for number in range(2)]
    distances = [flow.histogram_distance(frames[n], frames[n - 1]) for n in range(1, len(frames))]
    inside, across = distances[::2], distances[1::2]
    assert max(inside) < flow.APART / 3 and min(across) > 1.5 * flow.APART
