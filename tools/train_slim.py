"""Trains `slim`, the small backbone that ships with stylelib, and writes it to stylelib/data/slim.pt.

    uv run python tools/training_pictures.py pictures        # once: some 800 pictures from packages of Debian
    uv run python tools/train_slim.py --pictures pictures    # as shipped: 8 minutes on an H100, days on a processor
    uv run python tools/train_slim.py                        # with scikit-image's photographs and computed pictures
    uv run python tools/train_slim.py --only-weigh           # rescale the channels of weights trained before

Knowledge distillation (Hinton et al. 2015; FitNets, Romero et al. 2015): slim learns to predict the feature maps of
SqueezeNet 1.0, an ImageNet network (5 MB download). A 1×1 convolution, the *head*, maps a layer of slim to a layer of
the teacher on the same grid; the loss is the variance of the teacher's map that is left unexplained. Heads are thrown
away afterwards. That few pictures are enough, if they are cropped and distorted heavily, is known (Asano and Saeed,
ICLR 2023).

Five things go beyond plain distillation:
- ImageNet networks care little for color, so the shallow layers also predict the picture's own pixels;
- style is what Gram matrices tell apart, so slim's have to be as far from each other as the teacher's are;
- style transfer asks about pictures halfway to a painting, so every batch holds `Paintings`, made with slim itself;
- batch norm, which makes training fast, is folded into the convolutions, so that slim is a plain chain of them;
- channels are rescaled by their `importance` to the teacher, so that each counts in a Gram matrix about as much as what
  it stands for counts in the teacher's.

No training picture is a famous painting, which a lesson or a score may use later. Everything is seeded: the same device
gives the same run, but for what a GPU adds up in another order. `tools/train_slim.md` keeps the log of what was tried.
"""

import argparse
import itertools
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import skimage
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import color, draw
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as TF

from stylelib.backbones import (
    SLIM_WEIGHTS,
    Backbone,
    _slim_network,
    bfloat16_speedup,
    chosen_device,
    load_backbone,
)
from stylelib.files import replacing
from stylelib.losses import gram_matrix

# layer of slim → layer of the teacher on the same grid
TAPS = {
    "relu2_1": "relu1",
    "relu3_1": "fire2",
    "relu3_2": "fire3",
    "relu3_3": "fire4",
    "relu4_1": "fire5",
    "relu4_2": "fire6",
    "relu4_3": "fire7",
    "relu5_1": "fire9",
}
COLOR_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
# layer of slim → whose Gram matrices it has to tell apart alike; the teacher has no layer on relu1_1's grid
GRAMS = {"relu1_1": "pixels", **TAPS}
GRAM_WEIGHT = 0.3
NEAR = 0.01  # relative distances well below it count as equal

PHOTOGRAPHS = """astronaut.png brick.png camera.png cell.png chelsea.png coffee.png coins.png grass.png gravel.png
    hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png page.png retina.jpg rocket.jpg text.png""".split()
PROCEDURAL_COUNT = 98
PROCEDURAL_SHARE = 0.15  # of all crops
SCALES = (1.0, 0.7, 0.5, 0.35, 0.25)
SAMPLE = 256  # crops to measure means with

LIFE = 40  # moves of a painting, until the next one takes its place
PACE = 0.04  # of its first move, root mean square over the pixels; the last one is nearly 0
WARM_UP = 300  # steps
FROZEN = 0.2  # of all steps: the last ones, in which batch norm uses its running statistics, as it will once folded
LARGEST_GRADIENT = 5.0
EVERY = 1000  # steps between two lines of the log


# --- training pictures ------------------------------------------------------------------------------------------


def photographs() -> list[Tensor]:
    """scikit-image's bundled photographs, (3, H, W) in [0, 1], gray ones repeated to three channels."""
    folder = Path(skimage.__file__).parent / "data"
    pictures = []
    for name in PHOTOGRAPHS:
        array = skimage.util.img_as_float32(skimage.io.imread(folder / name))
        array = color.gray2rgb(array) if array.ndim == 2 else array[..., :3]
        pictures.append(torch.from_numpy(array.transpose(2, 0, 1).copy()))
    return pictures


