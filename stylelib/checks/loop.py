"""Exercises of lesson 05: the parts of an objective, two loops that make it small, and which picture to keep."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .core import Answer, Mistake, by_adam, exercise, expect, expect_gradient, plain, random

Objective = Callable[[Tensor], dict[str, Tensor]]

NOT_ASKED = (
    "the objective was given an image that asks for no gradient. Ask with requires_grad_() on the copy, and hand just "
    "this copy to the objective."
)
OLD_RESULT = "for another image of the same shape your function gave the old result. Compute it anew in each call."
# What Python and torch say when a loop goes wrong, and what it means here.
LOOP_ERRORS = {
    "'dict' object has no attribute": (
        'objective(image) gives a dictionary of losses. The one to minimize is its "total".'
    ),
    "backward through the graph a second time": (
        "the losses must be computed anew each time: call the objective inside the loop, or inside the closure."
    ),
    "non-leaf": (
        "an optimizer cannot change a tensor that was computed from one that asks for gradients. Copy first, ask then: "
        "image.clone().requires_grad_()."
    ),
    "does not require grad": NOT_ASKED,
    "leaf Variable that requires grad": (
        "you changed the pixels by hand while they ask for gradients. Leave changing them to the optimizer's step."
    ),
    "not 'NoneType'": (
        "the closure returns nothing. L-BFGS needs the loss from it: end the closure with `return total`."
    ),
    "object is not callable": (
        "step() was given the result of the closure. Hand over the function itself, without brackets: step(closure)."
    ),
    "required positional argument: 'closure'": (
        "L-BFGS calls the evaluation itself. Hand it over: lbfgs.step(closure), without brackets behind closure."
    ),
}
STILL_THE_START = (
    "the image is still the start. Does the loop call backward() and step()? Does the optimizer hold the very tensor "
    "that you hand to the objective? Is zero_grad() before backward(), not after it?"
)
IN_CLOSURE = (
    "the pixels are clamped inside the closure, behind the optimizer's back. Leave the clamp out; `stylelib` has the "
    "range loss instead."
)


def _total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    return torch.stack([loss * weights[name] for name, loss in losses.items() if name in weights]).sum()


def _total_variation(image: Tensor) -> Tensor:
    right = image[..., :, 1:] - image[..., :, :-1]
    below = image[..., 1:, :] - image[..., :-1, :]
    return (right * right).mean() + (below * below).mean()


def _optimize_adam(image: Tensor, objective: Objective, steps: int, rate: float) -> Tensor:
    return by_adam(lambda pixels: objective(pixels)["total"], image, steps, rate)


def _optimize_lbfgs(image: Tensor, objective: Objective, steps: int) -> Tensor:
    pixels = image.detach().clone().contiguous().requires_grad_()
    lbfgs = torch.optim.LBFGS([pixels], max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        lbfgs.zero_grad()
        total = objective(pixels)["total"]
        total.backward()
        return total

    for _ in range(steps):
        lbfgs.step(closure)
    return pixels.detach()


def _best_image(steps: Iterable) -> Tensor | None:
    lowest, image = math.inf, None
    for step in steps:
        total = step.losses["total"]
        if math.isfinite(total) and total < lowest:
            lowest, image = total, step.image
    return image


def _coarse_sizes(size: int, smallest: int) -> list[int]:
    return [smaller for smaller in (size // 4, size // 2) if smaller >= smallest] + [size]


@exercise(reference=_total_loss, used="the rest of this lesson")
def total_loss(answer: Answer) -> None:
    """Σ weights[name] · losses[name], over the names that are in both: two dicts → a scalar tensor."""
    losses = {"content": 0.3137, "style": 0.7291, "variation": 0.1173, "memory": 1.9419}
    losses = {name: torch.tensor(value, requires_grad=True) for name, value in losses.items()}
    weights = {"content": 0.75, "style": 16.5, "variation": 4.25}
    got = _keys_explained(answer, losses, weights)
    _expect_no_number(got)
    expect(got, _total_loss(losses, weights), _total_mistakes(losses, weights), "the total")
    expect_gradient(got, *(losses[name] for name in weights))
    reordered = {name: losses[name] for name in ("variation", "style", "content")}
    by_order = {
        "you paired losses and weights by their order. Pair them by name: weights[name] * losses[name].": torch.stack(
            [loss * weight for loss, weight in zip(reordered.values(), weights.values(), strict=True)]
        ).sum()
    }
    expect(answer(reordered, weights), _total_loss(losses, weights), by_order, "the total of losses in another order")
    halves = {name: (loss / 2).detach().requires_grad_() for name, loss in losses.items()}
    old = {"for other losses your function gave the old total. Compute it anew in each call.": got.detach()}
    expect(answer(halves, weights), _total_loss(halves, weights), old, "the total of losses half as large")
    texture = {name: losses[name] for name in ("style", "variation")}  # no content, but a weight for it
    expect(_keys_explained(answer, texture, weights), _total_loss(texture, weights), what="the total of two losses")
    others = {"memory": losses["memory"], "edges": losses["content"], "style": losses["style"]}
    told = "the total of losses with other names, of which the first has no weight,"
    new = {"edges": 2.5, "style": 3.5}
    expect(_keys_explained(answer, others, new), _total_loss(others, new), what=told)


def _keys_explained(answer: Answer, losses: dict[str, Tensor], weights: dict[str, float]) -> object:
    try:
        return answer(losses, weights)
    except KeyError as error:
        raise Mistake(
            f"{error} is in one of the dictionaries only. Count the names that are in both: `if name in weights`."
        ) from None
    except RuntimeError as error:
        if "in-place operation" in str(error) or "changed size during iteration" in str(error):
            raise Mistake("you changed one of the dictionaries, or a loss in it. Leave both as they are.") from None
        raise


def _total_mistakes(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    weighted = [weights[name] * losses[name].detach() for name in weights]
    right = sum(weighted)
    plain = [loss.detach() for loss in losses.values()]
    whole = sum(int(weight) * losses[name].detach() for name, weight in weights.items())
    nearest = sum(round(weight) * losses[name].detach() for name, weight in weights.items())
    return {
        "you made whole numbers of the weights. Leave out int().": whole,
        "you rounded the weights. Leave out round().": nearest,
        "you rounded the total. Leave it as it is.": right.round(),
        "you did not use the weights. Multiply each loss with its weight.": sum(plain[:3]),
        "you did not use the weights, and you counted a loss that has none.": sum(plain),
        "you counted a loss that has no weight. Without a weight it does not count.": right + plain[3],
        "you divided by the number of losses. A weighted sum has no divisor.": right / 3,
        "you divided by the number of losses, even of those without a weight. A weighted sum has no divisor.": (
            right / 4
        ),
        "you divided by the sum of the weights. That is a mean; here it is the sum.": right / sum(weights.values()),
        "only the first loss is in your total. Does `return` stand inside the loop?": weighted[0],
        "only the last loss is in your total. Each round of the loop must add: total = total + …": weighted[-1],
        "the first loss is missing from your total.": right - weighted[0],
        "the last loss is missing from your total.": right - weighted[-1],
        "you added the weights. Multiply with them.": sum(plain[:3]) + sum(weights.values()),
        "you squared the losses. They are squares already.": sum(
            weights[name] * losses[name].detach() ** 2 for name in weights
        ),
    }


@exercise(reference=_total_variation, used="the rest of this lesson")
def total_variation(answer: Answer) -> None:
    """mean (x[i, j+1] − x[i, j])² + mean (x[i+1, j] − x[i, j])²: image (1, 3, H, W) → a scalar tensor."""
    for shape in ((1, 3, 4, 7), (1, 3, 5, 2)):
        image = random(*shape)
        got = answer(image)
        _expect_no_number(got)
        if isinstance(got, Tensor) and got.isnan().any():
            raise Mistake(
                "it is NaN, as a mean of nothing is. Does image[1:] go along the batch? Rows and columns come last."
            )
        expect(got, _total_variation(image), _variation_mistakes(image), "the variation")
    other = random(1, 3, 5, 2, seed=7)
    expect(answer(other), _total_variation(other), {OLD_RESULT: got}, "the variation of another image")
    expect(answer(torch.full((1, 3, 4, 5), 0.5)), 0.0, what="the variation of a picture of one single color")
    leaf = random(1, 3, 4, 5).requires_grad_()
    expect_gradient(answer(leaf), leaf)
    flat = torch.full((1, 3, 4, 5), 0.5).requires_grad_()
    (slope,) = torch.autograd.grad(answer(flat), flat)
    if slope.isnan().any():
        raise Mistake(
            "for a picture of one single color the gradient is NaN: a root has an infinite slope at 0. Leave it out."
        )


def _variation_mistakes(image: Tensor) -> dict[str, Tensor]:
    across, down = image.diff(dim=-1), image.diff(dim=-2)
    right = across.square().mean() + down.square().mean()
    around = (image - image.roll(1, -1)).square().mean() + (image - image.roll(1, -2)).square().mean()
    inner = (across[..., :-1, :].square() + down[..., :, :-1].square()).mean()
    count = across.numel() + down.numel()
    return {
        "you took absolute values. Square the differences.": across.abs().mean() + down.abs().mean(),
        "you added up absolute values. Square the differences, and take the mean.": across.abs().sum()
        + down.abs().sum(),
        "you took the sum. Take the mean, so that pictures of different sizes compare.": across.square().sum()
        + down.square().sum(),
        "only neighbors in a row are compared, left and right. Add those in a column, above and below.": (
            across.square().mean()
        ),
        "only neighbors in a column are compared, above and below. Add those in a row, left and right.": (
            down.square().mean()
        ),
        "your indices wrap around: the first pixel is compared with the last. roll() does that; use slices, or "
        "diff().": around,
        "you took the mean over both directions together. Take one mean for each direction, and add the two.": (
            (across.square().sum() + down.square().sum()) / count
        ),
        "you took the mean of the two directions. Add them, without a half.": right / 2,
        "you left out the last row and the last column. Each pixel that has a neighbor counts, in each direction by "
        "itself.": inner,
        "you divided by all pixels. There is one difference less in each row and column than there are pixels.": (
            (across.square().sum() + down.square().sum()) / image.numel()
        ),
        "you did not square the differences. Positive and negative ones cancel.": across.mean() + down.mean(),
        "you squared the mean. Square first, then take the mean.": across.mean().square() + down.mean().square(),
        "you took a square root. Leave it out.": right.sqrt(),
        "you compared channels with each other. Rows and columns are the last two dimensions.": (
            image.diff(dim=1).square().mean()
        ),
    }


class _Bowl:
    """A cheap objective, shaped as `stylelib.Objective`: it has a network, and the network could be trained.

    Its lowest point lies outside [0, 1] in many pixels, so that a clamp shows. `scale` and `height` make totals small
    or hardly changing, as at the end of a long run.
    """

    def __init__(self, start: Tensor, seed: int, scale: float = 1.0, height: float = 0.0):
        self.backbone = nn.Conv2d(3, 3, 1, groups=3, bias=False)
        nn.init.ones_(self.backbone.weight)
        self.device = start.device
        self.calls, self.asked = 0, False
        self._scale, self._height = scale, height
        self._goal = random(*start.shape, seed=seed)
        self._steepness = torch.linspace(0.5, 4, start.numel()).reshape(start.shape)

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        self.asked = self.asked or image.requires_grad
        content = (self._steepness * (self.backbone(image) - self._goal).square()).sum()
        style = (self.backbone(image) + 0.5).square().sum().sqrt()
        return {"content": content, "style": style, "total": self._scale * (content + 2 * style) + self._height}


def _total(losses: dict[str, Tensor]) -> Tensor:
    return losses["total"]


class _Tempting(NamedTuple):
    """An objective that tempts a loop to end early, though it was told how many steps to take."""

    when: str
    scale: float
    height: float
    rate: float


TEMPTING = (
    _Tempting("when the total is tiny", scale=1e-6, height=0.0, rate=0.05),
    _Tempting("when the total hardly changes", scale=1.0, height=1e5, rate=0.05),
    _Tempting("when the total rises now and then", scale=1.0, height=0.0, rate=1.5),
)


def _expect_evaluations(calls: int, steps: int, advice: str) -> None:
    """One step is one evaluation. A single step more or less is named by what it does to the image."""
    if calls > steps + 1:
        raise Mistake(
            f"for steps={steps} the objective was evaluated {calls} times. One step is one evaluation. {advice}"
        )
    if 1 < calls < steps - 1:
        raise Mistake(
            f"your loop ended after {calls} of {steps} evaluations. It runs exactly `steps` times, whatever the total "
            "does."
        )


@exercise(reference=_optimize_adam, library=("optimize",))
def optimize_adam(answer: Answer) -> None:
    """`steps` steps of Adam with learning rate `rate` on a copy of `image`, lowering objective(image)["total"]."""
    for shape, steps, rate in (((1, 3, 4, 5), 6, 0.2), ((1, 3, 6, 4), 15, 0.03)):
        start = random(*shape).sigmoid()
        objective = _Bowl(start, seed=steps)
        got = _optimized(lambda image: answer(image, objective, steps, rate), start, objective)  # noqa: B023
        _expect_evaluations(objective.calls, steps, "Call the objective once in each round.")
        right = _optimize_adam(start, _Bowl(start, seed=steps), steps, rate)
        expect(got, right, partial(_adam_mistakes, start, right, steps, rate), "the image")
        _expect_detached(got)
    for case in TEMPTING:
        start = random(1, 3, 4, 5, seed=2).sigmoid()
        objective = _Bowl(start, seed=3, scale=case.scale, height=case.height)
        got = _optimized(lambda image: answer(image, objective, 9, case.rate), start, objective)  # noqa: B023
        _expect_evaluations(objective.calls, 9, "Call the objective once in each round.")
        right = _optimize_adam(start, _Bowl(start, seed=3, scale=case.scale, height=case.height), 9, case.rate)
        expect(got, right, what=f"the image {case.when}")


def _adam_mistakes(start: Tensor, right: Tensor, steps: int, rate: float) -> dict[str, Tensor]:
    def with_mistake(**changed: object) -> Tensor:
        return _wrong_adam(start, _Bowl(start, seed=steps), **({"steps": steps, "rate": rate} | changed))

    return {
        STILL_THE_START: start,
        "each gradient is added to all earlier ones. Forget them in each round, with adam.zero_grad().": (
            with_mistake(forget=False)
        ),
        "one step is missing. The loop runs exactly `steps` times; return the last image, not the best.": with_mistake(
            steps=steps - 1
        ),
        "there is one step too many. The loop runs exactly `steps` times.": with_mistake(steps=steps + 1),
        "there is only one step. Does `return` stand inside the loop?": with_mistake(steps=1),
        "the total rises: you climb. Leave out the minus sign, or maximize=True.": with_mistake(maximize=True),
        "the learning rate is Adam's default, 0.001. Hand over yours: lr=rate.": with_mistake(rate=0.001),
        "a new Adam is made in each step, and forgets its running averages. Make one, before the loop.": (
            with_mistake(fresh=True)
        ),
        "this is plain gradient descent. Use torch.optim.Adam.": with_mistake(optimizer=torch.optim.SGD),
        'you added up all values of the dictionary. The one to minimize is its "total"; it contains the others.': (
            with_mistake(loss=lambda losses: sum(losses.values()))
        ),
        'you lowered the style alone. The one to minimize is the "total".': with_mistake(
            loss=lambda losses: losses["style"]
        ),
        "the pixels are clamped in each step. Here they are to stay as Adam leaves them.": with_mistake(clamp=True),
        "the image was clamped to [0, 1] at the end. Here it is to stay as Adam leaves it.": right.clamp(0, 1),
    }


def _wrong_adam(
    image: Tensor,
    objective: Objective,
    steps: int,
    rate: float,
    *,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    loss: Callable[[dict[str, Tensor]], Tensor] = _total,
    forget: bool = True,
    fresh: bool = False,
    clamp: bool = False,
    **options: object,
) -> Tensor:
    """The loop of `_optimize_adam`, and known mistakes in it."""
    pixels = image.clone().requires_grad_()
    solver = optimizer([pixels], lr=rate, **options)
    for _ in range(steps):
        if fresh:
            solver = optimizer([pixels], lr=rate)
        if forget:
            solver.zero_grad()
        loss(objective(pixels)).backward()
        solver.step()
        if clamp:
            pixels.data.clamp_(0, 1)
    return pixels.detach()


@exercise(
    reference=_optimize_lbfgs,
    library=("optimize",),
    used="the rest of this lesson",
)
def optimize_lbfgs(answer: Answer) -> None:
    """`steps` steps of L-BFGS on a copy of `image`, one evaluation each, lowering objective(image)["total"]."""
    for shape, steps in (((1, 3, 4, 5), 6), ((1, 3, 6, 4), 9)):
        start = random(*shape).sigmoid()
        objective = _Bowl(start, seed=steps)
        got = _optimized(lambda image: answer(image, objective, steps), start, objective)  # noqa: B023
        _expect_evaluations(objective.calls, steps, "Give L-BFGS max_iter=1, and no line search.")
        right = _optimize_lbfgs(start, _Bowl(start, seed=steps), steps)
        expect(got, right, partial(_lbfgs_mistakes, start, right, steps), "the image")
        _expect_detached(got)
    _expect_no_tolerance(answer)


def _expect_no_tolerance(answer: Answer) -> None:
    """torch's default tolerances end a run, without a word, when losses are small. Zeros let it reach the bottom."""
    start, goal = random(1, 3, 4, 5).sigmoid(), random(1, 3, 4, 5, seed=1)
    steepness = 1e-4 * torch.linspace(0.5, 4, goal.numel()).reshape(goal.shape)
    calls = []

    def objective(image: Tensor) -> dict[str, Tensor]:
        calls.append(image)
        return {"total": (steepness * (image - goal).square()).sum()}

    got = answer(start, objective, 30)
    _expect_evaluations(len(calls), 30, "Give L-BFGS max_iter=1, and no line search.")
    if (got - goal).abs().max() > 5e-5:
        raise Mistake(
            "where losses are small, your L-BFGS stops moving early. Its tolerances do that, without a word: set them "
            "to zero, as in the cell above, tolerance_grad=0 and tolerance_change=0."
        )


