"""Exercises of lesson 03: distances of features, their gradient, and the loop that makes them small."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from .core import Answer, Mistake, by_adam, by_hand, exercise, expect, expect_gradient, random

# What torch says when a loop goes wrong, and what it means here.
LOOP_ERRORS = {
    "backward through the graph a second time": (
        "the loss must be computed anew in each step: call the objective inside the loop."
    ),
    "non-leaf": (
        "Adam cannot change a tensor that was computed from one that asks for gradients. Copy first, ask then: "
        "start.clone().requires_grad_()."
    ),
    "does not require grad": (
        "the objective was given an image that asks for no gradient. Ask with requires_grad_() on the copy, and hand "
        "just this copy to the objective."
    ),
    "leaf Variable that requires grad": (
        "you changed the pixels by hand while they ask for gradients. Leave changing them to adam.step()."
    ),
}
STILL_THE_START = (
    "the image is still the start. Does the loop call adam.step()? Does Adam hold the very tensor whose loss you take? "
    "Is zero_grad() before backward(), not after it?"
)


def _squared_distance(features: Tensor, target: Tensor) -> Tensor:
    difference = (features - target).flatten()
    return torch.dot(difference, difference)


def _content_loss(features: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    distances = []
    for name, target in targets.items():
        target = target.detach()
        distances.append(_squared_distance(features[name], target) / (target * target).sum())
    return torch.stack(distances).mean()


def _content_gradient(features: Tensor, target: Tensor) -> Tensor:
    return 2 * (features - target) / (target * target).sum()


def _reconstruct(objective: Callable[[Tensor], Tensor], start: Tensor, steps: int, rate: float) -> Tensor:
    return by_adam(objective, start, steps, rate)


@exercise(reference=_squared_distance)
def squared_distance(answer: Answer) -> None:
    """‖F − P‖², the sum of all squared differences: two tensors (1, C, h, w) → a scalar tensor."""
    for seed, shape in enumerate(((1, 3, 4, 5), (1, 6, 3, 2), (1, 3, 4, 5))):
        features, target = random(*shape, seed=seed), random(*shape, seed=seed + 9)
        got = answer(features, target)
        _expect_no_number(got)
        expect(got, _squared_distance(features, target), _distance_mistakes(features, target), "the distance")
    leaf = random(1, 3, 4, 5).requires_grad_()
    expect_gradient(answer(leaf, random(1, 3, 4, 5, seed=1)), leaf)
    _expect_flat_bottom(lambda features, target: answer(features, target))


def _expect_flat_bottom(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Where F equals P the gradient is 0, and not the 0 · ∞ that a square root gives there."""
    leaf = random(1, 3, 4, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, leaf.detach().clone()), leaf)
    if bool(gradient.isnan().any()):
        raise Mistake(
            "where F equals P, the gradient is NaN: at 0 a square root is infinitely steep. Add up the squares "
            "themselves, without a root on the way."
        )
    expect(gradient, torch.zeros_like(gradient), what="the gradient where F equals P")


def _distance_mistakes(features: Tensor, target: Tensor) -> dict[str, Tensor]:
    difference = features - target
    right = difference.square().sum()
    return {
        "you took the mean of the squares. Here it is their sum: no division by the number of features.": (
            difference.square().mean()
        ),
        "you took the square root. ‖F − P‖² is the sum of squares itself, without a root.": right.sqrt(),
        "you took half of it. The ½ belongs to the paper's loss; ‖F − P‖² has none.": right / 2,
        "you added up the differences without squaring them. Positive and negative ones then cancel.": difference.sum(),
        "you squared after adding up. Square each difference first, then add.": difference.sum().square(),
        "you added up absolute values. Square each difference instead.": difference.abs().sum(),
        "you took the sum of F² minus the sum of P². Subtract first, square then.": (
            features.square().sum() - target.square().sum()
        ),
        "you did not add up: the result still has one number per feature. Add all of them, with .sum().": (
            difference.square()
        ),
    }


