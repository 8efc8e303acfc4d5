"""Lesson 05's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

import math
from itertools import product

import numpy as np
import torch

from stylelib import losses as own
from stylelib import transfer
from stylelib.checks.core import EXERCISES


def total_by_loop(losses, weights):
    total = 0
    for name in losses:
        total = total + weights.get(name, 0) * losses[name]
    return total


def total_by_names(losses, weights):
    return sum(weights[name] * losses[name] for name in set(losses) & set(weights))


def total_with(combine):
    """A total made of the weighted losses that have a weight."""
    return lambda losses, weights: combine([weights[name] * losses[name] for name in losses if name in weights])


def total_in_place(losses, weights):
    losses["total"] = total_by_loop(losses, weights)
    return losses["total"]


def total_by_order(losses, weights):
    pairs = zip(losses.values(), weights.values(), strict=False)
    return sum(weight * loss for loss, weight in pairs)


def variation_by_slices(image):
    across = image[:, :, :, 1:] - image[:, :, :, :-1]
    down = image[:, :, 1:] - image[:, :, :-1]
    return (across**2).sum() / across.numel() + (down**2).sum() / down.numel()


def variation_by(across, down=None):
    """The sum of two numbers, made of the differences in rows and in columns."""
    return lambda image: across(image.diff(dim=-1)) + (down or across)(image.diff(dim=-2))


def variation_around(image):
    return sum((image - torch.roll(image, 1, dim)).square().mean() for dim in (-1, -2))


def variation_together(image):
    both = [image.diff(dim=dim).flatten().square() for dim in (-1, -2)]
    return torch.cat(both).mean()


def variation_cropped(image):
    return (image.diff(dim=-1)[..., :-1, :] ** 2 + image.diff(dim=-2)[..., :-1] ** 2).mean()


def variation_in_place(image):
    result = variation_by_slices(image)
    image *= 0
    return result


def squares(difference):
    return difference.square().mean()


def adam_loop(
    image, objective, steps, rate, *, prepare=None, hand_over=None, loss="total", zero=True, after=None, give=None
):
    """The learner's loop, with places for mistakes."""
    pixels = (prepare or (lambda image: image.clone().requires_grad_()))(image)
    adam = torch.optim.Adam(hand_over(pixels, objective) if hand_over else [pixels], lr=rate)
    for _ in range(steps):
        if zero:
            adam.zero_grad()
        objective(pixels)[loss].backward()
        adam.step()
        if after:
            after(pixels)
    return (give or (lambda pixels: pixels.detach()))(pixels)


def adam_with(**changed):
    return lambda image, objective, steps, rate: adam_loop(image, objective, steps, rate, **changed)


def adam_for_other_steps(change):
    return lambda image, objective, steps, rate: adam_loop(image, objective, change(steps), rate)


def adam_by_formula(image, objective, steps, rate):
    x, m, v = image.detach().clone(), torch.zeros_like(image), torch.zeros_like(image)
    for k in range(1, steps + 1):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(x)["total"], x)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x = x.detach() - rate * (m / (1 - 0.9**k)) / ((v / (1 - 0.999**k)).sqrt() + 1e-8)
    return x


def adam_fresh(image, objective, steps, rate):
    pixels = image.clone().requires_grad_()
    for _ in range(steps):
        adam = torch.optim.Adam([pixels], lr=rate)
        adam.zero_grad()
        objective(pixels)["total"].backward()
        adam.step()
    return pixels.detach()


def adam_gradient_once(image, objective, steps, rate):
    pixels = image.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    total = objective(pixels)["total"]
    for _ in range(steps):
        adam.zero_grad()
        total.backward()
        adam.step()
    return pixels.detach()


def adam_zero_after_backward(image, objective, steps, rate):
    pixels = image.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        objective(pixels)["total"].backward()
        adam.zero_grad()
        adam.step()
    return pixels.detach()


def adam_climbs(image, objective, steps, rate):
    pixels = image.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        (-objective(pixels)["total"]).backward()
        adam.step()
    return pixels.detach()


def adam_sums_all(image, objective, steps, rate):
    return adam_loop(image, lambda x: {"total": sum(objective(x).values())}, steps, rate)


def adam_plain(image, objective, steps, rate):
    pixels = image.clone().requires_grad_()
    descent = torch.optim.SGD([pixels], lr=rate)
    for _ in range(steps):
        descent.zero_grad()
        objective(pixels)["total"].backward()
        descent.step()
    return pixels.detach()


def adam_dictionary(image, objective, steps, rate):
    objective(image.clone().requires_grad_()).backward()


def lbfgs_loop(
    image, objective, steps, *, options=None, hand_over=None, inside=None, zero=True, give=True, after=None, seen=None
):
    """The learner's loop with its closure, with places for mistakes."""
    pixels = image.clone().requires_grad_()
    lbfgs = torch.optim.LBFGS(
        hand_over(pixels, objective) if hand_over else [pixels], **(TOLERANT if options is None else options)
    )

    def closure():
        if inside:
            inside(pixels)
        if zero:
            lbfgs.zero_grad()
        total = objective(seen(pixels) if seen else pixels)["total"]
        total.backward()
        return total if give else None

    for _ in range(steps):
        lbfgs.step(closure)
        if after:
            after(pixels)
    return pixels.detach()