def _lbfgs_mistakes(start: Tensor, right: Tensor, steps: int) -> dict[str, Tensor]:
    def with_mistake(**changed: object) -> Tensor:
        return _wrong_lbfgs(start, _Bowl(start, seed=steps), **({"steps": steps} | changed))

    return {
        STILL_THE_START: start,
        "each gradient is added to all earlier ones. Forget them in the closure, with lbfgs.zero_grad().": (
            with_mistake(forget=False)
        ),
        IN_CLOSURE: with_mistake(clamp="closure"),
        "the pixels are clamped on the way into the objective. Outside [0, 1] their gradient is 0 then, and nothing "
        "calls them back.": with_mistake(clamp="input"),
        "the pixels are clamped in each round, in the closure or after the step, behind the optimizer's back. Leave "
        "the clamp out.": with_mistake(clamp="step"),
        "the image was clamped to [0, 1] at the end. Here it is to stay as L-BFGS leaves it.": right.clamp(0, 1),
        "one step is missing. The loop runs exactly `steps` times; return the last image, not the best.": with_mistake(
            steps=steps - 1
        ),
        "there is one step too many. The loop runs exactly `steps` times.": with_mistake(steps=steps + 1),
        "there is only one step. Does `return` stand inside the loop?": with_mistake(steps=1),
        "a new L-BFGS is made in each step, and knows no pairs. Make one, before the loop.": with_mistake(fresh=True),
        'you added up all values of the dictionary. The one to minimize is its "total"; it contains the others.': (
            with_mistake(loss=lambda losses: sum(losses.values()))
        ),
        "the total rises: you climb. Leave out the minus sign.": with_mistake(loss=lambda losses: -losses["total"]),
    }


