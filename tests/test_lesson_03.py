"""What the figures of lesson 03 claim, checked as arrays: nbval does not look at pictures."""

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import avg_pool2d
from torchvision.transforms.v2.functional import gaussian_blur

import stylelib
from stylelib import checks, gallery

SIZE, STEPS = 128, 60
LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"]


@pytest.fixture(scope="module")
def backbone():
    return stylelib.load_backbone("slim")


@pytest.fixture(scope="module")
def photograph():
    return gallery.load("astronaut", size=SIZE)


@pytest.fixture(scope="module")
def rebuilt(backbone, photograph):
    """Layer → the photograph, reconstructed from it."""
    return {layer: stylelib.reconstruct(photograph, layer, backbone=backbone, steps=STEPS).image for layer in LAYERS}


def relative(value, target):
    return stylelib.content_loss({"it": value}, {"it": target}).item()


def distance(backbone, image, target, layer):
    return stylelib.content_loss(backbone(image, [layer]), backbone(target, [layer])).item()


def noise(seed=0):
    return (0.5 + 0.15 * torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "stereo_motorcycle"])
def test_pixels_and_deep_features_order_a_shift_and_a_blur_differently(backbone, name):
    whole = gallery.load(name, size=2 * SIZE)
    picture, shifted = whole[..., :SIZE, :SIZE], whole[..., :SIZE, 4 : SIZE + 4]
    blurred = gaussian_blur(picture, kernel_size=15, sigma=2.5)
    brighter = (picture + 0.15).clamp(0, 1)
    assert relative(shifted, picture) > 1.2 * relative(blurred, picture)
    deep = [distance(backbone, image, picture, "relu4_2") for image in (blurred, shifted, brighter)]
    assert deep[0] > 1.1 * deep[1] > 2 * deep[2]