def collected(folder: Path) -> Iterator[Tensor]:
    """The pictures of a folder that `tools/training_pictures.py` made, one by one, (3, H, W) in [0, 1]."""
    for file in sorted(folder.glob("*.webp")):
        yield TF.to_dtype(TF.pil_to_tensor(Image.open(file)), scale=True)


def pink_noise(rng: np.random.Generator, size: int = 384, exponent: float | None = None) -> np.ndarray:
    """Colored noise with the amplitude spectrum 1/f^exponent of natural pictures, (size, size, 3) in [0, 1]."""
    exponent = rng.uniform(0.6, 2.0) if exponent is None else exponent
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1 / size
    spectrum = np.fft.rfft2(rng.normal(size=(3, size, size))) / frequency**exponent
    noise = np.fft.irfft2(spectrum, s=(size, size)).transpose(1, 2, 0)
    noise = noise @ rng.normal(size=(3, 3))
    noise = (noise - noise.mean((0, 1))) / (noise.std((0, 1)) + 1e-6)
    return 1 / (1 + np.exp(-noise * rng.uniform(0.7, 1.6) + rng.normal(size=3) * 0.5))


def dead_leaves(rng: np.random.Generator, size: int = 384) -> np.ndarray:
    """Overlapping disks, squares and triangles with a power law of sizes: the edges and occlusions of real scenes."""
    canvas, palette = pink_noise(rng, size), rng.uniform(size=(8, 3))
    for radius in np.sort(4 / rng.uniform(0.04, 1, size=600) ** 1.1)[::-1]:
        corners = rng.choice([3, 4, 4, 24])
        angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, np.pi)
        center = rng.uniform(0, size, size=2)
        rows, columns = draw.polygon(
            center[0] + radius * np.sin(angles),
            center[1] + radius * np.cos(angles) * rng.uniform(0.4, 1),
            (size, size),
        )
        shade = palette[rng.integers(8)] + rng.normal(scale=0.08, size=3)
        canvas[rows, columns] = shade + rng.normal(scale=0.03) * np.sin(columns / 3)[:, None]
    return np.clip(canvas, 0, 1)


def strokes(rng: np.random.Generator, size: int = 384) -> np.ndarray:
    """Brush strokes that follow a smooth flow, with bristles: the paint in a painting."""
    angle = 4 * np.pi * pink_noise(rng, size, 1.8)[..., 0]
    target, canvas = pink_noise(rng, size, 1.5), pink_noise(rng, size, 1.2)
    length, width = rng.uniform(12, 50), rng.uniform(1.5, 7)
    for _ in range(int(3.0 * size * size / (length * width))):
        y, x = rng.uniform(0, size, size=2)
        theta = angle[int(y), int(x)]
        shade = target[int(y), int(x)] + rng.normal(scale=0.08, size=3)
        along, across = np.array([np.sin(theta), np.cos(theta)]), np.array([np.cos(theta), -np.sin(theta)])
        for offset in np.arange(-width, width + 1):
            start = np.array([y, x]) + across * offset
            end = start + along * length * rng.uniform(0.7, 1.0)
            rows, columns = draw.line(*start.astype(int), *end.astype(int))
            inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
            canvas[rows[inside], columns[inside]] = shade + rng.normal(scale=0.04)
    return np.clip(canvas, 0, 1)


def hatching(rng: np.random.Generator, size: int = 384) -> np.ndarray:
    """Parallel wavy lines in a few directions, inked where a smooth picture is dark."""
    y, x = np.mgrid[:size, :size]
    tone, wobble = pink_noise(rng, size, 1.8)[..., 0], pink_noise(rng, size, 1.8)[..., 1] * 12
    ink, paper = rng.uniform(0, 0.5, size=3), rng.uniform(0.5, 1, size=3)
    coverage = np.zeros((size, size))
    for threshold in (0.7, 0.5, 0.3):
        theta, period = rng.uniform(0, np.pi), rng.uniform(4, 14)
        line = np.sin(2 * np.pi * (x * np.cos(theta) + y * np.sin(theta) + wobble) / period)
        coverage = np.maximum(coverage, np.clip(2 * line - 0.6, 0, 1) * (tone < threshold))
    return paper + (ink - paper) * coverage[..., None]


