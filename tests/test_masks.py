"""Regions: read, drawn, found by color, softened, and brought to the layers of a network."""

import pytest
import torch
from PIL import Image

from stylelib import load_backbone, masks
from stylelib.images import ImageError
from stylelib.masks import MaskError

BACKBONE = load_backbone("slim")


def left_half(height=64, width=96):
    mask = torch.zeros(1, 1, height, width)
    mask[..., : width // 2] = 1
    return mask


def flag(*colors, height=40, width=20):
    """Upright stripes in the given 8-bit colors."""
    stripes = [torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, height, width) / 255 for color in colors]
    return torch.cat(stripes, dim=3)


RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def test_white_counts_and_black_does_not(tmp_path):
    Image.linear_gradient("L").save(tmp_path / "mask.png")
    mask = masks.load_mask(tmp_path / "mask.png")
    assert mask.shape == (1, 1, 256, 256)
    torch.testing.assert_close(mask[0, 0, :, 0], torch.linspace(0, 1, 256), atol=1e-6, rtol=0)


def test_what_is_transparent_does_not_count(tmp_path):
    """A white shape on nothing, as editors export a selection: on white it would be white all over."""
    picture = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    picture.paste((255, 255, 255, 255), (2, 2, 4, 8))
    picture.save(tmp_path / "mask.png")
    mask = masks.load_mask(tmp_path / "mask.png")
    assert mask.sum() == mask[..., 2:8, 2:4].sum() == 12


def test_a_black_mask_a_missing_one_and_none_are_told_apart(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "mask.png")
    with pytest.raises(MaskError, match=r"mask.png is black all over.*paint white"):
        masks.load_mask(tmp_path / "mask.png")
    with pytest.raises(ImageError, match="no file"):
        masks.load_mask(tmp_path / "no.png")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("white", r"must be a mask, \(1, 1, height, width\).*str"),
        (torch.ones(1, 3, 8, 8), r"it is \(1, 3, 8, 8\)"),
        (torch.ones(1, 1, 8, 8, dtype=torch.uint8), "uint8"),
        (255 * torch.ones(1, 1, 8, 8), "outside"),
        (torch.full((1, 1, 8, 8), float("nan")), "outside"),
        (torch.zeros(1, 1, 8, 8), "covers nothing"),
    ],
)
def test_what_is_no_mask_is_refused_in_words(mask, message):
    with pytest.raises(MaskError, match=message):
        masks.check_mask(mask)


def test_each_color_is_a_region_and_rare_shades_go_to_the_nearest():
    picture = flag(RED, BLUE, WHITE)
    picture[..., 0, 20] = 0.6 * picture[..., 0, 20] + 0.4 * picture[..., 0, 0]  # one smoothed pixel, more blue than red
    found = masks.regions(picture)
    assert list(found) == ["#0000ff", "#ff0000", "#ffffff"]
    assert all(mask.shape == (1, 1, 40, 60) for mask in found.values())
    torch.testing.assert_close(sum(found.values()), torch.ones(1, 1, 40, 60))
    assert found["#0000ff"][..., 20:40].min() == 1 and found["#0000ff"].sum() == 800


