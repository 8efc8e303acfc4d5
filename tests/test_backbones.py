"""Backbones: the right feature maps under the right names, and one clear sentence when something is missing."""

import socket
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from stylelib import Objective, backbones, gallery, optimize
from stylelib.backbones import (
    SLIM_WEIGHTS,
    BackboneError,
    bfloat16_speedup,
    has_bfloat16_units,
    load_backbone,
    weights_file,
)

VGG_RELUS = [1, 3, 6, 8, 11, 13, 15, 17, 20, 22, 24, 26, 29]  # indices in torchvision's vgg19().features
VGG_NAMES = (
    "relu1_1 relu1_2 relu2_1 relu2_2 relu3_1 relu3_2 relu3_3 relu3_4 relu4_1 relu4_2 relu4_3 relu4_4 relu5_1"
).split()
FIRES = {"relu1": 1, "fire2": 3, "fire3": 4, "fire4": 5, "fire5": 7, "fire6": 8, "fire7": 9, "fire8": 10, "fire9": 12}
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)  # ImageNet's, as published with torchvision's weights
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@pytest.fixture
def image():
    return torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and an empty cache of weights; returns the cache."""

    def refuse(*_, **__):
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "hub" / "checkpoints"


def hand_run(features, image, indices):
    """torchvision's own modules, one after the other, cloning what an in-place ReLU would overwrite."""
    x, maps = (image - MEAN) / STD, {}
    for index, module in enumerate(features):
        x = module(x).clone()
        maps[index] = x
    return [maps[index] for index in indices]


def seeded(build):
    torch.manual_seed(0)
    return build()


@torch.no_grad()
def test_vgg19_equals_a_hand_run_of_torchvisions_modules(image):
    backbone = seeded(lambda: load_backbone("vgg19", pretrained=False, mixed=False))
    reference = seeded(lambda: models.vgg19(weights=None).features.eval())
    expected = hand_run(reference, image, VGG_RELUS)
    for got, wanted in zip(backbone(image, VGG_NAMES).values(), expected, strict=True):
        torch.testing.assert_close(got, wanted)


@torch.no_grad()
def test_squeezenet_equals_a_hand_run_of_torchvisions_modules(image):
    backbone = seeded(lambda: load_backbone("squeezenet1_0", pretrained=False, mixed=False))
    reference = seeded(lambda: models.squeezenet1_0(weights=None).features.eval())
    expected = hand_run(reference, image, FIRES.values())
    for got, wanted in zip(backbone(image, FIRES).values(), expected, strict=True):
        torch.testing.assert_close(got, wanted)


@torch.no_grad()
def test_slim_equals_a_hand_run_of_its_weights(image):
    weights = {name: tensor.float() for name, tensor in torch.load(SLIM_WEIGHTS, weights_only=True).items()}
    x = (image - MEAN) / STD
    for name in "1_1 2_1 3_1 3_2 3_3 4_1 4_2 4_3 5_1".split():
        if name in ("3_1", "4_1", "5_1"):
            x = nn.functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
        if name > "3":
            x = nn.functional.conv2d(x, weights[f"squeeze{name}.weight"], weights[f"squeeze{name}.bias"]).relu()
        border, stride = (2, 2) if name == "2_1" else (1, 1)
        x = nn.functional.pad(x, 4 * [border], mode="replicate")
        x = nn.functional.conv2d(x, weights[f"conv{name}.weight"], weights[f"conv{name}.bias"], stride).relu()
        got = load_backbone("slim")(image, [f"relu{name}"])[f"relu{name}"]
        torch.testing.assert_close(got, x, atol=1e-4, rtol=1e-4)


def test_slim_needs_neither_network_nor_cache(offline, image):
    features = load_backbone("slim")(image, ["relu5_1"])
    assert features["relu5_1"].shape == (1, 256, 4, 5)


def test_slim_is_small_and_answers_the_layers_of_the_papers():
    assert SLIM_WEIGHTS.stat().st_size <= 2e6
    assert {"relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"} <= set(load_backbone("slim").layers)


@pytest.mark.parametrize("name", ["slim", "squeezenet1_0", "vgg19"])
def test_a_backbone_is_frozen_and_passes_gradients_to_the_image(name, image):
    backbone = load_backbone(name, pretrained=False)
    assert not backbone.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    image.requires_grad_()
    sum(feature.sum() for feature in backbone(image, backbone.style_layers).values()).backward()
    assert image.grad.abs().sum() > 0
    assert image.grad.is_contiguous(), "L-BFGS flattens the gradient with view(-1)"


