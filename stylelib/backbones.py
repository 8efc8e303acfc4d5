"""Pretrained networks, seen as a stack of named feature maps.

Layers carry the names of the VGG paper: `relu3_1` is the rectified output of the first convolution of the third
block. Every network here is a plain chain of modules, so a feature map is a stop on the way through it.
"""

import os
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from .downloads import DownloadError, download

# The convolutions of slim: channels, kernel, stride. Each ends in a ReLU.
SLIM_PLAN = {
    "conv1_1": (12, 3, 1),
    "conv2_1": (64, 5, 2),
    "squeeze3_1": (16, 1, 1),
    "conv3_1": (80, 3, 1),
    "squeeze3_2": (16, 1, 1),
    "conv3_2": (80, 3, 1),
    "squeeze3_3": (32, 1, 1),
    "conv3_3": (160, 3, 1),
    "squeeze4_1": (32, 1, 1),
    "conv4_1": (160, 3, 1),
    "squeeze4_2": (48, 1, 1),
    "conv4_2": (288, 3, 1),
    "squeeze4_3": (48, 1, 1),
    "conv4_3": (320, 3, 1),
    "squeeze5_1": (64, 1, 1),
    "conv5_1": (256, 3, 1),
}
POOLED_BEFORE = {"squeeze3_1": "pool2", "squeeze4_1": "pool3", "squeeze5_1": "pool4"}  # block 2 halves by its stride
# Where convolutions may run in bfloat16, if that is faster: there the final loss stays within 1 % of a run in float32.
# With the first slim it came out 2 to 3 % worse. benchmarks/README.md has the figures.
MIXED = ("vgg19", "squeezenet1_0")
# Of ImageNet's colors, per channel: every network here was trained on pictures normalized with these.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PROBES = 3  # of each precision, the first of them to warm up
WORTHWHILE = 1.05  # a draw goes to float32, which is exact
DATA = Path(__file__).parent / "data"
SLIM_WEIGHTS = DATA / "slim.pt"
FIVE_BLOCKS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # as in the paper, section 2.3
SLIM_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_3")  # relu5_1 costs more content than it gives style


class BackboneError(ValueError):
    """A backbone or a layer that does not exist, or weights that cannot be had. The message says what to do."""


@dataclass(frozen=True)
class Recipe:
    """How to get one backbone: where its weights come from and which layers style transfer uses by default."""

    file: str  # of its weights: slim's own, or torchvision's, by the name under which torch.hub keeps them
    style_layers: tuple[str, ...]
    content_layer: str
    megabytes: int


RECIPES = {
    # Of slim not the paper's five; tools/train_slim.md compares choices.
    "slim": Recipe("slim.pt", SLIM_STYLE, "relu4_2", 1),
    "vgg19": Recipe("vgg19-dcbb9e9d.pth", FIVE_BLOCKS, "relu4_2", 548),
    "squeezenet1_0": Recipe("squeezenet1_0-b66bff10.pth", ("relu1", "fire2", "fire3", "fire5", "fire7"), "fire5", 5),
}