def dots(rng: np.random.Generator, size: int = 384) -> np.ndarray:
    """Small disks in the colors of a smooth picture, jittered: points of paint, foliage, pebbles."""
    target, canvas = pink_noise(rng, size, 1.6), np.ones((size, size, 3)) * rng.uniform(size=3)
    radius = rng.uniform(2, 9)
    for _ in range(int(2.5 * (size / radius) ** 2)):
        center = rng.uniform(0, size - 1, size=2)
        rows, columns = draw.disk(center, radius * rng.uniform(0.5, 1.2), shape=(size, size))
        canvas[rows, columns] = target[int(center[0]), int(center[1])] + rng.normal(scale=0.12, size=3)
    return np.clip(canvas, 0, 1)


def cells(rng: np.random.Generator, size: int = 384) -> np.ndarray:
    """Voronoi cells with smooth shading and dark or light seams: glass, tiles, scales, cracked ground."""
    from scipy.spatial import cKDTree

    y, x = np.mgrid[:size, :size].astype(float)
    warp = (pink_noise(rng, size, 1.8)[..., :2] - 0.5) * rng.uniform(0, 60)
    seeds, palette = rng.uniform(0, size, size=(rng.integers(60, 900), 2)), rng.uniform(size=(6, 3))
    distance, nearest = cKDTree(seeds).query(np.stack([y, x], -1) + warp, k=2)
    shades = palette[rng.integers(6, size=len(seeds))] + rng.normal(scale=0.08, size=(len(seeds), 3))
    seam = np.clip((distance[..., 1] - distance[..., 0]) / rng.uniform(1.5, 5), 0, 1)[..., None]
    body = shades[nearest[..., 0]] + (pink_noise(rng, size, 1.2) - 0.5) * rng.uniform(0, 0.3)
    return np.clip(rng.uniform(0, 1) * (1 - seam) + body * seam, 0, 1)


def waves(rng: np.random.Generator, size: int = 384) -> np.ndarray:
    """Warped bands in a few flat or graded colors: contours, ripples, marbled paper, smooth skies."""
    y, x = np.mgrid[:size, :size] / size
    warp = rng.uniform(0, 1) * pink_noise(rng, size, 1.95)[..., 0]
    phase = rng.uniform(2, 14) * (x * rng.normal() + y * rng.normal() + warp)
    position = (np.sin(2 * np.pi * phase) + 1) * 2.499
    palette = rng.uniform(size=(6, 3))
    step = np.floor(position).astype(int)
    blend = np.clip((position - step) * rng.uniform(1, 12), 0, 1)[..., None]
    return palette[step] * (1 - blend) + palette[np.minimum(step + 1, 5)] * blend


PROCEDURES: tuple[Callable, ...] = (pink_noise, dead_leaves, strokes, hatching, dots, cells, waves)


def procedural_pictures(count: int, seed: int) -> list[Tensor]:
    """`count` computed pictures, (3, 384, 384) in [0, 1], the kinds of `PROCEDURES` in turn."""
    rng = np.random.default_rng(seed)
    arrays = (PROCEDURES[i % len(PROCEDURES)](rng) for i in range(count))
    return [torch.from_numpy(array.transpose(2, 0, 1).astype(np.float32)) for array in arrays]


def pyramid(picture: Tensor, crop: int) -> list[Tensor]:
    """The picture at every scale of `SCALES` that a crop still fits into, in bytes: there are many."""
    levels = []
    for scale in SCALES:
        size = [round(side * scale) for side in picture.shape[-2:]]
        if min(size) >= crop or scale == 1.0:
            size = [max(side, crop) for side in size]
            levels.append((255 * TF.resize(picture, size, antialias=True).clamp(0, 1)).round().byte())
    return levels