def test_relative_losses_compare_across_layers_and_sizes_and_absolute_ones_do_not(backbone):
    losses = {"relative": [], "gatys": []}
    for size in (SIZE // 2, SIZE):
        photograph = gallery.load("astronaut", size=size)
        features, targets = backbone(noise()[..., :size, :size], LAYERS), backbone(photograph, LAYERS)
        for convention, values in losses.items():
            values += [
                stylelib.content_loss(features, {layer: targets[layer]}, convention=convention).item()
                for layer in LAYERS
            ]
    assert max(losses["relative"]) < 4 * min(losses["relative"])
    assert max(losses["gatys"]) > 30 * min(losses["gatys"])


def test_the_deeper_the_layer_the_farther_the_pixels(rebuilt, photograph):
    errors = [relative(image, photograph) for image in rebuilt.values()]
    assert all(deeper > 1.05 * shallower for shallower, deeper in pairwise(errors))
    assert errors[0] < 0.01 and errors[-1] > 0.2


def test_every_layer_gets_its_features_and_those_of_no_shallower_one(rebuilt, photograph, backbone):
    for depth, (layer, image) in enumerate(rebuilt.items()):
        reached = distance(backbone, image, photograph, layer)
        assert reached < 0.15, f"{layer} is reached"
        for shallower in LAYERS[:depth]:
            factor = 1.1 if shallower[:5] == layer[:5] else 2  # layers of one block are near each other
            assert distance(backbone, image, photograph, shallower) > factor * reached, (layer, shallower)


def test_the_layout_outlasts_the_pixels(rebuilt, photograph):
    for layer, image in rebuilt.items():
        layout = relative(avg_pool2d(image, 16), avg_pool2d(photograph, 16))
        assert layout < relative(image, photograph) / 1.5, layer
    blocks = torch.stack([avg_pool2d(each.mean(1), 16).flatten() for each in (rebuilt["relu4_2"], photograph)])
    assert torch.corrcoef(blocks)[0, 1] > 0.6


def test_a_reconstruction_is_near_in_features_and_far_in_pixels_and_a_blur_the_other_way_round(
    rebuilt, photograph, backbone
):
    blurred = gaussian_blur(photograph, kernel_size=15, sigma=2.5)
    assert relative(rebuilt["relu4_2"], photograph) > 2 * relative(blurred, photograph)
    assert 4 * distance(backbone, rebuilt["relu4_2"], photograph, "relu4_2") < distance(
        backbone, blurred, photograph, "relu4_2"
    )


def test_different_starts_end_in_different_pictures_with_the_same_features(rebuilt, photograph, backbone):
    other = stylelib.reconstruct(photograph, "relu4_2", backbone=backbone, steps=STEPS, seed=1).image
    assert distance(backbone, other, photograph, "relu4_2") < 0.15
    assert relative(other, rebuilt["relu4_2"]) > 0.05


def test_the_content_loss_rises_from_0_and_falls_from_noise(photograph, backbone):
    style = gallery.load("flow_strokes", size=SIZE)
    objective = stylelib.Objective(backbone, photograph, style, style_weight=8)
    pixels = photograph.clone().requires_grad_()
    (pull,) = torch.autograd.grad(objective(pixels)["content"], pixels)
    assert pull.abs().max() < 1e-5, "at the start the content loss pulls at no pixel"
    for start, rises in ((photograph, True), (noise(), False)):
        history = list(stylelib.optimize(start, objective, steps=STEPS))
        first, last = history[0].losses, min((step.losses for step in history), key=lambda losses: losses["total"])
        assert (first["content"] < 1e-6) == rises
        assert last["content"] > 0.05 if rises else last["content"] < first["content"] / 1.5
        assert last["total"] < first["total"] / 3


def fine_lines(image):
    gray = image.mean(dim=1, keepdim=True)
    return (gray - gaussian_blur(gray, kernel_size=9, sigma=2)).flatten()


def kept_lines(image, photograph):
    """Correlation of what a blur takes away: asks no network, so it depends on no channel's unit."""
    return torch.corrcoef(torch.stack([fine_lines(image), fine_lines(photograph)]))[0, 1].item()


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_a_shallow_content_layer_keeps_the_photograph_and_a_deep_one_lets_it_go(name, backbone):
    photograph, style = gallery.load(name, size=SIZE), gallery.load("flow_strokes", size=SIZE)
    painted = []
    for layers in ({"relu2_1": 1}, {"relu2_1": 0.2, "relu4_2": 0.8}, {"relu4_2": 1}):
        objective = stylelib.Objective(backbone, photograph, style, content_layers=layers, style_weight=8)
        steps = list(stylelib.optimize(photograph, objective, steps=STEPS))
        painted.append(min(steps, key=lambda step: step.losses["total"]).image)
    lines = [kept_lines(image, photograph) for image in painted]
    assert lines[0] > lines[1] + 0.05 and lines[1] > lines[2] + 0.1
    shallow, _, deep = painted
    for layer, near, far in (("relu2_1", shallow, deep), ("relu4_2", deep, shallow)):
        assert 1.5 * distance(backbone, near, photograph, layer) < distance(backbone, far, photograph, layer), layer


def test_what_deep_features_leave_free_stays_as_the_start_had_it(photograph, backbone):
    cat = gallery.load("chelsea", size=8 * SIZE // 5)[..., :SIZE, SIZE // 4 : SIZE // 4 + SIZE]
    objective = stylelib.Objective(backbone, photograph, content_layers=["relu4_2"], variation_weight=0.01)
    starts = torch.cat([noise(), cat, photograph.flip(-1)])
    ends = torch.cat([list(stylelib.optimize(start[None], objective, steps=STEPS))[-1].image for start in starts])
    own_start, own_end = ((images - images.mean(dim=0)).flatten(1) for images in (starts, ends))
    likeness = torch.corrcoef(torch.cat([own_end, own_start]))[:3, 3:]  # of each end to each start
    assert likeness.diagonal().min() > 0.25 and likeness.argmax(dim=1).tolist() == [0, 1, 2]


def test_the_learners_own_loop_brings_the_photograph_back(photograph, backbone):
    reconstruct = checks.EXERCISES["reconstruct"].reference
    targets = backbone(photograph, ["relu3_1"])

    def objective(image):
        return stylelib.content_loss(backbone(image, ["relu3_1"]), targets)

    image = reconstruct(objective, noise(), STEPS, 0.05)
    assert objective(image) < objective(noise()) / 10
    assert relative(image, photograph) < relative(noise(), photograph) / 1.5
