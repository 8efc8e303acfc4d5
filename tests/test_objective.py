"""The objective: fixed targets, the weighted sum, and gradients that reach only the image."""

import pytest
import torch

from stylelib import Objective, content_loss, gallery, gram_matrix, load_backbone, style_loss
from stylelib.backbones import BackboneError
from stylelib.losses import out_of_range, total_variation

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


def test_negative_weights_are_refused(content, style):
    with pytest.raises(ValueError, match="negative"):
        Objective(BACKBONE, content, style, style_weight=-1)


def test_the_papers_convention_is_passed_on(content, style):
    relative, gatys = (
        Objective(BACKBONE, content, style, convention=convention)(content.flip(-1))
        for convention in ("relative", "gatys")
    )
    assert gatys["content"] > 100 * relative["content"]  # a sum over all positions instead of a ratio