def test_nothing_runs_below_the_deepest_layer_asked_for(image):
    backbone = load_backbone("slim")
    ran = []
    for name, module in backbone.network.named_children():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    backbone(image, ["relu3_1", "relu1_1"])
    assert ran == "conv1_1 relu1_1 conv2_1 relu2_1 pool2 squeeze3_1 squeezed3_1 conv3_1 relu3_1".split()


def test_features_come_in_the_order_asked_for(image):
    assert list(load_backbone("slim")(image, ["relu3_1", "relu1_1", "relu2_1"])) == ["relu3_1", "relu1_1", "relu2_1"]


@pytest.mark.parametrize("name", ["slim", "vgg19", "squeezenet1_0"])
def test_a_tap_before_a_relu_is_not_overwritten_by_it(name, image):
    backbone = load_backbone(name, pretrained=False)
    first, second = backbone.layers[:2]
    features = backbone(image, [first, second])
    assert features[first].min() < 0
    assert torch.equal(features[first].relu(), features[second])


def test_weights_in_the_cache_are_used_without_a_network(offline, image):
    reference = seeded(lambda: models.squeezenet1_0(weights=None)).eval()
    offline.mkdir(parents=True)
    torch.save(reference.state_dict(), weights_file("squeezenet1_0"))
    (expected,) = hand_run(reference.features, image, [FIRES["fire5"]])
    torch.testing.assert_close(load_backbone("squeezenet1_0", mixed=False)(image, ["fire5"])["fire5"], expected)


@pytest.mark.parametrize("name, megabytes", [("vgg19", "548 MB"), ("squeezenet1_0", "5 MB")])
def test_missing_weights_without_a_network_say_what_to_do(offline, name, megabytes):
    with pytest.raises(BackboneError, match="could not be downloaded") as caught:
        load_backbone(name)
    message = str(caught.value)
    assert megabytes in message and '"slim"' in message and str(weights_file(name)) in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"])
def test_damaged_weights_say_which_file_to_delete(offline, content):
    offline.mkdir(parents=True)
    weights_file("squeezenet1_0").write_bytes(content)
    with pytest.raises(BackboneError, match="damaged.*Delete it") as caught:
        load_backbone("squeezenet1_0")
    assert str(weights_file("squeezenet1_0")) in str(caught.value)


def test_unknown_names_list_what_exists(image):
    with pytest.raises(BackboneError, match="'vgg'.*slim, vgg19, squeezenet1_0"):
        load_backbone("vgg")
    with pytest.raises(BackboneError, match="no layer 'conv_4'.*relu4_2"):
        load_backbone("slim")(image, ["conv_4"])
    with pytest.raises(BackboneError, match=r"\['relu1_1'\]"):
        load_backbone("slim")(image, "relu1_1")
    with pytest.raises(BackboneError, match="'sum'.*max, average"):
        load_backbone("slim", pooling="sum")
    with pytest.raises(BackboneError, match="'none'.*zeros, replicate, reflect"):
        load_backbone("slim", padding="none")


@torch.no_grad()
def test_average_pooling_can_replace_max_pooling(image):
    backbone = seeded(lambda: load_backbone("vgg19", pretrained=False, mixed=False, pooling="average"))
    features = backbone(image, ["relu1_2", "pool1"])
    torch.testing.assert_close(features["pool1"], nn.functional.avg_pool2d(features["relu1_2"], 2))


@torch.no_grad()
@pytest.mark.parametrize("name, layer", [("vgg19", "relu1_1"), ("squeezenet1_0", "relu1")])
def test_replicate_padding_sees_no_frame_around_a_flat_picture(name, layer):
    flat = torch.full((1, 3, 64, 64), 0.9)
    framed = seeded(lambda: load_backbone(name, pretrained=False, padding="zeros"))(flat, [layer])[layer]
    clean = seeded(lambda: load_backbone(name, pretrained=False, padding="replicate"))(flat, [layer])[layer]
    assert clean.std((2, 3)).max() < 1e-5 < framed.std((2, 3)).max()


def test_auto_takes_a_gpu_that_computes_and_else_the_processor_and_says_so(monkeypatch):
    """`meta`, whose tensors have no values to read back, stands in for a GPU that is seen and does not work."""
    found = []
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found[-1])
    for device in (None, torch.device("cpu")):
        found.append(device)
        assert load_backbone("slim", "auto").mean.device.type == "cpu"
    found.append(torch.device("meta"))
    with pytest.warns(UserWarning, match=r"^The processor is used, because meta does not compute: [^\n]+$"):
        assert load_backbone("slim", "auto").mean.device.type == "cpu"


# --- mixed precision


