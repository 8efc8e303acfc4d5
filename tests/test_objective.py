"""The objective: fixed targets, the weighted sum, and gradients that reach only the image."""

import pytest
import torch

from stylelib import Objective, Style, content_loss, gallery, gram_matrix, load_backbone, style_loss
from stylelib.backbones import BackboneError
from stylelib.losses import out_of_range, total_variation
from stylelib.objective import Near

BACKBONE = load_backbone("slim")


@pytest.fixture
def content():
    return gallery.load("chelsea", size=64)


@pytest.fixture
def style():
    return gallery.load("waves", size=80)


def test_the_total_is_the_weighted_sum_of_its_parts(content, style):
    weights = {"content": 2.0, "style": 3.0, "variation": 5.0, "range": 7.0}
    objective = Objective(BACKBONE, content, style, **{f"{name}_weight": w for name, w in weights.items()})
    losses = objective(content * 1.3 - 0.1)
    assert all(losses[name] > 0 for name in weights)
    assert losses["total"].item() == pytest.approx(sum(w * losses[name].item() for name, w in weights.items()))


def test_the_parts_are_the_losses_of_the_package(content, style):
    image = style[..., : content.shape[-2], : content.shape[-1]]
    image = torch.nn.functional.interpolate(image, content.shape[-2:])
    losses = Objective(BACKBONE, content, style)(image)
    targets = BACKBONE(content, ["relu4_2"])
    grams = {name: gram_matrix(f) for name, f in BACKBONE(style, BACKBONE.style_layers).items()}
    assert losses["content"].item() == pytest.approx(content_loss(BACKBONE(image, ["relu4_2"]), targets).item())
    assert losses["style"].item() == pytest.approx(style_loss(BACKBONE(image, list(grams)), grams).item())
    assert losses["variation"].item() == pytest.approx(total_variation(image).item())
    assert losses["range"].item() == pytest.approx(out_of_range(image).item())


def test_the_content_has_no_content_loss_and_the_style_no_style_loss(content, style):
    objective = Objective(BACKBONE, content, style)
    assert objective(content)["content"].item() == pytest.approx(0, abs=1e-10)
    assert objective(content)["style"].item() > 0.01
    assert Objective(BACKBONE, style=style)(style)["style"].item() == pytest.approx(0, abs=1e-10)


def test_without_style_or_content_that_loss_is_left_out(content, style):
    assert "style" not in Objective(BACKBONE, content=content)(content)
    assert "content" not in Objective(BACKBONE, style=style)(content)
    with pytest.raises(ValueError, match="content picture, a style picture, or both"):
        Objective(BACKBONE)


def test_the_gradient_reaches_the_image_and_not_the_targets(content, style):
    content.requires_grad_()
    style.requires_grad_()
    objective = Objective(BACKBONE, content, style)
    assert not any(t.requires_grad for t in [*objective.content_targets.values(), *objective.gram_targets.values()])
    image = content.detach().clone().requires_grad_()
    objective(image)["total"].backward()
    assert image.grad.abs().max() > 0
    assert content.grad is None and style.grad is None


def test_layers_can_be_chosen_and_weighed(content, style):
    one = Objective(BACKBONE, style=style, style_layers=["relu2_1"])(content)["style"].item()
    two = Objective(BACKBONE, style=style, style_layers=["relu3_1"])(content)["style"].item()
    both = Objective(BACKBONE, style=style, style_layers={"relu2_1": 1, "relu3_1": 3})(content)["style"].item()
    assert both == pytest.approx(0.25 * one + 0.75 * two, rel=1e-5)
    with pytest.raises(BackboneError, match="no layer 'relu9_1'"):
        Objective(BACKBONE, content, content_layers=["relu9_1"])


def test_an_image_of_another_shape_than_the_content_is_refused_in_words(content, style):
    with pytest.raises(ValueError, match="same height and width"):
        Objective(BACKBONE, content, style)(content[..., :-16])