class Crops:
    """Batches of random crops at random scales, mirrored, with distorted colors and some noise: an endless supply.

    Every level of every pyramid lies, row after row, in one long tensor on the device, and a batch is one lookup in it:
    without a loop and without a value that travels between processor and GPU, as a CUDA graph needs it. Random numbers
    come from the device's own generator, which is the one that a graph moves on; `torch.manual_seed` seeds it.
    """

    def __init__(self, sources: Sequence[Iterable[Tensor]], shares: Sequence[float], crop: int, device: torch.device):
        """
        Args:
            sources: kinds of pictures, each of them (3, H, W) in [0, 1].
            shares: of each source among the crops; their sum is 1.
            crop: height and width of the crops.
        """
        self.crop, self.device = crop, device
        pyramids = [[pyramid(picture, crop) for picture in source] for source in sources]
        levels = [level for source in pyramids for picture in source for level in picture]
        self.pixels = torch.cat([level.flatten() for level in levels]).to(device)
        self.height, self.width = (self._tensor([level.shape[side] for level in levels]) for side in (1, 2))
        self.shares = self._tensor(shares).cumsum(0)
        self.source_size = self._tensor([len(source) for source in pyramids])  # pictures
        self.picture_size = self._tensor([len(picture) for source in pyramids for picture in source])  # levels
        # Where each source, picture and level begins in the list of all pictures, levels and bytes.
        self.source_start, self.picture_start, self.level_start = (
            sizes.cumsum(0) - sizes for sizes in (self.source_size, self.picture_size, 3 * self.height * self.width)
        )
        self.orders = self._tensor(list(itertools.permutations(range(3))))  # of the channels, the usual one first

    def _tensor(self, values: Sequence) -> Tensor:
        return torch.tensor(values, device=self.device)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, device=self.device)

    def _below(self, limit: Tensor) -> Tensor:
        """Whole numbers from 0 to below `limit`, entry by entry."""
        return (self._uniform(*limit.shape) * limit).long()

    def __call__(self, count: int) -> Tensor:
        """(count, 3, crop, crop) in [0, 1]."""
        crops = self._distorted(self._cut(count).float() / 255)
        noise = 0.12 * self._uniform(count, 1, 1, 1) * (self._uniform(count, 1, 1, 1) < 0.15)
        return (crops + noise * torch.randn(crops.shape, device=self.device)).clamp(0, 1)

    def _cut(self, count: int) -> Tensor:
        """Bytes of crops at random places, a half of them mirrored, some with their channels in another order."""
        source = torch.searchsorted(self.shares, self._uniform(count)).clamp(max=len(self.shares) - 1)
        picture = self.source_start[source] + self._below(self.source_size[source])
        level = self.picture_start[picture] + self._below(self.picture_size[picture])
        height, width = self.height[level], self.width[level]
        top, left = self._below(height - self.crop + 1), self._below(width - self.crop + 1)
        mixed = self._uniform(count) < 0.15
        channel = self.orders[(mixed * len(self.orders) * self._uniform(count)).long()]
        along = torch.arange(self.crop, device=self.device)
        column = torch.where(self._uniform(count, 1) < 0.5, along.flip(0), along)
        start = self.level_start[level] + top * width + left
        index = (
            start.view(-1, 1, 1, 1)
            + channel.view(-1, 3, 1, 1) * (height * width).view(-1, 1, 1, 1)
            + along.view(1, 1, -1, 1) * width.view(-1, 1, 1, 1)
            + column.view(-1, 1, 1, self.crop)
        )
        return self.pixels[index]

    def _distorted(self, crops: Tensor) -> Tensor:
        """Six of ten get another saturation, contrast, brightness and tint; the others stay as they are."""
        one, three = (len(crops), 1, 1, 1), (len(crops), 3, 1, 1)
        distorted = self._uniform(*one) < 0.6
        crops = crops.lerp(crops.mean(1, keepdim=True), distorted * self._uniform(*one) ** 2)  # from full color to gray
        gain = (0.6 + 0.7 * self._uniform(*one)) * (0.7 + 0.6 * self._uniform(*three))
        shift = 0.2 * (self._uniform(*one) - 0.5) + 0.2 * (self._uniform(*three) - 0.5)
        return torch.where(distorted, (crops - 0.5) * gain + 0.5 + shift, crops)


# --- what is learned --------------------------------------------------------------------------------------------


