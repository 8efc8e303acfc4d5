"""What the figures of lesson 04 claim, checked as arrays: nbval does not look at pictures."""

import pytest
import torch

import stylelib
from stylelib import checks, gallery

SIZE, STEPS = 128, 50


@pytest.fixture(scope="module")
def backbone():
    return stylelib.load_backbone("slim")


@pytest.fixture(scope="module")
def layers(backbone):
    return list(backbone.style_layers)


def patch(name, top=0, left=0):
    return gallery.load(name, size=2 * SIZE)[..., top : top + SIZE, left : left + SIZE]


def grams(backbone, image, layers):
    return {name: stylelib.gram_matrix(layer) for name, layer in backbone(image, layers).items()}


def distance(backbone, image, style, layers):
    return stylelib.style_loss(backbone(image, layers), grams(backbone, style, layers)).item()


def texture(backbone, style, layers):
    return stylelib.synthesize_texture(
        style, backbone=backbone, size=SIZE, steps=STEPS, style_layers=layers, variation_weight=0.4
    ).image


def permutation(count):
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def shuffle_tiles(image, side):
    rows = [row.split(side, dim=-1) for row in image.split(side, dim=-2)]
    tiles = [tile for row in rows for tile in row]
    order, count = permutation(len(tiles)).tolist(), image.shape[-1] // side
    return torch.cat(
        [torch.cat([tiles[k] for k in order[i : i + count]], dim=-1) for i in range(0, len(tiles), count)], dim=-2
    )


@pytest.mark.parametrize("name", ["gravel", "grass", "flow_strokes"])
def test_shuffling_spares_the_layer_itself_but_not_what_is_computed_from_it(backbone, name):
    shuffle = checks.EXERCISES["shuffle_positions"].reference
    picture = patch(name)
    shuffled = shuffle(picture, permutation(SIZE**2))
    torch.testing.assert_close(stylelib.gram_matrix(shuffled), stylelib.gram_matrix(picture), rtol=1e-4, atol=1e-5)
    features = backbone(picture, ["relu3_1"])["relu3_1"]
    moved = shuffle(features, permutation(features[0, 0].numel()))
    torch.testing.assert_close(stylelib.gram_matrix(moved), stylelib.gram_matrix(features), rtol=1e-3, atol=1e-3)
    assert distance(backbone, shuffled, picture, ["relu3_1"]) > 1


def test_the_deeper_a_layer_the_more_it_notices_shuffled_tiles(backbone, layers):
    picture = patch("flow_strokes")
    noticed = [distance(backbone, shuffle_tiles(picture, 32), picture, [layer]) for layer in layers]
    assert noticed == sorted(noticed)
    assert noticed[-1] > 3 * noticed[0]


def test_another_patch_of_the_same_texture_is_near_and_a_turned_painting_is_not(backbone, layers):
    gravel, strokes = patch("gravel"), patch("flow_strokes")
    near = distance(backbone, patch("gravel", SIZE, SIZE), gravel, layers)
    assert 5 * near < distance(backbone, patch("grass"), gravel, layers)
    upside_down, on_its_side = (distance(backbone, strokes.rot90(k, (2, 3)), strokes, layers) for k in (2, 1))
    assert 4 * upside_down < on_its_side


@pytest.mark.parametrize("name", ["gravel", "flow_strokes"])
def test_textures_match_the_layers_used_and_none_deeper(backbone, layers, name):
    style = patch(name)
    for used in range(1, len(layers)):
        image = texture(backbone, style, layers[:used])
        asked = [distance(backbone, image, style, [layer]) for layer in layers]
        assert min(asked[used:]) > 4 * max(asked[:used])


def test_textures_are_neither_copies_of_the_style_nor_flat(backbone, layers):
    style = patch("flow_strokes")
    image = texture(backbone, style, layers)
    assert (image - style).abs().mean() > 0.1
    assert image.std() > 0.7 * style.std()


def test_a_face_as_a_texture_is_a_good_match_and_no_face(backbone, layers):
    face = patch("astronaut", 0, 30 * SIZE // 64)
    image = texture(backbone, face, layers)
    assert distance(backbone, image, face, layers) < 0.1
    layout = torch.corrcoef(
        torch.stack([torch.nn.functional.avg_pool2d(each.mean(1), 16).flatten() for each in (image, face)])
    )[0, 1]
    assert layout.abs() < 0.5