def _wrong_lbfgs(
    image: Tensor,
    objective: Objective,
    steps: int,
    *,
    loss: Callable[[dict[str, Tensor]], Tensor] = _total,
    forget: bool = True,
    fresh: bool = False,
    clamp: str = "",
) -> Tensor:
    """The loop of `_optimize_lbfgs`, and known mistakes in it."""
    pixels = image.clone().requires_grad_()
    solver = torch.optim.LBFGS([pixels], max_iter=1)

    def closure() -> Tensor:
        if clamp == "closure":
            pixels.data.clamp_(0, 1)
        if forget:
            solver.zero_grad()
        total = loss(objective(pixels.clamp(0, 1) if clamp == "input" else pixels))
        total.backward()
        return total

    for _ in range(steps):
        if fresh:
            solver = torch.optim.LBFGS([pixels], max_iter=1)
        solver.step(closure)
        if clamp == "step":
            pixels.data.clamp_(0, 1)
    return pixels.detach()


def _optimized(loop: Callable[[Tensor], object], start: Tensor, objective: _Bowl) -> object:
    """What a learner's loop returns, or a `Mistake` if it changed what it must not change."""
    weight = objective.backbone.weight.detach().clone()
    with _loop_errors_explained():
        got = loop(start)
    if not torch.equal(objective.backbone.weight, weight):
        raise Mistake(
            "your optimizer changes the weights of the network. The network stays as it is; the pixels change: hand "
            "the optimizer the list [pixels]."
        )
    if objective.calls and not objective.asked:
        raise Mistake(NOT_ASKED)
    if isinstance(got, dict) or (isinstance(got, Tensor) and got.numel() == 1):
        raise Mistake("you returned the loss. Return the image.")
    return got