class Backbone(nn.Module):
    """A frozen network that answers named feature maps.

    Attributes:
        name: `"slim"`, `"vgg19"` or `"squeezenet1_0"`.
        layers: every name it answers, from shallow to deep.
        style_layers, content_layer: what style transfer uses unless told otherwise.
        mixed: True runs the convolutions in bfloat16. Weights, features and gradients of the image are float32.
    """

    def __init__(self, name: str, network: nn.Sequential, mixed: bool = False):
        super().__init__()
        recipe = RECIPES[name]
        self.name = name
        self.network = network
        self.style_layers = recipe.style_layers
        self.content_layer = recipe.content_layer
        self.mixed = mixed
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.network.named_children())

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Runs `image` through the network, no deeper than the deepest layer asked for.

        Args:
            image: (1, 3, H, W), RGB in [0, 1]. ImageNet's normalization happens here and nowhere else.
            layers: names from `self.layers`.

        Returns:
            name → features (1, C, h, w), in the order asked for.

        Raises:
            BackboneError: a layer this network does not have.
        """
        features = self.taps(image, layers)
        return {name: feature.to(self.mean.dtype) for name, feature in features.items()}

    def taps(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As `forward`, but in the precision the features were computed in: bfloat16 where this network is `mixed`.

        Arguments and errors too. Products with such features are faster; sums over them belong in float32, as in
        `stylelib.losses`.
        """
        layers = self._known(layers)
        # Channels-last is the layout in which convolutions run fastest; the values are the same.
        x = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features = {}
        with torch.autocast(x.device.type, torch.bfloat16) if self.mixed else nullcontext():
            for name, module in self.network.named_children():
                if len(features) == len(set(layers)):
                    break
                x = module(x)
                if name in layers:
                    features[name] = x
        return {name: features[name] for name in layers}

    def _known(self, layers: Iterable[str]) -> list[str]:
        if isinstance(layers, str):
            raise BackboneError(f"layers must be a list of names, as in [{layers!r}].")
        layers = list(layers)
        unknown = [name for name in layers if name not in self.layers]
        if unknown:
            taps = [name for name in self.layers if name.startswith(("relu", "fire"))]
            raise BackboneError(f"{self.name} has no layer {unknown[0]!r}. It has: {', '.join(taps)}.")
        return layers


def load_backbone(
    name: str = "slim",
    device: str | torch.device = "cpu",
    *,
    pooling: str | None = None,
    padding: str | None = None,
    pretrained: bool = True,
    mixed: bool | None = None,
) -> Backbone:
    """A frozen backbone in evaluation mode.

    `slim` ships with this package. `vgg19` (548 MB, Simonyan and Zisserman 2015) and `squeezenet1_0` (5 MB, Iandola
    et al. 2016) are torchvision's, downloaded once into `torch.hub`'s cache when first asked for. That
    folder may be shared and read-only: whoever finds the file there only reads it.

    Args:
        name: `"slim"`, `"vgg19"` or `"squeezenet1_0"`.
        device: where it runs: `"cpu"`, `"cuda"`, …; `"auto"` takes a GPU if there is one that works.
        pooling: `"max"` or `"average"` replaces every pooling; None keeps the network's own. Gatys et al. (CVPR
            2016, section 2) found that average pooling gives slightly cleaner pictures.
        padding: `"zeros"`, `"replicate"` or `"reflect"` replaces the padding of the convolutions; None keeps the
            network's own. To the first convolution, behind the normalization, a border of zeros is a frame in
            ImageNet's average color, and an edge all around the picture that is not in it; rims of false color
            show in the result. Replicate continues the border pixels instead; slim is built with it.
        pretrained: False gives the same architecture with random weights (seed them yourself).
        mixed: True runs the convolutions in bfloat16, False all in float32. None takes bfloat16 for the networks
            that it hardly disturbs, where it is faster: up to twice as fast, in half the memory. Where that is, is
            measured (`bfloat16_speedup`); what you give here is the same on every machine.

    Raises:
        BackboneError: an unknown name or option, or weights that are not here and cannot be downloaded.
    """
    if name not in RECIPES:
        raise BackboneError(f"There is no backbone {name!r}. There are: {', '.join(RECIPES)}.")
    if name == "slim":
        network = _slim_network()
        if pretrained:
            network.load_state_dict(torch.load(SLIM_WEIGHTS, weights_only=True))
    elif name == "vgg19":
        network = _name_like_vgg(_torchvision_features(name, pretrained))
    else:
        network = _name_like_squeezenet(_torchvision_features(name, pretrained))
    device = chosen_device(device)
    if pooling is not None:
        _replace_pooling(network, pooling)
    if padding is not None:
        _replace_padding(network, padding)
    if mixed is None:
        mixed = name in MIXED and bfloat16_speedup(device) > WORTHWHILE
    backbone = Backbone(name, network, mixed).eval().requires_grad_(False)
    return backbone.to(device=device, memory_format=torch.channels_last)


