"""Checks of lesson 01: right answers, differently written, pass; each wrong one hears its own mistake."""

import numpy as np
import torch
from torchvision.transforms.v2 import functional as TF

from stylelib.checks import pixels


def image_by_permute(array):
    return torch.from_numpy(array).permute(2, 0, 1).unsqueeze(0).float() / 255


def image_by_numpy(array):
    return torch.tensor(np.transpose(array, (2, 0, 1))[None].astype(np.float32) / 255)


def image_by_torchvision(array):
    return TF.to_dtype(TF.to_image(array), torch.float32, scale=True)[None].as_subclass(torch.Tensor)


def image_by_channel(array):
    channels = [torch.from_numpy(array[:, :, c].copy()) / 255 for c in range(3)]
    return torch.stack(channels).unsqueeze(0)


def image_and_change_array(array):
    image = image_by_permute(array)
    array[:] = 0
    return image


def image_as_bytes_divided(array):
    return torch.from_numpy(array // 255).permute(2, 0, 1)[None]


def columns(numbers, image):
    return torch.as_tensor(numbers, device=image.device).view(1, 3, 1, 1)


def normalized_by_view(image, mean, std):
    return (image - columns(mean, image)) / columns(std, image)


def normalized_by_channel(image, mean, std):
    return torch.cat([(image[:, c : c + 1] - mean[c]) / std[c] for c in range(3)], dim=1)


def normalized_channels_last(image, mean, std):
    mean, std = (torch.as_tensor(numbers, device=image.device) for numbers in (mean, std))
    return ((image.permute(0, 2, 3, 1) - mean) / std).permute(0, 3, 1, 2)


def normalized_by_torchvision(image, mean, std):
    return TF.normalize(image, [float(m) for m in mean], [float(s) for s in std])


def normalized_after_moving(image, mean, std):
    mean, std = (torch.as_tensor(numbers).view(1, 3, 1, 1).to(image.device) for numbers in (mean, std))
    return (image - mean) / std


def normalized_into_a_copy(image, mean, std):
    result = image.clone()
    for c in range(3):
        result[:, c] = (image[:, c] - mean[c]) / std[c]
    return result


def normalized_into_zeros(image, mean, std):
    result = torch.zeros(image.shape)
    for c in range(3):
        result[:, c] = (image[:, c] - mean[c]) / std[c]
    return result


def normalized_first_picture(image, mean, std):
    result = image.clone()
    for c in range(3):
        result[0, c] = (image[0, c] - mean[c]) / std[c]
    return result


def normalized_with(formula):
    return lambda image, mean, std: formula(image, columns(mean, image), columns(std, image))


def normalized_in_place(image, mean, std):
    image -= columns(mean, image)
    image /= columns(std, image)
    return image


def normalized_and_mean_changed(image, mean, std):
    result = normalized_by_channel(image, mean, std)
    if isinstance(mean, torch.Tensor):
        mean.neg_()
    return result


def normalized_by_own_statistics(image, mean, std):
    return (image - image.mean(dim=(2, 3), keepdim=True)) / image.std(dim=(2, 3), keepdim=True)


def normalized_along(shape):
    def answer(image, mean, std):
        mean, std = (torch.as_tensor(numbers).view(shape) for numbers in (mean, std))
        return (image - mean) / std

    return answer


def gradient_by_backward(image, loss):
    pixels = image.detach().clone().requires_grad_()
    loss(pixels).backward()
    return pixels.grad


def gradient_by_function(image, loss):
    return torch.func.grad(loss)(image.detach())


def gradient_then(change):
    return lambda image, loss: change(gradient_by_backward(image, loss))


def gradient_on_the_image(image, loss):
    image.requires_grad_()
    loss(image).backward()
    return image.grad


def gradient_on_the_image_zeroed(image, loss):
    image.requires_grad_()
    image.grad = None
    loss(image).backward()
    return image.grad.clone()


def gradient_of_a_copy_of_the_leaf(image, loss):
    leaf = image.detach().clone().requires_grad_()
    pixels = leaf * 1
    loss(pixels).backward()
    with torch.no_grad():
        return leaf.grad if pixels is leaf else None


def gradient_without_asking(image, loss):
    pixels = image.clone()
    loss(pixels).backward()
    return pixels.grad


def gradient_of_the_function(image, loss):
    loss.backward()
    return image.grad


def gradient_of_the_image(image, loss):
    pixels = image.clone().requires_grad_()
    loss(pixels)
    pixels.backward()
    return pixels.grad


def gradient_never_asked_for(image, loss):
    pixels = image.clone().requires_grad_()
    loss(pixels)
    return pixels.grad


def gradient_without_record(image, loss):
    with torch.no_grad():
        pixels = image.clone().requires_grad_()
        loss(pixels).backward()
    return pixels.grad


def gradient_in_a_tuple(image, loss):
    pixels = image.clone().requires_grad_()
    return torch.autograd.grad(loss(pixels), pixels)


def gradient_and_step(image, loss):
    gradient = gradient_by_backward(image, loss)
    image -= gradient
    return gradient


def gradient_with_history(image, loss):
    pixels = image.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(pixels), pixels, create_graph=True)[0]


