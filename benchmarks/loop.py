"""Speed and memory of the optimization loop, as ratios to a plain loop in the same run.

    uv run python benchmarks/loop.py                      # a table; about 20 minutes on two cores
    uv run python benchmarks/loop.py --json               # and the ratios as one last line
    uv run python benchmarks/loop.py --only studio        # one section; --help names them
    uv run python benchmarks/loop.py --device cuda --json
    uv run python benchmarks/loop.py --quick              # tiny sizes, to see that everything runs

The *plain* loop does what the well-known implementations do: float32, one memory layout (NCHW), full resolution from
the start, L-BFGS with a history of 100 on the pixels, Gram matrices of five layers to relu5_1. It is written out below,
so that nothing that makes stylelib fast can leak into it. Both minimize the same function, and that is checked.
The *floor* is the number of floating point operations (torch counts them) over the rate at which this machine
multiplies large matrices in that precision, measured here.

Trained weights of squeezenet1_0 are torchvision's, 5 MB, found or downloaded below TORCH_HOME. VGG-19 has random
weights: an evaluation takes the same time. `README.md` beside this file has results and what was learned.
"""

import stylelib  # noqa: F401 (before torch, as users run it: it says how torch's threads wait)

# isort: split

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from stylelib import Objective, gallery, load_backbone, optimize, stylize
from stylelib.backbones import Backbone, bfloat16_speedup, has_bfloat16_units
from stylelib.cost import TensorMemory
from stylelib.doctor import processor
from stylelib.images import resize_to
from stylelib.lbfgs import HISTORY, LBFGS, Pair
from stylelib.losses import gram_sum
from stylelib.objective import RANGE_WEIGHT, STYLE_WEIGHT, VARIATION_WEIGHT
from stylelib.spectrum import spectrum
from stylelib.transfer import STEPS

CONTENT, STYLE = "chelsea", "flow_strokes"  # scikit-image's cat, and a style picture that the project renders itself
PLAIN_STEPS = 500
SECTIONS = ("evaluation", "objective", "slim", "gpu", "process", "studio")


@dataclass
class Sizes:
    """Everything that `--quick` makes small."""

    evaluation: tuple[int, int] = (288, 384)  # the size at which others' loops were measured
    picture: int = 512
    plain_steps: int = PLAIN_STEPS
    steps: int = STEPS
    repeats: int = 7
    matrix: int = 4096
    gpu_steps: int = 300


QUICK = Sizes((64, 80), 64, 12, 6, 2, 256, 3)


# --- the plain loop, in full


class PlainObjective:
    """The total of `stylelib.Objective` in the plainest PyTorch: torchvision's modules, and losses written out."""

    def __init__(self, backbone: Backbone, content: Tensor, style: Tensor):
        build = {"vgg19": models.vgg19, "squeezenet1_0": models.squeezenet1_0}[backbone.name]
        with torch.device("meta"):
            self.network = build(weights=None).features.eval()
        values = backbone.network.state_dict().values()  # the same weights, in the same order under other names
        self.network.load_state_dict(
            {name: value.contiguous() for name, value in zip(self.network.state_dict(), values, strict=True)},
            assign=True,
        )
        self.network.requires_grad_(False)
        for module in self.network.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        places = {name: index for index, name in enumerate(backbone.layers)}
        self.style_layers = [places[name] for name in backbone.style_layers]
        self.content_layer = places[backbone.content_layer]
        self.mean, self.std, self.device = backbone.mean, backbone.std, backbone.mean.device
        with torch.no_grad():
            self.content = self.features(content)[self.content_layer]
            self.grams = {layer: self.gram(self.features(style)[layer]) for layer in self.style_layers}

    def features(self, image: Tensor) -> dict[int, Tensor]:
        x, features = (image - self.mean) / self.std, {}
        for index, module in enumerate(self.network[: max(*self.style_layers, self.content_layer) + 1]):
            x = module(x)
            if index in self.style_layers or index == self.content_layer:
                features[index] = x
        return features

    @staticmethod
    def gram(features: Tensor) -> Tensor:
        flat = features.view(features.shape[1], -1)
        return flat @ flat.t() / flat.shape[1]

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        features = self.features(image)
        content = ((features[self.content_layer] - self.content) ** 2).sum() / (self.content**2).sum()
        style = 0
        for layer, target in self.grams.items():
            style = style + ((self.gram(features[layer]) - target) ** 2).sum() / (target**2).sum() / len(self.grams)
        rows = ((image[..., 1:, :] - image[..., :-1, :]) ** 2).mean()
        columns = ((image[..., 1:] - image[..., :-1]) ** 2).mean()
        outside = ((image - image.clamp(0, 1)) ** 2).mean()
        penalties = VARIATION_WEIGHT * (rows + columns) + RANGE_WEIGHT * outside
        return {"total": content + STYLE_WEIGHT * style + penalties}