@exercise(reference=_content_loss, used="lesson 05")
def content_loss(answer: Answer) -> None:
    """Mean over the layers of `targets` of ‖F − P‖² / ‖P‖²: two dicts, name → (1, C, h, w), to a scalar tensor."""
    shapes = {"relu1_1": (1, 3, 4, 5), "relu2_1": (1, 4, 2, 3), "relu3_1": (1, 6, 1, 2)}
    features = {name: random(*shape, seed=n) for n, (name, shape) in enumerate(shapes.items())}
    targets = {name: (n + 1) * random(*shape, seed=9 + n) for n, (name, shape) in enumerate(shapes.items())}
    got = answer(features, targets)
    _expect_no_number(got)
    expect(got, _content_loss(features, targets), _loss_mistakes(features, targets), "the loss of three layers")
    _pairs_layers_by_name(answer)
    _stops_at_targets(answer, features, targets)
    _expect_flat_bottom(lambda features, target: answer({"relu1_1": features}, {"relu1_1": target}))
    _works_on_any_device(answer, shapes)


def _loss_mistakes(features: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    distances = torch.stack([(features[name] - target).square().sum() for name, target in targets.items()])
    absolute = torch.stack([(features[name] - target).abs().sum() for name, target in targets.items()])
    norms = torch.stack([target.square().sum() for target in targets.values()])
    own_norms = torch.stack([features[name].square().sum() for name in targets])
    counts = torch.tensor([float(target.numel()) for target in targets.values()])
    right = distances / norms
    return {
        "you added the layers up. Take the mean: divide the sum by the number of layers.": right.sum(),
        "this is the mean squared error. Divide the squared distance of each layer by ‖P‖², the sum of the squares of "
        "its target.": (distances / counts).mean(),
        "the mean squared error of each layer is divided by ‖P‖², a sum. Use sums, or means, above and below.": (
            right / counts
        ).mean(),
        "you did not divide. Divide the squared distance of each layer by ‖P‖², the sum of its target's squares.": (
            distances.mean()
        ),
        "this is the paper's loss, half the squared distance. Ours divides by ‖P‖² instead.": distances.mean() / 2,
        "there is a ½ too many. The relative loss has none.": right.mean() / 2,
        "you took a square root: ‖F − P‖ / ‖P‖. Leave both squared.": right.sqrt().mean(),
        "you took a square root of the mean. Leave it out.": right.mean().sqrt(),
        "you divided by ‖P‖, the root of the sum of squares. Divide by ‖P‖², the sum itself.": (
            distances / norms.sqrt()
        ).mean(),
        "you divided by ‖F‖², the features of the image. Divide by ‖P‖², those of the target.": (
            distances / own_norms
        ).mean(),
        "you compared the first layer only. Take the mean over all layers of the targets.": right[0],
        "each round of the loop overwrites the sum, which is then divided. Add up: total += …": right[-1] / len(right),
        "you divide in each round of the loop. Divide once, behind it.": sum(
            distance / len(right) ** (len(right) - place) for place, distance in enumerate(right)
        ),
        "you compared the last layer only. Does each round of the loop overwrite the one before?": right[-1],
        "only the first layer was added before the division. Does `return` stand inside the loop?": right[0]
        / len(right),
        "you added up all distances, and all norms, and divided then. Divide layer by layer; then take the mean.": (
            distances.sum() / norms.sum()
        ),
        "you took absolute values. Square the differences, and square P.": (
            absolute / torch.stack([target.abs().sum() for target in targets.values()])
        ).mean(),
        "you did not combine the layers: the result has one number per layer. Take their mean.": right,
    }


def _pairs_layers_by_name(answer: Answer) -> None:
    """Features in another order than the targets, and of one layer more: style transfer asks for those too."""
    features = {name: random(1, 3, 4, 5, seed=n) for n, name in enumerate(("relu4_1", "relu4_2", "relu3_1"))}
    targets = {name: random(1, 3, 4, 5, seed=n) + 1 for n, name in enumerate(("relu3_1", "relu4_1"), start=5)}
    by_order = dict(zip(targets, features.values(), strict=False))
    try:
        got = answer(features, targets)
    except KeyError as error:
        raise Mistake(
            f"there is no target for {error}. `features` may hold more layers than `targets`: let the loop run over "
            "the targets."
        ) from None
    mistakes = {
        "you paired features and targets by their order. Pair them by name: features[name].": _content_loss(
            by_order, targets
        ),
        "you divided by the number of layers in `features`. It may hold more than `targets`; count the targets.": (
            _content_loss(features, targets) * len(targets) / len(features)
        ),
    }
    expect(got, _content_loss(features, targets), mistakes, "the loss when `features` has more layers than `targets`")


def _stops_at_targets(answer: Answer, features: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
    """A gradient must reach the features, and none the targets."""
    features = {name: layer.clone().requires_grad_() for name, layer in features.items()}
    expect_gradient(answer(features, targets), *features.values())
    targets = {name: layer.clone().requires_grad_() * 1 for name, layer in targets.items()}
    loss = answer(features, targets)
    gradients = torch.autograd.grad(loss, list(targets.values()), allow_unused=True)
    if any(gradient is not None for gradient in gradients):
        raise Mistake(
            "a gradient reaches the targets. They are constants: use target.detach(), above and below the fraction bar."
        )


def _works_on_any_device(answer: Answer, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """The device "meta" stands for a GPU here: it has shapes, but no values."""
    features = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    try:
        trapped = answer(features, dict(features)).is_cpu
    except Exception as error:  # also when a value is read, which "meta" does not have: slow on a GPU, but not wrong
        trapped = isinstance(error, RuntimeError) and "device cpu" in str(error)
    if trapped:
        raise Mistake(
            "new tensors must be made on the device of the features, or this stops on a GPU. Let a sum start with 0."
        )


@exercise(reference=_content_gradient, used="the rest of this lesson")
def content_gradient(answer: Answer) -> None:
    """2 (F − P) / ‖P‖², the gradient of ‖F − P‖² / ‖P‖² with respect to F: (1, C, h, w), like F and P."""
    for seed, shape in enumerate(((1, 3, 4, 5), (1, 6, 3, 2), (1, 3, 4, 5))):
        features, target = random(*shape, seed=seed), 2 * random(*shape, seed=seed + 9)
        got = by_hand(answer, features, target)
        expect(got, _content_gradient(features, target), _gradient_mistakes(features, target), "the gradient")
    expect(answer(target, target), torch.zeros_like(target), what="the gradient where F equals P")


def _gradient_mistakes(features: Tensor, target: Tensor) -> dict[str, Tensor]:
    right = _content_gradient(features, target)
    norm = target.square().sum()
    return {
        "you forgot the 2, which comes from the square.": right / 2,
        "the sign is wrong: it should be F − P. Where F is too large, the gradient is positive.": -right,
        "the sign is wrong, and the 2 is missing.": -right / 2,
        "you did not divide by ‖P‖², the sum of the squares of the target.": right * norm,
        "you did not divide by ‖P‖², and the 2 is missing. That is the gradient of the paper's loss.": right * norm / 2,
        "you divided by ‖P‖, the root of the sum of squares. Divide by ‖P‖², the sum itself.": right * norm.sqrt(),
        "you divided by ‖F‖², the features. Divide by ‖P‖², those of the target.": (
            right * norm / features.square().sum()
        ),
        "you divided by the number of features. Divide by ‖P‖², the sum of the squares of the target.": (
            right * norm / target.numel()
        ),
        "you divided entry by entry, by the squares of P. ‖P‖² is one number: the sum of the squares.": (
            2 * (features - target) / target.square()
        ),
        "you added up. The gradient has one number per feature: the shape of F.": right.sum(),
        "you returned the loss itself, not its gradient.": (features - target).square().sum() / norm,
        "you squared F − P. That is the loss, before the sum; its derivative has no square.": (
            (features - target).square() / norm
        ),
    }


@exercise(reference=_reconstruct, library=("optimize",), used="the rest of this lesson")
def reconstruct(answer: Answer) -> None:
    """`steps` steps of Adam with learning rate `rate` on a copy of `start`, lowering objective(image); the image."""
    start, goal = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    steepness = torch.linspace(0.5, 8, goal.numel()).reshape(goal.shape)

    def bowl(image: Tensor) -> Tensor:
        return (steepness * (image - goal).square()).sum()

    _expect_descent(answer, bowl, start, 6, 0.2)
    _expect_descent(answer, bowl, start, 7, 2.0)  # steps so long that the loss rises on the way
    _expect_descent(answer, bowl, goal + 1e-3, 9, 2e-4)  # a loss so small that one might stop

    kernels = random(4, 3, 3, 3, seed=2)
    wanted = torch.conv2d(random(1, 3, 6, 4, seed=3), kernels).relu()

    def network(image: Tensor) -> Tensor:
        return (torch.conv2d(image, kernels).relu() - wanted).square().sum() / wanted.square().sum()

    _expect_descent(answer, network, random(1, 3, 6, 4, seed=4), 15, 0.05)


def _expect_descent(
    answer: Answer, objective: Callable[[Tensor], Tensor], start: Tensor, steps: int, rate: float
) -> None:
    calls = []

    def counted(image: Tensor) -> Tensor:
        calls.append(image)
        return objective(image)

    with _loop_errors_explained():
        got = answer(counted, start, steps, rate)
    if isinstance(got, Tensor) and got.numel() == 1:
        raise Mistake("you returned the loss. Return the image.")
    right = _reconstruct(objective, start, steps, rate)
    mistakes = _loop_mistakes(objective, start, steps, rate, right)
    if 0 < len(calls) < steps:
        mistakes.pop(STILL_THE_START)
        mistakes |= {  # it ended behind an evaluation, or behind a step
            f"the loop ends early: it takes {taken} of {steps} steps.": _reconstruct(objective, start, taken, rate)
            for taken in (len(calls) - 1, len(calls))
        }
    expect(got, right, mistakes, "the image")
    if got.requires_grad:
        raise Mistake("the image still asks for gradients. Return a detached one: pixels.detach().")
    if not steps <= len(calls) <= steps + 1:  # one more to print the last loss is fine
        raise Mistake(
            f"for steps={steps} the objective was evaluated {len(calls)} times. A step is one evaluation, and that is "
            "where the time goes: keep the loss that you have, and leave the loop at no other place."
        )


@contextmanager
def _loop_errors_explained() -> Iterator[None]:
    """Turns torch's complaints about a loop into sentences."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        for fragment, sentence in LOOP_ERRORS.items():
            if fragment in str(error):
                raise Mistake(sentence) from None
        raise


def _loop_mistakes(
    objective: Callable[[Tensor], Tensor], start: Tensor, steps: int, rate: float, right: Tensor
) -> dict[str, Tensor]:
    def descend(**changed: object) -> Tensor:
        return _descend(objective, start, **({"steps": steps, "rate": rate} | changed))

    return {
        STILL_THE_START: start,
        "each gradient is added to all earlier ones. Forget them in each step: adam.zero_grad() before backward().": (
            descend(forget=False)
        ),
        "one step is missing. Does the loop run `steps` times? The last image is asked for, not the best one.": descend(
            steps=steps - 1
        ),
        "the loop ends as soon as the loss rises. Adam's steps may go uphill for a while: take all of them.": (
            descend(patient=False)
        ),
        "there is one step too many. The loop runs exactly `steps` times.": descend(steps=steps + 1),
        "there is only one step. Does `return` stand inside the loop?": descend(steps=1),
        "the loss rises: you climb. Leave out the minus sign, or maximize=True.": descend(maximize=True),
        "the learning rate is Adam's default, 0.001. Hand over yours: lr=rate.": descend(rate=0.001),
        "a new Adam is made in each step, and forgets its running averages. Make one, before the loop.": (
            descend(fresh=True)
        ),
        "this is plain gradient descent. Use torch.optim.Adam.": descend(optimizer=torch.optim.SGD),
        "the pixels are clamped in each step. Here they are to stay as Adam leaves them.": descend(clamp=True),
        "the image was clamped to [0, 1] at the end. Here it is to stay as Adam leaves it.": right.clamp(0, 1),
    }


def _descend(
    objective: Callable[[Tensor], Tensor],
    start: Tensor,
    steps: int,
    rate: float,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    forget: bool = True,
    fresh: bool = False,
    maximize: bool = False,
    patient: bool = True,
    clamp: bool = False,
) -> Tensor:
    """The loop of `_reconstruct`, and known mistakes in it."""
    lowest = math.inf
    pixels = start.clone().requires_grad_()
    solver = optimizer([pixels], lr=rate, maximize=maximize)
    for _ in range(steps):
        if fresh:
            solver = optimizer([pixels], lr=rate)
        if forget:
            solver.zero_grad()
        loss = objective(pixels)
        if not patient and loss.item() > lowest:
            break
        lowest = loss.item()
        loss.backward()
        solver.step()
        if clamp:
            pixels.data.clamp_(0, 1)
    return pixels.detach()


def _expect_no_number(got: object) -> None:
    if isinstance(got, int | float):
        raise Mistake(
            "the result is a plain number, and no gradient flows through that. Return a tensor: leave out .item() and "
            "float()."
        )
