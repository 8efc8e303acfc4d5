"""Exercises of lesson 02: what a network computes, how far it looks, and how to collect its features."""

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from .core import Answer, Mistake, exercise, expect, expect_any_device, expect_gradient, random


def _convolve(channel: Tensor, kernel: Tensor) -> Tensor:
    height, width = channel.shape
    framed = channel.new_zeros(height + 2, width + 2)
    framed[1:-1, 1:-1] = channel
    shifted = [framed[u : u + height, v : v + width] for u in range(3) for v in range(3)]
    return sum(weight * values for weight, values in zip(kernel.flatten(), shifted, strict=True))


def _receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    size = 1
    for kernel, stride in reversed(layers):  # from one position back to the pixels
        size = (size - 1) * stride + kernel
    return size


def _strongest_positions(channel: Tensor, count: int) -> list[tuple[int, int]]:
    width = channel.shape[1]
    values = channel.flatten().tolist()
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    return [(place // width, place % width) for place in order[:count]]


def _collect_features(network: nn.Sequential, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    left = set(layers)
    for name, module in network.named_children():
        if not left:
            break
        x = module(x)
        if name in left:
            found[name] = x
            left.remove(name)
    return {name: found[name] for name in layers}


@exercise(reference=_convolve)
def convolve(answer: Answer) -> None:
    """Lays a (3, 3) kernel on each pixel of a channel, multiplies, sums; zeros beyond the border: (H, W) → (H, W)."""
    channel, kernel = random(4, 6), random(3, 3, seed=1)
    got = _float32(answer(channel, kernel))
    expect(got, _convolve(channel, kernel), _convolution_mistakes(channel, kernel), "the convolved channel")
    for shape in ((4, 6), (7, 5), (1, 1)):
        channel, kernel = random(*shape, seed=2), random(3, 3, seed=3)
        what = f"the convolved channel of the shape {shape}"
        expect(_float32(answer(channel, kernel)), _convolve(channel, kernel), what=what)
    trap = (
        "new tensors must be made on the device of the channel, or this goes wrong on a GPU: write "
        "device=channel.device, or channel.new_zeros(…)."
    )
    expect_any_device(answer, random(4, 6), random(3, 3, seed=1), trap=trap)


def _float32(got: object) -> object:
    """NumPy calculates in float64, and the lesson asks for no type."""
    return got.float() if isinstance(got, Tensor) and got.dtype == torch.float64 else got


def _convolution_mistakes(channel: Tensor, kernel: Tensor) -> dict[str, Tensor]:
    height, width = channel.shape
    right = _convolve(channel, kernel)
    framed = nn.functional.pad(channel, (1, 1, 1, 1))
    patches = framed.unfold(0, 3, 1).unfold(1, 3, 1)
    repeated = nn.functional.pad(channel[None], (1, 1, 1, 1), mode="replicate")[0]
    wrapped = nn.functional.pad(channel[None], (1, 1, 1, 1), mode="circular")[0]
    inner = torch.zeros(height, width)
    inner[1:-1, 1:-1] = right[1:-1, 1:-1]
    corner = nn.functional.pad(channel, (0, 2, 0, 2))
    flipped = (
        "your kernel is flipped. Networks do not flip it: the kernel's upper left number meets the upper left "
        "neighbor of the pixel."
    )
    return {
        flipped: _convolve(channel, kernel.flip(0, 1)),
        "your kernel is transposed: its rows lie along the columns. Check the order of your two indices.": (
            _convolve(channel, kernel.T)
        ),
        "your result is transposed. Rows come first: result[row, column].": right.T,
        "the border is missing: the result has the shape of the channel. Put a frame of one zero around it first.": (
            right[1:-1, 1:-1]
        ),
        "the border of your result is all zeros. Border pixels count too; only their neighbors outside are 0.": inner,
        "outside the channel there are zeros; you repeated the border pixels.": _valid(repeated, kernel),
        "outside the channel there are zeros; your indices wrapped around to the opposite side. In Python, index -1 "
        "is the last one.": _valid(wrapped, kernel),
        "the kernel's corner lies on the pixel, so all is shifted by one. Its middle must: put the frame of zeros on "
        "all four sides.": _valid(corner, kernel),
        "you multiplied and did not sum: each place of the result holds one number, the sum of nine products.": (
            patches * kernel
        ),
        "each place holds the last of its nine products. Add them up, with .sum() or with +=.": (
            (patches * kernel)[..., -1, -1]
        ),
        "you divided the sum by nine. A convolution is a sum, not a mean.": right / 9,
        "you summed the neighbors without the kernel.": patches.sum(dim=(-1, -2)),
        "you added the kernel. Multiply with it, number by number.": (patches + kernel).sum(dim=(-1, -2)),
    }


def _valid(framed: Tensor, kernel: Tensor) -> Tensor:
    """Convolution of a channel that brings its own frame."""
    return (framed.unfold(0, 3, 1).unfold(1, 3, 1) * kernel).sum(dim=(-1, -2))


@exercise(reference=_receptive_field, used="the rest of this lesson")
def receptive_field(answer: Answer) -> None:
    """Side of the square of pixels that one position sees, from (kernel, stride) of each layer, first layer first."""
    layers = [(5, 2), (3, 1), (1, 2), (2, 3), (4, 1), (3, 1)]
    expect(answer(layers), _receptive_field(layers), _field_mistakes(layers), "the receptive field")
    alexnet = [(11, 4), (3, 2), (5, 1), (3, 2)]  # AlexNet, to the second pooling
    expect(answer(alexnet), 67, what="the receptive field of [(11, 4), (3, 2), (5, 1), (3, 2)]")
    expect(answer([(7, 2)]), 7, what="the receptive field of a single layer with a kernel of 7 pixels")
    expect(answer([]), 1, what="the receptive field of no layer at all, which is the pixel itself,")


def _field_mistakes(layers: list[tuple[int, int]]) -> dict[str, int]:
    right = _receptive_field(layers)
    kernels = [kernel for kernel, _ in layers]
    strides = [stride for _, stride in layers]
    early, late, added, once = 1, 1, 1, 1
    step, sum_of_strides, product = 1, 1, 1
    last, wide, own, wide_step = 1, 1, 1, 1
    for kernel, stride in layers:
        late += (kernel - 1) * step * stride
        early += kernel * step
        added += (kernel - 1) * sum_of_strides
        once += (kernel - 1) * stride
        last, own = last + (kernel - 1) * own, stride
        if kernel > 1:
            wide, wide_step = wide + (kernel - 1) * wide_step, wide_step * stride
        step *= stride
        sum_of_strides += stride - 1
        product *= kernel
    return {
        "you added the kernels. A kernel of 3 reaches 1 to each side, so it adds 2, times the step in front of it.": (
            sum(kernels)
        ),
        "you forgot the strides: after a stride of 2, one position is 2 pixels wide, and each later kernel reaches "
        "twice as far.": 1 + sum(kernel - 1 for kernel in kernels),
        "only the first layer was added. Does `return` stand inside the loop?": kernels[0],
        "each layer overwrites the field. Add to it: field += …": (kernels[-1] - 1) * step // strides[-1],
        "you are off by one: the field starts at 1, the pixel itself.": right - 1,
        "you are one too high. A kernel of k pixels adds k − 1 steps, and the field starts at 1.": right + 1,
        "your order is reversed: the first pair of the list is the layer next to the pixels.": (
            _receptive_field(layers[::-1])
        ),
        "you multiplied the step by a layer's stride before using it. The stride acts on the layers behind it: update "
        "the field first, then the step.": late,
        "you multiplied by the layer's own stride only. Multiply by the strides of all layers before it.": once,
        "each layer adds k − 1 steps, not k.": early,
        "steps multiply: two strides of 2 make a step of 4. You added them.": added,
        "steps multiply: the step behind a layer is the step before it times its stride. You kept the stride of one "
        "layer alone.": last,
        "a kernel of 1 pixel adds nothing to the field, but its stride still counts for the layers behind it.": wide,
        "you multiplied the kernels.": product,
        "you returned the step, the product of the strides. The receptive field was asked for.": step,
        "you returned the sum of the strides.": sum(strides),
    }


@exercise(reference=_strongest_positions)
def strongest_positions(answer: Answer) -> None:
    """The `count` largest values of a channel (h, w), strongest first: a list of (row, column)."""
    channel = random(5, 8)
    _expect_pairs(answer(channel, 4), channel, 4)
    tall = random(9, 4, seed=1) - 5  # no value above 0
    _expect_pairs(answer(tall, 3), tall, 3)
    _expect_pairs(answer(tall, 1), tall, 1)
    even = random(6, 5, seed=2).round()  # several positions share the largest value
    _expect_ties(answer(even, 7), even, 7)


def _expect_ties(got: object, channel: Tensor, count: int) -> None:
    """Of positions with the same value any may come first, but each only once."""
    pairs = _pairs(got) or []
    if len(set(pairs)) < len(pairs):
        raise Mistake(
            f"{next(pair for pair in pairs if pairs.count(pair) > 1)} is there twice. Where several positions have the "
            "same value, each of them counts: do not look a value up again to find its place."
        )
    values = [float(channel[pair]) for pair in pairs if _inside(pair, channel)]
    if values != channel.flatten().sort(descending=True).values[:count].tolist():
        raise Mistake(
            f"where several positions have the same value, something is left out or out of order: the {count} largest "
            f"values are {channel.flatten().sort(descending=True).values[:count].tolist()}, yours are {values}."
        )


def _inside(pair: tuple[int, int], channel: Tensor) -> bool:
    return all(0 <= number < side for number, side in zip(pair, channel.shape, strict=True))


def _expect_pairs(got: object, channel: Tensor, count: int) -> None:
    if got is None:
        raise Mistake("the result is None. Did you forget `return`?")
    place = channel.flatten().argsort(descending=True)[:count].tolist()
    if _numbers(got) == place:
        raise Mistake(
            "you returned places in the flattened channel. A row holds w of them: the row is place // w, the column "
            "is place % w."
        )
    if _close(got, channel.flatten()[place]):
        raise Mistake("you returned the values. Return where they are: (row, column).")
    if isinstance(got, dict):
        raise Mistake("you returned a dictionary, which has no order of its own to rely on. Return a list of pairs.")
    if _fractions(got):
        raise Mistake("a row is a whole number. Divide with //, not with /.")
    pairs = _pairs(got)
    if pairs is None:
        raise Mistake(f"return a list of pairs, [(row, column), …]. Yours is {_short(got)}.")
    height = channel.shape[0]
    right = _strongest_positions(channel, count)
    weakest = _strongest_positions(-channel, count)
    by_size = _strongest_positions(channel.abs(), count)
    by_height = [divmod(number, height) for number in place]
    in_rows = [(row, int(channel[row].argmax())) for row in range(height)]
    every_row = sorted(in_rows, key=lambda position: -float(channel[position]))[:count]
    mistakes = {
        "these are the smallest values. Sort in descending order.": weakest,
        "the right positions, but the weakest comes first. Reverse their order.": right[::-1],
        "row and column are swapped. The row comes first.": [(column, row) for row, column in right],
        "you divided by the height. A row holds w values, so divide by the width, channel.shape[1].": by_height,
        "you took absolute values. A large negative value is a weak response.": by_size,
        "you took the strongest position of each row. Two of the strongest may lie in the same row.": every_row,
        "rows and columns count from 0.": [(row + 1, column + 1) for row, column in right],
    }
    if pairs == right:
        return
    for sentence, wrong in mistakes.items():
        if pairs == wrong:
            raise Mistake(sentence)
    if len(pairs) != count:
        raise Mistake(f"{count} positions were asked for; yours are {len(pairs)}.")
    if sorted(pairs) == sorted(right):
        raise Mistake("the right positions, but not in descending order of their values.")
    raise Mistake(f"the {count} strongest positions are {right}, but yours are {_short(pairs)}.")


def _numbers(got: object) -> list[int] | None:
    with suppress(TypeError, ValueError, RuntimeError):
        return [int(item) for item in got if float(item).is_integer()]
    return None


def _close(got: object, values: Tensor) -> bool:
    with suppress(TypeError, ValueError, RuntimeError):
        numbers = torch.tensor([float(item) for item in got])
        return numbers.shape == values.shape and torch.allclose(numbers, values)
    return False


def _fractions(got: object) -> bool:
    """Are there pairs of numbers of which one is not whole?"""
    with suppress(TypeError, ValueError, RuntimeError):
        return any(not float(number).is_integer() for pair in got for number in pair)
    return False


def _pairs(got: object) -> list[tuple[int, int]] | None:
    """Lists, tuples and tensors of pairs, all as a list of pairs of int; None if it is something else."""
    with suppress(TypeError, ValueError, RuntimeError):
        pairs = [tuple(int(number) for number in item) for item in got]
        return pairs if all(len(pair) == 2 for pair in pairs) else None
    return None


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else text[:77] + "…"


def _convolution(seed: int) -> nn.Conv2d:
    """3 → 3 channels, so that a module run on the wrong input still runs, and its values betray it."""
    convolution = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        convolution.weight.copy_(random(3, 3, 3, 3, seed=seed) / 3)
        convolution.bias.copy_(random(3, seed=seed + 50))
    return convolution


def _network() -> tuple[nn.Sequential, list[str]]:
    """A chain with VGG's names, and a list to which each of its modules adds its name when it runs."""
    calls: list[str] = []
    network = nn.Sequential()
    for block in (1, 2, 3):
        network.add_module(f"conv{block}_1", _convolution(block))
        network.add_module(f"relu{block}_1", nn.ReLU())
        network.add_module(f"pool{block}", nn.AvgPool2d(2))
    for name, module in network.named_children():
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    return network.eval(), calls


@exercise(reference=_collect_features, used="lesson 05")
def collect_features(answer: Answer) -> None:
    """Runs x through a chain of named modules, no deeper than needed; returns name → features, as asked for."""
    network, calls = _network()
    x = random(1, 3, 64, 96)
    layers = ["relu2_1", "conv1_1"]  # not in the network's order
    try:
        got = answer(network, x, layers)
    except KeyError as error:
        if error.args[0] not in layers:
            raise
        raise Mistake(
            f"the layer {error} was never reached. The deepest layer need not be the last one in the list: go on until "
            "all are found."
        ) from None
    _expect_names(got, layers)
    used = list(calls)
    for name in layers:
        expect(got[name], _features(x, name), _feature_mistakes(name, x), f"the feature map of {name!r}")
    if list(got) != layers:
        raise Mistake(
            f"the features come in the network's order, {list(got)}. They were asked for as {layers}: build the "
            "result anew in that order."
        )
    _expect_calls(used, deepest="relu2_1")
    leaf = random(1, 3, 64, 96).requires_grad_()
    for name in layers:
        expect_gradient(answer(_network()[0], leaf, layers)[name], leaf)
    for others in (["pool3"], ["relu1_1", "conv2_1"]):  # the last one; the deepest is not the last in the alphabet
        features = answer(_network()[0], x, others)
        _expect_names(features, others)
        for name in others:
            expect(features[name], _features(x, name), what=f"the feature map of {name!r}")
    _expect_outer_modules_only(answer)


def _features(x: Tensor, name: str) -> Tensor:
    return _collect_features(_network()[0], x, [name])[name]


def _expect_names(got: object, layers: list[str]) -> None:
    if got is None:
        raise Mistake("the result is None. Did you forget `return`?")
    if not isinstance(got, dict):
        raise Mistake(f"return a dictionary, name → features. Yours is a {type(got).__name__}.")
    if got and all(str(key).isdecimal() for key in got):
        raise Mistake(
            "your keys are numbers. A layer goes by its name: network.named_children() gives name and module."
        )
    missing = [name for name in layers if name not in got]
    if missing:
        raise Mistake(
            f"the layer {missing[0]!r} was asked for and is missing. Go on until all layers are found, in whatever "
            "order they were asked for."
        )
    extra = [name for name in got if name not in layers]
    if extra:
        raise Mistake(f"the layer {extra[0]!r} was not asked for. Keep only the layers in the list.")


def _feature_mistakes(name: str, x: Tensor) -> dict[str, Tensor]:
    """What known mistakes make of one layer of `_network`."""
    network = _network()[0]
    chain = dict(network.named_children())
    names = list(chain)
    place = names.index(name)
    return {
        "you kept what goes into the module. Keep what comes out: x = module(x) first.": (
            _features(x, names[place - 1]) if place else x
        ),
        "each module was given the picture itself. It must be given what the module before it returned: "
        "x = module(x).": chain[name](x) if place else torch.empty(0),
        "these are the features of the module behind it. Did you count from 1?": _features(x, names[place + 1]),
        "these are the features of the last module, not of the layer's own.": network(x),
        "named_modules() begins with the network itself, so x went through all of it first. Use named_children().": (
            _features(network(x), name)
        ),
    }


def _expect_calls(calls: list[str], deepest: str) -> None:
    names = [name for name, _ in _network()[0].named_children()]
    needed = names[: names.index(deepest) + 1]
    if len(set(calls)) > len(needed):
        raise Mistake(
            f"your function runs on to {max(calls, key=names.index)!r}, though {deepest!r} is the deepest layer asked "
            "for. Leave the loop when all layers are found."
        )
    if len(calls) > len(needed):
        raise Mistake("modules run more than once: you start again from the picture for each layer. Go through once.")


def _expect_outer_modules_only(answer: Answer) -> None:
    """Modules may contain modules, as SqueezeNet's do; the chain consists of the outer ones."""
    parts = [_convolution(seed) for seed in range(4)]
    network = nn.Sequential()
    network.add_module("conv1", parts[0])
    network.add_module("fire2", nn.Sequential(parts[1], parts[2]))
    network.add_module("fire3", parts[3])
    network.requires_grad_(False)  # as pretrained networks are, but in training mode: neither is to change
    x = random(1, 3, 4, 6)
    twice = parts[3](parts[2](parts[1](network.fire2(parts[0](x)))))
    into = "you went into a module that contains modules and ran its parts again. Use named_children()."
    got = answer(network, x, ["fire3"])
    _expect_names(got, ["fire3"])
    expect(got["fire3"], network(x), {into: twice}, "the features 'fire3' behind a module that contains modules")
