"""Hidden tests: each exercise asked again with numbers and shapes that nobody knew before.

    hidden.test("gram_matrix", my_gram_matrix, seed=831)     raises `Mistake` if one answer is wrong

A grader who trusts nobody runs the two halves in two processes: `replies` in the one where the answer lives, `judge` in
one that has never run a line of it. What travels between them is JSON: numbers, and no code.
"""

import io
import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .core import EXERCISES, Answer, Mistake

QUESTIONS = 3  # for each exercise
RTOL, ATOL = 1e-2, 1e-4  # the check has compared closely; here a right answer must never fail
LARGEST = 100_000  # numbers in one reply
DIFFERENT = (
    "right with the numbers of its check, but not with others ({}). Does your code hold a number or a shape that it "
    "should read from its arguments?"
)


class Draw:
    """Numbers and shapes drawn by a seed."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)
        self._generator = torch.Generator().manual_seed(seed)

    def whole(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def number(self, least: float, most: float) -> float:
        return self._random.uniform(least, most)

    def shape(self, batch: int = 1, channels: int = 0) -> tuple[int, int, int, int]:
        """Height and width differ, so that they cannot be mixed up unseen."""
        height, width = self._random.sample(range(3, 9), 2)
        return batch, channels or self.whole(2, 6), height, width

    def tensor(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def leaf(self, *shape: int) -> Tensor:
        """A tensor whose gradient is asked for, too."""
        return self.tensor(*shape).requires_grad_()

    def image(self) -> Tensor:
        return self.tensor(*self.shape(channels=3)).sigmoid()

    def colors(self, count: int) -> Tensor:
        """(3, count), channels that hang together."""
        return torch.eye(3).add(0.4 * self.tensor(3, 3)) @ self.tensor(3, count) + self.tensor(3, 1)

    def layers(self, make: Callable[..., Tensor]) -> dict[str, Tensor]:
        return {f"relu{block}_1": make(*self.shape()) for block in range(1, self.whole(3, 5))}


class Step(NamedTuple):
    losses: dict[str, float]
    image: Tensor


Question = Callable[[Draw], tuple]  # the arguments of one call
ASKED: dict[str, Question] = {}


def asks(question: Question) -> Question:
    ASKED[question.__name__] = question
    return question


def test(name: str, answer: Answer, seed: int) -> None:
    """Raises `Mistake` unless the answer passes its check as a grader reads it, and is right here, too."""
    before = os.environ.get("STYLELIB_STRICT")
    os.environ["STYLELIB_STRICT"] = "1"
    try:
        with redirect_stdout(io.StringIO()):  # the check of the lesson has said that it is right
            EXERCISES[name](answer)
    finally:
        os.environ.pop("STYLELIB_STRICT")
        if before is not None:
            os.environ["STYLELIB_STRICT"] = before
    judge(name, replies(name, answer, seed), seed)


def replies(name: str, answer: Answer, seed: int) -> list[dict]:
    """What an answer says to the questions of a seed, as JSON can carry it."""
    return [_reply(answer, arguments) for arguments in _questions(name, seed)]


def judge(name: str, got: object, seed: int) -> None:
    """Compares replies with those of the exercise's reference. They may be anything: they come from a stranger.

    Raises:
        Mistake: one of them is wrong.
    """
    reference = replies(name, EXERCISES[name].reference, seed)
    if not isinstance(got, list) or len(got) != len(reference):
        raise Mistake(f"{name}: it did not answer.")
    for index, (reply, right) in enumerate(zip(got, reference, strict=True), 1):
        said = reply if isinstance(reply, dict) else {}
        if isinstance(said.get("error"), str):
            raise Mistake(f"{name}: {DIFFERENT.format(said['error'][:200])}")
        for part in ("value", "gradients"):
            ours, theirs = _decode(right[part]), _decode(said.get(part))
            if part == "value" and name in COMPARED:
                ours, theirs = COMPARED[name](ours), COMPARED[name](theirs)
            if not _agree(theirs, ours):
                what = "a gradient differs" if part == "gradients" else f"question {index} of {len(reference)}"
                raise Mistake(f"{name}: {DIFFERENT.format(what)}")


def _questions(name: str, seed: int) -> Iterator[tuple]:
    for number in range(QUESTIONS):
        yield ASKED[name](Draw(seed * QUESTIONS + number))


def _reply(answer: Answer, arguments: tuple) -> dict:
    try:
        value = answer(*arguments)
        return {"value": _encode(value), "gradients": _encode(_gradients(value, list(_leaves(arguments))))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"}


def _leaves(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor) and value.requires_grad:
        yield value
    elif isinstance(value, dict | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)


def _gradients(value: object, leaves: list[Tensor]) -> list[Tensor | None] | None:
    if not leaves:
        return None
    found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    return [
        torch.zeros_like(leaf) if gradient is None else gradient for leaf, gradient in zip(leaves, found, strict=True)
    ]


# --- what travels ---


def _encode(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        value = torch.as_tensor(value)
    if isinstance(value, Tensor):
        if value.numel() > LARGEST:
            raise ValueError(f"the result has {value.numel()} numbers")
        return {"shape": list(value.shape), "values": value.detach().double().flatten().tolist()}
    if isinstance(value, dict):
        return {"names": [str(name) for name in value], "items": [_encode(item) for item in value.values()]}
    if isinstance(value, Iterator):
        value = list(itertools.islice(value, LARGEST))
    if isinstance(value, list | tuple | range):
        return {"items": [_encode(item) for item in value[:LARGEST]]}
    return value if isinstance(value, int | float | None) else {"other": type(value).__name__}


def _decode(value: object) -> object:
    """Tensors, lists, dictionaries and numbers; `NotImplemented`, which equals nothing, for all that is malformed."""
    if isinstance(value, int | float | None):
        return value
    try:
        if "shape" in value:
            return torch.tensor(value["values"], dtype=torch.float64).reshape(value["shape"])
        items = [_decode(item) for item in value["items"]]
        return dict(zip(value["names"], items, strict=True)) if "names" in value else items
    except (TypeError, KeyError, ValueError, RuntimeError, OverflowError):
        return NotImplemented


def _agree(got: object, right: object) -> bool:
    if isinstance(right, dict):
        return (
            isinstance(got, dict) and set(got) == set(right) and all(_agree(got[name], right[name]) for name in right)
        )
    if right is None or got is None or got is NotImplemented:
        return got is right
    try:
        got, right = _numbers(got), _numbers(right)
    except (TypeError, ValueError, RuntimeError):
        return False
    return got.shape == right.shape and torch.allclose(got, right, RTOL, ATOL)


def _numbers(value: object) -> Tensor:
    """One tensor of numbers; but a list of tensors in different shapes is many: they are laid end to end."""
    if isinstance(value, list) and any(isinstance(item, Tensor) and item.ndim for item in value):
        shapes = torch.tensor([size for item in value for size in item.shape], dtype=torch.float64)
        return torch.cat([shapes, *(item.flatten() for item in value)])
    if isinstance(value, list):
        return torch.stack([_numbers(item) for item in value]) if value else torch.zeros(0)
    return torch.as_tensor(value, dtype=torch.float64)


# --- the questions, lesson by lesson ---


@asks
def to_image(draw: Draw) -> tuple:
    _, _, height, width = draw.shape()
    return (draw.tensor(height, width, 3).mul(60).add(128).clamp(0, 255).byte().numpy(),)


@asks
def normalize(draw: Draw) -> tuple:
    image = draw.tensor(*draw.shape(draw.whole(1, 3), channels=3)).sigmoid()
    return image, [draw.number(0.2, 0.8) for _ in range(3)], [draw.number(0.2, 0.8) for _ in range(3)]


@asks
def pixel_gradient(draw: Draw) -> tuple:
    image = draw.image()
    weights = draw.tensor(*image.shape)
    return image, lambda pixels: (weights * pixels**3).sum()


@asks
def descend(draw: Draw) -> tuple:
    image = draw.image()
    return image, draw.tensor(*image.shape).sigmoid(), draw.whole(2, 5), draw.number(0.05, 0.3) * image.numel()


@asks
def convolve(draw: Draw) -> tuple:
    return draw.tensor(*draw.shape()[2:]), draw.tensor(3, 3)


@asks
def receptive_field(draw: Draw) -> tuple:
    return ([(draw.whole(1, 7), draw.whole(1, 3)) for _ in range(draw.whole(3, 6))],)


@asks
def strongest_positions(draw: Draw) -> tuple:
    return draw.tensor(*draw.shape()[2:]), draw.whole(2, 6)


@asks
def collect_features(draw: Draw) -> tuple:
    network = nn.Sequential()
    for block in range(1, draw.whole(3, 5)):
        convolution = nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
        convolution.weight.copy_(draw.tensor(3, 3, 3, 3) / 3)
        convolution.bias.copy_(draw.tensor(3))
        network.add_module(f"conv{block}_1", convolution)
        network.add_module(f"relu{block}_1", nn.ReLU())
    return network, draw.tensor(*draw.shape(channels=3)), ["relu2_1", "conv1_1"]


@asks
def squared_distance(draw: Draw) -> tuple:
    shape = draw.shape()
    return draw.leaf(*shape), draw.tensor(*shape)


@asks
def content_loss(draw: Draw) -> tuple:
    features = draw.layers(draw.leaf)
    return features, {name: draw.tensor(*layer.shape) for name, layer in list(features.items())[1:]}


@asks
def content_gradient(draw: Draw) -> tuple:
    shape = draw.shape()
    return draw.tensor(*shape), draw.tensor(*shape)


@asks
def reconstruct(draw: Draw) -> tuple:
    start = draw.image()
    objective = _Bowl(draw, start)
    return lambda image: objective(image)["total"], start, draw.whole(3, 6), draw.number(0.02, 0.2)


@asks
def gram_matrix(draw: Draw) -> tuple:
    return (draw.tensor(*draw.shape(draw.whole(1, 3))),)


@asks
def shuffle_positions(draw: Draw) -> tuple:
    features = draw.tensor(*draw.shape(draw.whole(1, 3)))
    return features, draw.tensor(features[0, 0].numel()).argsort()


@asks
def mean_and_variance(draw: Draw) -> tuple:
    return (draw.tensor(*draw.shape(draw.whole(1, 3))) + draw.number(0, 2),)


@asks
def style_loss(draw: Draw) -> tuple:
    features = draw.layers(draw.leaf)
    styles = {name: draw.tensor(*layer.shape) for name, layer in list(features.items())[1:]}
    return features, {name: EXERCISES["gram_matrix"].reference(style) for name, style in styles.items()}


@asks
def convert_weight(draw: Draw) -> tuple:
    return draw.number(0.5, 9), draw.whole(3, 600), draw.whole(10, 2000)


@asks
def style_gradient(draw: Draw) -> tuple:
    shape = draw.shape()
    return draw.tensor(*shape), EXERCISES["gram_matrix"].reference(draw.tensor(*shape))


@asks
def total_loss(draw: Draw) -> tuple:
    losses = {name: draw.leaf() for name in ("content", "style", "variation", "memory")}
    return losses, {name: draw.number(0.5, 30) for name in ("variation", "content", "style")}


@asks
def optimize_adam(draw: Draw) -> tuple:
    image = draw.image()
    return image, _Bowl(draw, image), draw.whole(3, 7), draw.number(0.02, 0.2)


@asks
def optimize_lbfgs(draw: Draw) -> tuple:
    image = draw.image()
    return image, _Bowl(draw, image), draw.whole(3, 7)


@asks
def total_variation(draw: Draw) -> tuple:
    return (draw.leaf(*draw.shape(channels=3)),)


@asks
def coarse_sizes(draw: Draw) -> tuple:
    return draw.whole(100, 900), draw.whole(40, 200)


@asks
def best_image(draw: Draw) -> tuple:
    totals = [draw.number(1, 9) for _ in range(draw.whole(4, 7))]
    totals.insert(draw.whole(0, len(totals)), float("nan"))
    return ([Step({"total": total}, draw.tensor(1, 3, 2, 4)) for total in totals],)


@asks
def convolution_cost(draw: Draw) -> tuple:
    kernel = 2 * draw.whole(0, 3) + 1  # odd, as in the networks of the lesson
    return draw.whole(2, 40), draw.whole(2, 40), kernel, draw.whole(7, 40), draw.whole(7, 40)


@asks
def apply_head(draw: Draw) -> tuple:
    features, channels = draw.tensor(*draw.shape(draw.whole(1, 3))), draw.whole(2, 6)
    return features, draw.tensor(channels, features.shape[1]), draw.tensor(channels)


@asks
def unexplained_variance(draw: Draw) -> tuple:
    shape = draw.shape(draw.whole(1, 3))
    return draw.tensor(*shape), draw.tensor(*shape) + draw.number(0, 2)


@asks
def fold_batch_norm(draw: Draw) -> tuple:
    channels = draw.whole(2, 6)
    vectors = [draw.tensor(channels) for _ in range(5)]
    kernels = draw.tensor(channels, draw.whole(2, 6), 3, 3)
    return kernels, *vectors[:-1], vectors[-1].square() + 0.2, draw.number(1e-5, 0.1)


@asks
def luminance_transfer(draw: Draw) -> tuple:
    image = draw.image()
    return image, draw.tensor(*image.shape).sigmoid()


@asks
def match_covariance(draw: Draw) -> tuple:
    return draw.colors(draw.whole(150, 300)), draw.colors(draw.whole(150, 300))


@asks
def mask_to_layer(draw: Draw) -> tuple:
    height, width = draw.shape()[2:]
    return draw.tensor(1, 1, height * draw.whole(2, 3), width * draw.whole(2, 3)).sigmoid(), (height, width)


@asks
def guided_gram_matrix(draw: Draw) -> tuple:
    features = draw.tensor(*draw.shape())
    return features, draw.tensor(1, 1, *features.shape[2:]).sigmoid()


@asks
def gram_by_tiles(draw: Draw) -> tuple:
    channels = draw.whole(2, 6)
    return ([draw.tensor(*draw.shape(channels=channels)) for _ in range(draw.whole(2, 4))],)


@asks
def match_mean_and_deviation(draw: Draw) -> tuple:
    return draw.colors(draw.whole(20, 60)), draw.colors(draw.whole(20, 60))


@asks
def transport_matrix(draw: Draw) -> tuple:
    return torch.cov(draw.colors(200)), torch.cov(draw.colors(200))


@asks
def match_sorted(draw: Draw) -> tuple:
    count = draw.whole(10, 40)
    return draw.tensor(count), 3 * draw.tensor(count) + draw.number(0, 2)


@asks
def match_slice(draw: Draw) -> tuple:
    count = draw.whole(10, 40)
    rotation, _ = torch.linalg.qr(draw.tensor(3, 3))
    return draw.colors(count), draw.colors(count), rotation


@asks
def window_lines(draw: Draw) -> tuple:
    height, width = draw.whole(9, 14), draw.whole(9, 14)
    guide, values = draw.tensor(1, 1, height, width), draw.tensor(1, 1, height, width)
    return guide / 5 + 0.5, values, draw.whole(1, 3), draw.number(0.005, 0.05)


@asks
def photorealism(draw: Draw) -> tuple:
    _, _, height, width = draw.shape()
    slope, shift = draw.tensor(1, 3, height, width), draw.tensor(1, 3, height, width)
    return draw.leaf(1, 3, height, width), slope, shift, draw.tensor(1, 1, height, width)


@asks
def end_point_error(draw: Draw) -> tuple:
    flow = draw.tensor(1, 2, *draw.shape()[2:])
    mask = (draw.tensor(1, 1, *flow.shape[2:]) > -0.5).float()
    mask[..., 0, 0] = 1
    return flow, draw.tensor(*flow.shape), mask


@asks
def warp(draw: Draw) -> tuple:
    image = draw.image()
    return image, draw.tensor(1, 2, *image.shape[2:])


@asks
def occlusion_mask(draw: Draw) -> tuple:
    image = draw.image()
    return image, draw.tensor(*image.shape).sigmoid(), draw.number(0.1, 0.4)


@asks
def temporal_loss(draw: Draw) -> tuple:
    image = draw.leaf(*draw.shape(channels=3))
    return image, draw.tensor(*image.shape), (draw.tensor(1, 1, *image.shape[2:]) > 0).float()


@asks
def histogram_distance(draw: Draw) -> tuple:
    image = draw.image()
    return image, draw.tensor(*image.shape).sigmoid(), draw.whole(2, 5)


@asks
def find_cuts(draw: Draw) -> tuple:
    frames = [draw.tensor(1, 3, 2, 4) for _ in range(draw.whole(4, 8))]
    return frames, lambda frame, before: float((frame - before).abs().mean()), draw.number(0.9, 1.3)


def _mean_and_covariance(colors: object) -> object:
    """All that the exercise asks of its result: many matrices lead there."""
    if not isinstance(colors, Tensor) or colors.ndim != 2 or colors.shape[0] != 3:
        return NotImplemented
    return torch.cat([colors.mean(1, keepdim=True), torch.cov(colors, correction=0)], dim=1)


COMPARED = {"match_covariance": _mean_and_covariance}  # exercise → what of a right value is the same in all right ones


class _Bowl:
    """A cheap objective, shaped as `stylelib.Objective`, whose lowest point lies outside [0, 1] in many pixels."""

    def __init__(self, draw: Draw, image: Tensor):
        self.device = image.device
        self._goal = draw.tensor(*image.shape)
        self._steepness = torch.linspace(0.5, draw.number(2, 6), image.numel()).reshape(image.shape)

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        content = (self._steepness * (image - self._goal).square()).sum()
        style = (image + 0.5).square().sum().sqrt()
        return {"content": content, "style": style, "total": content + 2 * style}
