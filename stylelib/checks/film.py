"""Exercises of lesson 08: warp along a flow, judge a flow, find what is new, keep frames alike, find cuts."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .core import Answer, Mistake, exercise, expect, expect_gradient, random

Distance = Callable[[Tensor, Tensor], float]


def _end_point_error(flow: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    columns, rows = (flow - true).unbind(1)
    return (torch.hypot(columns, rows)[:, None] * mask).sum() / mask.sum()


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = (column + flow[0, 0]).clamp(0, width - 1)
    y = (row + flow[0, 1]).clamp(0, height - 1)
    left, top = x.floor().long().clamp(max=width - 2), y.floor().long().clamp(max=height - 2)
    across, down = x - left, y - top
    upper = image[..., top, left] * (1 - across) + image[..., top, left + 1] * across
    lower = image[..., top + 1, left] * (1 - across) + image[..., top + 1, left + 1] * across
    return upper * (1 - down) + lower * down


def _occlusion_mask(image: Tensor, warped: Tensor, threshold: float) -> Tensor:
    total = sum((image[:, channel] - warped[:, channel]).abs() for channel in range(3))
    return (total < 3 * threshold)[:, None].to(image.dtype)


def _temporal_loss(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return (mask * (image - target) ** 2).sum() / image.numel()


def _histogram_distance(image: Tensor, before: Tensor, bins: int) -> float:
    return sum(abs(h - k) for h, k in zip(_shares(image, bins), _shares(before, bins), strict=True))


def _shares(image: Tensor, bins: int) -> list[float]:
    counts, pixels = [0] * bins**3, image[0].flatten(1).T.tolist()
    for pixel in pixels:
        red, green, blue = (min(bins - 1, int(value * bins)) for value in pixel)
        counts[(red * bins + green) * bins + blue] += 1
    return [count / len(pixels) for count in counts]


def _find_cuts(frames: Sequence[Tensor], distance: Distance, threshold: float) -> list[int]:
    found = [0]
    for index in range(1, len(frames)):
        if distance(frames[index], frames[index - 1]) > threshold:
            found.append(index)
    return found


@exercise(reference=_end_point_error)
def end_point_error(answer: Answer) -> None:
    """Mean of ‖u − v‖ over the pixels whose mask is 1: two flows (1, 2, H, W), mask (1, 1, H, W) → a scalar."""
    for shape in ((4, 6), (5, 3)):
        flow, true = random(1, 2, *shape), random(1, 2, *shape, seed=1)
        mask = (random(1, 1, *shape, seed=2) > -0.5).float()
        got = _unchanged(answer, flow, true, mask)
        expect(got, _end_point_error(flow, true, mask), _error_mistakes(flow, true, mask), "the end-point error")
    expect(answer(flow, flow, mask), 0.0, what="the error of a flow that is right")


def _error_mistakes(flow: Tensor, true: Tensor, mask: Tensor) -> dict[str, Tensor]:
    gap = flow - true
    length = gap.norm(dim=1, keepdim=True)
    lengths = flow.norm(dim=1, keepdim=True) - true.norm(dim=1, keepdim=True)
    mean = (mask * length).sum() / mask.sum()
    return {
        "the mask is not used. Only pixels whose mask is 1 count.": length.mean(),
        "you divided by the number of all pixels. Divide by how many the mask lets through, mask.sum().": (
            (mask * length).mean()
        ),
        "you took the sum. Take the mean over the pixels whose mask is 1.": (mask * length).sum(),
        "you did not take the root. The length of a vector is the root of the sum of its squares.": (
            (mask * length.square()).sum() / mask.sum()
        ),
        "you took the root of the mean. Take the root at each pixel, then the mean.": (
            ((mask * length.square()).sum() / mask.sum()).sqrt()
        ),
        "you added absolute values of columns and rows. The length is the root of the sum of the squares.": (
            (mask * gap.abs().sum(1, keepdim=True)).sum() / mask.sum()
        ),
        "you averaged over columns and rows. Take the length of the vector, over dimension 1.": (
            (mask * gap.abs()).sum() / mask.sum() / 2
        ),
        "you compared the lengths of the flows. Two flows of one length can point apart: subtract first.": (
            (mask * lengths.abs()).sum() / mask.sum()
        ),
        "you averaged over the pixels that the mask leaves out. Those whose mask is 1 count.": (
            ((1 - mask) * length).sum() / (1 - mask).sum()
        ),
        "you halved it. It is the length itself.": mean / 2,
        "you took the norm over the whole picture. Take it at each pixel: dim=1.": gap.norm(),
    }


@exercise(reference=_warp)
def warp(answer: Answer) -> None:
    """image(p + flow(p)), bilinear, the border going on outside: (1, C, H, W), (1, 2, H, W) → (1, C, H, W)."""
    image, flow = random(1, 3, 6, 8).sigmoid(), torch.zeros(1, 2, 6, 8)
    flow[:, 0] = 2  # everything was two columns further right
    got, right = _unchanged(answer, image, flow), _warp(image, flow)
    mistakes = {
        "your pixels wrap around: what leaves on one side comes in on the other.": image.roll(-2, -1),
        **_warp_mistakes(image, flow),
    }
    telling = {sentence: wrong for sentence, wrong in mistakes.items() if not torch.allclose(wrong, right, atol=1e-4)}
    expect(got, right, telling, "an image warped by two columns")
    for channels, height, width in ((3, 6, 8), (1, 7, 5)):
        image, flow = random(1, channels, height, width).sigmoid(), 1.5 * random(1, 2, height, width, seed=1)
        expect(answer(image, flow), _warp(image, flow), _warp_mistakes(image, flow), "the warped image")
    leaf = image.clone().requires_grad_()
    expect_gradient(answer(leaf, flow), leaf)


def _warp_mistakes(image: Tensor, flow: Tensor) -> dict[str, Tensor]:
    def sampled(flow: Tensor, **options: object) -> Tensor:
        return _wrong_warp(image, flow, **options)

    return {
        "the flow is subtracted. The value for p is found at p + flow(p): add it.": sampled(-flow),
        "columns and rows of the flow are exchanged. Channel 0 counts columns, channel 1 rows.": sampled(flow.flip(1)),
        "columns and rows are exchanged in the grid. grid_sample wants the column first, then the row.": (
            sampled(flow, order=(1, 0))
        ),
        "columns and rows are exchanged in the grid, and the flow is subtracted.": sampled(-flow, order=(1, 0)),
        "the grid is scaled by width and height. With align_corners=True, the last pixel is number width − 1.": (
            sampled(flow, wide=0)
        ),
        "grid_sample was left at align_corners=False. Your scale fits align_corners=True.": (
            sampled(flow, align_corners=False)
        ),
        "beyond the border there is black. Ask for padding_mode='border'.": sampled(flow, padding_mode="zeros"),
        "the picture is mirrored at its border. Ask for padding_mode='border'.": (
            sampled(flow, padding_mode="reflection")
        ),
        "the nearest pixel is taken. Ask for mode='bilinear', which mixes the four around.": (
            sampled(flow, mode="nearest")
        ),
        "bicubic is what `stylelib` takes; here it is bilinear.": sampled(flow, mode="bicubic"),
        "the image is returned as it was.": image,
        "the grid holds the flow alone. It holds places: the pixel's own place, and the flow added.": sampled(
            flow, base=0
        ),
        "the grid counts in pixels. grid_sample wants −1 for the first and 1 for the last one.": sampled(
            flow, scaled=False
        ),
        "width and height are exchanged in the scale: columns are divided by the width − 1, rows by the height − 1.": (
            sampled(flow, exchanged=True)
        ),
        "the grid is scaled by width and height, for align_corners=False, but half a pixel is missing. With "
        "align_corners=True divide by the width − 1 and the height − 1.": sampled(flow, wide=0, align_corners=False),
    }


def _wrong_warp(
    image: Tensor,
    flow: Tensor,
    *,
    order: tuple[int, int] = (0, 1),
    wide: int = 1,
    base: int = 1,
    scaled: bool = True,
    exchanged: bool = False,
    mode: str = "bilinear",
    padding_mode: str = "border",
    align_corners: bool = True,
) -> Tensor:
    """Warping by grid_sample, and known mistakes in it."""
    height, width = image.shape[-2:]
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = base * column + flow[:, 0], base * row + flow[:, 1]
    if scaled:
        across, down = (height, width) if exchanged else (width, height)
        x, y = 2 * x / (across - wide) - 1, 2 * y / (down - wide) - 1
    grid = torch.stack([(x, y)[index] for index in order], dim=-1)
    return grid_sample(image, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)


@exercise(reference=_occlusion_mask)
def occlusion_mask(answer: Answer) -> None:
    """1 where the mean absolute difference of the colors is under the threshold, else 0: → (1, 1, H, W), float."""
    for shape, threshold in (((8, 9), 0.15), ((10, 7), 0.12)):
        image = random(1, 3, *shape).sigmoid()
        warped = image + 0.25 * random(1, 1, *shape, seed=2) * random(1, 3, *shape, seed=1)  # more in some places
        got = _unchanged(lambda *images: answer(*images, threshold), image, warped)  # noqa: B023
        expect(got, _occlusion_mask(image, warped, threshold), _mask_mistakes(image, warped, threshold), "the mask")
    black, gray = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    just = {"a difference that is just the threshold is no agreement: it has to be *below* it.": torch.ones(1, 1, 2, 2)}
    expect(
        answer(black, gray, 0.5), torch.zeros(1, 1, 2, 2), just, "the mask where the difference is just the threshold"
    )


def _mask_mistakes(image: Tensor, warped: Tensor, threshold: float) -> dict[str, Tensor]:
    gap = image - warped
    right = _occlusion_mask(image, warped, threshold)
    return {
        "it is the wrong way round. The mask is 1 where the two agree, and 0 where something is new.": 1 - right,
        "each color has a mask of its own. Take the mean over the three: mean(1, keepdim=True).": (
            (gap.abs() < threshold).float()
        ),
        "positive and negative differences cancel. Take absolute values first, then the mean.": (
            (gap.mean(1, keepdim=True).abs() < threshold).float()
        ),
        "you did not take absolute values: all that has become darker passes for unchanged.": (
            (gap.mean(1, keepdim=True) < threshold).float()
        ),
        "you squared the differences. Here it is absolute values.": (
            (gap.square().mean(1, keepdim=True) < threshold).float()
        ),
        "you compared the length of the color difference. Take the mean of the absolute values.": (
            (gap.norm(dim=1, keepdim=True) < threshold).float()
        ),
        "you added the three colors up. Take their mean.": (gap.abs().sum(1, keepdim=True) < threshold).float(),
        "all three colors must agree in yours. Take the mean of the three differences.": (
            (gap.abs().amax(1, keepdim=True) < threshold).float()
        ),
        "dimension 1 is gone. The mask is (1, 1, H, W): keepdim=True.": right[:, 0],
        "you took the mean over the whole picture. Each pixel is judged by itself.": (
            torch.full_like(right, float(gap.abs().mean() < threshold))
        ),
    }


@exercise(reference=_temporal_loss)
def temporal_loss(answer: Answer) -> None:
    """mean of m · (x − target)² over all values of x: (1, 3, H, W), (1, 3, H, W), (1, 1, H, W) → a scalar tensor."""
    for shape in ((4, 6), (5, 3)):
        image, target = random(1, 3, *shape), random(1, 3, *shape, seed=1)
        mask = random(1, 1, *shape, seed=2).sigmoid()  # soft, as at the edges of a real one
        got = _unchanged(answer, image, target, mask)
        if not isinstance(got, Tensor) and got is not None:
            raise Mistake("the loss is a plain number. Leave out .item(): gradients must flow through it.")
        expect(got, _temporal_loss(image, target, mask), _loss_mistakes(image, target, mask), "the temporal loss")
    leaf = image.clone().requires_grad_()
    expect_gradient(answer(leaf, target, mask), leaf)


def _loss_mistakes(image: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
    square = (image - target).square()
    return {
        "the mask is not used. Multiply the squares with it.": square.mean(),
        "the mask is the wrong way round. It is 1 where the flow can be trusted.": ((1 - mask) * square).mean(),
        "you took the sum. Take the mean.": (mask * square).sum(),
        "you divided by the mask's sum. Take the mean over all values: where little can be trusted, the loss is "
        "small.": (mask * square).sum() / mask.sum(),
        "you divided by the mask's sum, over three colors. Take the mean over all values: where little can be trusted, "
        "the loss is small.": (mask * square).sum() / mask.sum() / 3,
        "the mask is squared with the difference. Square first, then multiply.": (mask * (image - target))
        .square()
        .mean(),
        "the target alone is masked. Take the difference first.": (image - mask * target).square().mean(),
        "the image alone is masked. Take the difference first.": (mask * image - target).square().mean(),
        "you took absolute values. Square the differences.": (mask * (image - target).abs()).mean(),
        "you did not square. Positive and negative differences cancel.": (mask * (image - target)).mean(),
        "you took the root. Leave it out.": (mask * square).mean().sqrt(),
        "you divided by the number of pixels. Take the mean over all values, three for each pixel.": (
            3 * (mask * square).mean()
        ),
    }


@exercise(reference=_histogram_distance)
def histogram_distance(answer: Answer) -> None:
    """Σ |h − k|, the shares of pixels in each of bins³ boxes of colors: two images, bins → a number in [0, 2]."""
    for shape, bins in (((6, 7), 2), ((5, 9), 4)):
        image, before = random(1, 3, *shape).sigmoid(), (random(1, 3, *shape, seed=1) + 0.5).sigmoid()
        got = _unchanged(lambda *images: answer(*images, bins), image, before)  # noqa: B023
        wrong = _histogram_mistakes(image, before, bins)
        expect(got, _histogram_distance(image, before, bins), wrong, "the distance of two images")
    expect(answer(image, image.flip(-1), 4), 0.0, what="the distance of an image and its mirror image")
    black, white = torch.zeros(1, 3, 2, 3), torch.ones(1, 3, 2, 3)
    try:
        expect(answer(black, white, 4), 2.0, what="the distance of a black and a white image")
    except (IndexError, RuntimeError, ValueError):
        raise Mistake(
            "a value of exactly 1 falls beyond the last bin. Put it into the last: clamp to bins − 1."
        ) from None


def _histogram_mistakes(image: Tensor, before: Tensor, bins: int) -> dict[str, float]:
    def counts(image: Tensor, channels: slice, step: Callable[[Tensor], Tensor] = lambda x: x * bins) -> Tensor:
        index = step(image[0, channels]).long().clamp(max=bins - 1).flatten(1)
        powers = bins ** torch.arange(len(index) - 1, -1, -1)
        return torch.bincount((index * powers[:, None]).sum(0), minlength=bins ** len(index)).float()

    def distance(step: Callable[[Tensor], Tensor]) -> float:
        one, other = (counts(each, slice(0, 3), step) for each in (image, before))
        return (one - other).abs().sum().item() / image[0, 0].numel()

    whole = counts(image, slice(0, 3)), counts(before, slice(0, 3))
    pixels = image[0, 0].numel()
    right = (whole[0] - whole[1]).abs().sum().item()
    single = [
        (counts(image, slice(c, c + 1)) - counts(before, slice(c, c + 1))).abs().sum().item() / pixels for c in range(3)
    ]
    return {
        "you counted pixels. Divide by their number, so that pictures of all sizes compare.": right,
        "you took the mean over the boxes. Add the differences up.": right / pixels / bins**3,
        "you halved it. The sum goes from 0 to 2.": right / pixels / 2,
        "you squared the differences. Here it is absolute values.": (
            (whole[0] - whole[1]).square().sum().item() / pixels**2
        ),
        "it is 0 for two different pictures. Either you did not take absolute values, and differences of shares add up "
        "to 0; or all colors fell into one box: multiply by bins, not by bins − 1, and round down then.": 0.0,
        "you rounded to the nearest step. Round down: .floor() or .long().": distance(lambda x: (x * bins).round()),
        "each color has a histogram of its own. Count boxes of red, green and blue together, bins³ of them.": sum(
            single
        ),
        "each color has a histogram of its own, and you averaged them. Count boxes of all three together, bins³ of "
        "them.": sum(single) / 3,
        "only the first color is counted. Count boxes of red, green and blue together, bins³ of them.": single[0],
    }


@exercise(reference=_find_cuts)
def find_cuts(answer: Answer) -> None:
    """Numbers of the frames that begin a shot, the first too: frames, distance(image, before), threshold → list."""
    values = [0.0, 0.3, 0.6, 0.9, 2.5, 2.6, 5.0, 5.3]  # a slow change that is none, and two cuts
    frames = [torch.full((1, 3, 2, 2), value) for value in values]

    def distance(image: Tensor, before: Tensor) -> float:
        if not isinstance(image, Tensor) or not isinstance(before, Tensor):
            raise Mistake("distance() takes two frames, not their numbers.")
        return float((image - before).abs().mean())

    got = _as_list(answer(list(frames), distance, 0.5))
    mistakes = {
        "the first frame is missing. It begins a shot as well.": [4, 6],
        "these are the last frames of the shots. The frame *after* the jump begins the new one.": [0, 3, 5],
        "these are the last frames of the shots, and the first frame is missing.": [3, 5],
        "you compared with the first frame of the shot. A slow change is no cut: compare with the frame just before.": [
            0,
            2,
            4,
            6,
        ],
        "every frame is compared with the first of the film. Compare with the frame just before.": [
            0,
            2,
            3,
            4,
            5,
            6,
            7,
        ],
        "it is the wrong way round: a cut is where the distance is *above* the threshold.": [0, 1, 2, 3, 5, 7],
        "you counted the shots. Return the numbers of the frames that begin them.": 3,
        "you counted the cuts. Return the numbers of the frames that begin the shots.": 2,
        "these are True and False. Return the numbers of the frames.": [value in (0.0, 2.5, 5.0) for value in values],
    }
    expect(got, [0, 4, 6], mistakes, "the list of frames that begin a shot")
    _expect_other_cuts(answer)
    expect(_as_list(answer(frames[:1], distance, 0.5)), [0], what="the list for a film of one frame")


def _expect_other_cuts(answer: Answer) -> None:
    """Cuts at the second and the last frame; a distance that knows which of two frames is the earlier one."""
    values = [1.0, 4.0, 4.25, 6.25, 5.95, 4.45, 9.0]
    frames = [torch.full((1, 3, 2, 2), value) for value in values]

    def darker_counts_double(image: Tensor, before: Tensor) -> float:
        change = float((image - before).mean())
        return change if change >= 0 else -2 * change  # here 3, 0.25, 2, 0.6, 3, 4.55

    mistakes = {
        "the second frame is never asked. It may begin a shot: begin the loop with frame 1.": [0, 5, 6],
        "the last frame is never asked. It may begin a shot: go up to len(frames) − 1 and with it.": [0, 1, 5],
        "a distance that is just the threshold is no cut: it has to be *above* it.": [0, 1, 3, 5, 6],
        "the two frames are exchanged. It is distance(frame, the frame just before).": [0, 1, 3, 6],
        "you did not use the threshold that you are given.": [0, 1, 3, 4, 5, 6],
        "you did not use the distance that you are given, but one of your own.": [0, 1, 6],
    }
    got = _as_list(answer(list(frames), darker_counts_double, 2.0))
    expect(got, [0, 1, 5, 6], mistakes, "the list for another film")


def _as_list(got: object) -> object:
    if isinstance(got, np.ndarray | Tensor):
        raise Mistake("the list is a tensor or an array. Make a list of it: .tolist().")
    return list(got) if isinstance(got, tuple | Iterator) else got


def _unchanged(answer: Answer, *tensors: Tensor) -> object:
    """What the answer gives; raises a `Mistake` if it has changed what it was given."""
    before = [tensor.clone() for tensor in tensors]
    got = answer(*tensors)
    if not all(torch.equal(*pair) for pair in zip(tensors, before, strict=True)):
        raise Mistake("you changed a tensor that was given to you. Make new ones; leave out += and the like.")
    return got
