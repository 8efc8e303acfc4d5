"""Films as figures: what they show, checked as arrays."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from stylelib import screen


def test_colors_of_a_flow_tell_directions_apart_and_white_stands_still():
    flow = torch.zeros(1, 2, 2, 3)
    flow[0, :, 0, 0], flow[0, :, 0, 1], flow[0, :, 0, 2] = (
        torch.tensor(v) for v in ((4.0, 0.0), (-4.0, 0.0), (0.0, 2.0))
    )
    colors = screen.flow_colors(flow)
    right, left, down = colors[0, :, 0].T
    assert (colors[0, :, 1] == 1).all()
    assert (right - left).abs().max() > 0.9
    assert down.min() == pytest.approx(0.5, abs=0.01), "half as fast, half the color"
    assert screen.flow_colors(flow, 8)[0, :, 0, 0].min() == pytest.approx(0.5, abs=0.01)


def test_arrows_point_from_where_a_pixel_was():
    flow = torch.zeros(1, 2, 24, 24)
    flow[:, 0] = -3
    (axis,) = screen.flow_arrows(torch.ones(1, 3, 24, 24), flow, every=8).axes
    arrows = axis.collections[0]
    assert (np.asarray(arrows.U) == 3).all() and (np.asarray(arrows.V) == 0).all() and len(arrows.U) == 9


def test_a_slice_through_time_is_one_row_of_each_frame():
    frames = [torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    slices = screen.time_slice(frames, 2, thick=4)
    assert slices.shape == (1, 3, 12, 7)
    for number, frame in enumerate(frames):
        assert torch.equal(slices[..., 4 * number + 3, :], frame[..., 2, :])
    assert torch.equal(screen.strip(frames)[..., 7:14], frames[1])


def test_the_player_shows_the_frame_that_its_slider_says():
    dark, light = [torch.full((1, 3, 6, 8), v) for v in (0.0, 0.2)], [torch.full((1, 3, 6, 8), v) for v in (0.6, 1.0)]
    player = screen.Player({"a": dark, "b": light}, width=40)
    picture = Image.open(io.BytesIO(player.picture.value))
    assert picture.size == (80, 30)
    assert picture.getpixel((10, 10))[0] < 10 and picture.getpixel((70, 10))[0] == pytest.approx(153, abs=4)
    player.slider.value = 1
    assert Image.open(io.BytesIO(player.picture.value)).getpixel((70, 10))[0] > 250
    assert repr(player) == "A player: run this cell to see it."