def student_network() -> nn.Sequential:
    """slim with a batch norm behind each convolution, the first of which lets nearly all of the picture through."""
    network = _slim_network(normalized=True)
    nn.init.constant_(network.norm_conv1_1.bias, 1.5)  # standard deviations: ReLU cuts off what is below zero
    return network


class Distillation(nn.Module):
    """The student, a frozen teacher, and the heads that map the one's layers to the other's."""

    def __init__(self, teacher: Backbone):
        super().__init__()
        self.teacher = [teacher]  # in a list: its weights are not ours to train
        self.student = Backbone("slim", student_network())
        with torch.no_grad():
            probe = torch.zeros(1, 3, 64, 64)
            ours = {layer: features.shape[1] for layer, features in self.student.eval()(probe, list(GRAMS)).items()}
            probe = probe.to(teacher.mean.device)
            theirs = {target: features.shape[1] for target, features in self.targets(probe).items()}
        self.student.train()
        self.heads = nn.ModuleDict({layer: nn.Conv2d(ours[layer], theirs[TAPS[layer]], 1) for layer in TAPS})
        self.heads.update({f"color {layer}": nn.Conv2d(ours[layer], 3, 1) for layer in COLOR_LAYERS})
        for target in TAPS.values():
            self.register_buffer(f"mean {target}", torch.zeros(theirs[target], 1, 1))
            self.register_buffer(f"std {target}", torch.ones(theirs[target], 1, 1))

    @torch.no_grad()
    def targets(self, image: Tensor) -> dict[str, Tensor]:
        """The teacher's features, and the pixels with their negatives: black counts as much as white."""
        return {**self.teacher[0].taps(image, TAPS.values()), "pixels": torch.cat([image, 1 - image], 1)}

    def standardize(self, image: Tensor) -> None:
        """Measures each teacher channel's mean and standard deviation on a large batch, once.

        A channel that hardly ever varies counts for less: it is divided by half of the mean deviation.
        """
        targets = self.targets(image)
        for target in TAPS.values():
            std, mean = torch.std_mean(targets[target], (0, 2, 3))
            getattr(self, f"mean {target}").copy_(mean.view(-1, 1, 1))
            getattr(self, f"std {target}").copy_(std.clamp(min=0.5 * std.mean()).view(-1, 1, 1))

    def unexplained(self, image: Tensor, features: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Unexplained variance per head, of the teacher's features or the pixels: 1 = nothing learned, 0 = perfect.

        Σ_channels mean (head(F) − T)² / Σ_channels var T, with the teacher's features T in standard units.
        """
        losses = {}
        for layer, target in TAPS.items():
            wanted = (targets[target].float() - getattr(self, f"mean {target}")) / getattr(self, f"std {target}")
            losses[layer] = unexplained_variance(self.heads[layer](features[layer]), wanted)
        for layer in COLOR_LAYERS:
            pixels = F.adaptive_avg_pool2d(image, features[layer].shape[-2:])
            losses[f"color {layer}"] = unexplained_variance(self.heads[f"color {layer}"](features[layer]), pixels)
        return losses


def unexplained_variance(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Σ_channels mean (predicted − wanted)² / Σ_channels var wanted, for maps (N, C, h, w)."""
    return (predicted.float() - wanted).square().mean((0, 2, 3)).sum() / wanted.var((0, 2, 3)).sum()


def relative_distances(grams: Tensor) -> Tensor:
    """Of every two Gram matrices, as style_loss measures them: entry (i, j) is ‖Gᵢ − Gⱼ‖² / ‖Gⱼ‖².

    Args:
        grams: (N, C, C).

    Returns:
        (N, N).
    """
    flat = grams.flatten(1)
    products = flat @ flat.T
    norms = products.diagonal()
    distances = (norms[:, None] + norms - 2 * products).clamp(min=0)  # rounding may leave less than nothing
    return distances / (norms + 1e-6 * norms.mean() + 1e-12)


def distance_error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean over all pairs of (ln (NEAR + ours) − ln (NEAR + theirs))², for distances (N, N)."""
    pairs = len(ours) * (len(ours) - 1)  # a picture's distance from itself is 0 on both sides
    return ((ours + NEAR).log() - (theirs + NEAR).log()).square().sum() / pairs


class Paintings:
    """Half-painted pictures: crops that move, step by step, towards the style of other crops, as slim sees it.

    These are what style transfer asks a backbone about, and no collection of pictures holds them: slim has to agree
    with its teacher there, too, or the optimization goes where it does not.
    """

    def __init__(self, crops: Crops, count: int):
        self.crops = crops
        self.pictures, self.styles = crops(count), crops(count)  # (count, 3, crop, crop) in [0, 1]
        self.ages = LIFE * torch.arange(count, device=crops.device) // count  # never all new at once

    def __len__(self) -> int:
        return len(self.pictures)

    def move(self, gradient: Tensor) -> None:
        """A step down the gradient of each picture's distance from its style; the oldest give way to new pairs."""
        pace = PACE * (1 - self.ages / LIFE).view(-1, 1, 1, 1)
        moved = (self.pictures - pace * direction(gradient)).clamp(0, 1)
        self.ages += 1
        old = self.ages >= LIFE
        replaced = old.view(-1, 1, 1, 1)  # new pairs are drawn each time: a graph cannot ask whether they are needed
        self.pictures.copy_(torch.where(replaced, self.crops(len(self)), moved))
        self.styles.copy_(torch.where(replaced, self.crops(len(self)), self.styles))
        self.ages *= ~old


def direction(gradient: Tensor) -> Tensor:
    """The gradient with coarse and fine structures in equal parts; by itself it moves little but single pixels.

    Mean over k = 1, 2, 4, 8, 16 of the gradient averaged over squares of k × k pixels and scaled to root mean square 1.
    """
    levels = []
    for side in (1, 2, 4, 8, 16):
        level = F.avg_pool2d(gradient, side)
        level = level / (level.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-12)
        levels.append(F.interpolate(level, gradient.shape[-2:], mode="bilinear"))
    return sum(levels) / len(levels)


# --- the run ----------------------------------------------------------------------------------------------------


class Run:
    """The state of a run and one step of it. What outlives a step is on the device and changed in place: see `graph`.

    A batch is the paintings, their styles, and fresh crops, in this order.
    """

    def __init__(self, teacher: Backbone, crops: Crops, fresh: int, painted: int):
        device = crops.device
        self.crops, self.fresh = crops, fresh
        self.model = Distillation(teacher).to(device=device, memory_format=torch.channels_last)
        self.model.standardize(crops(SAMPLE))
        self.paintings = Paintings(crops, painted)
        self.rate = torch.zeros((), device=device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.rate, betas=(0.9, 0.99), capturable=device.type == "cuda"
        )
        self.mixed = device.type == "cuda" or bfloat16_speedup(device) > 1  # the weights stay in float32
        self.names = [*self.model.heads, *(f"distance {layer}" for layer in GRAMS)]
        self.running = torch.ones(len(self.names), device=device)  # running means of the losses

    def step(self, paint: bool) -> None:
        """One step of the optimizer; with `paint`, the paintings move on, too."""
        painted = len(self.paintings)
        image = torch.cat([self.paintings.pictures, self.paintings.styles, self.crops(self.fresh)])
        image.requires_grad_(paint)
        # The cache of converted weights would outlive a recorded step.
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.mixed, cache_enabled=False):
            features = self.model.student.taps(image, GRAMS)
            targets = self.model.targets(image)
            unexplained = self.model.unexplained(image.detach(), features, targets)
        ours = {layer: relative_distances(gram_matrix(features[layer])) for layer in GRAMS}
        errors = [
            distance_error(ours[layer], relative_distances(gram_matrix(targets[target])))
            for layer, target in GRAMS.items()
        ]
        losses = torch.stack([*unexplained.values(), *errors])
        if paint:
            style = sum(distances.diagonal(painted)[:painted].sum() for distances in ours.values())
            (gradient,) = torch.autograd.grad(style, image, retain_graph=True)
            self.paintings.move(gradient[:painted].nan_to_num(0, 0, 0))
        explained, distance = losses.split([len(unexplained), len(errors)])
        self._descend(explained.mean() + GRAM_WEIGHT * distance.mean())
        self.running.lerp_(losses.detach(), 0.02)

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        for parameter in self.model.parameters():
            parameter.grad.nan_to_num_(0, 0, 0)  # a step that overflowed teaches nothing
        self.optimizer.step()