def lbfgs_with(**changed):
    return lambda image, objective, steps: lbfgs_loop(image, objective, steps, **changed)


def lbfgs_in_one_step(image, objective, steps):
    return lbfgs_loop(image, objective, 1, options={"max_iter": steps, "tolerance_grad": 0.0, "tolerance_change": 0.0})


def lbfgs_with_float(image, objective, steps):
    pixels = image.clone().detach().requires_grad_(True)
    lbfgs = torch.optim.LBFGS([pixels], 1, 1, history_size=10, tolerance_grad=0.0, tolerance_change=0.0)

    def closure():
        pixels.grad = None
        total = objective(pixels)["total"]
        total.backward()
        return total.item()

    for _ in range(steps):
        lbfgs.step(closure)
    return pixels.data


def lbfgs_fresh(image, objective, steps):
    for _ in range(steps):
        image = lbfgs_loop(image, objective, 1)
    return image


def lbfgs_climbs(image, objective, steps):
    return lbfgs_loop(image, lambda x: {"total": -objective(x)["total"]}, steps)


def lbfgs_called(image, objective, steps):
    pixels = image.clone().requires_grad_()
    lbfgs = torch.optim.LBFGS([pixels], max_iter=1)
    total = objective(pixels)["total"]
    total.backward()
    lbfgs.step(total)


def lbfgs_without_closure(image, objective, steps):
    pixels = image.clone().requires_grad_()
    torch.optim.LBFGS([pixels], max_iter=1).step()


def lbfgs_no_backward(image, objective, steps):
    pixels = image.clone().requires_grad_()
    lbfgs = torch.optim.LBFGS([pixels], max_iter=1)
    for _ in range(steps):
        lbfgs.step(lambda: objective(pixels)["total"])
    return pixels.detach()


def clamp(pixels):
    pixels.data.clamp_(0, 1)


def weights(pixels, objective):
    return objective.backbone.parameters()


def another_copy(pixels, objective):
    return [pixels.detach().clone().requires_grad_()]


def best_by_min(steps):
    finite = [step for step in steps if math.isfinite(step.losses["total"])]
    return min(finite, key=lambda step: step.losses["total"]).image if finite else None


def best_by_loop(steps):
    best = None
    for step in steps:
        total = step.losses["total"]
        if math.isfinite(total) and (best is None or total < best.losses["total"]):
            best = step
    return best.image if best is not None else None


def best_by_bare_min(steps):
    return min(steps, key=lambda step: step.losses["total"]).image


def best_not_larger(steps):
    best = None
    for step in steps:
        if best is None or math.isnan(best.losses["total"]) or not step.losses["total"] >= best.losses["total"]:
            best = step
    return best.image


def best_before(steps):
    """Compares each step with the one before it, not with the best."""
    best = before = None
    for step in steps:
        total = step.losses["total"]
        if math.isfinite(total) and (before is None or not total >= before):
            best = step
        before = total
    return best.image if best else None


def best_keeps_infinity(steps):
    numbers = [step for step in steps if not math.isnan(step.losses["total"])]
    return min(numbers, key=lambda step: step.losses["total"]).image


def best_twice(steps):
    totals = [step.losses["total"] for step in steps]
    lowest = min((total for total in totals if math.isfinite(total)), default=None)
    for step in steps:
        if step.losses["total"] == lowest:
            return step.image


def sizes_by_loop(size, smallest):
    sizes = []
    for divisor in (4, 2):
        if size // divisor >= smallest:
            sizes.append(size // divisor)
    sizes.append(size)
    return sizes


# --- the same thing, written in many ways: every part of one answer with every part of another ---

PAIRED = [
    lambda losses, weights: [weights[name] * loss for name, loss in losses.items() if name in weights],
    lambda losses, weights: [losses[name] * weight for name, weight in weights.items() if name in losses],
    lambda losses, weights: [losses[name] * weights[name] for name in losses.keys() & weights.keys()],
    lambda losses, weights: [weights.get(name, 0.0) * losses[name] for name in losses],
    lambda losses, weights: [torch.mul(losses[n], weights[n]) for n in sorted(set(losses).intersection(weights))],
]
SUMS = [
    sum,
    lambda parts: torch.stack(parts).sum(),
    lambda parts: torch.cat([part.reshape(1) for part in parts]).sum(),
    lambda parts: torch.stack(parts) @ torch.ones(len(parts)),
    lambda parts: sum(parts, torch.zeros(())),
]


def total_from(pairs, add):
    return lambda losses, weights: add(pairs(losses, weights))


DIFFERENCES = [
    lambda image: (image.diff(dim=-1), image.diff(dim=-2)),
    lambda image: (image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]),
    lambda image: (image[:, :, :, :-1] - image[:, :, :, 1:], image[:, :, :-1] - image[:, :, 1:]),
    lambda image: (torch.diff(image, dim=3), torch.diff(image, dim=2)),
    lambda image: tuple(
        image.narrow(d, 1, image.shape[d] - 1) - image.narrow(d, 0, image.shape[d] - 1) for d in (3, 2)
    ),
]
MEANS = [
    lambda d: d.square().mean(),
    lambda d: (d**2).mean(),
    lambda d: (d * d).sum() / d.numel(),
    lambda d: torch.nn.functional.mse_loss(d, torch.zeros_like(d)),
    lambda d: torch.dot(d.flatten(), d.flatten()) / d.numel(),
]


