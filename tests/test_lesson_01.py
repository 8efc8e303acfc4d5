"""What lesson 01 says beside its figures, checked as arrays."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import mse_loss
from torchvision.transforms.v2 import functional as TF

import stylelib
from stylelib import gallery, images

SIZE = 240


@pytest.fixture(scope="module")
def pair():
    """The cat, and the painting cut to its height."""
    content = gallery.load("chelsea", size=SIZE)
    return content, gallery.load("flow_strokes", size=SIZE)[:, :, : content.shape[2]]


def test_an_image_is_the_file_with_its_axes_moved_and_its_range_changed():
    array = np.array(Image.open(gallery.path("chelsea")))
    image = gallery.load("chelsea")
    assert image.shape == (1, 3, *array.shape[:2]) and image.dtype == torch.float32
    assert np.array_equal((image[0] * 255).round().numpy(), np.moveaxis(array, 2, 0))


def test_reshaping_spreads_a_third_of_the_picture_over_each_channel():
    """The answer to question 2 of the lesson's quiz."""
    array = np.array(Image.open(gallery.path("chelsea")))
    height, width, _ = array.shape
    reshaped = torch.from_numpy(array).reshape(3, height, width)
    for channel, third in zip(reshaped, np.split(array, 3), strict=True):
        for row in (0, 40, height // 3 - 1):
            assert np.array_equal(channel[3 * row : 3 * row + 3].flatten().numpy(), third[row].flatten())


def test_without_antialiasing_rings_appear_that_are_not_there():
    place = torch.arange(192)
    radius = place.square()[:, None] + place.square()
    rings = (0.5 + 0.5 * torch.cos(torch.pi * radius / (4 * 192))).expand(1, 3, -1, -1)
    careful = images.resize(rings, 48)
    careless = TF.resize(rings, [48, 48], TF.InterpolationMode.BICUBIC, antialias=False).clamp(0, 1)
    corner = (..., slice(-16, -4), slice(-16, -4))
    assert (careful[corner] - 0.5).abs().max() < 0.02
    assert careless[corner].min() < 0.01 and careless[corner].max() > 0.99
    near = (..., slice(8), slice(8))  # where the rings are coarse both keep them
    assert (careful[near] - careless[near]).abs().mean() < 0.1


def test_descent_on_pixels_is_a_cross_fade(pair):
    content, target = pair
    x = content.clone().requires_grad_()
    sgd = torch.optim.SGD([x], lr=x.numel() / 20)
    for k in range(41):
        share = 0.9**k
        torch.testing.assert_close(x.detach(), share * content + (1 - share) * target, rtol=0, atol=1e-5)
        sgd.zero_grad()
        mse_loss(x, target).backward()
        sgd.step()


@pytest.mark.parametrize("name", ["flow_strokes", "geometric", "hatching", "marbling", "points", "waves"])
def test_a_flat_color_is_nearer_than_the_mirror_image(name):
    style = gallery.load(name, size=SIZE)
    flat = style.mean(dim=(2, 3), keepdim=True).expand_as(style)
    assert mse_loss(flat, style) < 0.9 * mse_loss(style.flip(3), style)


def test_style_transfer_is_far_in_pixels_and_near_in_style(pair):
    content, target = pair
    slim = stylelib.load_backbone()
    halfway = (content + target) / 2
    painted = stylelib.stylize(content, target, backbone=slim, size=SIZE, steps=60).image
    layers = slim.style_layers
    grams = {name: stylelib.gram_matrix(values) for name, values in slim(target, layers).items()}
    blended, styled = (stylelib.style_loss(slim(image, layers), grams) for image in (halfway, painted))
    assert mse_loss(halfway, target) < mse_loss(painted, target) / 2
    assert styled < blended / 10
