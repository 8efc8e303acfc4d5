"""Lesson 08's checks accept every right answer, and reject each wrong one with the sentence that names its mistake."""

from itertools import pairwise

import torch
from torch.nn.functional import grid_sample

from stylelib.checks.film import _wrong_warp


def error_by_norm(flow, true, mask):
    distance = (flow - true).norm(dim=1, keepdim=True)
    return (mask * distance).sum() / mask.sum()


def error_by_picking(flow, true, mask):
    squares = ((flow - true) ** 2).sum(dim=1)
    return squares.sqrt()[mask[:, 0] == 1].mean()


def error_with(measure, average):
    return lambda flow, true, mask: average(measure(flow - true), mask)


def length(gap):
    return gap.norm(dim=1, keepdim=True)


def masked_mean(values, mask):
    return (mask * values).sum() / mask.sum()


def error_in_place(flow, true, mask):
    flow -= true
    return masked_mean(length(flow), mask)


def warp_by_grid(image, flow):
    height, width = image.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = 2 * (columns + flow[:, 0]) / (width - 1) - 1
    y = 2 * (rows + flow[:, 1]) / (height - 1) - 1
    return grid_sample(image, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=True)


def warp_by_loop(image, flow):
    height, width = image.shape[-2:]
    result = []
    for row in range(height):
        for column in range(width):
            x = min(max(column + flow[0, 0, row, column].item(), 0), width - 1)
            y = min(max(row + flow[0, 1, row, column].item(), 0), height - 1)
            left, top = min(int(x), width - 2), min(int(y), height - 2)
            a, b = x - left, y - top
            result.append(
                (1 - a) * (1 - b) * image[..., top, left]
                + a * (1 - b) * image[..., top, left + 1]
                + (1 - a) * b * image[..., top + 1, left]
                + a * b * image[..., top + 1, left + 1]
            )
    return torch.stack(result, dim=-1).reshape(image.shape)


def warp_half_pixel(image, flow):
    """align_corners=False, with the scale that belongs to it: right as well."""
    height, width = image.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = (2 * (columns + flow[:, 0]) + 1) / width - 1
    y = (2 * (rows + flow[:, 1]) + 1) / height - 1
    return grid_sample(image, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False)


def warp_wrong(change=lambda flow: flow, **options):
    return lambda image, flow: _wrong_warp(image, change(flow), **options)


def mask_by_comparison(image, warped, threshold):
    return ((image - warped).abs().mean(dim=1, keepdim=True) < threshold).float()


def mask_by_where(image, warped, threshold):
    difference = (image - warped).abs().sum(1, keepdim=True) / 3
    return torch.where(difference < threshold, 1.0, 0.0)


def mask_with(reduce):
    return lambda image, warped, threshold: (reduce(image - warped) < threshold).float()


def loss_by_mean(image, target, mask):
    return (mask * (image - target).square()).mean()


def loss_by_einsum(image, target, mask):
    gap = image - target
    return torch.einsum("nchw,nchw,nohw->", gap, gap, mask) / gap.numel()


def loss_with(combine):
    return lambda image, target, mask: combine(image - target, mask)


def shares(image, bins):
    index = (image[0] * bins).long().clamp(max=bins - 1)
    counts = torch.bincount((index[0] * bins**2 + index[1] * bins + index[2]).flatten(), minlength=bins**3)
    return counts / counts.sum()


def distance_by_bincount(image, before, bins):
    return (shares(image, bins) - shares(before, bins)).abs().sum().item()


def distance_by_histogramdd(image, before, bins):
    found = [
        torch.histogramdd(each[0].flatten(1).T.contiguous(), bins, range=[0.0, 1.0] * 3).hist
        for each in (image, before)
    ]
    return (found[0] / found[0].sum() - found[1] / found[1].sum()).abs().sum()


def distance_with(combine):
    return lambda image, before, bins: combine(shares(image, bins) - shares(before, bins)).item()


def distance_after(change):
    return lambda image, before, bins: distance_by_bincount(change(image, bins), change(before, bins), bins)


def distance_by_color(image, before, bins):
    total = 0
    for channel in range(3):
        h, k = (torch.histc(each[0, channel], bins, 0, 1) for each in (image, before))
        total += (h / h.sum() - k / k.sum()).abs().sum().item()
    return total


def distance_beyond(image, before, bins):
    histograms = torch.zeros(2, bins**3)
    for histogram, each in zip(histograms, (image, before), strict=True):
        index = (each[0] * bins).long()
        for box in (index[0] * bins**2 + index[1] * bins + index[2]).flatten():
            histogram[box] += 1 / index[0].numel()
    return (histograms[0] - histograms[1]).abs().sum().item()


def cuts_by_comprehension(frames, distance, threshold):
    return [0] + [i for i in range(1, len(frames)) if distance(frames[i], frames[i - 1]) > threshold]


