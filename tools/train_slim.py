"""Trains `slim`, the small backbone that ships with stylelib, and writes it to stylelib/data/slim.pt.

    uv run python tools/train_slim.py                      # as shipped: teacher SqueezeNet 1.0 (5 MB download)
    uv run python tools/train_slim.py --teacher vgg19      # VGG-19 as the teacher (548 MB download)
    uv run python tools/train_slim.py --only-weigh         # rescale the channels of weights trained before

Knowledge distillation (Hinton et al. 2015; FitNets, Romero et al. 2015): slim learns to predict the feature maps of
an ImageNet network. A 1×1 convolution, the *head*, maps a layer of slim to a layer of the teacher at the same stride;
the loss is the squared error to the teacher's map, standardized per channel. Heads are thrown away afterwards. That a
handful of pictures is enough, if they are cropped and distorted heavily, is known (Asano and Saeed, ICLR 2023).

Three things go beyond plain distillation:
- ImageNet networks care little for color, so the shallow layers also predict the picture's own pixels;
- batch norm, which makes training fast, is folded into the convolutions, so that slim is a plain VGG-like chain;
- channels are rescaled by their `importance` to the teacher, so that each counts in a Gram matrix about as much as what
  it stands for counts in the teacher's.

Training pictures are scikit-image's photographs and pictures computed here: nothing to download, nothing that a lesson
or a score later uses as a famous painting. Everything is seeded. `tools/train_slim.md` keeps the log of what was tried.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage
import torch
import torch.nn.functional as F
from skimage import color, draw
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as TF

from stylelib.backbones import SLIM_WEIGHTS, Backbone, _name_like_vgg, _slim_network, bfloat16_speedup, load_backbone
from stylelib.files import replacing

# layer of slim → layers of the teacher at the same stride
TAPS = {
    "squeezenet1_0": {
        "relu2_1": ["relu1"],
        "relu2_2": ["relu1"],
        "relu3_1": ["fire2"],
        "relu3_2": ["fire3", "fire4"],
        "relu4_1": ["fire5"],
        "relu4_2": ["fire6", "fire7"],
        "relu5_1": ["fire9"],
    },
    "vgg19": {
        f"relu{name}": [f"relu{name}"] for name in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "4_1", "4_2", "5_1")
    },
}
COLOR_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
PHOTOGRAPHS = """astronaut.png brick.png camera.png cell.png chelsea.png coffee.png coins.png grass.png gravel.png
    hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png page.png retina.jpg rocket.jpg text.png""".split()
EVERY = 200  # steps between two lines of the log
PROCEDURAL_COUNT = 80
PROCEDURAL_SHARE = 0.4  # of all crops
SCALES = (1.0, 0.7, 0.5, 0.35, 0.25)


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
    """The picture at every scale of `SCALES` that a crop still fits into."""
    levels = []
    for scale in SCALES:
        size = [round(side * scale) for side in picture.shape[-2:]]
        if min(size) >= crop or scale == 1.0:
            size = [max(side, crop) for side in size]
            levels.append(TF.resize(picture, size, antialias=True).clamp(0, 1))
    return levels


class Crops:
    """Batches of random crops at random scales, mirrored, with distorted colors; an endless, seeded supply."""

    def __init__(self, seed: int, crop: int, batch: int):
        self.generator = torch.Generator().manual_seed(seed)
        self.crop, self.batch = crop, batch
        self.sources = [
            [pyramid(picture, crop) for picture in photographs()],
            [pyramid(picture, crop) for picture in procedural_pictures(PROCEDURAL_COUNT, seed)],
        ]

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def _choice(self, options: list):
        return options[int(self._uniform(1) * len(options))]

    def _one(self) -> Tensor:
        source = self.sources[int(self._uniform(1) < PROCEDURAL_SHARE)]
        picture = self._choice(self._choice(source))
        top, left = (int(self._uniform(1) * (side - self.crop + 1)) for side in picture.shape[-2:])
        patch = picture[:, top : top + self.crop, left : left + self.crop]
        patch = patch.flip(2) if self._uniform(1) < 0.5 else patch
        if self._uniform(1) < 0.25:
            patch = patch[torch.randperm(3, generator=self.generator)]
        patch = patch.lerp(patch.mean(0, keepdim=True), self._uniform(1) ** 2)  # from full color to gray
        gain, bias = 0.7 + 0.6 * self._uniform(3, 1, 1), 0.2 * (self._uniform(3, 1, 1) - 0.5)
        contrast, brightness = 0.6 + 0.7 * self._uniform(1, 1, 1), 0.2 * (self._uniform(1, 1, 1) - 0.5)
        return ((patch - 0.5) * contrast * gain + 0.5 + bias + brightness).clamp(0, 1)

    def __call__(self) -> Tensor:
        """(batch, 3, crop, crop) in [0, 1]."""
        return torch.stack([self._one() for _ in range(self.batch)])


# --- student and heads ------------------------------------------------------------------------------------------


def student_network() -> nn.Sequential:
    """slim with a batch norm behind each convolution."""
    modules: list[nn.Module] = []
    for module in _slim_network():
        modules.append(module)
        if isinstance(module, nn.Conv2d):
            module.bias = None  # batch norm subtracts it anyway
            modules.append(nn.BatchNorm2d(module.out_channels))
    return _name_like_vgg(modules)


class Distillation(nn.Module):
    """The student, a frozen teacher, and the heads that map the one's layers to the other's."""

    def __init__(self, teacher: Backbone):
        super().__init__()
        self.teacher, self.taps = [teacher], TAPS[teacher.name]  # in a list: its weights are not ours to train
        self.student = Backbone("slim", student_network())
        widths = {layer: f.shape[1] for layer, f in self._targets(torch.zeros(1, 3, 64, 64)).items()}
        self.heads = nn.ModuleDict()
        for layer, targets in self.taps.items():
            self.heads[layer] = nn.LazyConv2d(sum(widths[target] for target in targets), 1)
        for layer in COLOR_LAYERS:
            self.heads[f"color {layer}"] = nn.LazyConv2d(3, 1)
        for target, width in widths.items():
            self.register_buffer(f"mean {target}", torch.zeros(width, 1, 1))
            self.register_buffer(f"std {target}", torch.ones(width, 1, 1))

    @torch.no_grad()
    def _targets(self, image: Tensor) -> dict[str, Tensor]:
        wanted = {target for targets in self.taps.values() for target in targets}
        return self.teacher[0](image, [layer for layer in self.teacher[0].layers if layer in wanted])

    def standardize(self, image: Tensor) -> None:
        """Measures each teacher channel's mean and standard deviation on a large batch, once."""
        for target, features in self._targets(image).items():
            std, mean = torch.std_mean(features, (0, 2, 3))
            getattr(self, f"mean {target}").copy_(mean.view(-1, 1, 1))
            getattr(self, f"std {target}").copy_(std.clamp(min=1e-2 * std.mean()).view(-1, 1, 1))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Unexplained variance of the teacher's features per head: 1 = nothing learned, 0 = perfect."""
        targets = self._targets(image)
        layers = [layer for layer in self.student.layers if layer in {*self.taps, *COLOR_LAYERS}]
        losses = {}
        for layer, features in self.student(image, layers).items():
            if layer in self.taps:
                wanted = torch.cat(
                    [(targets[t] - getattr(self, f"mean {t}")) / getattr(self, f"std {t}") for t in self.taps[layer]],
                    1,
                )
                losses[layer] = F.mse_loss(self.heads[layer](features).float(), wanted.float())
            if layer in COLOR_LAYERS:
                pixels = F.adaptive_avg_pool2d(image, features.shape[-2:])
                variance = pixels.var((0, 2, 3)).mean()
                losses[f"color {layer}"] = F.mse_loss(self.heads[f"color {layer}"](features).float(), pixels) / variance
        return losses