def descent(update=None, loss=None, forget=True, fewer=0):
    """A descent by hand, right unless told otherwise."""
    update = update or (lambda x, gradient, rate: x - rate * gradient)
    loss = loss or (lambda x, target: (x - target).square().mean())

    def answer(image, target, steps, rate):
        x = image.detach().clone().requires_grad_()
        for _ in range(steps - fewer):
            if forget:
                x.grad = None
            loss(x, target).backward()
            with torch.no_grad():
                x.copy_(update(x, x.grad, rate))
        return x.detach()

    return answer


def descent_by_autograd(image, target, steps, rate):
    x = image.clone()
    for _ in range(steps):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(torch.nn.functional.mse_loss(x, target), x)
        x = (x - rate * gradient).detach()
    return x


def descent_by_sgd(image, target, steps, rate):
    x = torch.nn.Parameter(image.clone())
    optimizer = torch.optim.SGD([x], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(x, target).backward()
        optimizer.step()
    return x.data


def descent_in_closed_form(image, target, steps, rate):
    return target + (1 - 2 * rate / image.numel()) ** steps * (image - target)


def descent_in_place(image, target, steps, rate):
    for _ in range(steps):
        image -= rate * 2 * (image - target) / image.numel()
    return image


def descent_changing_target(image, target, steps, rate):
    result = descent()(image, target, steps, rate)
    target.copy_(result)
    return result


def descent_on_the_image(image, target, steps, rate):
    image.requires_grad_()
    x = image
    for _ in range(steps):
        (gradient,) = torch.autograd.grad((x - target).square().mean(), x)
        x = (x - rate * gradient).detach().requires_grad_()
    return x.detach()


def descent_with_history(image, target, steps, rate):
    return descent()(image, target, steps, rate).requires_grad_()


def descent_returning_early(image, target, steps, rate):
    return descent()(image, target, min(steps, 1), rate)


def descent_along_the_first_gradient(image, target, steps, rate):
    gradient = 2 * (image - target) / image.numel()
    return image - steps * rate * gradient


def descent_losing_the_leaf(image, target, steps, rate):
    x = image.clone().requires_grad_()
    for _ in range(steps):
        ((x - target) ** 2).mean().backward()
        x = x - rate * x.grad
    return x.detach()


def descent_losing_the_request(image, target, steps, rate):
    x = image.clone().requires_grad_()
    for _ in range(steps):
        ((x - target) ** 2).mean().backward()
        with torch.no_grad():
            x = x - rate * x.grad
    return x


def descent_on_an_asking_leaf(image, target, steps, rate):
    x = image.clone().requires_grad_()
    for _ in range(steps):
        ((x - target) ** 2).mean().backward()
        x -= rate * x.grad
    return x


def descent_without_asking(image, target, steps, rate):
    x = image.clone()
    for _ in range(steps):
        ((x - target) ** 2).mean().backward()
    return x


def descent_with_one_loss(image, target, steps, rate):
    x = image.clone().requires_grad_()
    loss = ((x - target) ** 2).mean()
    for _ in range(steps):
        x.grad = None
        loss.backward()
        with torch.no_grad():
            x -= rate * x.grad
    return x.detach()


def descent_forgetting_by(forget):
    def answer(image, target, steps, rate):
        x = image.clone().requires_grad_()
        for _ in range(steps):
            forget(x)
            ((x - target) ** 2).mean().backward()
            with torch.no_grad():
                x -= rate * x.grad
        return x.detach()

    return answer


def normalized_and_sorted(image, mean, std):
    result = normalized_by_view(image, mean, std)
    if isinstance(mean, list):
        mean.sort()
    return result


def normalized_and_asking(image, mean, std):
    return normalized_by_view(image.requires_grad_(), mean, std)


def by_shape(answer):
    """Remembers the first result for each shape."""
    results = {}
    return lambda first, *rest: results.setdefault(first.shape, answer(first, *rest))


def then(answer, change):
    return lambda *arguments: change(answer(*arguments))


RIGHT = {
    "to_image": [
        image_by_permute,
        image_by_numpy,
        image_by_torchvision,
        image_by_channel,
        lambda a: torch.tensor(a.tolist()).movedim(-1, 0)[None].float() / 255.0,
        lambda a: torch.as_tensor(a / np.float32(255)).permute(2, 0, 1).unsqueeze(0),
        lambda a: torch.einsum("ijc->cij", torch.from_numpy(a).float()).mul(1 / 255)[None].contiguous(),
    ],
    "normalize": [
        normalized_by_view,
        normalized_by_channel,
        normalized_channels_last,
        normalized_by_torchvision,
        normalized_after_moving,
        normalized_into_a_copy,
    ],
    "pixel_gradient": [
        gradient_by_backward,
        gradient_by_function,
        gradient_then(torch.clone),
        lambda image, loss: torch.autograd.grad(loss(x := image.clone().requires_grad_()), [x])[0],
        lambda image, loss: torch.func.jacrev(loss)(image),
        lambda image, loss: torch.func.grad_and_value(loss)(image)[0],
    ],
    "descend": [descent(), descent_by_autograd, descent_by_sgd, descent_in_closed_form],
}

GENERIC = [
    (lambda right: lambda *arguments: None, "None"),
    (lambda right: then(right, lambda value: value * 0), "all zeros"),
    (lambda right: then(right, lambda value: value * torch.nan), "NaN"),
    (lambda right: then(right, lambda value: value[..., :-1]), "should have the shape"),
    (lambda right: then(right, lambda value: value.tolist()), "should be a tensor"),
    (lambda right: then(right, lambda value: value + 0.5), "differ by up to 0.5"),
]


def gradient_twice(image, loss):
    x = image.detach().clone().requires_grad_()
    loss(x).backward()
    loss(x).backward()
    return x.grad


WRONG = {
    "to_image": [
        (lambda a: image_by_permute(a) * 255, "run up to 255. Divide"),
        (lambda a: torch.from_numpy(a).reshape(1, 3, *a.shape[:2]) / 255, "reshape or view"),
        (lambda a: torch.from_numpy(a).view(1, 3, *a.shape[:2]).float() / 255, "reshape or view"),
        (lambda a: image_by_permute(a).flip(1), "BGR"),
        (lambda a: image_by_permute(a)[0], "first axis is missing: an image"),
        (lambda a: image_by_permute(a)[0] * 255, "first axis is missing, and the values"),
        (lambda a: torch.from_numpy(a).permute(2, 1, 0)[None] / 255, "rows and columns are exchanged"),
        (lambda a: torch.from_numpy(a.T.copy())[None] / 255, "rows and columns are exchanged"),
        (lambda a: torch.from_numpy(a).permute(2, 0, 1)[None], "still uint8"),
        (image_as_bytes_divided, "still uint8"),
        (lambda a: image_by_permute(a) * 255 / 256, "divided by 256"),
        (lambda a: torch.from_numpy(a)[None] / 255, "channels still stand last"),
        (lambda a: torch.from_numpy(a) / 255, "axes are as they were"),
        (lambda a: image_by_permute(a) * 2 - 1, "[−1, 1]"),
        (lambda a: image_by_permute(a).flip(2), "upside down"),
        (lambda a: torch.from_numpy(np.transpose(a / 255, (2, 0, 1)))[None], "float64"),
        (lambda a: np.transpose(a, (2, 0, 1))[None] / 255, "still a NumPy array"),
        (lambda a: image_by_permute(a) * 255 / a.max().item(), "divided by the largest value"),
        (
            lambda a: (image_by_permute(a) * 255 - a.min().item()) / (int(a.max()) - int(a.min())),
            "stretched the values",
        ),
        (image_and_change_array, "in place"),
        (by_shape(image_by_permute), "differ by up to"),
        (lambda a: image_by_permute(a).double(), "float64"),
        (lambda a: image_by_permute(a).half(), "float16"),
        (lambda a: image_by_permute(a).mul(255).round().div(255).sub(1e-3), "differ by up to"),
    ],
    "normalize": [
        (normalized_with(lambda x, m, s: x / s - m), "you divided before subtracting"),
        (normalized_with(lambda x, m, s: x - m / s), "you divided the mean only"),
        (normalized_with(lambda x, m, s: x - m), "forgot to divide"),
        (normalized_with(lambda x, m, s: x / s), "forgot to subtract"),
        (normalized_with(lambda x, m, s: (x - m) * s), "multiplied by std"),
        (normalized_with(lambda x, m, s: (x + m) / s), "added the mean"),
        (normalized_with(lambda x, m, s: x * s + m), "the way back"),
        (normalized_with(lambda x, m, s: (x - s) / m), "exchanged"),
        (normalized_with(lambda x, m, s: (x - m) / s**2), "std²"),
        (normalized_with(lambda x, m, s: (x - m) / s.sqrt()), "root of std"),
        (normalized_with(lambda x, m, s: (x - m.flip(1)) / s.flip(1)), "opposite order"),
        (normalized_with(lambda x, m, s: ((x - m) / s).clamp(0, 1)), "cut the values off"),
        (normalized_with(lambda x, m, s: (x - m.mean()) / s.mean()), "mean of the three means"),
        (normalized_by_own_statistics, "of this picture"),
        (normalized_along((3,)), "along the last axis"),
        (normalized_along((3, 1)), "along the rows"),
        (normalized_in_place, "the image in place"),
        (normalized_and_mean_changed, "changed the mean in place"),
        (normalized_along((1, 3, 1, 1)), "goes wrong on a GPU"),
        (normalized_into_zeros, "goes wrong on a GPU"),
        (normalized_first_picture, "only the first picture"),
        (lambda image, mean, std: (image - mean) / std, "does not calculate with lists"),
        (lambda image, mean, std: image - mean.view(1, 3, 1, 1), "does not calculate with lists"),
        (then(normalized_by_view, torch.Tensor.detach), "no gradient flows"),
        (by_shape(normalized_by_view), "the result with tensors for mean and std"),
        (normalized_and_sorted, "changed the list mean in place"),
        (normalized_and_asking, "made the image ask for gradients"),
    ],
    "pixel_gradient": [
        (gradient_twice, "backward() adds to the .grad"),
        (lambda image, loss: loss(image), "you returned the loss"),
        (gradient_then(torch.neg), "the sign is wrong"),
        (gradient_then(torch.abs), "absolute values"),
        (gradient_then(torch.sign), "signs only"),
        (gradient_then(lambda g: g[0]), "batch axis is missing"),
        (gradient_then(lambda g: g.sum(1, keepdim=True)), "summed over the channels"),
        (gradient_then(lambda g: g.mean(1, keepdim=True)), "averaged over the channels"),
        (gradient_then(lambda g: g / g.abs().max()), "divided by the largest value"),
        (gradient_then(lambda g: g / g.norm()), "divided by the norm"),
        (gradient_on_the_image, "goes on asking"),
        (gradient_on_the_image_zeroed, "goes on asking"),
        (gradient_of_a_copy_of_the_leaf, "that asks for gradients and went into the loss"),
        (lambda image, loss: loss(image.clone().requires_grad_()).backward(), "backward() itself returns nothing"),
        (gradient_never_asked_for, "Did you call backward()"),
        (gradient_of_the_function, "`loss` is a function"),
        (gradient_of_the_image, "a tensor of many numbers"),
        (gradient_without_record, "outside of torch.no_grad()"),
        (gradient_in_a_tuple, "Take its [0]"),
        (gradient_without_asking, "do not ask for gradients"),
        (gradient_and_step, "changed the image in place"),
        (gradient_with_history, "still requires grad"),
        (gradient_then(lambda g: g.double()), "torch.float64"),
        (gradient_then(lambda g: g.numpy()), "it is a NumPy array"),
        (gradient_then(lambda g: g.mT), "should have the shape"),
    ],
    "descend": [
        (lambda image, target, steps, rate: image.clone(), "you started from"),
        (descent(lambda x, g, rate: x + rate * g), "uphill"),
        (descent(forget=False), "add up from step to step"),
        (descent(loss=lambda x, t: (x - t).square().sum()), "summed the squares"),
        (descent(loss=lambda x, t: (x - t).square().mean(dim=(2, 3)).sum()), "over the channels too"),
        (descent(fewer=1), "one step too few"),
        (descent(fewer=-1), "one step too many"),
        (descent_returning_early, "only one step"),
        (descent(loss=lambda x, t: (x - t).abs().mean()), "absolute differences"),
        (descent(lambda x, g, rate: x - rate * g.sign()), "signs of the gradient"),
        (descent(lambda x, g, rate: x - g), "did not use the rate"),
        (descent(lambda x, g, rate: x - g / rate), "divided by the rate"),
        (descent_along_the_first_gradient, "along the first gradient"),
        (descent(lambda x, g, rate: g), "the image has the right shape"),
        (lambda image, target, steps, rate: target.clone(), "returned the target"),
        (lambda image, target, steps, rate: (image - target).square().mean(), "returned a number"),
        (descent(lambda x, g, rate: (x - rate * g).clamp(0, 1)), "cut the values off"),
        (descent_forgetting_by(lambda x: x.zero_grad()), "an optimizer's"),
        (descent_forgetting_by(lambda x: x.grad.zero_()), "nothing to set to zero yet"),
        (descent_in_place, "in place"),
        (descent_changing_target, "changed the target"),
        (descent_with_history, "still requires grad"),
        (descent_on_the_image, "goes on asking"),
        (descent_losing_the_leaf, "`.grad` is None"),
        (descent_losing_the_request, "do not ask for gradients"),
        (descent_on_an_asking_leaf, "torch.no_grad()"),
        (descent_without_asking, "do not ask for gradients"),
        (descent_with_one_loss, "backward() ran twice"),
        (lambda image, target, steps, rate: descent()(image, target.requires_grad_(), steps, rate), "the target ask"),
        (lambda image, target, steps, rate: descent()(image, target, steps, rate).item(), "stopped with"),
        (lambda image, target, steps, rate: descent()(image, target, max(steps, 1), rate), "after no step at all"),
        (lambda image, target, steps, rate: descent()(image, target, min(steps, 10), rate), "after 60 steps"),
    ],
}
WRONG = {
    name: answers + [(make(RIGHT[name][0]), fragment) for make, fragment in GENERIC] for name, answers in WRONG.items()
}


def test_values_that_mistakes_lead_to_differ_from_each_other():
    """Otherwise a learner would hear of a mistake that is not theirs."""
    array = pixels._pixels(4, 6)
    square = torch.rand(1, 3, 3, 3)
    image, target = torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5)
    descended = pixels._descend(image, target, 3, 6.0)
    mistakes = [
        [pixels._to_image(array), *pixels._image_mistakes(array).values()],
        [pixels._normalize(square, pixels.MEAN, pixels.STD), *pixels._normalization_mistakes(square).values()],
        [descended, *pixels._descent_mistakes(image, target, 3, 6.0).values()],
    ]
    for values in mistakes:
        for place, value in enumerate(values):
            alike = [pixels._alike(value, other) for other in values[:place]]
            assert not any(alike), f"values {alike.index(True)} and {place} are the same"
