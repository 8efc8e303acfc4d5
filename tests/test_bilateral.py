"""A grid of affine color maps: read exactly, smooth, and unable to draw anything."""

import pytest
import torch

from stylelib import bilateral, gallery, photo
from stylelib.photo import transfer_photo

GENERATOR = torch.Generator().manual_seed(0)
CHELSEA, ROCKET = (gallery.load(name, size=128) for name in ("chelsea", "rocket"))


def test_a_grid_of_one_value_gives_it_everywhere():
    grid = torch.arange(12.0).view(1, 12, 1, 1, 1).expand(1, 12, 8, 6, 6)
    read = bilateral.read(grid, torch.rand(1, 1, 20, 30, generator=GENERATOR))
    assert read.shape == (1, 12, 20, 30)
    torch.testing.assert_close(read, torch.arange(12.0).view(1, 12, 1, 1).expand_as(read), atol=1e-4, rtol=1e-5)


def test_what_is_linear_in_place_and_brightness_is_read_exactly():
    levels, rows, columns = (torch.linspace(0, 1, count) for count in (8, 6, 5))
    grid = torch.stack(torch.meshgrid(levels, rows, columns, indexing="ij"))[None]
    guide = torch.rand(1, 1, 40, 60, generator=GENERATOR)
    brightness, row, column = bilateral.read(grid, guide)[0]
    torch.testing.assert_close(brightness, guide[0, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(row[:, 0], (torch.arange(40) + 0.5) / 40, atol=1e-5, rtol=0)
    torch.testing.assert_close(column[0], (torch.arange(60) + 0.5) / 60, atol=1e-5, rtol=0)


def test_strips_read_what_the_whole_reads():
    grid = torch.randn(1, 12, 8, 6, 6, generator=GENERATOR)
    guide = torch.rand(1, 1, 50, 30, generator=GENERATOR)
    strip = bilateral.read(grid, guide[..., 20:33, :], slice(20, 33), 50)
    torch.testing.assert_close(strip, bilateral.read(grid, guide)[..., 20:33, :])


def test_an_affine_map_is_a_matrix_and_a_shift():
    matrix, shift = torch.randn(3, 3, generator=GENERATOR), torch.randn(3, generator=GENERATOR)
    image = torch.rand(1, 3, 4, 5, generator=GENERATOR)
    coefficients = torch.cat([matrix.flatten(), shift]).view(1, 12, 1, 1).expand(1, 12, 4, 5)
    expected = torch.einsum("ij,bjhw->bihw", matrix, image) + shift.view(1, 3, 1, 1)
    torch.testing.assert_close(bilateral.affine(image, coefficients), expected)


def test_the_optimum_is_found_where_it_is_known():
    """The objective asks for the content, half as bright: a grid can give that exactly."""
    base = torch.zeros_like(CHELSEA)

    def objective(image):
        return {"total": 1e4 * (image - CHELSEA / 2).square().mean()}

    guide = CHELSEA.mean(1, keepdim=True)
    grid = bilateral.optimize_grid(CHELSEA, guide, base, objective, 40)
    error = bilateral.affine(CHELSEA, bilateral.read(grid, guide)) - CHELSEA / 2
    assert error.abs().mean() < 0.02


@pytest.fixture(scope="module")
def optimized():
    return transfer_photo(CHELSEA, ROCKET, method="optimized")


def test_the_style_loss_falls_and_the_picture_stays(optimized):
    from stylelib import Objective, load_backbone

    objective = Objective(load_backbone("slim"), style=ROCKET, style_layers=photo.LOOK_LAYERS)
    linear = transfer_photo(CHELSEA, ROCKET, method="linear")
    assert objective(optimized)["style"] < 0.8 * objective(linear)["style"]

    def edges(image):
        light = image.mean(1)[0]
        return torch.hypot(*torch.gradient(light)).flatten()

    assert torch.corrcoef(torch.stack([edges(optimized), edges(CHELSEA)]))[0, 1] > 0.8


def test_a_map_that_is_found_on_a_small_copy_is_applied_in_strips(optimized, monkeypatch):
    monkeypatch.setattr(photo, "STRIP", 7)
    torch.testing.assert_close(transfer_photo(CHELSEA, ROCKET, method="optimized"), optimized, atol=1e-4, rtol=0)
