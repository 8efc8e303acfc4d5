"""Lesson 05's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

import math

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
        hand_over(pixels, objective) if hand_over else [pixels], **({"max_iter": 1} if options is None else options)
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
    lbfgs = torch.optim.LBFGS([pixels], lr=1, max_iter=1, history_size=10)

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


RIGHT = {
    "total_loss": [total_by_loop, total_by_names, total_with(lambda parts: torch.stack(parts).sum())],
    "total_variation": [variation_by_slices, variation_by(lambda d: d.square().mean())],
    "optimize_adam": [adam_with(), adam_by_formula],
    "best_image": [best_by_min, best_by_loop],
    "optimize_lbfgs": [lbfgs_with(), lbfgs_in_one_step, lbfgs_with_float],
    "coarse_sizes": [sizes_by_loop, lambda size, smallest: (*sizes_by_loop(size, smallest),)],
}

WRONG = {
    "total_loss": [
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
    ],
    "total_variation": [
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
    ],
    "optimize_adam": [
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
    ],
    "best_image": [
        (lambda steps: None, "return"),
        (lambda steps: list(steps)[-1].image, "last image"),
        (lambda steps: next(iter(steps)).image, "first image"),
        (lambda steps: max(steps, key=lambda step: step.losses["total"]).image, "highest"),
        (lambda steps: min(steps, key=lambda step: step.losses["total"]), "returned the step"),
        (lambda steps: min(step.losses["total"] for step in steps), "returned a number"),
        (lambda steps: min(steps, key=lambda step: step.losses["style"]).image, "last image"),
        (best_by_bare_min, "NaN won. Compared"),
        (best_not_larger, "NaN won: a comparison"),
        (best_before, "loses its way"),
        (best_twice, "only once"),
        (best_keeps_infinity, "no total is finite"),
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
    ],
}


def test_what_the_package_does_is_what_the_exercises_ask_for():
    for size in (64, 100, 256, 320, 512, 1000):
        assert EXERCISES["coarse_sizes"].reference(size, transfer.SMALLEST) == transfer.scales(size)
    image = torch.rand(1, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(EXERCISES["total_variation"].reference(image), own.total_variation(image))