def variation_from(differences, mean):
    return lambda image: sum(mean(difference) for difference in differences(image))


def then(answer, *changes):
    """An answer, and what is done to its result: a change is a function of the result and of what was given."""

    def changed(*given):
        got = answer(*given)
        for change in changes:
            got = change(got, *given)
        return got

    return changed


def cached(answer):
    """Keeps what it computed, and gives it back for an image of the same shape."""
    known = {}

    def from_memory(image):
        if tuple(image.shape) not in known or image.requires_grad:
            known[tuple(image.shape)] = answer(image)
        return known[tuple(image.shape)]

    return from_memory


def cached_total(answer):
    known = {}

    def from_memory(losses, weights):
        if len(losses) not in known:
            known[len(losses)] = answer(losses, weights)
        return known[len(losses)]

    return from_memory


def total_of_whole_weights(to_whole):
    return lambda losses, weights: sum(to_whole(w) * losses[n] for n, w in weights.items() if n in losses)


def total_popped(losses, weights):
    losses.pop("memory", None)
    return total_by_loop(losses, weights)


def total_weights_changed(losses, weights):
    for name in weights:
        weights[name] *= 2
    return total_by_loop(losses, weights) / 2


def total_losses_scaled(losses, weights):
    for name, loss in losses.items():
        loss *= weights.get(name, 0)
    return sum(losses.values())


SOME_TOTALS = [total_from(*parts) for parts in list(product(PAIRED, SUMS))[::6]]
SOME_VARIATIONS = [variation_from(*parts) for parts in list(product(DIFFERENCES, MEANS))[::6]]

TOTAL_CHANGES = [
    (lambda got, losses, weights: got / 3, ""),
    (lambda got, losses, weights: got / len(losses), ""),
    (lambda got, losses, weights: got / sum(weights.values()), ""),
    (lambda got, losses, weights: got.item(), ".item()"),
    (lambda got, losses, weights: float(got), ".item()"),
    (lambda got, losses, weights: got.detach(), "gradient"),
    (lambda got, losses, weights: 0 * got, "all zeros"),
    (lambda got, losses, weights: got * math.nan, "NaN"),
    (lambda got, losses, weights: got.round(), "rounded the total"),
    (lambda got, losses, weights: got + losses.get("memory", 0), "has no weight"),
    (lambda got, losses, weights: got - weights["style"] * losses["style"], ""),
    (lambda got, losses, weights: got.reshape(1), "shape"),
    (lambda got, losses, weights: None, "return"),
]
VARIATION_CHANGES = [
    (lambda got, image: got / 2, "without a half"),
    (lambda got, image: got.sqrt(), "square root"),
    (lambda got, image: got.item(), ".item()"),
    (lambda got, image: got.detach(), "gradient"),
    (lambda got, image: got * math.nan, "NaN"),
    (lambda got, image: 0 * got, "all zeros"),
    (lambda got, image: got - squares(image.diff(dim=-1)), "in a column are compared"),
    (lambda got, image: got - squares(image.diff(dim=-2)), "in a row are compared"),
    (lambda got, image: (image.mul_(2), got)[1], "in place"),
    (lambda got, image: got.sqrt() ** 2, "is NaN"),
    (lambda got, image: got.expand(3), "shape"),
    (lambda got, image: got.double(), "float64"),
    (lambda got, image: None, "return"),
]

COPIES = [
    lambda image: image.clone().requires_grad_(),
    lambda image: image.clone().detach().requires_grad_(True),
    lambda image: torch.tensor(image.tolist(), requires_grad=True),
    lambda image: torch.nn.Parameter(image.clone()),
    lambda image: (image + 0).requires_grad_(),
    lambda image: torch.empty_like(image).copy_(image).requires_grad_(),
]
BACKWARDS = [
    lambda solver, pixels, objective: (solver.zero_grad(), objective(pixels)["total"].backward()),
    lambda solver, pixels, objective: (setattr(pixels, "grad", None), objective(pixels)["total"].backward()),
    lambda solver, pixels, objective: setattr(
        pixels, "grad", torch.autograd.grad(objective(pixels)["total"], pixels)[0]
    ),
    lambda solver, pixels, objective: (solver.zero_grad(set_to_none=False), objective(pixels)["total"].backward()),
]
RESULTS = [
    lambda pixels: pixels.detach(),
    lambda pixels: pixels.data,
    lambda pixels: pixels.detach().clone(),
    lambda pixels: pixels.clone().detach(),
]