def chosen_device(name: str | torch.device) -> torch.device:
    """The device of that name. `"auto"` is a GPU that computes, or else the processor; a warning says which cannot."""
    if name != "auto":
        return torch.device(name)
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        torch.ones(1, device=device).item()  # reading it back shows that the device computes
    except (RuntimeError, AssertionError) as error:  # too old for this torch, of another driver, taken by others
        reason = str(error).partition("\n")[0]
        warnings.warn(f"The processor is used, because {device} does not compute: {reason}", stacklevel=3)
        return torch.device("cpu")
    return device


def has_bfloat16_units(device: str | torch.device) -> bool:
    """Does this device have instructions for bfloat16? Others emulate it, many times slower, or were never tried."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and any(torch.cpu.get_capabilities().get(unit) for unit in ("avx512_bf16", "amx_bf16"))


@cache
def bfloat16_speedup(device: torch.device) -> float:
    """How many times faster than in float32 convolutions run on this device in bfloat16; 0 without units for it.

    Having such units does not tell: with the same instructions one processor is twice as fast and another takes 1.7
    times as long. So this is measured, once per process, within a few hundredths of a second.
    """
    if not has_bfloat16_units(device):
        return 0.0
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(PROBES):  # in turn, so that a disturbance from outside hits both alike
        for mixed, times in seconds.items():
            times.append(_probe(device, mixed))
    return min(seconds[False]) / min(seconds[True])


def _probe(device: torch.device, mixed: bool) -> float:
    """Seconds of a convolution such as VGG-19 has in its third block, forward and backward.

    On a GPU the map is large: a small one keeps it busy for less time than it takes to ask for the work, and on an H100
    bfloat16 then seemed the slower one.
    """
    height, width = (16, 24) if device.type == "cpu" else (128, 128)
    x = torch.ones(1, 256, height, width, device=device).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.ones(256, 256, 3, 3, device=device).contiguous(memory_format=torch.channels_last)
    _wait_for(device)
    start = time.perf_counter()
    with torch.enable_grad(), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
        conv2d(x, weight, padding=1).sum().backward()
    _wait_for(device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def weights_file(name: str) -> Path:
    """Where the weights of a backbone are kept, whether or not they are there yet."""
    if name == "slim":
        return SLIM_WEIGHTS
    if (features := DATA / f"{name}_features.pt").exists():  # the convolutions alone, from a kit for offline machines
        return features
    return Path(torch.hub.get_dir()) / "checkpoints" / RECIPES[name].file


def has_weights(name: str) -> bool:
    """Are the weights of a backbone on this machine?"""
    return os.path.exists(weights_file(name))  # unlike Path.exists, no error where a folder is closed to this user


def _slim_network(normalized: bool = False) -> nn.Sequential:
    """SqueezeNet's way of saving work, as a chain under VGG's names; replicate padding throughout.

    In blocks 3 to 5 a 1 × 1 convolution, `squeeze3_1`, and its ReLU, `squeezed3_1`, leave few channels for the 3 × 3
    convolution `conv3_1` to look at. `conv2_1` takes every second position: pooling would lose fine lines there.

    Args:
        normalized: with a batch norm behind each convolution, `norm_conv3_1`, as while slim is trained.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for name, (width, kernel, stride) in SLIM_PLAN.items():
        if name in POOLED_BEFORE:
            modules[POOLED_BEFORE[name]] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        modules[name] = nn.Conv2d(
            channels, width, kernel, stride, kernel // 2, padding_mode="replicate", bias=not normalized
        )
        if normalized:
            modules[f"norm_{name}"] = nn.BatchNorm2d(width)
        modules[name.replace("conv", "relu").replace("squeeze", "squeezed")] = nn.ReLU()
        channels = width
    return nn.Sequential(modules)


def _torchvision_features(name: str, pretrained: bool) -> nn.Sequential:
    from torchvision import models  # takes longer to import than torch, and slim does without

    build = models.get_model_builder(name)
    if not pretrained:
        return build(weights=None).features
    with torch.device("meta"):  # shapes only: VGG-19's classifier alone would be 500 MB of random numbers
        network = build(weights=None)
    with _damage_explained(_weights_here(name)) as file:
        values = torch.load(file, map_location="cpu", weights_only=True)
        if file.parent == DATA:
            network.features.load_state_dict({key: value.float() for key, value in values.items()}, assign=True)
        else:
            network.load_state_dict(values, assign=True)
    return network.features


