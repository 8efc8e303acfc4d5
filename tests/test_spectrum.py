"""The spectrum of an image: there and back, its scale, and what it is for."""

import math

import pytest
import torch

from stylelib.spectrum import spectrum


@pytest.mark.parametrize("height, width", [(12, 16), (13, 16), (12, 17), (13, 17), (1, 5)])
def test_there_and_back_gives_the_image(height, width):
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    coefficients, to_image = spectrum(image)
    assert coefficients.shape == (1, 3, height, width // 2 + 1, 2)
    torch.testing.assert_close(to_image(coefficients), image)


def wave(cycles, size=64):
    """One row after the other the same wave, with so many cycles from left to right."""
    return torch.cos(2 * math.pi * cycles * torch.arange(size) / size).expand(1, 3, size, size)


@pytest.mark.parametrize("cycles, unit", [(1, 8), (5, 8), (8, 8), (20, 20), (30, 30)])
def test_a_wave_has_one_coefficient_measured_in_units_of_its_frequency_to_the_minus_half(cycles, unit):
    coefficients, _ = spectrum(wave(cycles))
    amplitude = coefficients[0, 0, 0, cycles, 0]
    # orthonormal: a cosine over 64 × 64 pixels has coefficient 64 / 2
    assert amplitude.item() == pytest.approx(32 * unit**0.5, rel=1e-4)
    rest = coefficients.clone()
    rest[:, :, 0, cycles] = 0
    assert rest.abs().max() < 1e-3


def test_the_mean_of_the_picture_is_not_divided_by_zero():
    coefficients, to_image = spectrum(torch.full((1, 3, 8, 8), 0.5))
    assert coefficients[0, 0, 0, 0, 0].item() == pytest.approx(4.0 * 8**0.5)
    assert torch.isfinite(coefficients).all()
    torch.testing.assert_close(to_image(coefficients), torch.full((1, 3, 8, 8), 0.5))


def test_gradients_flow_back_to_the_coefficients():
    image = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    coefficients, to_image = spectrum(image)
    coefficients.requires_grad_()
    to_image(coefficients).square().sum().backward()
    assert torch.isfinite(coefficients.grad).all() and coefficients.grad.abs().max() > 0