def plain_loop(start: Tensor, objective: Callable, steps: int) -> Iterator[int]:
    """One evaluation after the other."""
    image = start.clone().contiguous().requires_grad_()
    solver = torch.optim.LBFGS([image], max_iter=1, history_size=100, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        solver.zero_grad()
        total = objective(image)["total"]
        total.backward()
        return total

    for step in range(steps):
        solver.step(closure)
        yield step


# --- measuring


class Watched:
    """An objective that notes the total of each image it sees; in float32, by `judge`, where it is not so itself."""

    def __init__(self, objective: Callable, judge: Callable | None = None):
        self.objective, self.judge, self.device = objective, judge, objective.device
        self.totals: list[float] = []
        self.judging = 0.0  # seconds, which are not the loop's

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        losses = self.objective(image)
        start = now(self.device)
        with torch.no_grad():
            self.totals.append((self.judge(image) if self.judge else losses)["total"].item())
        self.judging += now(self.device) - start
        return losses


@dataclass
class Race:
    """Loops taken one step at a time in turn, so that a disturbance from outside hits all of them alike."""

    loops: dict[str, Iterator]
    watched: dict[str, Watched]

    def run(self) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in self.loops}
        running = dict(self.loops)
        while running:
            for name, loop in list(running.items()):
                watched = self.watched[name]
                judged, start = watched.judging, now(watched.device)
                if next(loop, None) is None:
                    del running[name]
                else:
                    elapsed = now(watched.device) - start
                    self.seconds[name].append(elapsed - (watched.judging - judged))

    def first_below(self, name: str, limit: float) -> tuple[int, float] | tuple[None, None]:
        """After how many evaluations, and seconds, the image is at least as good as `limit`."""
        for index, total in enumerate(self.watched[name].totals):
            if total <= limit:
                return index, sum(self.seconds[name][:index])
        return None, None


def now(device: torch.device) -> float:
    """The time, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(work: Callable[[], object], device: torch.device) -> float:
    start = now(device)
    work()
    return now(device) - start


def medians(
    works: dict[str, Callable[[], object]], repeats: int, device: torch.device, warm_up: bool = True
) -> dict[str, float]:
    """Median seconds of each, taken in turn, so that a disturbance from outside hits all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + warm_up):
        for name, work in works.items():
            seconds = timed(work, device)
            if repeat >= warm_up:
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_gigabytes(work: Callable[[], object], device: torch.device) -> float:
    """The most that tensors made by `work` hold at one time. On the CPU without the rooms convolutions work in."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**30
    with TensorMemory() as account:
        work()
    return account.peak / 2**30


def matrix_rate(dtype: torch.dtype, device: torch.device, size: int) -> float:
    """Floating point operations per second of a product of two square matrices; the best of some, as it is a limit."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    left @ right
    return 2 * size**3 / min(timed(lambda: left @ right, device) for _ in range(5))


