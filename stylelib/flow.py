"""Motion between two frames: optical flow, warping along it, where it holds, and where a film is cut.

A *flow* is a float32 tensor (1, 2, H, W): for each pixel of this frame, how many columns (channel 0) and rows (channel
1) away it was in the frame before. Warping the frame before along it gives this one, except where things have newly
come into sight.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, max_pool2d, pad

from .images import resize, resize_to

SIZE = 192  # pixels, of the pictures that flow is computed on; larger ones take longer and find less of large motions
WINDOW = 7  # pixels on each side, of the windows in which that flow is sharpened
STILL = 0.15  # pixels; where a quarter of the picture moves less, the camera stands still
LESS = 0.8  # of the squared difference; in noise alone, a flow that was fitted to it leaves more
BINS = 8  # of each channel's histogram
APART = 0.5  # histograms: within a shot they differ by less than 0.1, across a cut by more than 1
LOST = 0.05  # flow: within a shot it leaves less than 0.02 of mean difference, across a cut more than 0.07
ALIKE = 0.06  # two patches whose colors differ by less are taken for the same thing
FOLDED = 0.75  # where flow squeezes the picture together more than that, two things claim one place: one was hidden
PATCH, SEAM = 5, 7  # pixels: side of a patch; width of a mask's soft edge


def optical_flow(image: Tensor, before: Tensor) -> Tensor:
    """Where each pixel of `image` was in `before`: the TV-L1 method, and then `sharpen`.

    TV-L1 looks for the flow u that keeps brightness, image(p) = before(p + u(p)), and that changes little from place to
    place; both are measured by absolute values, so that edges of motion stay sharp and a few misfits do no harm. Where
    the camera stands still, so does all that does not clearly move; else a sensor's noise would make it creep.

    Args:
        image, before: (1, 3, H, W).

    Returns:
        flow (1, 2, H, W).

    Source: Zach, Pock, Bischof, *A Duality Based Approach for Realtime TV-L1 Optical Flow*, DAGM 2007; this is
    scikit-image's.
    """
    from skimage.registration import optical_flow_tvl1  # here: it takes a second to import, and only films need it

    small, small_before = (brightness(resize(each.cpu(), SIZE))[0, 0].numpy() for each in (image, before))
    found = _columns_first(optical_flow_tvl1(small, small_before, num_warp=5, num_iter=5))
    found = resize_flow(found, tuple(image.shape[-2:]))
    still = found[..., ::4, ::4].norm(dim=1).quantile(0.25) < STILL
    found = found.to(image.device)
    return sharpen(image, before, clearer(image, before, found, torch.zeros_like(found)) if still else found)


def sharpen(image: Tensor, before: Tensor, flow: Tensor) -> Tensor:
    """A flow to a smaller fraction of a pixel, by what it leaves of the motion: the method of Lucas and Kanade.

    The one flow of a small window is that which fits the brightness of all its pixels best, by least squares. Wishing
    for neighbors that move alike, TV-L1 would rather find too little motion; carried from frame to frame, that adds up.

    Args:
        image, before: (1, 3, H, W).
        flow: (1, 2, H, W), at most a pixel or so off.

    Returns:
        flow (1, 2, H, W).

    Source: Lucas, Kanade, IJCAI 1981. Repeated, and from coarse to fine: Le Besnerais, Champagnat, *Dense Optical Flow
    by Iterative Local Window Registration*, ICIP 2005; this is scikit-image's.
    """
    from skimage.registration import optical_flow_ilk

    full, warped = (brightness(each.cpu())[0, 0].numpy() for each in (image, warp(before, flow)))
    missed = _columns_first(optical_flow_ilk(full, warped, radius=WINDOW, num_warp=1, gaussian=True))
    return clearer(image, before, smooth(chain(missed.to(image.device), flow), PATCH), flow)


def clearer(image: Tensor, before: Tensor, flow: Tensor, other: Tensor) -> Tensor:
    """One flow where, in a window, it leaves clearly less than the other; else the other.

    Any flow that was looked for fits noise a little better than one that was not. So "clearly" is `LESS`.

    Args:
        image, before: (1, 3, H, W).
        flow, other: (1, 2, H, W).

    Returns:
        flow (1, 2, H, W).
    """
    left, left_by_other = (
        smooth((image - warp(before, each)).square().mean(1, keepdim=True), 2 * WINDOW + 1) for each in (flow, other)
    )
    return smooth(torch.where(left < LESS * left_by_other, flow, other), PATCH)


def _columns_first(flow: np.ndarray) -> Tensor:
    """A flow (2, H, W) of scikit-image, which counts rows first, as ours."""
    return torch.from_numpy(flow[::-1].copy())[None].float()


def resize_flow(flow: Tensor, shape: tuple[int, int]) -> Tensor:
    """A flow (1, 2, h, w) of a picture that is scaled to (H, W): its vectors grow with it."""
    height, width = flow.shape[-2:]
    factors = torch.tensor([shape[1] / width, shape[0] / height], device=flow.device)
    return interpolate(flow, shape, mode="bilinear", align_corners=False) * factors[:, None, None]


def brightness(image: Tensor) -> Tensor:
    """(1, 1, H, W): how bright each pixel looks, by the weights of ITU-R BT.709."""
    return (image * torch.tensor([0.2126, 0.7152, 0.0722], device=image.device)[:, None, None]).sum(1, keepdim=True)


def warp(image: Tensor, flow: Tensor, mode: str = "bicubic") -> Tensor:
    """What `image` shows at p + flow(p), for each pixel p; beyond its border, what it shows at the border.

    Args:
        image: of the frame before, (1, C, H, W).
        flow: (1, 2, H, W).
        mode: `"bicubic"` stays sharp when repeated; `"bilinear"` keeps the range of values; or `"nearest"`.

    Returns:
        (1, C, H, W).
    """
    height, width = image.shape[-2:]
    columns, rows = (positions(height, width, image.device) + flow).unbind(1)
    # grid_sample counts from -1 at the center of the first pixel to 1 at that of the last one.
    grid = torch.stack([2 * columns / max(1, width - 1) - 1, 2 * rows / max(1, height - 1) - 1], dim=-1)
    return grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)


def positions(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """(1, 2, H, W): column and row of each pixel."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([columns, rows])[None]


