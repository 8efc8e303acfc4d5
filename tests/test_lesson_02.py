"""What lesson 02 says beside its figures, checked as arrays."""

import pytest
import torch
from torchvision.models.feature_extraction import create_feature_extractor

import stylelib
from stylelib import gallery
from stylelib.images import resize_to

SIZE = 256
# Field and step of the layers, in pixels, counted by hand from the kernels and strides of slim.
FIELDS = {
    "relu1_1": (3, 1),
    "relu1_2": (5, 1),
    "pool1": (6, 2),
    "relu2_1": (10, 2),
    "relu2_2": (14, 2),
    "pool2": (16, 4),
    "relu3_1": (24, 4),
    "relu3_2": (32, 4),
    "relu4_1": (52, 8),
    "relu4_2": (68, 8),
    "relu5_1": (108, 16),
}
BLOCKS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
PHOTOGRAPHS = (
    "astronaut camera chelsea coffee coins hubble_deep_field moon page retina rocket stereo_motorcycle".split()
)


@pytest.fixture(scope="module")
def slim():
    return stylelib.load_backbone()


@pytest.fixture(scope="module")
def image():
    return gallery.load("astronaut", size=SIZE)


def box(layer, row, column):
    """Rows and columns of the pixels that one position sees."""
    field, step = FIELDS[layer]
    margin = (field - step) // 2
    top, left = row * step - margin, column * step - margin
    return slice(top, top + field), slice(left, left + field)


@pytest.mark.parametrize("layer", FIELDS)
def test_a_feature_depends_on_exactly_the_pixels_in_its_box(image, layer):
    pixels = image.double().requires_grad_()  # in float32 rounding may blur what is exactly 0
    features = stylelib.load_backbone().double()(pixels, [layer])[layer]
    row, column = features.shape[-2] // 2 - 1, features.shape[-1] // 2
    (gradient,) = torch.autograd.grad(features[0, :, row, column].sum(), pixels)
    expected = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    expected[box(layer, row, column)] = True
    assert torch.equal(gradient[0].abs().sum(0) > 0, expected)


def test_the_table_of_vgg19_is_that_of_the_paper():
    """Simonyan and Zisserman 2015, table 1, column E."""
    with torch.device("meta"):
        vgg = stylelib.load_backbone("vgg19", "meta", pretrained=False)
    for block, (count, channels) in enumerate([(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)], start=1):
        names = [name for name in vgg.layers if name.startswith(f"conv{block}_")]
        assert names == [f"conv{block}_{index}" for index in range(1, count + 1)]
        assert {vgg.network.get_submodule(name).out_channels for name in names} == {channels}
    assert [name for name in vgg.layers if name.startswith("conv")][3] == "conv2_2"


def strongest_patches(slim, layer, channel):
    """The patches of the six photographs that excite a channel most, each with its photograph."""
    field, step = FIELDS[layer]
    edge = -(-(field - step) // (2 * step))
    found = []
    for name in PHOTOGRAPHS:
        picture = gallery.load(name, size=SIZE)
        inner = slim(picture, [layer])[layer][0, channel, edge:-edge, edge:-edge]
        row, column = (place.item() + edge for place in torch.unravel_index(inner.argmax(), inner.shape))
        found.append((inner.max().item(), picture[0][:, *box(layer, row, column)], picture[0]))
    return [found[1:] for found in sorted(found, key=lambda item: -item[0])[:6]]


def test_the_channel_named_for_an_edge_likes_bright_beside_dark(slim):
    for patch, _ in strongest_patches(slim, "relu2_1", 21):
        assert patch[..., :5].mean() > patch[..., 5:].mean(), "choose another channel for the lesson's figure"


def test_the_channel_named_red_likes_red(slim):
    def redness(picture):
        return picture[0] - picture[1:].mean(0)

    found = strongest_patches(slim, "relu3_1", 8)
    assert all(redness(patch).max() > 0.25 for patch, _ in found), "choose another channel for the lesson's figure"
    patches, pictures = ([redness(picture).mean().item() for picture in part] for part in zip(*found, strict=True))
    assert sum(patches) > 1.25 * sum(pictures)


def test_each_pooling_makes_a_shift_matter_less(slim, image):
    stops = [name for name in slim.layers if not name.startswith("conv")]
    before, after = slim(image[..., 16:-16, 16:-16], stops), slim(image[..., 16:-16, 15:-17], stops)
    distance = {name: ((after[name] - before[name]).norm() / before[name].norm()).square().item() for name in before}
    for pool in ("pool1", "pool2", "pool3", "pool4"):
        assert distance[pool] < 0.7 * distance[stops[stops.index(pool) - 1]]
    assert distance["relu5_1"] < 0.1 * distance["relu1_1"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_layers_make_pictures_alike_and_trained_ones_do_not(slim, seed):
    torch.manual_seed(seed)
    untrained = stylelib.load_backbone(pretrained=False)
    names = ("geometric", "hatching", "mosaic", "waves")
    four = [resize_to(gallery.load(name), (192, 256)) for name in names]

    def similarity(net, layer):
        flat = [net(picture, [layer])[layer].flatten() for picture in four]
        pairs = [(a, b) for a in range(4) for b in range(a)]
        return sum(torch.cosine_similarity(flat[a], flat[b], dim=0).item() for a, b in pairs) / len(pairs)

    random, trained = ([similarity(net, layer) for layer in BLOCKS] for net in (untrained, slim))
    assert random == sorted(random) and random[-1] > 0.99 and random[0] < 0.6
    assert max(trained) < 0.4 and trained[-1] < 0.15


def test_torchvision_gives_another_layer_under_our_name(slim, image):
    """The lesson's fourth trap. Should torchvision mend it, the lesson has to change."""
    x = (image - slim.mean) / slim.std
    taken = create_feature_extractor(slim.network, ["relu1_1"])(x)["relu1_1"]
    torch.testing.assert_close(taken, slim(image, ["relu1_2"])["relu1_2"])