def adam_from(copy, backward, result):
    def loop(image, objective, steps, rate):
        pixels = copy(image)
        adam = torch.optim.Adam((pixels,), rate)
        for _ in range(steps):
            backward(adam, pixels, objective)
            adam.step()
        return result(pixels)

    return loop


def lbfgs_from(copy, backward, result):
    def loop(image, objective, steps):
        pixels = copy(image)
        lbfgs = torch.optim.LBFGS([pixels], **TOLERANT)
        total = None

        def closure():
            nonlocal total
            backward(lbfgs, pixels, lambda x: seen(objective(x)))
            return total

        def seen(losses):
            nonlocal total
            total = losses["total"]
            return losses

        count = 0
        while count < steps:
            lbfgs.step(closure)
            count += 1
        return result(pixels)

    return loop


TOLERANT = {"max_iter": 1, "history_size": 20, "tolerance_grad": 0, "tolerance_change": 0}


def adam_stopping(when):
    """Ends as soon as `when(total, total before, gradient)` says so."""

    def loop(image, objective, steps, rate):
        pixels, before = image.clone().requires_grad_(), math.inf
        adam = torch.optim.Adam([pixels], lr=rate)
        for _ in range(steps):
            adam.zero_grad()
            total = objective(pixels)["total"]
            total.backward()
            if when(total.item(), before, pixels.grad):
                break
            before = total.item()
            adam.step()
        return pixels.detach()

    return loop


def adam_twice(image, objective, steps, rate):
    pixels = image.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        if objective(pixels)["total"].isfinite():
            objective(pixels)["total"].backward()
        adam.step()
    return pixels.detach()


def adam_in_double(image, objective, steps, rate):
    return adam_loop(image.double(), objective, steps, rate).float()


def lbfgs_in_double(image, objective, steps):
    return lbfgs_loop(image.double(), objective, steps).float()


WAYS = list(product(COPIES, BACKWARDS, RESULTS))

FINITE = [
    lambda total: math.isfinite(total),
    lambda total: total - total == 0,
    lambda total: abs(total) < math.inf,
    lambda total: bool(np.isfinite(total)),
    lambda total: torch.tensor(total).isfinite().item(),
]
LOWEST = [
    lambda steps, finite: min(
        (step for step in steps if finite(step.losses["total"])), key=lambda step: step.losses["total"], default=None
    ),
    lambda steps, finite: next(
        iter(sorted((s for s in steps if finite(s.losses["total"])), key=lambda s: s.losses["total"])), None
    ),
    lambda steps, finite: best_walked(steps, finite),
    lambda steps, finite: best_indexed(list(steps), finite),
]


def best_walked(steps, finite):
    best = None
    for step in steps:
        if not finite(step.losses["total"]):
            continue
        if best is None or step.losses["total"] < best.losses["total"]:
            best = step
    return best


def best_indexed(steps, finite):
    numbers = np.array([step.losses["total"] if finite(step.losses["total"]) else math.inf for step in steps])
    return steps[int(numbers.argmin())] if len(numbers) and np.isfinite(numbers).any() else None


def best_from(finite, lowest):
    def best(steps):
        found = lowest(steps, finite)
        return None if found is None else found.image

    return best


def best_starting_at(lowest):
    def best(steps):
        low, image = lowest, None
        for step in steps:
            if math.isfinite(step.losses["total"]) and step.losses["total"] < low:
                low, image = step.losses["total"], step.image
        return image

    return best


def best_where(keep):
    """The lowest of those that `keep(total, index)` lets through."""

    def best(steps):
        low, image = math.inf, None
        for index, step in enumerate(steps):
            total = step.losses["total"]
            if keep(total, index) and total < low:
                low, image = total, step.image
        return image

    return best


def best_until_nan(steps):
    low, image = math.inf, None
    for step in steps:
        if not math.isfinite(step.losses["total"]):
            break
        if step.losses["total"] < low:
            low, image = step.losses["total"], step.image
    return image


def best_that_changes(change):
    def best(steps):
        steps = list(steps)
        for step in steps:
            change(step)
        return best_by_min(steps)

    return best


def best_without_default(steps):
    return min((s for s in steps if math.isfinite(s.losses["total"])), key=lambda s: s.losses["total"]).image