@pytest.mark.parametrize("name", ["slim", "vgg19", "squeezenet1_0"])
def test_mixed_precision_gives_float32_features_and_gradients_close_to_float32(name, image):
    def run(mixed):
        backbone = seeded(lambda: load_backbone(name, pretrained=False, mixed=mixed))
        pixels = image.clone().requires_grad_()
        features = backbone(pixels, backbone.style_layers)
        assert {feature.dtype for feature in features.values()} == {torch.float32}
        sum(feature.square().sum() for feature in features.values()).backward()
        assert pixels.grad.dtype == torch.float32 and pixels.grad.is_contiguous()
        return [*features.values(), pixels.grad]

    for exact, rounded in zip(run(False), run(True), strict=True):
        error = (rounded - exact).norm() / exact.norm()
        assert 0 < error < 0.2, "values are rounded by up to 1/256; a max pooling may then pass on another neighbor"


def test_taps_are_the_features_in_the_precision_they_were_computed_in(image):
    for mixed, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        backbone = load_backbone("slim", mixed=mixed)
        taps, features = (answer(image, ["relu1_1", "relu3_1"]) for answer in (backbone.taps, backbone))
        for name, feature in features.items():
            assert taps[name].dtype == dtype
            assert torch.equal(taps[name].float(), feature)


@pytest.fixture
def probed(monkeypatch):
    """Says how long convolutions take here in float32 and in bfloat16; returns the probes that are then made."""
    made = []

    def pretend(float32, bfloat16, units=True):
        def probe(device, mixed):
            made.append(mixed)
            return bfloat16 if mixed else float32

        made.clear()
        monkeypatch.setattr(backbones, "has_bfloat16_units", lambda device: units)
        monkeypatch.setattr(backbones, "_probe", probe)
        bfloat16_speedup.cache_clear()
        return made

    yield pretend
    bfloat16_speedup.cache_clear()


@pytest.mark.parametrize("bfloat16, faster", [(0.5, True), (0.9, True), (0.99, False), (1.7, False)])
def test_mixed_precision_is_chosen_where_it_is_measured_to_be_faster(probed, bfloat16, faster):
    probed(1.0, bfloat16)
    chosen = {name: load_backbone(name, pretrained=False).mixed for name in ("slim", "squeezenet1_0")}
    assert chosen == {"slim": False, "squeezenet1_0": faster}
    assert load_backbone("slim", mixed=True).mixed
    assert not load_backbone("squeezenet1_0", pretrained=False, mixed=False).mixed


def test_precision_is_measured_once_and_not_where_there_are_no_units(probed):
    made = probed(1.0, 0.5)
    assert [bfloat16_speedup(torch.device("cpu")) for _ in range(3)] == [2.0] * 3
    assert len(made) == 2 * backbones.PROBES
    assert probed(1.0, 0.5, units=False) == [] and bfloat16_speedup(torch.device("cpu")) == 0
    assert not load_backbone("squeezenet1_0", pretrained=False).mixed


def test_a_probe_is_small_and_leaves_no_trace():
    """At 50 GFLOP/s, which is slow for two cores, all of them take less than a tenth of a second."""
    state = torch.get_rng_state()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert backbones._probe(torch.device("cpu"), mixed=False) > 0
    assert 0 < 2 * backbones.PROBES * counter.get_total_flops() < 6e9
    assert torch.equal(torch.get_rng_state(), state)


def test_units_for_bfloat16_are_what_the_processor_says(monkeypatch):
    for capabilities, expected in [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False)]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert has_bfloat16_units("cpu") is expected
    assert not has_bfloat16_units("mps") and not has_bfloat16_units("meta")


@pytest.mark.skipif(not has_bfloat16_units("cpu"), reason="this processor has no units for bfloat16")
def test_mixed_precision_reaches_the_same_loss():
    """What makes it the default: the final loss, in float32 for both, within 1 % or better. VGG-19's first half."""
    content, style = gallery.load("chelsea", size=64), gallery.load("flow_strokes", size=64)
    layers = {"content_layers": ["relu3_1"], "style_layers": ["relu1_1", "relu2_1", "relu3_1"]}
    exact, rounded = (
        Objective(seeded(partial(load_backbone, "vgg19", pretrained=False, mixed=mixed)), content, style, **layers)
        for mixed in (False, True)
    )

    def final_loss(objective):
        seen = []

        def watched(image):
            with torch.no_grad():
                seen.append(exact(image)["total"].item())
            return objective(image)

        watched.device = objective.device
        for _ in optimize(content, watched, steps=100):
            pass
        return min(seen)

    assert final_loss(rounded) <= 1.01 * final_loss(exact)


@pytest.mark.parametrize("name", ["vgg19", "squeezenet1_0"])
def test_file_and_normalization_are_torchvisions(name):
    weights = models.get_model_weights(name).IMAGENET1K_V1
    assert weights_file(name).name == weights.url.rpartition("/")[2]
    preset = weights.transforms()
    assert (list(backbones.MEAN), list(backbones.STD)) == (preset.mean, preset.std)
