"""Our L-BFGS is torch's, told to take one full step at a time, and its direction is the inverse Hessian's."""

import pytest
import torch

from stylelib.lbfgs import FIRST_MOVE, LBFGS


def valley(x):
    """Curved, and ten thousand times steeper along some variables than along others."""
    scale = torch.logspace(-2, 2, x.numel(), dtype=x.dtype).view_as(x)
    return (scale * (x - 1) ** 2).sum() + 0.1 * (x**4).sum()


def ours(start, steps, **options):
    x = start.clone().requires_grad_()
    solver, path = LBFGS(x, **options), []
    for _ in range(steps):
        solver.zero_grad()
        valley(x).backward()
        solver.step()
        path.append(x.detach().clone())
    return torch.stack(path), solver


def torchs(start, steps, rate, history):
    """torch's own, whose first step moves all variables together by `rate`, and ours by FIRST_MOVE each."""
    x = start.clone().requires_grad_()
    solver = torch.optim.LBFGS([x], rate, max_iter=1, history_size=history, tolerance_grad=0, tolerance_change=0)
    path = []

    def closure():
        solver.zero_grad()
        loss = valley(x)
        loss.backward()
        return loss

    for step in range(steps):
        solver.param_groups[0]["lr"] = rate * (FIRST_MOVE * x.numel() if step == 0 else 1)
        solver.step(closure)
        path.append(x.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize("rate, history", [(1.0, 20), (1.0, 3), (0.5, 20)])
def test_it_walks_torchs_path(rate, history):
    start = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    path, solver = ours(start, 30, rate=rate, history=history)
    torch.testing.assert_close(path, torchs(start, 30, rate, history), rtol=1e-6, atol=1e-8)
    assert len(solver.pairs) == min(history, 29)


def test_with_pairs_in_all_directions_it_knows_the_hessian():
    """On a quadratic function of three variables, three pairs with exact line searches make H the inverse itself."""
    hessian = torch.tensor([[4.0, 1, 0], [1, 3, 0.5], [0, 0.5, 2]], dtype=torch.float64)
    x = torch.tensor([1.0, -2, 3], dtype=torch.float64)
    solver = LBFGS(x)
    gradient = hessian @ x
    for _ in range(3):
        direction = solver.direction(gradient)
        move = -gradient.dot(direction) / direction.dot(hessian @ direction) * direction
        solver._learn(move, hessian @ move)
        gradient = gradient + hessian @ move
    anything = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64)
    torch.testing.assert_close(solver.direction(anything), -torch.linalg.solve(hessian, anything))


def test_the_first_step_moves_each_variable_by_the_first_move_on_average():
    start = torch.full((100,), 5.0)
    path, _ = ours(start, 1, first_move=0.03)
    assert (path[0] - start).abs().mean().item() == pytest.approx(0.03, rel=1e-4)


def test_nothing_is_learned_where_the_loss_curves_downward():
    x = torch.zeros(2, requires_grad=True)
    solver = LBFGS(x)
    solver._learn(torch.tensor([1.0, 0]), torch.tensor([-1.0, 0]))
    solver._learn(torch.tensor([1.0, 0]), torch.tensor([torch.nan, 0]))
    assert not solver.pairs