def test_layers_of_a_picture_that_is_not_there_are_refused(content, style):
    with pytest.raises(ValueError, match="There is no content, so content_layers would do nothing"):
        Objective(BACKBONE, style=style, content_layers=["relu1_1"])
    with pytest.raises(ValueError, match="There is no style, so style_layers would do nothing"):
        Objective(BACKBONE, content, style_layers=["relu1_1"])


def test_negative_weights_are_refused(content, style):
    with pytest.raises(ValueError, match="negative"):
        Objective(BACKBONE, content, style, style_weight=-1)


def test_the_papers_convention_is_passed_on(content, style):
    relative, gatys = (
        Objective(BACKBONE, content, style, convention=convention)(content.flip(-1))
        for convention in ("relative", "gatys")
    )
    assert gatys["content"] > 100 * relative["content"]  # a sum over all positions instead of a ratio


# --- several styles, regions, parts, terms ---


def halves(shape):
    left = torch.zeros(1, 1, *shape)
    left[..., : shape[1] // 2] = 1
    return left, 1 - left


def test_blended_styles_are_the_weighted_mean_of_their_losses(content, style):
    other = gallery.load("points", size=80)
    single = [Objective(BACKBONE, content, each)(content)["style"].item() for each in (style, other)]
    blend = Objective(BACKBONE, content, [Style(style, weight=3), Style(other)])(content)["style"].item()
    assert blend == pytest.approx(0.75 * single[0] + 0.25 * single[1], rel=1e-5)
    assert Objective(BACKBONE, content, [style, Style(other, 0)])(content)["style"].item() == pytest.approx(single[0])


def test_each_style_may_have_its_own_layers(content, style):
    other = gallery.load("points", size=80)
    fine = Objective(BACKBONE, style=style, style_layers=["relu1_1"])(content)["style"].item()
    coarse = Objective(BACKBONE, style=other, style_layers=["relu4_1"])(content)["style"].item()
    both = [Style(style, layers=["relu1_1"]), Style(other, layers={"relu4_1": 2.0})]
    assert Objective(BACKBONE, style=both)(content)["style"].item() == pytest.approx((fine + coarse) / 2, rel=1e-5)


def test_a_mask_of_all_is_as_none(content, style):
    everywhere = Style(style, where=torch.ones(1, 1, 7, 9), part=torch.ones(1, 1, 5, 5))
    plain, guided = (Objective(BACKBONE, content, each)(content)["style"].item() for each in (style, everywhere))
    assert guided == pytest.approx(plain, rel=1e-4)


def test_a_small_region_pulls_as_hard_as_a_large_one(style):
    """On noise, which is alike everywhere. Without the share of the area a quarter would be pulled 4 × as hard."""
    content, shape = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), (64, 64)
    pulls = {}
    for share in (0.25, 0.5, 1.0):
        mask = torch.zeros(1, 1, *shape)
        mask[..., : round(share * shape[1])] = 1
        image = content.clone().requires_grad_()
        Objective(BACKBONE, content, Style(style, where=mask))(image)["style"].backward()
        pulls[share] = image.grad[..., : shape[1] // 8].abs().mean().item()
    assert pulls[0.25] == pytest.approx(pulls[1.0], rel=0.7) and pulls[0.5] == pytest.approx(pulls[1.0], rel=0.7)


def test_a_region_is_pulled_to_its_own_style_and_to_no_other(content, style):
    left, right = halves(content.shape[-2:])
    other = gallery.load("points", size=80)
    image = content.clone().requires_grad_()
    Objective(BACKBONE, content, Style(style, where=left, layers=["relu1_1"]))(image)["style"].backward()
    width = content.shape[-1] // 2
    assert image.grad[..., width + 2 :].abs().max() == 0 < image.grad[..., : width - 2].abs().max()
    both = Objective(BACKBONE, content, [Style(style, where=left), Style(other, where=right)])
    single = [
        Objective(BACKBONE, content, Style(each, where=mask))(content)["style"].item()
        for each, mask in ((style, left), (other, right))
    ]
    assert both(content)["style"].item() == pytest.approx(sum(single), rel=1e-5), "each with its share of the area"


def test_a_part_of_a_style_picture_lends_only_its_own_statistics(style):
    other = gallery.load("points", size=80)
    height = min(style.shape[-2], other.shape[-2])
    pieced = torch.cat([style[..., :height, :40], other[..., :height, :40]], dim=3)
    left, _ = halves(pieced.shape[-2:])
    grams = Objective(BACKBONE, style=Style(pieced, part=left), style_layers=["relu1_1", "relu2_1"]).gram_targets
    alone = Objective(BACKBONE, style=style[..., :height, :38], style_layers=["relu1_1", "relu2_1"]).gram_targets
    mixed = Objective(BACKBONE, style=pieced, style_layers=["relu1_1", "relu2_1"]).gram_targets
    for name in grams:
        assert (grams[name] - alone[name]).norm() < 0.3 * (mixed[name] - alone[name]).norm()


def test_the_sums_of_the_terms_add_up_over_the_parts_of_a_picture(content, style):
    left, right = halves(content.shape[-2:])
    styles = [Style(style, where=left), Style(gallery.load("points", size=80), 2, where=right), Style(style.flip(1))]
    objective = Objective(BACKBONE, content, styles)
    image = content.flip(-1)
    features = BACKBONE(image, objective.layers)
    whole = objective(image)
    parts = []
    for first in (True, False):
        places = {}
        for name, feature in features.items():
            half = feature.shape[-1] // 2
            places[name] = (slice(None), slice(0, half) if first else slice(half, None))
        cut = {name: feature[..., *places[name]] for name, feature in features.items()}
        parts.append([term.sums(cut, places) for term in objective.terms])
    sums = [{name: one[name] + two[name] for name in one} for one, two in zip(*parts, strict=True)]
    positions = {name: feature[0, 0].numel() for name, feature in features.items()}
    for name, loss in objective.losses(sums, positions, objective.pixel_losses(image)).items():
        assert loss.item() == pytest.approx(whole[name].item(), rel=1e-5)


def test_a_style_once_seen_serves_many_contents(content, style):
    once = Objective(BACKBONE, content, style)
    seen = once.see_style(Style(style))
    again = Objective(BACKBONE, content.flip(-1), seen)
    assert again(content)["style"].item() == once(content)["style"].item()


def test_a_picture_to_stay_near_is_one_more_term(content, style):
    mask, _ = halves(content.shape[-2:])
    near = Near(content + 0.1, mask, weight=300.0, name="temporal")
    losses = Objective(BACKBONE, content, style, also=[near])(content)
    assert losses["temporal"].item() == pytest.approx(0.005, rel=1e-4)
    plain = Objective(BACKBONE, content, style)(content)["total"].item()
    assert losses["total"].item() == pytest.approx(plain + 1.5, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1}, "weight must not be negative"),
        ({"weight": float("nan")}, "weight must not be negative"),
        ({"scale": 0}, "scale must be above 0"),
        ({"where": torch.zeros(1, 1, 8, 8)}, "mask where a style paints covers nothing"),
        ({"part": torch.ones(8, 8)}, "mask of a part of a style must be a mask"),
    ],
)
def test_a_style_that_makes_no_sense_is_refused_in_words(style, options, message):
    with pytest.raises(ValueError, match=message):
        Style(style, **options)


def test_styles_without_weight_and_masks_without_content_are_refused_in_words(content, style):
    with pytest.raises(ValueError, match="weights of all styles are zero"):
        Objective(BACKBONE, content, [Style(style, weight=0)])
    with pytest.raises(ValueError, match="needs a content picture"):
        Objective(BACKBONE, style=Style(style, where=torch.ones(1, 1, 8, 8)))