def cuts_by_pairs(frames, distance, threshold):
    begins = [0]
    for index, (before, image) in enumerate(pairwise(frames), 1):
        if distance(image, before) > threshold:
            begins.append(index)
    return begins


def cuts_from_shot(frames, distance, threshold):
    begins = [0]
    for index in range(1, len(frames)):
        if distance(frames[index], frames[begins[-1]]) > threshold:
            begins.append(index)
    return begins


RIGHT = {
    "end_point_error": [error_by_norm, error_by_picking],
    "warp": [warp_by_grid, warp_by_loop, warp_half_pixel],
    "occlusion_mask": [mask_by_comparison, mask_by_where],
    "temporal_loss": [loss_by_mean, loss_by_einsum],
    "histogram_distance": [distance_by_bincount, distance_by_histogramdd],
    "find_cuts": [cuts_by_comprehension, cuts_by_pairs],
}

WRONG = {
    "end_point_error": [
        (lambda flow, true, mask: (flow - true).norm(dim=1).mean(), "the mask is not used"),
        (error_with(length, lambda d, m: (m * d).mean()), "divided by the number of all pixels"),
        (error_with(length, lambda d, m: (m * d).sum()), "you took the sum"),
        (error_with(lambda gap: gap.square().sum(1, keepdim=True), masked_mean), "did not take the root"),
        (error_with(lambda gap: length(gap) ** 2, lambda d, m: masked_mean(d, m).sqrt()), "root of the mean"),
        (error_with(lambda gap: gap.abs().sum(1, keepdim=True), masked_mean), "added absolute values"),
        (error_with(lambda gap: gap.abs().mean(1, keepdim=True), masked_mean), "averaged over columns and rows"),
        (error_with(length, lambda d, m: masked_mean(d, 1 - m)), "the mask leaves out"),
        (lambda flow, true, mask: masked_mean((length(flow) - length(true)).abs(), mask), "lengths of the flows"),
        (lambda flow, true, mask: error_by_norm(flow, true, mask) / 2, "halved"),
        (lambda flow, true, mask: (flow - true).norm(), "over the whole picture"),
        (error_in_place, "in place"),
        (lambda flow, true, mask: None, "Did you forget `return`?"),
    ],
    "warp": [
        (warp_wrong(base=0), "the flow alone"),
        (warp_wrong(scaled=False), "counts in pixels"),
        (warp_wrong(exchanged=True), "width and height are exchanged"),
        (warp_wrong(wide=0, align_corners=False), "half a pixel is missing"),
        (lambda image, flow: torch.from_numpy(_wrong_warp(image, flow).numpy()), "through NumPy none do"),
        (warp_wrong(lambda flow: -flow), "the flow is subtracted"),
        (warp_wrong(lambda flow: flow.flip(1)), "columns and rows of the flow are exchanged"),
        (warp_wrong(order=(1, 0)), "exchanged in the grid"),
        (warp_wrong(wide=0), "scaled by width and height"),
        (warp_wrong(align_corners=False), "left at align_corners=False"),
        (warp_wrong(padding_mode="zeros"), "beyond the border there is black"),
        (warp_wrong(padding_mode="reflection"), "mirrored at its border"),
        (warp_wrong(mode="nearest"), "the nearest pixel is taken"),
        (warp_wrong(mode="bicubic"), "bicubic is what"),
        (lambda image, flow: image.roll(-int(flow[0, 0, 0, 0]), -1), "wrap around"),
        (lambda image, flow: image.clone(), "returned as it was"),
        (lambda image, flow: warp_by_grid(image.detach(), flow), "no gradient flows"),
        (lambda image, flow: warp_by_grid(image, flow)[0], "should have the shape"),
    ],
    "occlusion_mask": [
        (lambda a, b, t: ((a - b).abs().mean(1, keepdim=True) <= t).float(), "just the threshold"),
        (lambda a, b, t: 1 - mask_by_comparison(a, b, t), "wrong way round"),
        (mask_with(lambda gap: gap.abs()), "a mask of its own"),
        (mask_with(lambda gap: gap.mean(1, keepdim=True).abs()), "cancel"),
        (mask_with(lambda gap: gap.mean(1, keepdim=True)), "did not take absolute values"),
        (mask_with(lambda gap: gap.square().mean(1, keepdim=True)), "you squared"),
        (mask_with(lambda gap: gap.norm(dim=1, keepdim=True)), "length of the color difference"),
        (mask_with(lambda gap: gap.abs().sum(1, keepdim=True)), "added the three colors up"),
        (mask_with(lambda gap: gap.abs().amax(1, keepdim=True)), "all three colors must agree"),
        (lambda a, b, t: mask_by_comparison(a, b, t)[:, 0], "dimension 1 is gone"),
        (lambda a, b, t: (a - b).abs().mean(1, keepdim=True) < t, "torch.bool"),
        (lambda a, b, t: torch.full_like(a[:, :1], float((a - b).abs().mean() < t)), "judged by itself"),
    ],
    "temporal_loss": [
        (lambda x, t, m: (m * x - t).square().mean(), "the image alone is masked"),
        (loss_with(lambda gap, mask: gap.square().mean()), "the mask is not used"),
        (loss_with(lambda gap, mask: ((1 - mask) * gap.square()).mean()), "wrong way round"),
        (loss_with(lambda gap, mask: (mask * gap.square()).sum()), "you took the sum"),
        (loss_with(lambda gap, mask: (mask * gap.square()).sum() / mask.sum()), "divided by the mask's sum"),
        (loss_with(lambda gap, mask: (mask * gap.square()).sum() / mask.sum() / 3), "over three colors"),
        (loss_with(lambda gap, mask: (mask * gap).square().mean()), "the mask is squared"),
        (lambda image, target, mask: (image - mask * target).square().mean(), "the target alone is masked"),
        (loss_with(lambda gap, mask: (mask * gap.abs()).mean()), "absolute values"),
        (loss_with(lambda gap, mask: (mask * gap).mean()), "did not square"),
        (loss_with(lambda gap, mask: (mask * gap.square()).mean().sqrt()), "the root"),
        (loss_with(lambda gap, mask: 3 * (mask * gap.square()).mean()), "number of pixels"),
        (lambda image, target, mask: loss_by_mean(image, target, mask).item(), "a plain number"),
        (lambda image, target, mask: loss_by_mean(image.detach(), target, mask), "no gradient"),
    ],
    "histogram_distance": [
        (lambda a, b, n: distance_by_bincount(a, b, n) * a[0, 0].numel(), "you counted pixels"),
        (distance_with(lambda gap: gap.abs().mean()), "the mean over the boxes"),
        (distance_with(lambda gap: gap.abs().sum() / 2), "you halved it"),
        (distance_with(lambda gap: gap.square().sum()), "you squared"),
        (distance_with(lambda gap: gap.sum() * 0), "did not take absolute values"),
        (distance_after(lambda image, bins: image.floor()), "fell into one box"),
        (distance_after(lambda image, bins: (image * bins).round() / bins), "Round down"),
        (distance_after(lambda image, bins: image * (bins - 1) / bins), "not by bins − 1"),
        (distance_by_color, "a histogram of its own"),
        (lambda a, b, n: distance_by_color(a, b, n) / 3, "you averaged them"),
        (distance_beyond, "beyond the last bin"),
    ],
    "find_cuts": [
        (lambda f, d, t: cuts_by_pairs(f, d, t)[1:], "the first frame is missing"),
        (lambda f, d, t: [0] + [i - 1 for i in cuts_by_pairs(f, d, t)[1:]], "the last frames of the shots"),
        (lambda f, d, t: [i - 1 for i in cuts_by_pairs(f, d, t)[1:]], "the last frames of the shots, and"),
        (cuts_from_shot, "A slow change is no cut"),
        (lambda f, d, t: [0] + [i for i in range(1, len(f)) if d(f[i], f[0]) > t], "with the first of the film"),
        (lambda f, d, t: [0] + [i for i in range(1, len(f)) if d(f[i], f[i - 1]) < t], "wrong way round"),
        (lambda f, d, t: len(cuts_by_pairs(f, d, t)), "counted the shots"),
        (lambda f, d, t: len(cuts_by_pairs(f, d, t)) - 1, "counted the cuts"),
        (lambda f, d, t: [i in cuts_by_pairs(f, d, t) for i in range(len(f))], "True and False"),
        (lambda f, d, t: [0] + [i for i in range(1, len(f)) if d(i, i - 1) > t], "not their numbers"),
        (lambda f, d, t: [0] + [i for i in range(2, len(f)) if d(f[i], f[i - 1]) > t], "second frame is never asked"),
        (lambda f, d, t: [0] + [i for i in range(1, len(f) - 1) if d(f[i], f[i - 1]) > t], "last frame is never asked"),
        (lambda f, d, t: [0] + [i for i in range(1, len(f)) if d(f[i], f[i - 1]) >= t], "just the threshold"),
        (lambda f, d, t: [0] + [i for i in range(1, len(f)) if d(f[i - 1], f[i]) > t], "two frames are exchanged"),
        (lambda f, d, t: cuts_by_pairs(f, d, 0.5), "did not use the threshold"),
        (lambda f, d, t: cuts_by_pairs(f, lambda x, y: (x - y).abs().mean(), t), "one of your own"),
        (lambda f, d, t: torch.tensor(cuts_by_pairs(f, d, t)), "a tensor or an array"),
    ],
}