SMALLER = [
    lambda size: (size // 4, size // 2),
    lambda size: [int(size / divisor) for divisor in (4, 2)],
    lambda size: [size >> shift for shift in (2, 1)],
    lambda size: [math.floor(size / 4), math.floor(size / 2)],
    lambda size: reversed([size // 2**power for power in (1, 2)]),
]
KEPT = [
    lambda sizes, smallest, size: [s for s in sizes if s >= smallest] + [size],
    lambda sizes, smallest, size: [*filter(lambda s: s >= smallest, sizes), size],
    lambda sizes, smallest, size: [s for s in (*sizes, size) if not s < smallest or s == size],
    lambda sizes, smallest, size: (*(s for s in sizes if smallest <= s), size),
    lambda sizes, smallest, size: np.array([s for s in sizes if s >= smallest] + [size]),
]


def sizes_from(smaller, keep):
    return lambda size, smallest: keep(smaller(size), smallest, size)


def sizes_halving(size, smallest):
    sizes = [size]
    while sizes[0] // 2 >= smallest:
        sizes.insert(0, sizes[0] // 2)
    return sizes


def sizes_yielded(size, smallest):
    yield from sizes_by_loop(size, smallest)


SIZE_CHANGES = [
    (lambda got, size, smallest: [*got][::-1], "reversed"),
    (lambda got, size, smallest: [*got][:-1], "missing at the end"),
    (lambda got, size, smallest: [size // 4, size // 2, size], "left out"),
    (lambda got, size, smallest: [s for s in got if s > smallest or s == size], ">="),
    (lambda got, size, smallest: [s for s in got if s >= smallest], "always belongs"),
    (lambda got, size, smallest: [float(s) for s in got], "whole numbers"),
    (lambda got, size, smallest: [s for s in got if s != size // 4], "quarter is missing"),
    (lambda got, size, smallest: [s for s in got if s != size // 2], "half is missing"),
    (lambda got, size, smallest: [*got, size], "twice"),
    (lambda got, size, smallest: set(got), "return a list"),
    (lambda got, size, smallest: dict.fromkeys(got), "return a list"),
    (lambda got, size, smallest: [-(-size // 4), *got[1:]] if len(got) == 3 else got, "rounded up"),
    (lambda got, size, smallest: len(got), "should be"),
    (lambda got, size, smallest: [str(s) for s in got], "should be"),
    (lambda got, size, smallest: None, "return"),
]

IMAGE_CHANGES = [
    (lambda got, image, *_: got.clamp(0, 1), "clamped to [0, 1] at the end"),
    (lambda got, image, *_: got * math.nan, "NaN"),
    (lambda got, image, *_: 0 * got, "all zeros"),
    (lambda got, image, *_: got[0], "shape"),
    (lambda got, image, *_: got.clone().requires_grad_(), "detached"),
    (lambda got, image, *_: image.clone(), "still the start"),
    (lambda got, image, *_: image.copy_(got), "in place"),
    (lambda got, image, *_: got.double(), "float64"),
    (lambda got, image, *_: got.tolist(), "should be a tensor"),
    (lambda got, image, objective, *_: objective(got)["total"], "returned the loss"),
    (lambda got, image, *_: None, "return"),
]
COUNTS = [
    (lambda steps: steps - 1, "one step is missing"),
    (lambda steps: steps + 1, "too many"),
    (lambda steps: 1, "only one step"),
    (lambda steps: 2 * steps, "times. One step is one evaluation"),
    (lambda steps: steps // 2, "ended after"),
    (lambda steps: 0, "still the start"),
]


def adam_of_steps(loop, change):
    """A loop, of either optimizer, that takes another number of steps than it was asked for."""
    return lambda image, objective, steps, *rate: loop(image, objective, change(steps), *rate)


def lbfgs_stopping(when):
    def loop(image, objective, steps):
        totals = [math.inf]

        def noted(x):
            losses = objective(x)
            totals.append(losses["total"].item())
            return losses

        pixels = image.clone().requires_grad_()
        lbfgs = torch.optim.LBFGS([pixels], **TOLERANT)

        def closure():
            lbfgs.zero_grad()
            total = noted(pixels)["total"]
            total.backward()
            return total

        for _ in range(steps):
            if when(totals[-1]):
                break
            lbfgs.step(closure)
        return pixels.detach()

    return loop


BEST_CHANGES = [
    (lambda got, steps: None if got is None else got.clamp(0, 1), "you clamped the image"),
    (lambda got, steps: None if got is None else got[0], "shape"),
    (lambda got, steps: None if got is None else got * math.nan, "NaN"),
    (lambda got, steps: None if got is None else 0 * got, "all zeros"),
    (lambda got, steps: None if got is None else got.double(), "float64"),
    (lambda got, steps: 0.0, "returned a number"),
    (lambda got, steps: torch.zeros(1, 3, 2, 4) if got is None else got, "return None"),
    (lambda got, steps: False if got is None else got, "return None"),
    (lambda got, steps: None, "return"),
]

RIGHT = {
    "total_loss": [total_by_loop, total_by_names, *[total_from(*parts) for parts in product(PAIRED, SUMS)]],
    "total_variation": [variation_by_slices, *[variation_from(*parts) for parts in product(DIFFERENCES, MEANS)]],
    "optimize_adam": [adam_with(), adam_by_formula, *[adam_from(*way) for way in WAYS[::5]]],
    "best_image": [best_by_min, best_by_loop, *[best_from(*parts) for parts in product(FINITE, LOWEST)]],
    "optimize_lbfgs": [
        lbfgs_with(),
        lbfgs_in_one_step,
        lbfgs_with_float,
        *[lbfgs_from(*way) for way in WAYS[2::6]],
        lbfgs_with(options=TOLERANT | {"history_size": 100}),
        lbfgs_with(options=TOLERANT | {"lr": 1.0, "max_eval": 1}),
    ],
    "coarse_sizes": [
        sizes_by_loop,
        sizes_yielded,
        lambda size, smallest: (*sizes_by_loop(size, smallest),),
        *[sizes_from(*parts) for parts in product(SMALLER, KEPT)],
    ],
}


def best_in_two_goes(steps):
    lowest = min((step.losses["total"] for step in steps if math.isfinite(step.losses["total"])), default=None)
    return next((step.image for step in steps if step.losses["total"] == lowest), None)


def best_below_the_first(steps):
    best, lowest = None, math.inf
    for step in steps:
        if math.isfinite(step.losses["total"]) and step.losses["total"] < lowest:
            best = step.image
    return best


def total_of_four_names(losses, weights):
    return sum(
        weights[n] * losses[n] for n in ("content", "style", "variation", "range") if n in losses and n in weights
    )


def total_from_the_first(losses, weights):
    first, *others = losses
    total = losses[first] * weights.get(first, 1.0)
    for name in others:
        if name in weights:
            total = total + losses[name] * weights[name]
    return total


WRONG = {
    "total_loss": [
        (total_of_four_names, "with other names"),
        (total_from_the_first, "the first has no weight"),
        (lambda losses, weights: None, "return"),
        (lambda losses, weights: sum(losses[name] for name in weights if name in losses), "did not use the weights."),
        (lambda losses, weights: sum(losses.values()), "counted a loss that has none"),
        (lambda losses, weights: sum(weights.get(n, 1) * losses[n] for n in losses), "counted a loss that has no"),
        (total_with(lambda parts: sum(parts) / len(parts)), "divided by the number of losses. A"),
        (lambda losses, weights: total_by_loop(losses, weights) / len(losses), "even of those without"),
        (lambda losses, weights: total_by_loop(losses, weights) / sum(weights.values()), "sum of the weights"),
        (total_with(lambda parts: parts[0]), "only the first"),
        (total_with(lambda parts: parts[-1]), "only the last"),
        (total_with(lambda parts: sum(parts[1:])), "first loss is missing"),
        (total_with(lambda parts: sum(parts[:-1])), "last loss is missing"),
        (total_with(lambda parts: sum(parts).item()), ".item()"),
        (total_with(lambda parts: sum(parts).detach()), "gradient"),
        (total_with(lambda parts: 0 * sum(parts)), "all zeros"),
        (total_with(lambda parts: sum(parts) * math.nan), "NaN"),
        (total_with(torch.stack), "shape"),
        (lambda losses, weights: sum(w + losses[n] for n, w in weights.items() if n in losses), "Multiply with them"),
        (lambda losses, weights: sum(w * losses[n] ** 2 for n, w in weights.items() if n in losses), "squares already"),
        (lambda losses, weights: sum(weights[name] * losses[name] for name in losses), "'memory' is in one"),
        (lambda losses, weights: sum(weights[name] * losses[name] for name in weights), "'content' is in one"),
        (total_in_place, "changed the dictionary losses"),
        (total_by_order, "by their order"),
        (total_of_whole_weights(int), "whole numbers of the weights"),
        (total_of_whole_weights(round), "you rounded the weights"),
        (total_popped, "changed the dictionary losses"),
        (total_weights_changed, "changed the dictionary weights"),
        (total_losses_scaled, "changed one of the dictionaries"),
        (cached_total(total_by_loop), "the old total"),
        *[(then(answer, change), sentence) for answer in SOME_TOTALS for change, sentence in TOTAL_CHANGES],
    ],
    "total_variation": [
        (lambda image: (image[1:] - image[:-1]).square().mean(), "along the batch"),
        (lambda image: None, "return"),
        (variation_by(lambda d: d.abs().mean()), "Square the differences."),
        (variation_by(lambda d: d.abs().sum()), "added up absolute values"),
        (variation_by(lambda d: d.square().sum()), "took the sum"),
        (lambda image: squares(image.diff(dim=-1)), "in a row are compared"),
        (lambda image: squares(image.diff(dim=-2)), "in a column are compared"),
        (lambda image: squares(image.diff(dim=1)), "channels with each other"),
        (variation_around, "wrap around"),
        (variation_together, "both directions together"),
        (lambda image: variation_by_slices(image) / 2, "without a half"),
        (variation_cropped, "last row and the last column"),
        (lambda image: variation_by(lambda d: d.square().sum() / image.numel())(image), "divided by all pixels"),
        (variation_by(lambda d: d.mean()), "did not square"),
        (variation_by(lambda d: d.mean().square()), "squared the mean"),
        (lambda image: variation_by_slices(image).sqrt(), "square root"),
        (lambda image: variation_by_slices(image).item(), ".item()"),
        (lambda image: variation_by_slices(image.detach()), "gradient"),
        (lambda image: torch.zeros(()), "all zeros"),
        (lambda image: variation_by_slices(image) * math.nan, "NaN"),
        (lambda image: image.diff(dim=-1).square(), "shape"),
        (variation_in_place, "in place"),
        *[(cached(answer), "the old result") for answer in SOME_VARIATIONS],
        *[(then(answer, change), sentence) for answer in SOME_VARIATIONS for change, sentence in VARIATION_CHANGES],
    ],
    "optimize_adam": [
        (adam_with(loss="style"), "lowered the style alone"),
        (lambda image, objective, steps, rate: None, "return"),
        (lambda image, objective, steps, rate: image.clone(), "still the start"),
        (adam_with(hand_over=another_copy), "still the start"),
        (adam_with(hand_over=weights), "weights of the network"),
        (adam_zero_after_backward, "still the start"),
        (adam_with(zero=False), "added to all earlier ones"),
        (adam_for_other_steps(lambda steps: steps - 1), "one step is missing"),
        (adam_for_other_steps(lambda steps: steps + 1), "too many"),
        (adam_for_other_steps(lambda steps: 1), "only one step"),
        (lambda image, objective, steps, rate: adam_loop(image, objective, steps, 0.001), "default"),
        (adam_climbs, "climb"),
        (adam_fresh, "a new Adam"),
        (adam_plain, "plain gradient descent"),
        (adam_sums_all, "added up all values"),
        (adam_dictionary, "dictionary of losses"),
        (adam_gradient_once, "computed anew"),
        (adam_with(prepare=lambda image: image.requires_grad_()), "in place"),
        (adam_with(prepare=lambda image: image.detach().requires_grad_()), "in place"),
        (adam_with(prepare=lambda image: image.requires_grad_().clone()), "Copy first"),
        (adam_with(prepare=lambda image: image.clone()), "no gradient"),
        (adam_with(after=clamp), "clamped in each step"),
        (adam_with(give=lambda pixels: pixels.detach().clamp(0, 1)), "clamped to [0, 1] at the end"),
        (adam_with(give=lambda pixels: pixels), "detached"),
        (adam_with(give=lambda pixels: pixels.detach().square().sum()), "returned the loss"),
        (adam_with(give=lambda pixels: torch.zeros_like(pixels)), "all zeros"),
        (adam_with(give=lambda pixels: pixels.detach() * math.nan), "NaN"),
        (adam_with(give=lambda pixels: pixels.detach()[0]), "shape"),
        (adam_twice, "evaluated 12 times"),
        (adam_in_double, "two types of numbers meet"),
        (adam_stopping(lambda total, before, gradient: total < 0.01), "the total is tiny"),
        (adam_stopping(lambda total, before, gradient: gradient.abs().max() < 1e-3), "the total is tiny"),
        (adam_stopping(lambda total, before, gradient: abs(total - before) < 1e-4), "ended after 2 of 9"),
        (adam_stopping(lambda total, before, gradient: abs(total - before) < 1e-3 * total), "ended after 2 of 9"),
        (adam_stopping(lambda total, before, gradient: total > before), "ended after"),
        *[(then(adam_from(*way), change), sentence) for way in WAYS[::25] for change, sentence in IMAGE_CHANGES],
        *[(adam_of_steps(adam_from(*way), change), sentence) for way in WAYS[::25] for change, sentence in COUNTS],
    ],
    "optimize_lbfgs": [
        (lambda image, objective, steps: None, "return"),
        (lambda image, objective, steps: image.clone(), "still the start"),
        (lbfgs_with(hand_over=another_copy), "still the start"),
        (lbfgs_with(hand_over=weights), "weights of the network"),
        (lbfgs_no_backward, "still the start"),
        (lbfgs_with(zero=False), "added to all earlier ones"),
        (lbfgs_with(inside=clamp), "inside the closure"),
        (lbfgs_with(inside=clamp, after=clamp), "in each round"),
        (lbfgs_with(seen=lambda pixels: pixels.clamp(0, 1)), "on the way into"),
        (lbfgs_with(after=clamp), "in each round"),
        (lambda image, objective, steps: lbfgs_loop(image, objective, steps).clamp(0, 1), "at the end"),
        (lbfgs_with(give=False), "returns nothing"),
        (lambda image, objective, steps: lbfgs_loop(image, objective, steps - 1), "one step is missing"),
        (lambda image, objective, steps: lbfgs_loop(image, objective, steps + 1), "too many"),
        (lambda image, objective, steps: lbfgs_loop(image, objective, 1), "only one step"),
        (lbfgs_with(options={}), "max_iter=1"),
        (lbfgs_with(options={"max_iter": 1, "line_search_fn": "strong_wolfe"}), "no line search"),
        (lbfgs_fresh, "a new L-BFGS"),
        (lbfgs_climbs, "climb"),
        (lbfgs_called, "without brackets"),
        (lbfgs_without_closure, "Hand it over"),
        (lambda image, objective, steps: lbfgs_loop(image, objective, steps) * math.nan, "NaN"),
        (lambda image, objective, steps: lbfgs_loop(image, objective, steps) * 0, "all zeros"),
        (lambda image, objective, steps: lbfgs_loop(image, objective, steps)[0], "shape"),
        (lambda image, objective, steps: objective(image.clone().requires_grad_()), "returned the loss"),
        (lbfgs_in_double, "two types of numbers meet"),
        (lbfgs_with(options={"max_iter": 1}), "set them to zero"),
        (lbfgs_with(options={"max_iter": 1, "history_size": 20}), "set them to zero"),
        (lbfgs_with(options={"max_iter": 1, "tolerance_grad": 0}), "set them to zero"),
        (lbfgs_with(options={"max_iter": 1, "tolerance_change": 0}), "set them to zero"),
        (lbfgs_with(options=TOLERANT | {"max_iter": 2}), "evaluated"),
        (lbfgs_with(options=TOLERANT | {"lr": 0.1}), "differ by up to"),
        (lbfgs_stopping(lambda total: total < 1e-6), "ended after"),
        *[(then(lbfgs_from(*way), change), sentence) for way in WAYS[2::25] for change, sentence in IMAGE_CHANGES],
        *[(adam_of_steps(lbfgs_from(*way), change), sentence) for way in WAYS[2::25] for change, sentence in COUNTS],
    ],
    "best_image": [
        (best_in_two_goes, "goes through them again"),
        (best_below_the_first, "lowest = total"),
        (lambda steps: None, "return"),
        (lambda steps: list(steps)[-1].image, "last image"),
        (lambda steps: next(iter(steps)).image, "first image"),
        (lambda steps: max(steps, key=lambda step: step.losses["total"]).image, "highest"),
        (lambda steps: min(steps, key=lambda step: step.losses["total"]), "returned the step"),
        (lambda steps: min(step.losses["total"] for step in steps), "returned a number"),
        (lambda steps: min(steps, key=lambda step: step.losses["style"]).image, "last image"),
        (best_by_bare_min, "NaN won. Compared"),
        (best_not_larger, "NaN won: a comparison"),
        (best_before, "the first step counts"),
        (best_twice, "only once"),
        (best_keeps_infinity, "−∞ won"),
        (best_until_nan, "ends at the first total that is not finite"),
        (best_without_default, "Return None there"),
        *[(best_starting_at(low), "Begin with lowest = math.inf") for low in (100, 1e3, 1e6, 10_000)],
        (best_where(lambda total, index: index > 0), "the first step counts"),
        (best_where(lambda total, index: 0 < total < math.inf), "a total of 0"),
        (best_where(lambda total, index: 0 <= total < math.inf), "a total of 0, or below"),
        (best_where(lambda total, index: total), "−∞ won"),
        (best_where(lambda total, index: not math.isnan(total)), "−∞ won"),
        (best_where(lambda total, index: True), "−∞ won"),
        (best_where(lambda total, index: total < math.inf), "−∞ won"),
        (best_where(lambda total, index: math.isfinite(total) and index < 3), "ends at the first"),
        (best_that_changes(lambda step: step.image.clamp_(0, 1)), "in place"),
        (best_that_changes(lambda step: step.image.mul_(2)), "in place"),
        (best_that_changes(lambda step: step.losses.update(total=abs(step.losses["total"]))), "changed the"),
        (best_that_changes(lambda step: step.losses.pop("style")), "changed the"),
        *[
            (then(best_from(*parts), change), sentence)
            for parts in list(product(FINITE, LOWEST))[::6]
            for change, sentence in BEST_CHANGES
        ],
    ],
    "coarse_sizes": [
        (lambda size, smallest: None, "return"),
        (lambda size, smallest: sizes_by_loop(size, smallest)[::-1], "reversed"),
        (lambda size, smallest: sizes_by_loop(size, smallest)[:-1], "missing at the end"),
        (lambda size, smallest: [size // 4, size // 2, size], "left out"),
        (lambda size, smallest: [s for s in (size // 4, size // 2) if s > smallest] + [size], ">="),
        (lambda size, smallest: [s for s in (size // 4, size // 2, size) if s >= smallest], "always belongs"),
        (lambda size, smallest: [s for s in (size / 4, size / 2) if s >= smallest] + [size], "//"),
        (lambda size, smallest: [s for s in (size // 2,) if s >= smallest] + [size], "quarter is missing"),
        (lambda size, smallest: [s for s in (size // 4,) if s >= smallest] + [size], "half is missing"),
        (sizes_halving, "an eighth"),
        (
            lambda size, smallest: [s for s in (round(size / 4), round(size / 2)) if s >= smallest] + [size],
            "rounded up",
        ),
        (lambda size, smallest: [s for s in (size / 4 // 1, size / 2 // 1) if s >= smallest] + [size], "whole numbers"),
        *[
            (then(sizes_from(*parts), change), sentence)
            for parts in list(product(SMALLER, KEPT[:4]))[::6]
            for change, sentence in SIZE_CHANGES
        ],
    ],
}


def test_what_the_package_does_is_what_the_exercises_ask_for():
    for size in (64, 100, 256, 320, 512, 1000):
        assert EXERCISES["coarse_sizes"].reference(size, transfer.SMALLEST) == transfer.scales(size)
    image = torch.rand(1, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(EXERCISES["total_variation"].reference(image), own.total_variation(image))