def chain(flow: Tensor, earlier: Tensor) -> Tensor:
    """Flow over two steps, from this frame to the one before and on along `earlier`: u(p) + v(p + u(p))."""
    return flow + warp(earlier, flow, "bilinear")


def end_point_error(flow: Tensor, true: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean length of the difference of two flows, in pixels: mean ‖u − v‖ where the mask is 1.

    Source: Baker et al., *A Database and Evaluation Methodology for Optical Flow*, IJCV 2011, section 4.1.
    """
    distance = (flow - true).norm(dim=1, keepdim=True)
    return distance.mean() if mask is None else (mask * distance).sum() / mask.sum()


def inside(flow: Tensor) -> Tensor:
    """Mask (1, 1, H, W): 1 where a flow ends within the picture."""
    height, width = flow.shape[-2:]
    columns, rows = (positions(height, width, flow.device) + flow).split(1, dim=1)
    reach = 0.5  # as far as a pixel does: at the border a flow of next to nothing is not outside
    across = (columns >= -reach) & (columns <= width - 1 + reach)
    return (across & (rows >= -reach) & (rows <= height - 1 + reach)).float()


def agreement(image: Tensor, warped: Tensor, flow: Tensor) -> Tensor:
    """Mask (1, 1, H, W): where the frame before, warped, shows the same as this one; elsewhere something is new.

    Patches whose mean absolute difference is under `ALIKE` agree, unless the flow folds there: behind a moving thing,
    what it has uncovered and the thing itself come from the same place, and may look alike. The mask has a soft edge: a
    hard one leaves specks.

    Args:
        image, warped: (1, 3, H, W), this frame, and the one before warped along `flow`.
        flow: (1, 2, H, W).
    """
    difference = smooth((image - warped).abs().mean(1, keepdim=True), PATCH)
    return soften(((difference < ALIKE) & (stretch(flow) > FOLDED)).float() * inside(flow))


def stretch(flow: Tensor) -> Tensor:
    """(1, 1, H, W): how much larger a small patch was in the frame before, det(1 + ∂u/∂p); 0 where flow folds."""
    (x_down, x_across), (y_down, y_across) = (torch.gradient(part, dim=(-2, -1)) for part in flow.split(1, dim=1))
    return (1 + x_across) * (1 + y_down) - x_down * y_across


def soften(mask: Tensor, width: int = SEAM) -> Tensor:
    """A mask whose edge rises over `width` pixels, from 0 where the mask ends."""
    narrower = 1 - max_pool2d(1 - mask, width, 1, width // 2)
    return smooth(narrower, width)


def smooth(image: Tensor, width: int) -> Tensor:
    """Mean over width × width pixels, an odd number; of those that there are, at the border."""
    for shape in ((width, 1), (1, width)):  # one after the other: far fewer additions
        image = avg_pool2d(image, shape, 1, (shape[0] // 2, shape[1] // 2), count_include_pad=False)
    return image


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with this standard deviation in pixels; the border goes on outside as it is."""
    reach = round(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=image.device) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(image.shape[1], 1, 1, -1)
    for shape, padding in (
        ((-1, 1, 1, 2 * reach + 1), (reach, reach, 0, 0)),
        ((-1, 1, 2 * reach + 1, 1), (0, 0, reach, reach)),
    ):
        image = torch.nn.functional.conv2d(
            pad(image, padding, mode="replicate"), kernel.reshape(shape), groups=image.shape[1]
        )
    return image


def fill(image: Tensor, mask: Tensor, sigma: float = 12) -> Tensor:
    """Where the mask is 0, the image blurred from where it is 1: normalized convolution.

    Source: Knutsson, Westin, *Normalized and Differential Convolution*, CVPR 1993.
    """
    around = blur(mask * image, sigma) / blur(mask, sigma).clamp_min(1e-3)
    return mask * image + (1 - mask) * around


def histogram_distance(image: Tensor, before: Tensor) -> float:
    """Σ |h − k| of the color histograms of two images: 0 for the same colors, 2 for none in common."""
    return float((histogram(image) - histogram(before)).abs().sum())


def histogram(image: Tensor) -> Tensor:
    """(BINS³,): which share of the pixels has a color of each bin."""
    red, green, blue = (image[0] * BINS).long().clamp(0, BINS - 1)
    counts = torch.bincount(((red * BINS + green) * BINS + blue).flatten(), minlength=BINS**3)
    return counts / counts.sum()


def is_cut(image: Tensor, before: Tensor, flow: Tensor) -> bool:
    """Whether a new shot begins with `image`: other colors than before, or nothing found again along the flow.

    Args:
        image, before: (1, 3, H, W).
        flow: from `image` to `before`, (1, 2, H, W).
    """
    if histogram_distance(image, before) > APART:
        return True
    shape = tuple(max(1, side // 4) for side in image.shape[-2:])  # noise and fine detail do not count
    gap = resize_to(image, shape) - resize_to(warp(before, flow), shape)
    return bool(gap.abs().mean() > LOST)