def _expect_detached(image: Tensor) -> None:
    if image.requires_grad:
        raise Mistake("the image still asks for gradients. Return a detached one: pixels.detach().")


@contextmanager
def _loop_errors_explained() -> Iterator[None]:
    """Turns the complaints of Python and torch about a loop into sentences."""
    try:
        yield
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        for fragment, sentence in LOOP_ERRORS.items():
            if fragment in str(error):
                raise Mistake(sentence) from None
        raise


class _Step(NamedTuple):
    losses: dict[str, float]
    image: Tensor


def _run(totals: Iterable[float]) -> list[_Step]:
    """Steps with these totals; the style falls on, so that the lowest of it is somewhere else."""
    return [
        _Step({"content": 1.0, "style": 9.0 - index, "total": total}, random(1, 3, 2, 4, seed=index))
        for index, total in enumerate(totals)
    ]


class _Walk(NamedTuple):
    """The totals of a run, which step is best, and what it means when another one (or none) is returned."""

    when: str
    totals: tuple[float, ...]
    best: int
    mistakes: dict[int | None, str]


NAN_LAST = "NaN won: a comparison with NaN is always false, so `not total >= lowest` lets it in."
STARTS_LOW = "totals as large as these were left out. Begin with lowest = math.inf, or with the first finite total."
FIRST_COUNTS = "the first step counts, too. Does your loop begin with the second?"
LEFT_OUT = "a total of 0, or below, was left out. It is finite, and low is good."
WALKS = (
    _Walk(
        "",
        (5.0, 7.0, 1.0, 3.0),
        2,
        {
            3: "you returned the last image, which is not the best one. Look at the total of each step, and keep the "
            "lowest so far: lowest = total.",
            1: "you returned the image with the highest total. Low is good.",
            0: "you returned the first image. Does `return` stand inside the loop?",
        },
    ),
    _Walk(
        " when the first step is the best",
        (1.0, 3.0, 2.0),
        0,
        {2: FIRST_COUNTS},
    ),
    _Walk(
        " when the first total is NaN",
        (math.nan, 4.0, 2.0, 3.0),
        2,
        {
            0: "NaN won. Compared with NaN, every number is neither smaller nor larger, so it stays where min() or "
            "sorted() meets it first. Skip it: math.isfinite(total).",
            None: "your loop ends at the first total that is not finite. Skip that step, and go on with the next.",
        },
    ),
    _Walk(
        " when a later total is NaN",
        (4.0, 2.0, math.nan, 3.0, math.nan),
        1,
        {4: NAN_LAST, 3: "after a NaN your function loses its way: 3 is not lower than 2, the lowest before it."},
    ),
    _Walk(
        " when the best comes after a NaN",
        (4.0, 2.0, math.nan, 1.0, 3.0),
        3,
        {1: "your loop ends at the first total that is not finite. Skip that step, and go on with the next."},
    ),
    _Walk(
        " when one total is −∞",
        (4.0, -math.inf, 2.0, 3.0),
        2,
        {1: "−∞ won. It is smaller than every number, but it is not finite: ask math.isfinite(total)."},
    ),
    _Walk(
        " when one total is ∞",
        (math.inf, 4.0, 2.0),
        2,
        {0: "∞ won. It is not finite.", None: STARTS_LOW},
    ),
    _Walk(" when all totals are large", (7e8, 9e8, 5e8, 6e8), 2, {None: STARTS_LOW}),
    _Walk(" when a total is 0", (3.0, 0.0, 2.0), 1, {2: LEFT_OUT, 0: LEFT_OUT}),
    _Walk(" when a total is below 0", (3.0, 0.0, -2.0, 1.0), 2, {1: LEFT_OUT, 3: LEFT_OUT, 0: LEFT_OUT}),
    _Walk(" when there is one step only", (3.0,), 0, {None: "a single step is the best there is."}),
)


