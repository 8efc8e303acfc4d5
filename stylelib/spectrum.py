"""A picture as scaled Fourier coefficients: the coordinates in which L-BFGS needs fewer evaluations.

In pictures slow waves are strong and fast ones weak: amplitudes fall with frequency. So from one picture to another the
way is long in slow waves and short in fast ones, while L-BFGS begins with steps of the same length for every variable.
Measured in units of frequency^-0.5, the ways are more alike. `benchmarks/README.md` shows what that gives, and what
other exponents give.

The slowest waves all share one unit. A network sees only a window of the picture, so to it a clear sky and a sky with
a large red patch are nearly the same: waves that move too easily leave such patches.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SLOW = 8  # waves with no more cycles per long side than this share a unit


def spectrum(image: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The Fourier coefficients of an image, each divided by f^-0.5, and the function that turns such back into one.

    f is the frequency in cycles per long side, at least `SLOW`; the transform is the orthonormal torch.fft.rfft2.

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
    scale = frequency.clamp(min=SLOW) ** -0.5

    def to_image(coefficients: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.view_as_complex(coefficients) * scale, s=(height, width), norm="ortho")

    return torch.view_as_real(torch.fft.rfft2(image, norm="ortho") / scale), to_image
