"""Tiles: the same losses and the same gradient as in one piece, for every kind of term, network and shape."""

import pytest
import torch

from stylelib import Objective, Style, gallery, load_backbone
from stylelib.masks import sight
from stylelib.objective import Near
from stylelib.tiles import TiledObjective, cut

# In float64: of two values that are nearly the same, rounding decides which is the maximum that a pooling passes on,
# and the gradient goes to the one or the other.
SLIM = load_backbone("slim").double()


def picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def both(backbone=SLIM, shape=(150, 203), style=None, tile=64, **options):
    """(losses, gradient of the total) in one piece and in tiles, of a picture near its content."""
    content, style = picture(*shape), picture(130, 117, seed=1) if style is None else style
    found = []
    for objective in (
        Objective(backbone, content, style, **options),
        TiledObjective(backbone, content, style, tile=tile, **options),
    ):
        image = (0.7 * content + 0.3 * picture(*shape, seed=2)).requires_grad_()
        losses = objective(image)
        losses["total"].backward()
        found.append(({name: loss.item() for name, loss in losses.items()}, image.grad))
    return found


def assert_same(whole, tiled):
    assert tiled[0] == pytest.approx(whole[0], rel=1e-6)
    assert (tiled[1] - whole[1]).norm() < 1e-6 * whole[1].norm()
    assert (tiled[1] - whole[1]).abs().max() < 1e-6 * whole[1].abs().max(), "a seam would show here"


@pytest.mark.parametrize("shape", [(150, 203), (64, 300), (129, 128), (65, 64), (40, 40)])
def test_tiles_give_the_losses_and_the_gradient_of_the_whole(shape):
    assert_same(*both(shape=shape))


@pytest.mark.parametrize("tile", [16, 48, 100, 1000])
def test_the_size_of_a_tile_makes_no_difference(tile):
    assert_same(*both(shape=(90, 121), tile=tile))


@pytest.mark.parametrize("name", ["vgg19", "squeezenet1_0"])
@pytest.mark.parametrize("options", [{}, {"pooling": "average", "padding": "replicate"}], ids=["own", "changed"])
def test_the_other_networks(name, options):
    torch.manual_seed(0)
    backbone = load_backbone(name, pretrained=False, mixed=False, **options).double()
    assert_same(*both(backbone, shape=(70, 155)))


def test_every_option_of_the_objective():
    where, part = torch.zeros(2, 1, 1, 150, 203)
    where[..., 20:120, 30:140], part[..., :60] = 1, 1
    styles = [
        Style(picture(130, 117, seed=1), weight=2, where=where, part=part),
        Style(picture(90, 150, seed=3), where=1 - where, layers=["relu2_1", "relu4_1"]),
        Style(picture(100, 100, seed=4), scale=0.7),
    ]
    near = Near(picture(150, 203, seed=5), mask=where, weight=3)
    assert_same(*both(style=styles, also=[near], content_layers=["relu3_2", "relu5_1"]))
    assert_same(*both(convention="gatys", style_weight=1e-3))


def test_a_texture_has_no_content():
    style, image = picture(100, 100), picture(80, 140, seed=1)
    whole, tiled = Objective(SLIM, style=style), TiledObjective(SLIM, style=style, tile=48)
    assert tiled(image)["total"].item() == pytest.approx(whole(image)["total"].item(), rel=1e-4)


def test_targets_too_are_seen_tile_by_tile():
    content, style = gallery.load("chelsea", size=200), gallery.load("waves", size=150)
    whole, tiled = Objective(SLIM, content, style), TiledObjective(SLIM, content, style, tile=48)
    for name, target in whole.content_targets.items():
        torch.testing.assert_close(tiled.content_targets[name].double(), target, rtol=1e-4, atol=1e-5)
    for name, target in whole.gram_targets.items():
        torch.testing.assert_close(tiled.gram_targets[name].double(), target, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(150, 203), (1000, 70), (33, 47)])
def test_every_position_belongs_to_exactly_one_tile(shape):
    sights = {name: sight(SLIM.network, name, shape) for name in SLIM.style_layers}
    tiles = cut(shape, sights, 64)
    for name, layer in sights.items():
        count = torch.zeros(layer.shape)
        for tile in tiles:
            count[tile.places[name]] += 1
        assert bool((count == 1).all()), name


def test_a_tile_smaller_than_a_step_is_refused():
    with pytest.raises(ValueError, match="at least 8 pixels wide"):
        TiledObjective(SLIM, picture(64, 64), picture(64, 64), tile=7)
