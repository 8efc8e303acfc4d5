"""Exercises of lesson 01: from a picture's pixels to an image, and from a loss to the gradient of the pixels."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .core import Answer, Mistake, exercise, expect, expect_any_device, expect_gradient, random

Loss = Callable[[Tensor], Tensor]

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # ImageNet's
NO_GRADIENT_YET = (
    "`.grad` is None: the tensor you read it from is not the one that asked for gradients. After x = x − …, x is a new "
    "tensor that did not ask. Change x in place, with -= under torch.no_grad(), or make a new leaf in every step: "
    ".detach().requires_grad_()."
)
# Part of PyTorch's or Python's own message → what it means here. Learners meet all of these on the way.
ERRORS = {
    "attribute 'zero_'": (
        "before the first backward(), .grad is None: there is nothing to set to zero yet. Write x.grad = None instead."
    ),
    "attribute 'zero_grad'": "zero_grad() is an optimizer's; a tensor has none. Write x.grad = None instead.",
    "'function' object has no attribute 'backward'": (
        "`loss` is a function. Call it with your copy of the image, and call backward() on what it returns."
    ),
    "only for scalar outputs": "backward() was called on a tensor of many numbers. Call it on the loss.",
    "NoneType": NO_GRADIENT_YET,
    "leaf Variable that requires grad": (
        "PyTorch does not let you change pixels that ask for gradients. Put the update under `with torch.no_grad():`."
    ),
    "does not require grad": (
        "the loss was computed from pixels that do not ask for gradients, so backward() finds no way to them. Call "
        "requires_grad_() on your copy of the image; a new tensor x = x − … must be asked again. And compute the loss "
        "outside of torch.no_grad()."
    ),
    "backward through the graph a second time": (
        "backward() ran twice on the same loss. Compute the loss anew in every step, inside the loop."
    ),
}


def _to_image(array: np.ndarray) -> Tensor:
    height, width, _ = array.shape
    values = [
        [[int(array[row, column, channel]) / 255 for column in range(width)] for row in range(height)]
        for channel in range(3)
    ]
    return torch.tensor([values], dtype=torch.float32)


def _normalize(image: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Tensor:
    return torch.stack([(image[:, c] - float(mean[c])) / float(std[c]) for c in range(3)], dim=1)


def _pixel_gradient(image: Tensor, loss: Loss) -> Tensor:
    pixels = image.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(pixels), pixels)[0]


def _descend(image: Tensor, target: Tensor, steps: int, rate: float) -> Tensor:
    for _ in range(steps):
        image = image - rate * 2 * (image - target) / image.numel()
    return image


@exercise(reference=_to_image)
def to_image(answer: Answer) -> None:
    """Pixels of a picture file, uint8 NumPy (H, W, 3) → image: float32 (1, 3, H, W), RGB in [0, 1]."""
    for array in (_pixels(4, 6), 255 - _pixels(4, 6)):
        got = answer(array)
        _expect_float32(got)
        expect(got, _to_image(array), _image_mistakes(array), "the image")
    dark = _pixels(7, 3, darkest=20, brightest=99)  # tall, no black, no white; 3 wide, so that axes can be mixed up
    got = answer(dark)
    _expect_float32(got)
    expect(got, _to_image(dark), _image_mistakes(dark) | _stretched(dark), "the image of a dark, tall picture")


def _pixels(height: int, width: int, darkest: int = 0, brightest: int = 255) -> np.ndarray:
    array = np.random.default_rng(height).integers(darkest, brightest + 1, (height, width, 3), dtype=np.uint8)
    array[0, 0, 0], array[-1, -1, -1] = darkest, brightest
    return array


def _expect_float32(got: object) -> None:
    if isinstance(got, np.ndarray):
        raise Mistake("the result is still a NumPy array. Make a tensor of it: torch.from_numpy(…).")
    if not isinstance(got, Tensor):
        return
    if got.dtype == torch.uint8:
        raise Mistake("the result is still uint8, which holds whole numbers only. Call .float(), then divide by 255.")
    if got.dtype != torch.float32:
        kind = str(got.dtype).removeprefix("torch.")
        raise Mistake(f"the result is {kind}, an image is float32. (NumPy divides in float64.) Call .float().")


def _image_mistakes(array: np.ndarray) -> dict[str, Tensor]:
    height, width, _ = array.shape
    right = _to_image(array)
    flat = torch.tensor(array.flatten().tolist()) / 255
    reshaped = (
        "you used reshape or view. They keep the numbers in the order of the file and only cut that row of numbers "
        "anew. To move an axis, use permute(2, 0, 1)."
    )
    exchanged = (
        "rows and columns are exchanged: the picture is mirrored at its diagonal. The order is channel, row, column."
    )
    wrong = {
        "the values run up to 255. Divide by 255.": right * 255,
        reshaped: flat.reshape(1, 3, height, width),
        "red and blue are exchanged (BGR). The array is RGB already: leave the channels in their order.": (
            right.flip(1)
        ),
        "the first axis is missing: an image is a batch of one. Use unsqueeze(0) or [None].": right[0],
        "the first axis is missing, and the values run up to 255.": right[0] * 255,
        exchanged: right.mT,
        "you divided by 256. White is 255 and must become exactly 1, so divide by 255.": right * 255 / 256,
        "the channels still stand last. They come right after the batch: permute(2, 0, 1).": right.movedim(1, 3),
        "the array's axes are as they were. Channels come first, permute(2, 0, 1), and before them the batch.": (
            right[0].movedim(0, 2)
        ),
        "your values lie in [−1, 1]. Some networks want that; our images lie in [0, 1].": right * 2 - 1,
        "the picture is upside down. Row 0 is at the top, in the array and in the image.": right.flip(2),
    }
    return {sentence: value for sentence, value in wrong.items() if not _alike(value, right)}


def _stretched(array: np.ndarray) -> dict[str, Tensor]:
    right = _to_image(array)
    return {
        "you divided by the largest value. A dark picture must stay dark: divide by 255.": right / right.max(),
        "you stretched the values from the darkest to the brightest. A dark picture must stay dark: divide by 255.": (
            (right - right.min()) / (right.max() - right.min())
        ),
    }


def _alike(value: Tensor, right: Tensor) -> bool:
    return value.shape == right.shape and torch.allclose(value.to(right.dtype), right)


@exercise(reference=_normalize, used="lesson 05")
def normalize(answer: Answer) -> None:
    """(image − mean) / std, channel by channel: image (N, 3, H, W), mean and std three numbers each."""
    # First as high and as wide as there are channels: three numbers then also fit where they do not belong.
    for shape in ((1, 3, 3, 3), (2, 3, 4, 5)):
        image = random(*shape).sigmoid()
        got = _with_lists(answer, image)
        _expect_whole_batch(got, _normalize(image, MEAN, STD))
        expect(got, _normalize(image, MEAN, STD), _normalization_mistakes(image), f"the result for {shape}")
    tensors = torch.tensor([0.1, 0.7, 0.4]), torch.tensor([0.5, 0.2, 0.9])
    got = answer(image, *tensors)
    expect(got, _normalize(image, *tensors), what="the result with tensors for mean and std")
    leaf = image.clone().requires_grad_()
    expect_gradient(answer(leaf, MEAN, STD), leaf)
    trap = (
        "new tensors must be made on the device of the image, or this goes wrong on a GPU: "
        "torch.as_tensor(mean, device=image.device)."
    )
    expect_any_device(answer, image, MEAN, STD, trap=trap)


def _with_lists(answer: Answer, image: Tensor) -> object:
    try:
        return answer(image, MEAN, STD)
    except (TypeError, AttributeError) as error:
        if "'list'" in str(error):
            raise Mistake(
                "mean and std may be lists, and PyTorch does not calculate with lists. Make tensors of them first: "
                "torch.as_tensor(mean, device=image.device)."
            ) from None
        raise


def _expect_whole_batch(got: object, right: Tensor) -> None:
    if not isinstance(got, Tensor) or got.shape != right.shape:
        return
    first, *others = (_alike(*pair) for pair in zip(got, right, strict=True))
    if first and not all(others):
        raise Mistake("only the first picture of the batch is right. Write image[:, c], not image[0, c].")


def _normalization_mistakes(image: Tensor) -> dict[str, Tensor]:
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (MEAN, STD))
    right = (image - mean) / std
    own_mean, own_std = image.mean(dim=(2, 3), keepdim=True), image.std(dim=(2, 3), keepdim=True)
    wrong = {
        "you divided before subtracting. First subtract the mean, then divide: brackets around image − mean.": (
            image / std - mean
        ),
        "you divided the mean only. First subtract, then divide: brackets around image − mean.": image - mean / std,
        "you forgot to divide by std.": image - mean,
        "you forgot to subtract the mean.": image / std,
        "you multiplied by std. Divide by it.": (image - mean) * std,
        "you added the mean. Subtract it.": (image + mean) / std,
        "that is the way back. Subtract the mean and divide by std.": image * std + mean,
        "mean and std are exchanged.": (image - std) / mean,
        "you divided by std². It is the standard deviation already, not the variance.": (image - mean) / std**2,
        "you divided by the root of std. It is the standard deviation already, not the variance.": (
            (image - mean) / std.sqrt()
        ),
        "your three numbers come in the opposite order. They belong to red, green, blue.": (
            (image - mean.flip(1)) / std.flip(1)
        ),
        "you took mean and std of this picture. Use those handed over; they are the same for every picture.": (
            (image - own_mean) / own_std
        ),
        "you cut the values off at 0 and 1. A normalized picture has values far outside [0, 1], and needs them.": (
            right.clamp(0, 1)
        ),
        "you took the mean of the three means. Each channel has its own.": (image - mean.mean()) / std.mean(),
    }
    if image.shape[2:] == (3, 3):
        wrong[
            "mean and std were laid along the last axis, the columns, because PyTorch aligns shapes from the right. "
            "Give them the shape (1, 3, 1, 1), with .view(1, 3, 1, 1)."
        ] = (image - mean.flatten()) / std.flatten()
        wrong["mean and std were laid along the rows. The channels are axis 1: give them the shape (1, 3, 1, 1)."] = (
            image - mean.view(3, 1)
        ) / std.view(3, 1)
    return wrong


@exercise(reference=_pixel_gradient)
def pixel_gradient(answer: Answer) -> None:
    """Gradient of a loss with respect to the pixels: image (1, 3, H, W), loss: image → scalar; (1, 3, H, W) again."""
    weights = random(1, 3, 4, 5, seed=1)
    image = random(1, 3, 4, 5).sigmoid()

    def loss(pixels: Tensor) -> Tensor:
        return (weights * pixels.square()).sum()

    right = 2 * weights * image
    got = _explained(answer, image, loss)
    if isinstance(got, tuple):
        raise Mistake(
            "the result is a tuple: torch.autograd.grad returns one, with a gradient per tensor. Take its [0]."
        )
    if got is None:
        raise Mistake(
            "the result is None. Is `return` there? Did you call backward() and then return `.grad`, of the very "
            "tensor that asks for gradients and went into the loss? (backward() itself returns nothing.)"
        )
    twice = {
        "it is twice the gradient: backward() adds to the .grad that is there. Call it once, on a fresh copy.": (
            2 * right
        )
    }
    expect(got, right, twice | _gradient_mistakes(right, loss(image)), "the gradient")
    _expect_detached(got, "the gradient")
    again = "the gradient, when the function is called a second time with the same image,"
    expect(_explained(answer, image, loss), right, twice, again)
    tall, target = random(1, 3, 6, 2, seed=2), random(1, 3, 6, 2, seed=3)
    mean_squared = _explained(answer, tall, lambda pixels: (pixels - target).square().mean())
    expect(mean_squared, 2 * (tall - target) / tall.numel(), what="the gradient of a mean squared error")


def _gradient_mistakes(right: Tensor, loss: Tensor) -> dict[str, Tensor]:
    return {
        "you returned the loss. Its gradient was asked for.": loss,
        "the sign is wrong: the gradient says which way the loss rises. Taking it away is the next exercise.": -right,
        "you returned absolute values. The sign says which way the loss rises.": right.abs(),
        "you returned the signs only.": right.sign(),
        "the batch axis is missing: the gradient has the shape of the image, (1, 3, H, W).": right[0],
        "you summed over the channels. The gradient has the shape of the image.": right.sum(dim=1, keepdim=True),
        "you averaged over the channels. The gradient has the shape of the image.": right.mean(dim=1, keepdim=True),
        "you divided by the largest value. Return the gradient as it is.": right / right.abs().max(),
        "you divided by the norm. Return the gradient as it is.": right / right.norm(),
    }


@exercise(reference=_descend, used="the rest of this lesson")
def descend(answer: Answer) -> None:
    """`steps` times x ← x − rate · gradient of mean (x − target)²; returns the last x, starting from the image."""
    image, target = random(1, 3, 4, 5).sigmoid(), random(1, 3, 4, 5, seed=1).sigmoid()
    steps, rate = 3, 0.1 * image.numel()
    got = _explained(answer, image, target, steps, rate)
    if isinstance(got, int | float) or (isinstance(got, Tensor) and got.ndim == 0):
        raise Mistake("you returned a number. Return the image after the last step.")
    expect(got, _descend(image, target, steps, rate), _descent_mistakes(image, target, steps, rate), "the image")
    _expect_detached(got, "the image")
    wide, other = random(1, 3, 3, 8, seed=2).sigmoid(), random(1, 3, 3, 8, seed=3).sigmoid()
    beyond = _descend(wide, other, 1, 0.9 * wide.numel())  # a step so long that it leaves [0, 1]
    clamped = "you cut the values off at 0 and 1. Leave each step as it is: the gradient knows nothing of a cut."
    got = _explained(answer, wide, other, 1, 0.9 * wide.numel())
    expect(got, beyond, {clamped: beyond.clamp(0, 1)}, "the image after one step")
    expect(_explained(answer, wide, other, 0, 5.0), wide, what="the image after no step at all")
    far = _explained(answer, wide, other, 60, 0.25 * wide.numel())
    expect(far, _descend(wide, other, 60, 0.25 * wide.numel()), what="the image after 60 steps")


def _descent_mistakes(image: Tensor, target: Tensor, steps: int, rate: float) -> dict[str, Tensor]:
    def moved(step: Callable[[Tensor], Tensor], count: int = steps) -> Tensor:
        x = image
        for _ in range(count):
            x = x - step(x)
        return x

    def gradient(x: Tensor) -> Tensor:
        return 2 * (x - target) / x.numel()

    return {
        "you returned the image you started from.": image,
        "you go uphill: the loss rises. Take the gradient away: x − rate · gradient.": moved(
            lambda x: -rate * gradient(x)
        ),
        "your gradients add up from step to step: backward() adds to .grad. Forget the old one before each backward(), "
        "with x.grad = None.": _accumulated(image, gradient, steps, rate),
        "you summed the squares. Take their mean, or a rate means something else for each size of picture.": moved(
            lambda x: rate * gradient(x) * x.numel()
        ),
        "you divided by the number of rows and columns, not of all values: the mean goes over the channels too.": moved(
            lambda x: rate * gradient(x) * 3
        ),
        "one step too few.": moved(lambda x: rate * gradient(x), steps - 1),
        "one step too many.": moved(lambda x: rate * gradient(x), steps + 1),
        "only one step was done. Does `return` stand inside the loop?": moved(lambda x: rate * gradient(x), 1),
        "you took absolute differences. The loss is the mean of squares.": moved(
            lambda x: rate * (x - target).sign() / x.numel()
        ),
        "you used the signs of the gradient only.": moved(lambda x: rate * gradient(x).sign()),
        "you did not use the rate: multiply the gradient by it.": moved(gradient),
        "you divided by the rate. Multiply the gradient by it.": moved(lambda x: gradient(x) / rate),
        "every step went along the first gradient. Compute the gradient anew in each step.": (
            image - steps * rate * gradient(image)
        ),
        "you returned the gradient. Return the image after the last step.": gradient(
            moved(lambda x: rate * gradient(x), steps - 1)
        ),
        "you returned the target. It is where the descent leads in the end, but not in these few steps.": target,
    }


def _accumulated(image: Tensor, gradient: Callable[[Tensor], Tensor], steps: int, rate: float) -> Tensor:
    total = torch.zeros_like(image)
    for _ in range(steps):
        total = total + gradient(image)
        image = image - rate * total
    return image


def _explained(answer: Answer, *arguments: object) -> object:
    """What the answer returns; or what PyTorch's error means here, in our words."""
    try:
        return answer(*arguments)
    except (RuntimeError, TypeError, AttributeError) as error:
        for part, sentence in ERRORS.items():
            if part in str(error):
                raise Mistake(sentence) from None
        raise


def _expect_detached(got: Tensor, what: str) -> None:
    if got.requires_grad:
        raise Mistake(f"{what} still requires grad: it drags its history along. Return it with .detach().")
