"""What a run will look like, and cost, before it is run."""

import time
from collections.abc import Callable

from torch import Tensor

from . import cost
from .backbones import Backbone
from .color import match_covariance
from .images import resize_to, scaled_shape
from .loop import optimize
from .objective import Objective
from .photo import transfer_photo
from .studio_recipe import PAINT, Recipe, backbone, read
from .transfer import enlarged, plan, stylize

SIZE, STEPS = 192, 24  # of the painting that stands in for a whole run
SHOWN = 384  # long side of what is shown of it
TIMED = 4  # evaluations, the first to warm up
BYTES = {
    "slim": 780,
    "squeezenet1_0": 910,
    "vgg19": 2240,
}  # of an evaluation for each pixel, by `cost.memory`


def preview(recipe: Recipe, on_image: Callable[[Tensor], object] = lambda image: None) -> Tensor:
    """About what a run will bring, in about a second: few evaluations at a small size, by slim.

    It starts from the content with the style's mean and covariance of colors, which is most of the way. What changes
    is added to a larger content, so that the detail is the content's own.

    Args:
        recipe: of the run; its size is not looked at.
        on_image: called with each image on the way, (1, 3, H, W).
    """
    content = read(recipe.content, SHOWN)
    if recipe.method != PAINT:
        return transfer_photo(content, read(recipe.style, SHOWN), method=recipe.method, strength=recipe.strength)
    small, styles = read(recipe.content, SIZE), recipe.styles(SIZE)
    shape = scaled_shape(*content.shape[-2:], SHOWN)
    start: str | Tensor = recipe.start
    if start == "content" and recipe.color == "style":
        start = match_covariance(small, styles[0].image).clamp(0, 1)
    elif start not in ("content", "noise"):
        start = resize_to(read(start, SIZE), tuple(small.shape[-2:]))
    result = stylize(
        small,
        styles,
        backbone=backbone("slim", recipe.device),
        size=SIZE,
        steps=STEPS,
        seed=recipe.seed,
        color=recipe.color,
        style_weight=recipe.style_weight,
        start=start,
        on_step=lambda step: on_image(enlarged(step.image.cpu(), shape, content)),
    )
    return enlarged(result.image, shape, content)


def pace(backbone: Backbone, size: int = SIZE) -> float:
    """Seconds of an evaluation on this machine, for each pixel: a few are timed on a small picture."""
    picture = resize_to(read("astronaut", size), (size, size))
    objective = Objective(backbone, picture, picture.flip(-1))
    times, began = [], time.perf_counter()
    for _ in optimize(picture, objective, TIMED):
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
    return min(times[1:]) / size**2


def work(recipe: Recipe) -> float:
    """Evaluations of a run times their pixels."""
    content, styles = read(recipe.content, SIZE), recipe.styles(SIZE)
    height, width = scaled_shape(*content.shape[-2:], recipe.size)
    planned = plan(recipe.size, recipe.steps, [(height, width)], styles)
    return sum(steps * (scale / recipe.size) ** 2 * height * width for scale, steps in planned)


def memory(recipe: Recipe) -> float:
    """Bytes that a run takes; a large picture is painted in tiles, and takes no more than is comfortable."""
    height, width = scaled_shape(*read(recipe.content, SIZE).shape[-2:], recipe.size)
    kept = cost.kept((height, width), recipe.size, recipe.steps)
    return min(cost.CAUTION * (BYTES[recipe.backbone] * height * width + kept), cost.COMFORTABLE)
