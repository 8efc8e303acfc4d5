"""A picture as scaled Fourier coefficients: the coordinates in which L-BFGS needs half the evaluations.

Neighboring pixels of a picture go together, so a loss reacts strongly when a broad area changes as a whole and weakly
when single pixels do. That makes a long, narrow valley, which is slow to walk down. A wave across the whole picture is
the broadest change; the amplitudes of pictures fall with frequency. Measuring each wave in units of frequency^-0.5
makes the valley rounder. `benchmarks/README.md` shows what that gives, and what other exponents give.

The broadest waves all keep one unit. A network sees only a window of the picture, so to it a clear sky and a sky with
a large red patch are nearly the same: waves that move too easily leave such patches.
"""

from collections.abc import Callable

import torch
from torch import Tensor

BROAD = 16  # waves with no more cycles per long side than this share a unit


def spectrum(image: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The Fourier coefficients of an image, each divided by f^-0.5, and the function that turns such back into one.

    f is the frequency in cycles per long side, at least `BROAD`; the transform is the orthonormal torch.fft.rfft2.

    Args:
        image: (1, 3, H, W).

    Returns:
        coefficients, (1, 3, H, W // 2 + 1, 2), real and imaginary part in the last dimension; and the way back to
        (1, 3, H, W), through which gradients flow.
    """
    height, width = image.shape[-2:]
    rows = torch.fft.fftfreq(height, device=image.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=image.device)
    frequency = max(height, width) * torch.hypot(rows, columns)
    scale = frequency.clamp(min=BROAD) ** -0.5

    def to_image(coefficients: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.view_as_complex(coefficients) * scale, s=(height, width), norm="ortho")

    return torch.view_as_real(torch.fft.rfft2(image, norm="ortho") / scale), to_image