@exercise(reference=_best_image, used="the rest of this lesson")
def best_image(answer: Answer) -> None:
    """The image of the step with the lowest finite total, or None: iterable of steps (.losses, .image) → image."""
    for walk in WALKS:
        steps = _run(walk.totals)
        got = _image(answer, steps)
        if got is None and None in walk.mistakes:
            raise Mistake(walk.mistakes[None])
        for index, step in enumerate(steps):
            if index in walk.mistakes and isinstance(got, Tensor) and torch.equal(got, step.image):
                raise Mistake(walk.mistakes[index])
        right = steps[walk.best].image
        clamped = {"you clamped the image. Return it as it is.": right.clamp(0, 1)}
        expect(got, right, clamped, f"the image{walk.when}")
    steps = _run(WALKS[0].totals)
    once = "the image from a generator, whose steps can be gone through only once"
    got = _image(answer, iter(steps))
    if got is None:
        raise Mistake(
            "the steps may come from a generator and be gone through only once. Yours goes through them again."
        )
    expect(got, steps[2].image, what=once)
    for totals in ((math.nan, math.inf), (-math.inf,), ()):
        if _image(answer, iter(_run(totals))) is not None:
            raise Mistake("where no total is finite, there is no best image: return None.")


def _image(answer: Answer, steps: Iterable[_Step]) -> object:
    """What the answer returns, or a `Mistake` where it is no image at all."""
    given = list(steps)
    try:
        got = answer(given if isinstance(steps, list) else iter(given))
    except (ValueError, IndexError, StopIteration, UnboundLocalError) as error:
        if any(math.isfinite(step.losses["total"]) for step in given):
            raise
        raise Mistake(
            f"where no total is finite, your function stops with {type(error).__name__}. Return None there."
        ) from None
    if isinstance(got, _Step):
        raise Mistake("you returned the step. Return its image: step.image.")
    if isinstance(got, int | float) and not isinstance(got, bool):
        raise Mistake("you returned a number. Return the image that belongs to the lowest total.")
    return got


