"""What lesson 02 says beside its figures, checked as arrays."""

from itertools import combinations

import pytest
import torch
from torchvision.models.feature_extraction import create_feature_extractor

import stylelib
from stylelib import gallery
from stylelib.images import resize_to

SIZE = 256
# Field, step and margin of the layers, in pixels, counted by hand from the kernels, strides and paddings of slim.
FIELDS = {
    "relu1_1": (3, 1, 1),
    "relu2_1": (7, 2, 3),
    "pool2": (11, 4, 3),
    "squeezed3_1": (11, 4, 3),
    "relu3_1": (19, 4, 7),
    "relu3_2": (27, 4, 11),
    "relu3_3": (35, 4, 15),
    "pool3": (43, 8, 15),
    "relu4_1": (59, 8, 23),
    "relu4_2": (75, 8, 31),
    "relu4_3": (91, 8, 39),
    "pool4": (107, 16, 39),
    "relu5_1": (139, 16, 55),
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
    field, step, margin = FIELDS[layer]
    top, left = row * step - margin, column * step - margin
    return slice(top, top + field), slice(left, left + field)


@pytest.mark.parametrize("layer", FIELDS)
def test_a_feature_depends_on_exactly_the_pixels_in_its_box(image, layer):
    pixels = image.double().requires_grad_()  # in float32 rounding may blur what is exactly 0
    # A pooling by maximum has no gradient where another pixel is larger; one by mean looks equally far.
    features = stylelib.load_backbone(pooling="average").double()(pixels, [layer])[layer]
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
    field, step, margin = FIELDS[layer]
    first = -(-margin // step)
    found = []
    for name in PHOTOGRAPHS:
        picture = gallery.load(name, size=SIZE)
        behind = [(side + margin - field) // step + 1 for side in picture.shape[-2:]]
        inner = slim(picture, [layer])[layer][0, channel, first : behind[0], first : behind[1]]
        row, column = (place.item() + first for place in torch.unravel_index(inner.argmax(), inner.shape))
        found.append((inner.max().item(), picture[0][:, *box(layer, row, column)], picture[0]))
    return [found[1:] for found in sorted(found, key=lambda item: -item[0])[:6]]


def test_the_channel_named_for_an_edge_likes_bright_beside_dark(slim):
    for patch, _ in strongest_patches(slim, "relu2_1", 49):
        assert patch[..., :3].mean() > patch[..., 4:].mean() + 0.3, "choose another channel for the lesson's figure"


def test_the_channel_named_red_likes_red(slim):
    def redness(picture):
        return picture[0] - picture[1:].mean(0)

    found = strongest_patches(slim, "relu3_1", 3)
    assert all(redness(patch).max() > 0.25 for patch, _ in found), "choose another channel for the lesson's figure"
    patches, pictures = ([redness(picture).mean().item() for picture in part] for part in zip(*found, strict=True))
    assert sum(patches) > 1.25 * sum(pictures)


def test_each_pooling_makes_a_shift_matter_less_and_edges_make_it_matter_more(slim, image):
    stops = [name for name in slim.layers if name.startswith(("relu", "pool"))]
    before, after = slim(image[..., 16:-16, 16:-16], stops), slim(image[..., 16:-16, 15:-17], stops)
    distance = {name: ((after[name] - before[name]).norm() / before[name].norm()).square().item() for name in before}
    for pool in ("pool2", "pool3", "pool4"):
        assert distance[pool] < 0.7 * distance[stops[stops.index(pool) - 1]]
    assert distance["relu2_1"] > 3 * distance["relu1_1"], "edges mind a shift more than areas"
    assert all(distance[name] < 0.35 * distance["relu2_1"] for name in stops[stops.index("relu3_1") :])


def test_the_deepest_maps_are_nearly_empty_and_the_first_are_full(slim, image):
    features = slim(image, BLOCKS)

    def share_of_little(maps):
        maps = maps[:, maps[0].amax(dim=(1, 2)) > 0]
        return (maps < 0.1 * maps.amax(dim=(2, 3), keepdim=True)).float().mean().item()

    shares = [share_of_little(maps) for maps in features.values()]
    assert shares[0] < 0.4 and shares[-1] > 0.75
    assert shares[-1] > max(shares[2:4]) + 0.1


def rescaled_network():
    """Random weights as He et al. (2015) propose, without biases."""
    network = stylelib.load_backbone(pretrained=False)
    for module in network.network:
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            torch.nn.init.zeros_(module.bias)
    return network


def similarity(maps):
    """Cosine of the maps of two pictures, averaged over channels and pairs of pictures. Maps: (pictures, C, h, w)."""
    maps = maps[:, maps.amax(dim=(0, 2, 3)) > 0].flatten(2)
    pairs = [torch.cosine_similarity(a, b, dim=1).mean() for a, b in combinations(maps, 2)]
    return torch.stack(pairs).mean().item()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "names", [("geometric", "hatching", "mosaic", "waves"), ("astronaut", "chelsea", "coffee", "rocket")]
)
def test_only_deep_trained_layers_make_pictures_less_alike(slim, names, seed):
    four = torch.cat([resize_to(gallery.load(name), (192, 256)) for name in names])
    torch.manual_seed(seed)
    nets = stylelib.load_backbone(pretrained=False), rescaled_network(), slim
    random, rescaled, trained = ([similarity(maps) for maps in net(four, BLOCKS).values()] for net in nets)
    assert random[-1] > 0.85 and random[0] < 0.5
    assert rescaled[-1] > rescaled[0]
    assert trained[-1] < 0.5 * min(trained[0], trained[2], trained[3], rescaled[-1])
    assert trained[0] > 0.6 and 0.7 < trained[2] / rescaled[2] < 1.2


def test_the_similarity_does_not_depend_on_the_units_of_channels(slim, image):
    maps = slim(torch.cat([image, image.flip(-1)]), ["relu3_1"])["relu3_1"]
    units = torch.logspace(-2, 2, maps.shape[1]).view(1, -1, 1, 1)
    assert similarity(units * maps) == pytest.approx(similarity(maps), rel=1e-3)


def test_torchvision_gives_another_layer_under_our_name(slim, image):
    """The lesson's fourth trap. Should torchvision mend it, the lesson has to change."""
    x = (image - slim.mean) / slim.std
    taken = create_feature_extractor(slim.network, ["relu3_1"])(x)["relu3_1"]
    torch.testing.assert_close(taken, slim(image, ["relu3_2"])["relu3_2"])
