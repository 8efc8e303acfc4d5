"""What the figures of lesson 04 claim, checked as arrays: nbval does not look at pictures."""

from pathlib import Path

import nbformat
import pytest
import torch
from matplotlib.colors import rgb_to_hsv

import stylelib
from stylelib import checks, gallery

MASTER = Path(__file__).parent.parent / "notebooks" / "solutions" / "04_gram_matrices.ipynb"
SIZE, STEPS = 128, 40
LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_3"]
STYLES = ["gravel", "grass", "flow_strokes"]


@pytest.fixture(scope="module")
def backbone():
    return stylelib.load_backbone("slim")


def patch(name, top=0, left=0, scale=2):
    return gallery.load(name, size=scale * SIZE)[..., top : top + SIZE, left : left + SIZE]


def grams(backbone, image, layers):
    return {name: stylelib.gram_matrix(layer) for name, layer in backbone(image, layers).items()}


def distance(backbone, image, style, layers=LAYERS):
    return stylelib.style_loss(backbone(image, layers), grams(backbone, style, layers)).item()


def texture(backbone, style, layers=LAYERS):
    return stylelib.synthesize_texture(
        style, backbone=backbone, size=SIZE, steps=STEPS, style_layers=layers, variation_weight=1.0
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


@pytest.mark.parametrize("name", STYLES)
def test_shuffling_spares_the_layer_itself_but_not_what_is_computed_from_it(backbone, name):
    shuffle = checks.EXERCISES["shuffle_positions"].reference
    picture = patch(name)
    shuffled = shuffle(picture, permutation(SIZE**2))
    torch.testing.assert_close(stylelib.gram_matrix(shuffled), stylelib.gram_matrix(picture), rtol=1e-4, atol=1e-5)
    features = backbone(picture, ["relu2_1"])["relu2_1"]
    moved = shuffle(features, permutation(features[0, 0].numel()))
    torch.testing.assert_close(stylelib.gram_matrix(moved), stylelib.gram_matrix(features), rtol=1e-3, atol=1e-3)
    assert distance(backbone, shuffled, picture, ["relu2_1"]) > 0.2


@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("name", STYLES)
def test_the_deeper_a_layer_the_more_it_notices_shuffled_tiles(backbone, name, side):
    picture = patch(name)
    noticed = [distance(backbone, shuffle_tiles(picture, side), picture, [layer]) for layer in LAYERS]
    assert noticed == sorted(noticed)
    assert noticed[-1] > 8 * noticed[0]


def test_another_patch_of_the_same_texture_is_near_and_a_turned_painting_is_not(backbone):
    gravel, strokes = patch("gravel"), patch("flow_strokes")
    near = distance(backbone, patch("gravel", SIZE, SIZE), gravel)
    assert 5 * near < distance(backbone, patch("grass"), gravel)
    upside_down, on_its_side = (distance(backbone, strokes.rot90(k, (2, 3)), strokes) for k in (2, 1))
    assert 4 * upside_down < on_its_side


@pytest.fixture(scope="module")
def textures(backbone):
    """Name → the textures made from the first layer, the first two, and so on."""
    return {
        name: [texture(backbone, patch(name), LAYERS[:used]) for used in range(1, len(LAYERS) + 1)]
        for name in ("gravel", "flow_strokes")
    }


@pytest.mark.parametrize("name", ["gravel", "flow_strokes"])
def test_textures_match_the_layers_used_and_none_deeper(backbone, textures, name):
    for used, image in enumerate(textures[name][:-1], 1):
        asked = [distance(backbone, image, patch(name), [layer]) for layer in LAYERS]
        assert min(asked[used:]) > 4 * max(asked[:used])


def test_the_deeper_an_unused_layer_the_worse_it_is_matched(backbone, textures):
    for used in range(1, len(LAYERS)):
        unused = [
            sum(distance(backbone, textures[name][used - 1], patch(name), [layer]) for name in textures)
            for layer in LAYERS[used:]
        ]
        assert unused == sorted(unused)


def test_textures_are_neither_copies_of_the_style_nor_flat(textures):
    style, image = patch("flow_strokes"), textures["flow_strokes"][-1]
    assert (image - style).abs().mean() > 0.1
    assert image.std() > 0.7 * style.std()


class MomentObjective:
    """Means and standard deviations in place of Gram matrices."""

    def __init__(self, backbone, style, layers):
        self.backbone, self.layers, self.device = backbone, layers, style.device
        self.targets = self.moments(style)

    def moments(self, image):
        features = self.backbone(image, self.layers).values()
        pairs = [torch.var_mean(layer, dim=(2, 3), correction=0) for layer in features]
        return [value for variance, mean in pairs for value in (mean, (variance + 1e-8).sqrt())]

    def __call__(self, image):
        pairs = list(zip(self.moments(image), self.targets, strict=True))
        style = sum((got - want).square().sum() / want.square().sum() for got, want in pairs) / len(pairs)
        rest = stylelib.total_variation(image) + 10 * stylelib.losses.out_of_range(image)
        return {"style": style, "total": stylelib.objective.STYLE_WEIGHT * style + rest}


def test_mean_and_variance_lack_little_with_five_layers_and_much_with_one(backbone, textures):
    style = patch("flow_strokes")
    start = 0.5 + 0.15 * torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    ratio, made = {}, {}
    for used in (1, 5):
        layers = LAYERS[:used]
        steps = stylelib.optimize(start, MomentObjective(backbone, style, layers), steps=STEPS)
        image = min(steps, key=lambda step: step.losses["total"]).image
        made[used] = image
        lost = distance(backbone, image, style, layers)
        assert lost < distance(backbone, start, style, layers) / 8
        ratio[used] = lost / distance(backbone, textures["flow_strokes"][used - 1], style, layers)
    assert ratio[1] > 5 and ratio[1] > 5 * ratio[5]
    of_style, of_gram, of_moments = (hues(image) for image in (style, textures["flow_strokes"][0], made[1]))
    rare = of_style < 0.03
    assert of_moments[rare].sum() > 2 * of_gram[rare].sum(), "colors that the painting hardly has"


def hues(image):
    """The lesson's own function."""
    (source,) = (cell.source for cell in nbformat.read(MASTER, as_version=4).cells if cell.id == "moments-hues")
    defined = {"torch": torch, "rgb_to_hsv": rgb_to_hsv}
    exec(source.partition("\nwheel = ")[0], defined)
    return defined["hues"](image)


@pytest.mark.parametrize(
    ("name", "corner", "scale"),
    [("stained_glass", (0, 0), 1), ("astronaut", (SIZE // 12, 27 * SIZE // 32), 3)],
    ids=["window", "face"],
)
def test_the_texture_of_an_arrangement_is_a_good_match_and_no_arrangement(backbone, name, corner, scale):
    whole = patch(name, *corner, scale=scale)
    image = texture(backbone, whole)
    assert distance(backbone, image, whole) < 0.15
    coarse = [torch.nn.functional.avg_pool2d(each.mean(1), 8) for each in (image, whole)]
    assert torch.corrcoef(torch.stack([each.flatten() for each in coarse]))[0, 1].abs() < 0.5
