"""Our Adam is torch's up to rounding, and goes on from a kept state bit for bit."""

import pytest
import torch

from stylelib.adam import Adam


def valley(x):
    """Curved, and ten thousand times steeper along some variables than along others."""
    scale = torch.logspace(-2, 2, x.numel(), dtype=x.dtype).view_as(x)
    return (scale * (x - 1) ** 2).sum()


def walk(x, solver, steps):
    path = []
    for _ in range(steps):
        solver.zero_grad()
        valley(x).backward()
        solver.step()
        path.append(x.detach().clone())
    return torch.stack(path)


@pytest.fixture
def start():
    return torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rate", [0.001, 0.05, 2.0])
def test_it_walks_torchs_path(start, rate):
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    path = walk(ours, Adam(ours, rate), 30)
    torch.testing.assert_close(path, walk(theirs, torch.optim.Adam([theirs], lr=rate), 30), rtol=1e-9, atol=1e-12)


def test_the_first_step_moves_every_variable_by_the_rate(start):
    x = start.clone().requires_grad_()
    path = walk(x, Adam(x, 0.05), 1)
    torch.testing.assert_close((path[0] - start).abs(), torch.full_like(start, 0.05), rtol=1e-3, atol=0)


def test_it_goes_on_from_a_state_bit_for_bit(start):
    x = start.clone().requires_grad_()
    whole = walk(x, Adam(x, 0.05), 9)
    x = start.clone().requires_grad_()
    first = Adam(x, 0.05)
    walk(x, first, 4)
    second = Adam(x, 0.05)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(walk(x, second, 5), whole[4:], rtol=0, atol=0)