def test_a_photograph_is_no_picture_of_regions():
    with pytest.raises(MaskError, match=r"one color for each, 12 at most.*PNG"):
        masks.regions(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


def test_equal_colors_belong_together_whatever_the_size():
    pairs = masks.matching_regions(flag(RED, BLUE), flag(BLUE, RED, height=10, width=6))
    assert len(pairs) == 2
    (blue, blue_part), (red, red_part) = pairs
    assert blue[..., 20:].min() == 1 and blue_part[..., :6].min() == 1
    assert red[..., :20].min() == 1 and red_part[..., 6:].min() == 1


@pytest.mark.parametrize(
    ("content", "style", "message"),
    [
        (flag(RED, BLUE), flag(RED), "#0000ff of the content has no partner.*#ff0000"),
        (flag(RED), flag(RED, WHITE), "#ffffff of the style has no partner"),
    ],
)
def test_a_region_without_a_partner_is_named(content, style, message):
    with pytest.raises(MaskError, match=message):
        masks.matching_regions(content, style)


def test_a_polygon_has_its_area_and_smooth_edges():
    mask = masks.polygon([(10, 10), (50, 10), (10, 40)], (60, 80))
    assert mask.shape == (1, 1, 60, 80)
    assert mask.sum().item() == pytest.approx(600, rel=0.03)
    assert mask[0, 0, 15, 15] == 1 and mask[0, 0, 39, 49] == 0
    assert ((mask > 0) & (mask < 1)).any()
    with pytest.raises(MaskError, match="three corners"):
        masks.polygon([(0, 0), (1, 1)], (8, 8))


def test_a_threshold_parts_light_from_dark():
    image = torch.linspace(0, 1, 11).view(1, 1, 1, 11).expand(1, 3, 4, 11)
    mask = masks.lighter_than(image, 0.5)
    assert mask.shape == (1, 1, 4, 11) and mask[0, 0, 0].tolist() == [0.0] * 5 + [1.0] * 6


def test_a_soft_edge_ends_at_its_radius_and_keeps_the_area():
    hard = left_half()
    soft = masks.soften(hard, 5)
    assert torch.equal(soft[..., :43], hard[..., :43]) and torch.equal(soft[..., 53:], hard[..., 53:])
    assert soft.sum().item() == pytest.approx(hard.sum().item())
    assert 0.4 < soft[0, 0, 10, 47] < 0.6 and (soft[0, 0, 10].diff() <= 1e-6).all()
    assert torch.equal(masks.soften(hard, 0), hard)


@pytest.mark.parametrize("name", ["slim", "vgg19", "squeezenet1_0"])
@pytest.mark.parametrize("shape", [(64, 96), (77, 61)])
def test_the_way_a_layer_sees_is_that_of_the_network(name, shape):
    backbone = load_backbone(name, pretrained=name == "slim")
    features = backbone(torch.rand(1, 3, *shape), backbone.style_layers)
    for layer, feature in features.items():
        assert masks.sight(backbone.network, layer, shape).shape == feature.shape[-2:]


@pytest.mark.parametrize("layer", ["relu1_1", "relu2_1", "relu3_2", "relu4_1", "relu5_1"])
def test_the_field_is_what_a_position_sees(layer):
    shape = (192, 192)
    sight = masks.sight(BACKBONE.network, layer, shape)
    image = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    feature = BACKBONE(image, [layer])[layer]
    row, column = (side // 2 for side in sight.shape)
    feature[0, :, row, column].sum().backward()
    seen = image.grad.abs().amax((0, 1)) > 0
    assert seen.any(0).sum() <= sight.field and seen.any(1).sum() <= sight.field
    assert seen.any(0).sum() >= 0.8 * sight.field
    assert sight.step == shape[0] // sight.shape[0]


def test_positions_that_see_across_the_border_do_not_count():
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., :128] = 1
    for layer in ("relu2_1", "relu3_1", "relu4_1"):
        sight = masks.sight(BACKBONE.network, layer, (256, 256))
        counted = masks.to_layer(mask, sight)
        assert counted.shape[-2:] == sight.shape and counted.max() == 1
        last = int(counted[0, 0, 0].nonzero().max())  # the position nearest to the border that counts
        distance = 128 - sight.step * (last + 0.5)
        assert sight.field / 8 - sight.step <= distance <= sight.field / 8 + sight.step
        assert counted[..., 0].min() == 1, "the edge of the picture is no border"


def test_of_a_small_region_something_is_left_at_every_layer():
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 100:130, 100:130] = 1
    for layer in BACKBONE.style_layers:
        counted = masks.to_layer(mask, masks.sight(BACKBONE.network, layer, (256, 256)))
        assert counted.max() > 0


def test_a_mask_that_covers_all_stays_so():
    whole = masks.sight(BACKBONE.network, "relu3_1", (50, 70))
    assert masks.to_layer(torch.ones(1, 1, 50, 70), whole).min() > 1 - 1e-5


def test_neighbors_with_soft_edges_add_up_to_one():
    left = masks.soften(left_half(), 6)
    torch.testing.assert_close(masks.union([left, 1 - left]), torch.ones(1, 1, 64, 96))


def test_a_huge_picture_of_regions_is_read_smaller_and_keeps_its_colors(tmp_path, monkeypatch):
    picture = Image.new("RGB", (90, 60), "red")
    picture.paste("blue", (0, 0, 31, 60))
    picture.save(tmp_path / "regions.png")
    assert masks.load_regions(tmp_path / "regions.png").shape == (1, 3, 60, 90)
    monkeypatch.setattr(masks, "HUGE", 5000)
    monkeypatch.setattr(masks, "HUGE_AT", 30)
    found = masks.regions(masks.load_regions(tmp_path / "regions.png"))
    assert list(found) == ["#0000ff", "#ff0000"] and found["#0000ff"].shape == (1, 1, 20, 30)
    assert abs(found["#0000ff"].mean().item() - 31 / 90) < 0.03