def evaluation(objective: Callable, image: Tensor) -> Callable[[], None]:
    """One forward and one backward pass."""
    pixels = image.clone().requires_grad_()

    def run() -> None:
        pixels.grad = None
        objective(pixels)["total"].backward()

    return run


def operations(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def untrained(name: str, device: torch.device, **options) -> Backbone:
    torch.manual_seed(0)
    return load_backbone(name, device, pretrained=False, **options)


def in_precision(backbone: Backbone, mixed: bool) -> Backbone:
    """The same network, weights shared, with its convolutions in bfloat16 or in float32."""
    twin = copy.copy(backbone)
    twin.mixed = mixed
    return twin


def in_float32(backbone: Backbone) -> Backbone:
    return in_precision(backbone, False)


def pictures(device: torch.device, size: int) -> tuple[Tensor, Tensor]:
    return gallery.load(CONTENT, size).to(device), gallery.load(STYLE, size).to(device)


def check_same(plain: Callable, ours: Callable, image: Tensor) -> None:
    """Both must minimize the same function, or the comparison would say nothing."""
    image = (image + 0.1 * torch.rand_like(image)).detach()
    first, second = plain(image)["total"].item(), ours(image)["total"].item()
    assert abs(first - second) < 1e-3 * abs(first), f"plain {first} and ours {second} are different functions"


# --- sections: each prints its table and returns its figures


def measure_evaluation(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """VGG-19 to relu5_1: seconds per evaluation."""
    height, width = sizes.evaluation
    generator = torch.Generator().manual_seed(0)
    content, style = (torch.rand(1, 3, height, width, generator=generator).to(device) for _ in range(2))
    ours = Objective(untrained("vgg19", device), content, style)
    exact = Objective(in_float32(ours.backbone), content, style)
    plain = PlainObjective(exact.backbone, content, style)
    check_same(plain, exact, content)
    mixed = Objective(in_precision(ours.backbone, True), content, style)
    works = {"plain": evaluation(plain, content), "ours, float32": evaluation(exact, content)}
    rounded = {"ours, bfloat16": evaluation(mixed, content)}
    units = has_bfloat16_units(device)
    if units:
        works |= rounded
    seconds = medians(works, sizes.repeats, device)
    if not units:  # then it takes ten times as long, and once is enough
        works |= rounded
        seconds["ours, bfloat16"] = timed(rounded["ours, bfloat16"], device)
    print(f"\nVGG-19 to relu5_1, {width} × {height}, one evaluation\n")
    table("loop", "seconds", "÷ plain", "GFLOP", "GFLOP/s possible", "floor, s", "÷ floor", "peak GiB")
    floors, count = {}, operations(works["plain"])
    for name, work in works.items():
        last, emulated = seconds[name], name in rounded and not units
        if emulated:
            row(name, last, last / seconds["plain"], count / 1e9, None, None, None, None)
            continue
        rate = matrix_rate(torch.bfloat16 if name in rounded else torch.float32, device, sizes.matrix)
        floors[name] = count / rate
        relative, peak = last / seconds["plain"], peak_gigabytes(work, device)
        row(name, last, relative, count / 1e9, rate / 1e9, floors[name], last / floors[name], peak)
    default = "ours, bfloat16" if ours.backbone.mixed else "ours, float32"
    speedup = bfloat16_speedup(device)
    print(f"\nThe default here: {default}. Measured beforehand: bfloat16 is {speedup:.2f} times as fast (0: no units).")
    return {
        "bfloat16_speedup": speedup,
        "vgg19_evaluation_over_plain": seconds[default] / seconds["plain"],
        "vgg19_evaluation_over_floor": seconds[default] / floors[default],
        "vgg19_default_over_best": seconds[default] / min(seconds["ours, float32"], seconds["ours, bfloat16"]),
    }


def measure_objective(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Time until 1.05 × the objective that the plain loop reaches in the end, trained squeezenet1_0."""
    content, style = pictures(device, sizes.picture)
    ours = Objective(load_backbone("squeezenet1_0", device), content, style)
    exact = Objective(in_float32(ours.backbone), content, style)
    plain = PlainObjective(exact.backbone, content, style)
    check_same(plain, exact, content)
    loops = {"plain": Watched(plain), "ours": Watched(ours, exact)}
    if ours.backbone.mixed:
        loops["ours, float32"] = Watched(exact)
    for objective in (plain, ours, exact):
        evaluation(objective, content)()  # warm up
    race = Race(
        {
            name: plain_loop(content, watched, sizes.plain_steps)
            if name == "plain"
            else optimize(content, watched, sizes.plain_steps // 2)
            for name, watched in loops.items()
        },
        loops,
    )
    race.run()
    limit = 1.05 * min(loops["plain"].totals)
    _, plain_seconds = race.first_below("plain", limit)
    print(f"\nsqueezenet1_0, trained, {CONTENT} + {STYLE}, {sizes.picture} px, until the objective is {limit:.4g}\n")
    table("loop", "evaluations", "seconds", "speed-up", "s/evaluation", "best", "after evaluations", "÷ plain's best")
    for name, watched in loops.items():
        count, seconds = race.first_below(name, limit)
        speedup = None if seconds is None else plain_seconds / seconds
        best = min(watched.totals)
        per_evaluation = statistics.median(race.seconds[name])
        row(name, count, seconds, speedup, per_evaluation, best, len(watched.totals), best / min(loops["plain"].totals))
        if name == "ours":
            figures = {"time_to_objective_speedup": speedup}
    return figures


def measure_slim(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """A whole transfer with slim against 500 plain evaluations on VGG-19; and one evaluation of each, both ours."""
    content, style = pictures(device, sizes.picture)
    slim, vgg = load_backbone("slim", device), in_float32(untrained("vgg19", device))
    plain = PlainObjective(vgg, content, style)
    few = min(12, sizes.plain_steps)

    def transfer() -> None:
        stylize(content, style, backbone=slim, size=sizes.picture, steps=sizes.steps)

    seconds = medians({"plain": lambda: list(plain_loop(content, plain, few)), "slim": transfer}, 3, device)
    plain_seconds, slim_seconds = seconds["plain"] / few * sizes.plain_steps, seconds["slim"]
    height, width = content.shape[-2:]
    print(f"\nOne picture, {width} × {height}\n")
    table("loop", "seconds", "speed-up", "peak GiB")
    row(f"plain VGG-19, {sizes.plain_steps} evaluations (from {few})", plain_seconds, 1.0, None)
    row(
        f"slim, {sizes.steps} evaluations, coarse to fine",
        slim_seconds,
        plain_seconds / slim_seconds,
        peak_gigabytes(transfer, device),
    )
    small = evaluation(Objective(slim, content, style), content)
    works = {
        "VGG-19 to relu5_1, ours, float32": evaluation(Objective(vgg, content, style), content),
        "slim, ours": lambda: [small() for _ in range(10)],  # in a row, as a loop has them
    }
    large_seconds, small_seconds = medians(works, sizes.repeats, device).values()
    print()
    table("one evaluation", "seconds", "speed-up")
    for name, last in zip(works, (large_seconds, small_seconds / 10), strict=True):
        row(name, last, large_seconds / last)
    over_floor = small_seconds / 10 / measure_parts(Objective(slim, content, style), content, sizes)
    print(f"\nslim's evaluation ÷ its floor: {over_floor:.3g}")
    return {
        "slim_transfer_seconds": slim_seconds,
        "slim_transfer_speedup": plain_seconds / slim_seconds,
        "slim_evaluation_speedup": large_seconds / (small_seconds / 10),
        "slim_evaluation_over_floor": over_floor,
    }


def measure_parts(objective: Objective, image: Tensor, sizes: Sizes) -> float:
    """Where the time of a step with slim goes; returns the floor of its evaluation, in seconds."""
    whole = "an evaluation"
    works = {whole: evaluation(objective, image)} | parts(objective, image)
    rate = matrix_rate(torch.float32, objective.device, sizes.matrix)
    seconds = medians(works, sizes.repeats, objective.device)
    floors = {name: operations(work) / rate for name, work in works.items()}
    step = seconds[whole] + seconds["L-BFGS"] + seconds["Fourier transforms"]
    print(f"\nA step with slim at {image.shape[-1]} × {image.shape[-2]}; each part by itself, forward and backward\n")
    table("part", "seconds", "of a step", "floor, s")
    for name, last in seconds.items():
        row(name, last, last / step, floors[name])
    return floors[whole]


def parts(objective: Objective, image: Tensor) -> dict[str, Callable[[], None]]:
    """What a step with slim is made of, on tensors as large as they are there."""
    seen: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        seen.append((module, *inputs, output))

    convolutions = [module for module in objective.backbone.network if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(note) for module in convolutions]
    with torch.no_grad():
        features = objective.backbone(image, objective.layers)
    for hook in hooks:
        hook.remove()
    padded = [(module, pad(x, module.padding * 2).requires_grad_(), y) for module, x, y in seen]
    variables, to_image = spectrum(image)
    variables = variables.contiguous().requires_grad_()
    solver = LBFGS(variables)
    vectors = [torch.rand_like(variables).flatten() for _ in range(2)]
    solver.pairs.extend(Pair(*(each.clone() for each in vectors), torch.ones(())) for _ in range(HISTORY))
    solver.gradient, solver.move = vectors

    def convolve() -> None:
        for module, x, y in padded:
            torch.autograd.grad(conv2d(x, module.weight, module.bias, module.stride), x, y)

    def border() -> None:
        for module, x, _ in seen:
            x = x.detach().requires_grad_()
            whole = pad(x, module.padding * 2, mode="replicate")
            torch.autograd.grad(whole, x, whole.detach())

    def correlate() -> None:
        for feature in features.values():
            feature = feature.detach().requires_grad_()
            gram_sum(feature).sum().backward()

    def transform() -> None:
        torch.autograd.grad(to_image(variables), variables, image)

    def move() -> None:
        variables.grad = torch.zeros_like(variables)  # a step takes the gradient with it
        solver.step()

    return {
        "convolutions": convolve,
        "padding": border,
        "Gram matrices": correlate,
        "Fourier transforms": transform,
        "L-BFGS": move,
    }


def measure_gpu(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """What is promised for a GPU: 300 evaluations of VGG-19 at 512 × 512 after warm-up, and a default slim transfer."""
    side = sizes.picture
    content, style = (resize_to(picture, (side, side)) for picture in pictures(device, side))
    ours = Objective(untrained("vgg19", device), content, style)
    exact = Objective(in_float32(ours.backbone), content, style)
    plain, slim = PlainObjective(exact.backbone, content, style), load_backbone("slim", device)
    works = {
        "plain": lambda: list(plain_loop(content, plain, sizes.gpu_steps)),
        "ours": lambda: list(optimize(content, ours, sizes.gpu_steps)),
        "slim": lambda: stylize(content, style, backbone=slim, size=side, steps=sizes.steps),
    }
    seconds = medians(works, 3, device)
    dtype = torch.bfloat16 if ours.backbone.mixed else torch.float32
    floor = sizes.gpu_steps * operations(evaluation(ours, content)) / matrix_rate(dtype, device, sizes.matrix)
    losses = {"float32": Watched(exact), "default": Watched(ours, exact)}
    for watched in losses.values():
        list(optimize(content, watched, sizes.gpu_steps))
    final = {name: min(watched.totals) for name, watched in losses.items()}
    print(f"\nVGG-19 (random weights), {side} × {side}, {sizes.gpu_steps} evaluations on {device}\n")
    table("loop", "seconds", "speed-up", "÷ floor", "peak GiB")
    for name in ("plain", "ours"):
        last = seconds[name]
        row(name, last, seconds["plain"] / last, last / floor, peak_gigabytes(works[name], device))
    row(f"slim, default transfer of {sizes.steps}", seconds["slim"], None, None, peak_gigabytes(works["slim"], device))
    print(f"\nfinal float32 objective, mixed ÷ float32: {final['default'] / final['float32']:.4f}")
    return {
        "vgg19_run_seconds": seconds["ours"],
        "vgg19_run_speedup": seconds["plain"] / seconds["ours"],
        "vgg19_run_over_floor": seconds["ours"] / floor,
        "vgg19_mixed_over_float32_objective": final["default"] / final["float32"],
        "slim_run_seconds": seconds["slim"],
    }


def measure_process(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """The whole command, from the shell to the file, beside the transfer in it and the import of torch alone."""
    content, style = pictures(device, sizes.picture)
    slim = load_backbone("slim", device)
    with tempfile.TemporaryDirectory() as folder:
        options = f"--size {sizes.picture} --steps {sizes.steps} --device {device} -o {folder}/out.png".split()
        shell = [sys.executable, "-m", "stylelib.cli", "stylize", CONTENT, STYLE, *options]
        importing = [sys.executable, "-c", "import torch"]
        works = {
            "the whole command": lambda: subprocess.run(shell, check=True, stdout=subprocess.DEVNULL),
            "the transfer in it": lambda: stylize(content, style, backbone=slim, size=sizes.picture, steps=sizes.steps),
            'python -c "import torch"': lambda: subprocess.run(importing, check=True),
        }
        seconds = medians(works, min(3, sizes.repeats - 1), device, warm_up=False)
    whole, transfer, imports = seconds.values()
    print(f"\nstylelib stylize at {sizes.picture} px, {sizes.steps} steps\n")
    table("", "seconds")
    for name, last in seconds.items():
        row(name, last)
    return {
        "process_seconds": whole,
        "import_torch_seconds": imports,
        "process_over_transfer_and_imports": whole / (transfer + 1.3 * imports),
    }


def measure_studio(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """A transfer in a thread of its own, as the studio paints, beside one in the main thread."""
    content, style = pictures(device, sizes.picture)
    slim = load_backbone("slim", device)

    def transfer() -> None:
        stylize(content, style, backbone=slim, size=sizes.picture, steps=sizes.steps // 3)

    def aside() -> None:
        thread = threading.Thread(target=transfer)
        thread.start()
        thread.join()

    seconds = medians({"the main thread": transfer, "a thread of its own": aside}, sizes.repeats, device)
    print(f"\n{sizes.steps // 3} evaluations of slim at {sizes.picture} px\n")
    table("in", "seconds")
    for name, last in seconds.items():
        row(name, last)
    main_seconds, own_seconds = seconds.values()
    return {"studio_thread_over_main": own_seconds / main_seconds}


# --- the table


def table(*columns: str) -> None:
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))


def row(name: str, *values: float | None) -> None:
    cells = ["–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value) for value in values]
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="sections to run; all but gpu by default on a CPU")
    parser.add_argument("--json", action="store_true", help="end with one line, an object with the ratios")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: a dry run, whose figures mean nothing")
    options = parser.parse_args(arguments)
    device, sizes = torch.device(options.device), QUICK if options.quick else Sizes()
    units = "units for bfloat16" if has_bfloat16_units(device) else "no units for bfloat16"
    print(processor())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, device {device}, {units}")
    sections = options.only or [name for name in SECTIONS if name != "gpu" or device.type == "cuda"]
    measures = {name: globals()[f"measure_{name}"] for name in sections}
    figures: dict[str, float | str] = {
        "processor": processor(),
        "device": str(device),
        "threads": torch.get_num_threads(),
    }
    for measure in measures.values():
        figures |= measure(device, sizes)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