def _weights_here(name: str) -> Path:
    """The file of the weights; downloads it if it is not here."""
    file = weights_file(name)
    if not has_weights(name):
        try:
            # A file's name ends in the first digits of its checksum.
            download(_address(name), file, file.stem.rpartition("-")[2], progress=True)
        except DownloadError as error:
            raise BackboneError(
                f"The weights of {name} ({RECIPES[name].megabytes} MB) are not on this machine and could not be "
                f"downloaded: {error}. Or put the file at {file}, let TORCH_HOME name another folder, "
                'or use "slim", which needs no download.'
            ) from error
    return file


def _address(name: str) -> str:
    from torchvision import models

    return models.get_model_weights(name).IMAGENET1K_V1.url


@contextmanager
def _damage_explained(file: Path) -> Iterator[Path]:
    """Turns the many ways in which reading weights fails into one sentence that says what to do."""
    try:
        yield file
    except OSError as error:  # a folder, of another user, a disk that fails
        raise BackboneError(f"The weights file {file} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a flipped bit turns up as almost any of them
        raise BackboneError(
            f"The weights file {file} cannot be read: it is damaged, cut off or of another network. "
            "Delete it and try again."
        ) from error


def _name_like_vgg(modules: Iterable[nn.Module]) -> nn.Sequential:
    """Names a chain of convolutions, ReLUs and poolings conv1_1, relu1_1, …, pool1, conv2_1, …"""
    named: OrderedDict[str, nn.Module] = OrderedDict()
    block, index = 1, 0
    for module in modules:
        if isinstance(module, nn.Conv2d):
            index += 1
            named[f"conv{block}_{index}"] = module
        elif isinstance(module, nn.ReLU):
            # torchvision's ReLUs work in place and would overwrite a feature map taken just before them.
            named[f"relu{block}_{index}"] = nn.ReLU(inplace=False)
        else:
            named[f"pool{block}"] = module
            block, index = block + 1, 0
    return nn.Sequential(named)


def _name_like_squeezenet(features: nn.Sequential) -> nn.Sequential:
    """Names SqueezeNet's stages as its paper does: conv1, relu1, pool1, fire2, fire3, fire4, pool4, fire5, …, fire9.

    A fire module ends in ReLUs, so each `fire` is a rectified feature map, like VGG's `relu`.
    """
    named: OrderedDict[str, nn.Module] = OrderedDict(conv1=features[0], relu1=nn.ReLU(inplace=False))
    stage = 1
    for module in features[2:]:
        if isinstance(module, nn.MaxPool2d):
            named[f"pool{stage}"] = module
        else:
            stage += 1
            named[f"fire{stage}"] = module
    return nn.Sequential(named)


def _replace_pooling(network: nn.Sequential, pooling: str) -> None:
    kinds = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
    if pooling not in kinds:
        raise BackboneError(f"There is no pooling {pooling!r}. There are: max, average.")
    for name, module in network.named_children():
        if name.startswith("pool"):
            setattr(
                network,
                name,
                kinds[pooling](module.kernel_size, module.stride, ceil_mode=module.ceil_mode),
            )


def _replace_padding(network: nn.Sequential, padding: str) -> None:
    if padding not in ("zeros", "replicate", "reflect"):
        raise BackboneError(f"There is no padding {padding!r}. There are: zeros, replicate, reflect.")
    first = next(iter(network))
    if first.padding == (0, 0):
        # SqueezeNet's first convolution has none at all; half its kernel gives border pixels their full say.
        network[0] = nn.Conv2d(
            first.in_channels,
            first.out_channels,
            first.kernel_size,
            first.stride,
            padding=[side // 2 for side in first.kernel_size],
        )
        network[0].load_state_dict(first.state_dict())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = padding