def fold(student: nn.Sequential) -> nn.Sequential:
    """Multiplies each batch norm into the convolution before it. Same outputs as the student in eval mode."""
    modules: list[nn.Module] = []
    for module in student.eval():
        if isinstance(module, nn.BatchNorm2d):
            module = nn.utils.fuse_conv_bn_eval(modules.pop(), module)
        modules.append(module)
    return _name_like_vgg(modules)


@torch.no_grad()
def importance(slim: Backbone, teacher: Backbone, crops: Callable[[], Tensor], batches: int = 60) -> dict[str, Tensor]:
    """How much each channel of slim says about the teacher's features: layer → (C,).

    Per layer, the best linear head `F_teacher ≈ W F_slim + b` in the sense of least squares; the importance of channel
    i is the length of column i of W. Then the Gram matrix of slim's channels times their importance is the teacher's
    Gram matrix seen through W, but for the angles between columns. Layers with a finer grid than any layer of the
    teacher are averaged down to that of the first tap.
    """
    taps = TAPS[teacher.name]
    layers = [layer for layer in slim.layers if layer.startswith("relu")]
    pairs = {layer: taps.get(layer, next(iter(taps.values()))) for layer in layers}
    wanted = [layer for layer in teacher.layers if any(layer in targets for targets in pairs.values())]
    squares, products = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0.0)
    for _ in range(batches):
        image = crops()
        features, targets = slim(image, layers), teacher(image, wanted)
        for layer in layers:
            target = torch.cat([targets[name] for name in pairs[layer]], 1)
            ours, theirs = (
                F.adaptive_avg_pool2d(maps, target.shape[-2:]).double().transpose(0, 1).flatten(1)
                for maps in (features[layer], target)
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
    The mean activation of a layer over `image` becomes 1.
    """
    convolutions = [name for name, module in slim.network.named_children() if isinstance(module, nn.Conv2d)]
    for name, following in zip(convolutions, [*convolutions[1:], None], strict=True):
        layer = name.replace("conv", "relu")
        scale = lengths[layer].clamp(min=1e-3 * float(lengths[layer].mean()))  # half precision must hold the inverse
        scale = scale / (slim(image, [layer])[layer] * scale.view(1, -1, 1, 1)).mean()
        convolution = getattr(slim.network, name)
        convolution.weight *= scale.view(-1, 1, 1, 1)
        convolution.bias *= scale
        if following:
            getattr(slim.network, following).weight /= scale.view(1, -1, 1, 1)


# --- the run ----------------------------------------------------------------------------------------------------


def learning_rate(step: int, steps: int, peak: float) -> float:
    """A short warm-up, then a cosine down to zero."""
    return peak * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(teacher: Backbone, steps: int, crop: int, batch: int, peak: float, seed: int, log: Path) -> Backbone:
    """Runs the distillation and returns slim, folded. Appends a line of figures to `log` as it goes."""
    torch.manual_seed(seed)
    crops = Crops(seed, crop, batch)
    model = Distillation(teacher)
    model.standardize(torch.cat([crops() for _ in range(16)]))
    model(crops())  # gives the lazy heads their shapes
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=peak)
    mixed = bfloat16_speedup(torch.device("cpu")) > 1  # the weights stay in float32
    start, running = time.monotonic(), {}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            losses = model(crops())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        for name, loss in losses.items():
            running[name] = 0.99 * running.get(name, 1.0) + 0.01 * loss.item()
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            figures = {"step": step + 1, "seconds": round(time.monotonic() - start)}
            figures |= {name: round(value, 3) for name, value in running.items()}
            print(json.dumps(figures), flush=True)
            with log.open("a") as lines:
                lines.write(json.dumps(figures) + "\n")
    return Backbone("slim", fold(model.student.network)).eval().requires_grad_(False)


def save(slim: Backbone, path: Path) -> None:
    """Half precision halves the file; its 11 significant bits round a weight by at most 0.05 %."""
    with replacing(path) as beside:
        torch.save({name: tensor.half().contiguous() for name, tensor in slim.network.state_dict().items()}, beside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", choices=sorted(TAPS), default="squeezenet1_0")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-weigh", action="store_true", help="train nothing; weigh the channels of --out anew")
    parser.add_argument("--out", type=Path, default=SLIM_WEIGHTS)
    parser.add_argument("--log", type=Path, default=Path(__file__).with_suffix(".log"))
    options = parser.parse_args()
    # Padded like slim, so that no student layer spends effort on imitating the teacher's frame of zeros, and so that
    # SqueezeNet's maps, otherwise unpadded at the first convolution, lie on the same grid.
    teacher = load_backbone(options.teacher, padding="replicate")
    if options.only_weigh:
        slim = load_backbone("slim")
        slim.network.load_state_dict(torch.load(options.out, weights_only=True))
    else:
        options.log.write_text("")
        slim = train(teacher, options.steps, options.crop, options.batch, options.lr, options.seed, options.log)
    crops = Crops(options.seed + 1, options.crop, options.batch)  # others than slim was trained on
    weigh(slim, importance(slim, teacher, crops), torch.cat([crops() for _ in range(16)]))
    save(slim, options.out)
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
