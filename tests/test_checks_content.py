"""Lesson 03's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

import torch

from stylelib.checks.core import EXERCISES


def distance(features, target):
    return ((features - target) ** 2).sum()


def distance_by_norm(features, target):
    return torch.linalg.vector_norm(features - target) ** 2


def distance_by_loop(features, target):
    total = 0
    for f, p in zip(features.flatten(), target.flatten(), strict=True):
        total = total + (f - p) * (f - p)
    return total


def distance_in_place(features, target):
    features -= target
    return (features**2).sum()


def relative(features, target):
    return distance(features, target) / (target**2).sum()


def loss_by(of_layer, combine=lambda values: sum(values) / len(values)):
    """A content loss made of a distance (F, P) → number and of a way to combine the layers."""
    return lambda features, targets: combine([of_layer(features[name], targets[name].detach()) for name in targets])


def loss_with_constants(features, targets):
    total = 0.0
    for name in targets:
        with torch.no_grad():
            constant = targets[name].clone()
            weight = 1 / (len(targets) * torch.einsum("bchw,bchw->", constant, constant))
        total = total + weight * torch.nn.functional.mse_loss(features[name], constant, reduction="sum")
    return total


def loss_of_means(features, targets):
    """Means above and below: the numbers of features cancel."""
    layers = [(features[name] - target.detach()).square().mean() for name, target in targets.items()]
    return torch.stack(
        [layer / target.detach().square().mean() for layer, target in zip(layers, targets.values(), strict=True)]
    ).mean()


def loss_after_moving(features, targets):
    total = torch.tensor(0.0).to(next(iter(features.values())).device)
    for name, target in targets.items():
        total = total + relative(features[name], target.detach())
    return total / len(targets)


def loss_undetached(features, targets):
    return sum(relative(features[name], target) for name, target in targets.items()) / len(targets)


def loss_detached_above_only(features, targets):
    return sum(distance(features[name], p.detach()) / (p**2).sum() for name, p in targets.items()) / len(targets)


def loss_of_ratios(features, targets):
    above = sum(distance(features[name], target.detach()) for name, target in targets.items())
    return above / sum((target.detach() ** 2).sum() for target in targets.values())


def loss_by_order(features, targets):
    pairs = list(zip(features.values(), targets.values(), strict=False))
    return sum(relative(layer, target.detach()) for layer, target in pairs) / len(pairs)


def loss_over_features(features, targets):
    return sum(relative(layer, targets[name].detach()) for name, layer in features.items()) / len(features)


def loss_divided_by_features(features, targets):
    return sum(relative(features[name], target.detach()) for name, target in targets.items()) / len(features)


def loss_into_zeros(features, targets):
    values = torch.zeros(len(targets))
    return (values + torch.stack([relative(features[name], p.detach()) for name, p in targets.items()])).mean()


def loss_added_in_place(features, targets):
    total = torch.tensor(0.0)
    for name, target in targets.items():
        total += relative(features[name], target.detach())
    return total / len(targets)


def loss_eats_targets(features, targets):
    result = loss_by(relative)(features, targets)
    targets.clear()
    return result


def gradient(features, target):
    return 2 / target.square().sum() * (features - target)


def gradient_by_loop(features, target):
    result = torch.zeros_like(features)
    for index in range(features.numel()):
        result.view(-1)[index] = 2 * (features.reshape(-1)[index] - target.reshape(-1)[index])
    return result / torch.linalg.vector_norm(target) ** 2


def gradient_by_autograd(features, target):
    leaf = features.clone().requires_grad_()
    relative(leaf, target).backward()
    return leaf.grad


def gradient_in_place(features, target):
    features -= target
    return 2 * features / target.square().sum()


def descend(objective, start, steps, rate):
    pixels = start.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        objective(pixels).backward()
        adam.step()
    return pixels.detach()


def descend_by_formula(objective, start, steps, rate):
    """Adam by hand: Kingma and Ba 2015, algorithm 1."""
    image, m, v = start, torch.zeros_like(start), torch.zeros_like(start)
    for k in range(1, steps + 1):
        image = image.detach().requires_grad_()
        (g,) = torch.autograd.grad(objective(image), image)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        image = image - rate * (m / (1 - 0.9**k)) / ((v / (1 - 0.999**k)).sqrt() + 1e-8)
    return image.detach()


def descend_with_closure(objective, start, steps, rate):
    pixels = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([pixels], lr=rate)

    def closure():
        adam.zero_grad(set_to_none=False)
        loss = objective(pixels)
        loss.backward()
        return loss

    for _ in range(steps):
        adam.step(closure)
    return pixels.data.clone()


def loop(body, prepare=lambda start: start.clone().requires_grad_(), finish=lambda pixels: pixels.detach(), **options):
    """A loop whose body(adam, pixels, objective) is wrong, or what comes before or after it."""

    def reconstruct(objective, start, steps, rate):
        pixels = prepare(start)
        adam = torch.optim.Adam([pixels], **({"lr": rate} | options))
        for _ in range(steps):
            body(adam, pixels, objective)
        return finish(pixels)

    return reconstruct


def right_body(adam, pixels, objective):
    adam.zero_grad()
    objective(pixels).backward()
    adam.step()


def clamped_in_each_step(adam, pixels, objective):
    right_body(adam, pixels, objective)
    pixels.data.clamp_(0, 1)


def no_zero_grad(adam, pixels, objective):
    objective(pixels).backward()
    adam.step()


def zero_grad_too_late(adam, pixels, objective):
    objective(pixels).backward()
    adam.zero_grad()
    adam.step()


def never_steps(adam, pixels, objective):
    adam.zero_grad()
    objective(pixels).backward()


def climbs(adam, pixels, objective):
    adam.zero_grad()
    (-objective(pixels)).backward()
    adam.step()


def changed_by_hand(adam, pixels, objective):
    right_body(adam, pixels, objective)
    pixels.clamp_(0, 1)


def new_adam(objective, start, steps, rate):
    pixels = start.clone().requires_grad_()
    for _ in range(steps):
        right_body(torch.optim.Adam([pixels], lr=rate), pixels, objective)
    return pixels.detach()


def plain_descent(objective, start, steps, rate):
    pixels = start.clone()
    for _ in range(steps):
        pixels.requires_grad_()
        pixels = pixels.detach() - rate * torch.autograd.grad(objective(pixels), pixels)[0]
    return pixels


def another_copy(objective, start, steps, rate):
    pixels, others = start.clone().requires_grad_(), start.clone().requires_grad_()
    adam = torch.optim.Adam([others], lr=rate)
    for _ in range(steps):
        right_body(adam, pixels, objective)
    return others.detach()


def one_forward(objective, start, steps, rate):
    pixels = start.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    loss = objective(pixels)
    for _ in range(steps):
        adam.zero_grad()
        loss.backward()
        adam.step()
    return pixels.detach()


def asks_about_the_start(objective, start, steps, rate):
    pixels = start.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        objective(start).backward()
        adam.step()
    return pixels.detach()


def returns_the_loss(objective, start, steps, rate):
    return objective(descend(objective, start, steps, rate))


def start_asks_for_gradients(objective, start, steps, rate):
    start.requires_grad_()
    return descend(objective, start.detach(), steps, rate)


def distance_by_minus_equals(features, target):
    features -= target
    return features.square().sum()


def loss_detached_for_good(features, targets):
    for target in targets.values():
        target.detach_()
    return loss_by(relative)(features, targets)


def evaluated_twice(adam, pixels, objective):
    adam.zero_grad()
    float(objective(pixels))
    objective(pixels).backward()
    adam.step()


def impatient(objective, start, steps, rate):
    pixels, lowest = start.clone().requires_grad_(), float("inf")
    adam = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        loss = objective(pixels)
        if loss > lowest:
            break
        lowest = loss.item()
        loss.backward()
        adam.step()
    return pixels.detach()


def content_with_little(objective, start, steps, rate):
    pixels = start.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        loss = objective(pixels)
        if loss < 1e-5:
            break
        loss.backward()
        adam.step()
    return pixels.detach()


def prints_the_last_loss(objective, start, steps, rate):
    image = descend(objective, start, steps, rate)
    print(objective(image).item())
    return image


RIGHT = {
    "squared_distance": [distance, distance_by_norm, distance_by_loop],
    "content_loss": [loss_by(relative), loss_with_constants, loss_of_means, loss_after_moving],
    "content_gradient": [gradient, gradient_by_loop],
    "reconstruct": [descend, descend_by_formula, descend_with_closure, prints_the_last_loss],
}


def divided_in_each_round(each):
    total = 0
    for part in each:
        total = (total + part) / len(each)
    return total


WRONG = {
    "squared_distance": [
        (lambda f, p: ((f - p) ** 2).mean(), "mean of the squares"),
        (lambda f, p: torch.linalg.vector_norm(f - p), "square root"),
        (lambda f, p: distance(f, p) / 2, "half of it"),
        (lambda f, p: (f - p).sum(), "without squaring"),
        (lambda f, p: (f.sum() - p.sum()) ** 2, "squared after adding up"),
        (lambda f, p: (f - p).abs().sum(), "absolute values"),
        (lambda f, p: (f**2).sum() - (p**2).sum(), "Subtract first"),
        (lambda f, p: (f - p) ** 2, "did not add up"),
        (lambda f, p: ((f - p) ** 2).sum((2, 3)), "should have the shape ()"),
        (lambda f, p: distance(f, p).reshape(1), "should have the shape ()"),
        (distance_in_place, "in place"),
        (distance_by_minus_equals, "you changed the features in place"),
        (lambda f, p: (f - p).square().sum().sqrt() ** 2, "at 0 a square root is infinitely steep"),
        (lambda f, p: distance(f, p) * 0.89, "should be"),
        (lambda f, p: torch.dot((f - p).flatten().double(), (f - p).flatten()), "two types of numbers meet"),
        (lambda f, p: distance(f, p).item(), "plain number"),
        (lambda f, p: distance(f.detach(), p), "no gradient flows"),
        (lambda f, p: torch.zeros(()), "all zeros"),
        (lambda f, p: distance(f, p) * torch.nan, "NaN"),
        (lambda f, p: None, "forget `return`"),
    ],
    "content_loss": [
        (loss_by(relative, lambda each: each[-1] / len(each)), "overwrites the sum"),
        (loss_by(relative, divided_in_each_round), "divide in each round"),
        (loss_by(relative, sum), "added the layers up"),
        (loss_by(lambda f, p: (f - p).square().mean()), "mean squared error. Divide"),
        (loss_by(lambda f, p: (f - p).square().mean() / (p**2).sum()), "above and below"),
        (loss_by(distance), "you did not divide"),
        (loss_by(lambda f, p: distance(f, p) / 2), "the paper's loss"),
        (loss_by(lambda f, p: relative(f, p) / 2), "½ too many"),
        (loss_by(lambda f, p: (f - p).norm() / p.norm()), "took a square root: "),
        (lambda f, t: loss_by(relative)(f, t).sqrt(), "square root of the mean"),
        (loss_by(lambda f, p: distance(f, p) / p.norm()), "divided by ‖P‖,"),
        (loss_by(lambda f, p: distance(f, p) / (f**2).sum()), "divided by ‖F‖²"),
        (loss_by(relative, lambda values: values[0]), "first layer only"),
        (loss_by(relative, lambda values: values[-1]), "last layer only"),
        (loss_by(relative, lambda values: values[0] / len(values)), "`return` stand inside the loop"),
        (loss_of_ratios, "all distances, and all norms"),
        (loss_by(lambda f, p: (f - p).abs().sum() / p.abs().sum()), "absolute values"),
        (loss_by(relative, torch.stack), "one number per layer"),
        (loss_by_order, "by their order"),
        (loss_over_features, "run over the targets"),
        (loss_divided_by_features, "count the targets"),
        (loss_undetached, "reaches the targets"),
        (loss_detached_above_only, "reaches the targets"),
        (lambda f, t: loss_by(relative)(f, t).item(), "plain number"),
        (lambda f, t: loss_by(relative)({name: layer.detach() for name, layer in f.items()}, t), "no gradient flows"),
        (loss_by(relative, lambda values: torch.tensor([v.item() for v in values]).mean()), "no gradient flows"),
        (loss_into_zeros, "device of the features"),
        (loss_added_in_place, "device of the features"),
        (loss_eats_targets, "in place"),
        (loss_detached_for_good, "does not ask for gradients any more. detach_()"),
        (loss_by(lambda f, p: distance(f, p).sqrt() ** 2 / (p**2).sum()), "at 0 a square root is infinitely steep"),
        (lambda f, t: loss_by(relative)(f, t) * 0.89, "the loss of three layers should be"),
        (lambda f, t: torch.zeros(()), "all zeros"),
        (lambda f, t: loss_by(relative)(f, t) * torch.nan, "NaN"),
        (lambda f, t: loss_by(relative)(f, t).reshape(1), "should have the shape ()"),
        (lambda f, t: None, "forget `return`"),
    ],
    "content_gradient": [
        (lambda f, p: gradient(f, p) / 2, "forgot the 2"),
        (lambda f, p: -gradient(f, p), "sign is wrong: "),
        (lambda f, p: -gradient(f, p) / 2, "sign is wrong, and"),
        (lambda f, p: 2 * (f - p), "did not divide by ‖P‖², the sum"),
        (lambda f, p: f - p, "gradient of the paper's loss"),
        (lambda f, p: 2 * (f - p) / p.norm(), "divided by ‖P‖,"),
        (lambda f, p: 2 * (f - p) / (f**2).sum(), "divided by ‖F‖²"),
        (lambda f, p: 2 * (f - p) / p.numel(), "number of features"),
        (lambda f, p: 2 * (f - p) / p**2, "entry by entry"),
        (lambda f, p: gradient(f, p).sum(), "you added up"),
        (relative, "the loss itself"),
        (lambda f, p: (f - p) ** 2 / (p**2).sum(), "has no square"),
        (lambda f, p: gradient(f, p).flatten(), "should have the shape"),
        (gradient_by_autograd, "you asked autograd"),
        (gradient_in_place, "in place"),
        (lambda f, p: f.sub_(p) * 2 / (p**2).sum(), "you changed the features in place"),
        (lambda f, p: torch.zeros_like(f), "all zeros"),
        (lambda f, p: gradient(f, p) * torch.nan, "NaN"),
        (lambda f, p: None, "forget `return`"),
    ],
    "reconstruct": [
        (loop(clamped_in_each_step), "clamped in each step"),
        (loop(no_zero_grad), "added to all earlier ones"),
        (loop(zero_grad_too_late), "still the start"),
        (loop(never_steps), "still the start"),
        (another_copy, "still the start"),
        (lambda objective, start, steps, rate: start, "still the start"),
        (loop(right_body, prepare=lambda start: start.requires_grad_()), "in place"),
        (loop(right_body, prepare=lambda start: start.detach().requires_grad_()), "in place"),
        (start_asks_for_gradients, "goes on asking"),
        (loop(right_body, finish=lambda pixels: pixels), "still asks for gradients"),
        (loop(right_body, finish=lambda pixels: pixels.detach().clamp(0, 1)), "clamped"),
        (loop(climbs), "you climb"),
        (loop(right_body, maximize=True), "you climb"),
        (loop(right_body, lr=0.001), "0.001"),
        (lambda objective, start, steps, rate: descend(objective, start, steps - 1, rate), "one step is missing"),
        (lambda objective, start, steps, rate: descend(objective, start, steps + 1, rate), "one step too many"),
        (lambda objective, start, steps, rate: descend(objective, start, 1, rate), "only one step"),
        (new_adam, "a new Adam"),
        (plain_descent, "plain gradient descent"),
        (one_forward, "anew in each step"),
        (loop(right_body, prepare=lambda start: start.requires_grad_().clone()), "Copy first"),
        (loop(right_body, prepare=lambda start: start.clone()), "asks for no gradient"),
        (asks_about_the_start, "asks for no gradient"),
        (loop(changed_by_hand), "by hand"),
        (returns_the_loss, "returned the loss"),
        (impatient, "as soon as the loss rises"),
        (loop(evaluated_twice), "evaluated 12 times. A step is one evaluation"),
        (content_with_little, "the loop ends early: it takes"),
        (loop(right_body, prepare=lambda start: start.double().requires_grad_()), "Convert it: .to(torch.float32)"),
        (lambda objective, start, steps, rate: torch.zeros_like(start), "all zeros"),
        (lambda objective, start, steps, rate: start * torch.nan, "NaN"),
        (loop(right_body, finish=lambda pixels: pixels.detach()[0]), "should have the shape"),
        (loop(right_body, finish=lambda pixels: None), "forget `return`"),
    ],
}


def test_the_reference_loss_agrees_with_its_own_gradient():
    """The two references were written apart; autograd through one must give the other."""
    features, target = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64)
    features.requires_grad_()
    loss = EXERCISES["content_loss"].reference({"layer": features}, {"layer": target})
    by_hand = EXERCISES["content_gradient"].reference(features.detach(), target)
    torch.testing.assert_close(torch.autograd.grad(loss, features)[0], by_hand)
