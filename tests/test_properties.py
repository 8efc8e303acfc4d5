"""Whatever arguments the public functions get, they answer with a result or with one clear sentence."""

import math
import warnings

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import stylelib
from stylelib import Objective, Style, gallery, load_backbone, reconstruct, stylize, synthesize_texture, transfer_photo
from stylelib.console import sentence
from stylelib.loop import OptimizationWarning, optimize

BACKBONE = load_backbone("slim")
CONTENT, STYLE = gallery.load("chelsea", size=80)[..., :44, :48], gallery.load("waves", size=80)[..., :48, :44]
tries = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

# Those that are right come first and several times: one that is wrong is enough for a refusal.
SIZES = st.sampled_from([40, 33, 48, 40, 64, 32, 47, 31, 15, 1, 0, -3, 10**6, 2**40, math.nan, 40.5])
NUMBERS = st.sampled_from([1.0, 32, 0.5, 2, 1.0, 0.0, 1e-30, 1e6, 1e38, 1e300, -1.0, math.inf, -math.inf, math.nan])
GOOD_LAYERS = [None, {"relu1_1": 1.0}, None, ["relu1_1", "relu1_1"], {"relu1_1": 2.0, "relu3_1": 0.5}, []]
BAD_LAYERS = [["relu9_9"], {"relu2_1": 0.0}, {"relu2_1": math.nan}, {"relu2_1": -1.0}, {"conv": 1.0}]
LAYERS = st.sampled_from(GOOD_LAYERS + BAD_LAYERS)
GOOD_PICTURES = [
    CONTENT,
    STYLE,
    STYLE.flip(-1),
    torch.zeros(1, 3, 40, 40),
    CONTENT.double(),
    CONTENT.mT,
    torch.ones(1, 3, 41, 40),
]
FALSE_PICTURES = [CONTENT[0], CONTENT * 255, CONTENT * math.nan, CONTENT.expand(2, -1, -1, -1), "photo.jpg", None]
SMALL_PICTURES = [CONTENT[..., :3, :3], torch.ones(1, 3, 1, 1), torch.ones(1, 3, 1, 2000), torch.ones(1, 3, 0, 8)]
PICTURES = st.sampled_from(2 * GOOD_PICTURES + FALSE_PICTURES + SMALL_PICTURES)


def answered(action):
    """The result of an action; None if it was refused in a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", OptimizationWarning)
        try:
            return action()
        except ValueError as error:
            said = sentence(error)
            assert said, f"not an error for users: {error!r}"
            assert said.isprintable() and said.endswith((".", ").")) and 20 < len(said) < 400, said


def is_image(image):
    return image.ndim == 4 and image.shape[:2] == (1, 3) and 0 <= image.min() and image.max() <= 1


def test_what_is_right_is_not_refused():
    for content in GOOD_PICTURES:
        assert answered(lambda content=content: stylize(content, STYLE, backbone=BACKBONE, size=40, steps=2))


@tries
@given(PICTURES, PICTURES, SIZES, st.sampled_from([2, 3, 2, 1, 0]), st.sampled_from(["style", "content", "matched"]))
@example(CONTENT, CONTENT, 40, 3, "style")
@example(torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 40), 40, 3, "matched")
@example(CONTENT, STYLE, 10**6, 3, "content")
@example(CONTENT, STYLE, 2**40, 3, "content")
def test_pictures_and_sizes(content, style, size, steps, color):
    result = answered(lambda: stylize(content, style, backbone=BACKBONE, size=size, steps=steps, color=color))
    assert result is None or (is_image(result.image) and max(result.image.shape[-2:]) == size)


@tries
@given(
    st.dictionaries(st.sampled_from(["content_weight", "style_weight", "variation_weight", "range_weight"]), NUMBERS),
    LAYERS,
    LAYERS,
)
@example({"style_weight": math.nan}, None, None)
@example({}, {"relu2_1": math.nan}, None)
@example({}, None, {"relu2_1": math.nan})
@example({}, None, {"relu2_1": 0.0})
@example({}, [], [])
def test_weights_and_layers(weights, content_layers, style_layers):
    options = {**weights, "content_layers": content_layers, "style_layers": style_layers}
    result = answered(lambda: stylize(CONTENT, STYLE, backbone=BACKBONE, size=40, steps=3, **options))
    if result is not None:
        assert is_image(result.image) and result.status in ("finished", "diverged")
        assert all(0 <= weight < math.inf for weight in weights.values())
        assert "relu9_9" not in (content_layers or []) and "relu9_9" not in (style_layers or [])


@tries
@given(NUMBERS, NUMBERS, SIZES)
def test_styles(weight, scale, size):
    result = answered(
        lambda: stylize(CONTENT, [Style(STYLE, weight, scale), Style(CONTENT)], backbone=BACKBONE, size=size, steps=2)
    )
    assert result is None or (is_image(result.image) and math.isfinite(weight) and scale > 0)


@tries
@given(PICTURES, SIZES, st.sampled_from(["relu1_1", "relu5_1", "relu9_9", ""]))
def test_textures_and_reconstructions(picture, size, layer):
    for action in (
        lambda: synthesize_texture(picture, backbone=BACKBONE, size=size, steps=2),
        lambda: reconstruct(picture, layer, backbone=BACKBONE, size=size, steps=2),
    ):
        result = answered(action)
        assert result is None or is_image(result.image)


@tries
@given(
    st.sampled_from([3, 1, 0, -2]),
    st.sampled_from(["lbfgs", "adam", "sgd", ""]),
    NUMBERS,
    st.sampled_from([None, 1, 0, -1]),
)
def test_loops(steps, optimizer, rate, history):
    objective = Objective(BACKBONE, CONTENT, STYLE)
    options = {"optimizer": optimizer, "learning_rate": rate, "history": history}
    found = answered(lambda: list(optimize(CONTENT, objective, steps, **options)))
    assert found is None or all(is_image(step.image) for step in found)


@tries
@given(PICTURES, PICTURES, st.sampled_from(["smooth", "linear", "covariance", "reinhard", "full", ""]), NUMBERS)
@example(torch.zeros(1, 3, 40, 40), torch.ones(1, 3, 33, 47), "full", 1.0)
@example(torch.zeros(1, 3, 40, 40), CONTENT, "linear", 1.0)
@example(CONTENT, torch.zeros(1, 3, 40, 40), "covariance", 1.0)
@example(CONTENT, STYLE, "smooth", math.nan)
def test_photographs(content, style, method, strength):
    image = answered(lambda: transfer_photo(content, style, method=method, strength=strength))
    assert image is None or is_image(image)


@tries
@given(SIZES)
def test_sizes_of_pictures(size):
    image = answered(lambda: gallery.load("waves", size=size))
    assert image is None or is_image(image)


@pytest.mark.parametrize("name", ["", "slim2", "../slim", "VGG19"])
def test_names_of_networks(name):
    assert answered(lambda: stylelib.load_backbone(name)) is None