def graph(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`step` as one CUDA graph: its kernels are recorded once and replayed together. Elsewhere it is `step` itself.

    A step is thousands of kernels, each of a few microseconds, and Python takes longer than that to start one: without
    a graph the GPU waits most of the time. A replay runs the same kernels on the same memory, so a step may not look
    at a value to decide anything, and what it hands on to the next it writes in place.
    """
    if device.type != "cuda":
        return step
    # First on a stream beside: libraries choose their kernels and the optimizer makes its state, once and unrecorded.
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        step()
    return recorded.replay


def learning_rate(step: int, steps: int, peak: float) -> float:
    """A short warm-up, then a cosine down to zero."""
    return peak * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(teacher: Backbone, crops: Crops, steps: int, fresh: int, painted: int, peak: float, log: Path) -> Backbone:
    """Runs the distillation and returns slim, folded. Appends a line of figures to `log` as it goes.

    Args:
        fresh, painted: crops in each batch; with every painted one comes its style.
        peak: the highest learning rate.
    """
    torch.backends.cudnn.benchmark = True  # all batches have the same shapes
    run, start = Run(teacher, crops, fresh, painted), time.monotonic()
    frozen_from = round((1 - FROZEN) * steps)
    for step in range(steps):
        if step in (0, frozen_from):
            run.model.student.train(step < frozen_from)
            run.rate.zero_()  # what `graph` tries out trains nothing
            with_painting, without = (graph(partial(run.step, paint), crops.device) for paint in (True, False))
        run.rate.fill_(learning_rate(step, steps, peak))
        with_painting() if step % 2 == 0 else without()
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            means = {name: round(mean, 3) for name, mean in zip(run.names, run.running.tolist(), strict=True)}
            line = json.dumps({"step": step + 1, "seconds": round(time.monotonic() - start), **means})
            print(line, flush=True)
            with log.open("a") as lines:
                lines.write(line + "\n")
    return Backbone("slim", fold(run.model.student.network)).to(crops.device).eval().requires_grad_(False)


# --- from the student to slim -----------------------------------------------------------------------------------


def fold(student: nn.Sequential) -> nn.Sequential:
    """Multiplies each batch norm into the convolution before it. Same outputs as the student in eval mode."""
    folded: OrderedDict[str, nn.Module] = OrderedDict()
    for name, module in student.eval().named_children():
        if isinstance(module, nn.BatchNorm2d):
            name = name.removeprefix("norm_")
            module = nn.utils.fuse_conv_bn_eval(folded[name], module)
        folded[name] = module
    return nn.Sequential(folded)


@torch.no_grad()
def importance(
    slim: Backbone, teacher: Backbone, crops: Callable[[int], Tensor], batches: int = 20, batch: int = 32
) -> dict[str, Tensor]:
    """How much each channel of slim says about the teacher's features: layer → (C,).

    Per layer, the best linear head `F_teacher ≈ W F_slim + b` in the sense of least squares; the importance of channel
    i is the length of column i of W. Then the Gram matrix of slim's channels times their importance is the teacher's
    Gram matrix seen through W, but for the angles between columns. relu1_1 lies on a finer grid than any layer of the
    teacher; it is averaged down to the grid of the first tap and held against that.
    """
    layers = [layer for layer in slim.layers if layer.startswith("relu")]
    pairs = {layer: TAPS.get(layer, next(iter(TAPS.values()))) for layer in layers}
    squares, products = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0.0)
    for _ in range(batches):
        image = crops(batch)
        features, targets = slim(image, layers), teacher(image, set(pairs.values()))
        for layer, target in pairs.items():
            ours, theirs = (
                F.adaptive_avg_pool2d(maps, targets[target].shape[-2:]).double().transpose(0, 1).flatten(1)
                for maps in (features[layer], targets[target])
            )
            ours = torch.cat([ours, torch.ones_like(ours[:1])])  # the constant is the head's bias
            squares[layer] += ours @ ours.T
            products[layer] += ours @ theirs.T
    lengths = {}
    for layer in layers:
        # A little ridge, in each channel's own units: channels that say the same share the weight between them.
        ridge = 1e-3 * torch.diag(squares[layer].diagonal() + 1e-9)
        lengths[layer] = torch.linalg.solve(squares[layer] + ridge, products[layer])[:-1].norm(dim=1).float()
    return lengths


@torch.no_grad()
def weigh(slim: Backbone, lengths: dict[str, Tensor], image: Tensor) -> None:
    """Multiplies every channel by its importance and divides the next layer's weights by it.

    ReLU(a·x) = a·ReLU(x) for a > 0, so what the network computes stays the same, channel by channel up to that factor.
    The mean activation of a layer over `image` becomes 1. No one looks at the squeezed layers: all their channels get
    the same factor.
    """
    convolutions = [name for name in slim.layers if isinstance(getattr(slim.network, name), nn.Conv2d)]
    for name, following in itertools.zip_longest(convolutions, convolutions[1:]):
        layer = slim.layers[slim.layers.index(name) + 1]  # the ReLU behind it
        convolution = getattr(slim.network, name)
        scale = lengths.get(layer, torch.ones_like(convolution.bias))
        scale = scale.clamp(min=1e-3 * float(scale.mean()))  # half precision must hold the inverse
        scale = scale / (slim(image, [layer])[layer] * scale.view(1, -1, 1, 1)).mean()
        convolution.weight *= scale.view(-1, 1, 1, 1)
        convolution.bias *= scale
        if following:
            getattr(slim.network, following).weight /= scale.view(1, -1, 1, 1)


def save(slim: Backbone, path: Path) -> None:
    """Half precision halves the file; its 11 significant bits round a weight by at most 0.05 %."""
    weights = {name: tensor.half().cpu().contiguous() for name, tensor in slim.network.state_dict().items()}
    with replacing(path) as beside:
        torch.save(weights, beside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder that tools/training_pictures.py made")
    parser.add_argument("--steps", type=int, default=30000)
    parser.add_argument("--crop", type=int, default=128, help="height and width of the crops, a multiple of 16")
    parser.add_argument("--fresh", type=int, default=20, help="fresh crops in each batch")
    parser.add_argument("--painted", type=int, default=8, help="half-painted pictures in each batch, and their styles")
    parser.add_argument("--lr", type=float, default=4e-3, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only-weigh", action="store_true", help="train nothing; weigh the channels of --out anew")
    parser.add_argument("--out", type=Path, default=SLIM_WEIGHTS)
    parser.add_argument("--log", type=Path, default=Path(__file__).with_suffix(".log"))
    options = parser.parse_args()
    device = chosen_device(options.device)
    if not options.pictures:
        print("Without --pictures, slim learns from scikit-image's photographs and computed pictures alone.")
    sources = (
        itertools.chain(photographs(), collected(options.pictures) if options.pictures else ()),
        procedural_pictures(PROCEDURAL_COUNT, options.seed),
    )
    crops = Crops(sources, [1 - PROCEDURAL_SHARE, PROCEDURAL_SHARE], options.crop, device)
    print("{} photographs and collected pictures, {} computed ones".format(*crops.source_size.tolist()), flush=True)
    # Padded like slim, so that no student layer spends effort on imitating the teacher's frame of zeros, and so that
    # SqueezeNet's maps, otherwise unpadded at the first convolution, lie on the same grid. Not mixed by itself: where a
    # step runs in bfloat16, the teacher does, too.
    teacher = load_backbone("squeezenet1_0", device, padding="replicate", mixed=False)
    torch.manual_seed(options.seed)
    if options.only_weigh:
        slim = load_backbone("slim", device, pretrained=False)
        slim.network.load_state_dict(torch.load(options.out, weights_only=True))
    else:
        options.log.write_text("")
        slim = train(teacher, crops, options.steps, options.fresh, options.painted, options.lr, options.log)
    torch.manual_seed(options.seed + 1)  # other crops than slim began with, and the same ones with --only-weigh
    weigh(slim, importance(slim, teacher, crops), crops(SAMPLE))
    save(slim, options.out)
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