@exercise(reference=_coarse_sizes, library=("scales",), used="the rest of this lesson")
def coarse_sizes(answer: Answer) -> None:
    """[size // 4, size // 2, size], without those of the first two that are below `smallest`."""
    for size, smallest in ((512, 100), (510, 100), (320, 160), (100, 128), (1024, 100), (2052, 3), (60, 30)):
        got = _sizes(answer(size, smallest))
        expect(got, _coarse_sizes(size, smallest), _size_mistakes(size, smallest), f"coarse_sizes({size}, {smallest})")


def _sizes(got: object) -> object:
    """A list of int from a tuple, a range, an array or a tensor; or a `Mistake` for what is no list at all."""
    if isinstance(got, set | dict):
        raise Mistake(f"return a list. Yours is a {type(got).__name__}: write list(…) around it.")
    if got is None or not isinstance(got, Iterable):
        return got
    got = [plain(size) for size in got]
    if any(hasattr(size, "shape") for size in got):
        raise Mistake("return a plain list of numbers: [size // 4, …, size], with nothing nested in it.")
    if any(isinstance(size, float) for size in got):
        raise Mistake("sizes are whole numbers of pixels. Divide with //, which leaves no fraction.")
    return got


def _size_mistakes(size: int, smallest: int) -> dict[str, list]:
    right = _coarse_sizes(size, smallest)
    every = [size // 4, size // 2, size]
    halved = [size // 2**power for power in range(12, -1, -1)]
    below_dropped = [smaller for smaller in every if smaller >= smallest]
    wrong = {
        "the order is reversed: go from coarse to fine, the smallest size first.": right[::-1],
        "the full size always belongs to the list, even if it is below `smallest`.": below_dropped,
        "the full size itself is missing at the end.": right[:-1],
        "sizes below `smallest` are to be left out.": every,
        "only a quarter and half of the size belong to the list, besides itself. You go on to an eighth and below.": (
            [smaller for smaller in halved[:-1] if smaller >= smallest] + [size]
        ),
        "a size that equals `smallest` is not too small: compare with >=.": (
            [smaller for smaller in every[:2] if smaller > smallest] + [size]
        ),
        "a size is rounded up. Divide with //, which leaves the fraction off.": (
            [smaller for smaller in (-(-size // 4), -(-size // 2)) if smaller >= smallest] + [size]
        ),
        "the quarter is missing.": [smaller for smaller in (size // 2,) if smaller >= smallest] + [size],
        "the half is missing.": [smaller for smaller in (size // 4,) if smaller >= smallest] + [size],
        "a size stands in the list twice.": [*right, size],
    }
    return {sentence: sizes for sentence, sizes in wrong.items() if sizes != right}


def _expect_no_number(got: object) -> None:
    if isinstance(got, int | float):
        raise Mistake(
            "the result is a plain number, and no gradient flows through that. Return a tensor: leave out .item() and "
            "float()."
        )
