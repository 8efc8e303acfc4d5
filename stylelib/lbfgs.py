"""L-BFGS with full steps: the optimizer that has learned from its last moves how the loss curves.

It does what `torch.optim.LBFGS` does when told `max_iter=1`, tolerances 0 and this history; a test holds the two
together. Ours reads one number per step back from a GPU where torch's reads eighty, and needs no compiler: whoever
makes an optimizer of torch's imports that as well, which takes longer than importing torch.
"""

from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

HISTORY = 20
# The first step knows no curvature. torch's moves all variables together by 1, next to nothing each: the change of the
# gradient is then mostly rounding noise, and so is the first curvature. Ours moves each by this much on average.
FIRST_MOVE = 0.01
LEAST_CURVATURE = 1e-10  # where the loss curves less along a move, or downward, nothing can be learned from it


class Pair(NamedTuple):
    """What one step taught: s, the move; y, how the gradient changed on the way; ρ = 1 / (y · s)."""

    move: Tensor
    change: Tensor
    rho: Tensor


class LBFGS:
    """Moves `variables` by −rate · H g, where H approximates the inverse of the Hessian matrix from the last pairs.

    Without a line search, so one step is one evaluation.

    Args:
        variables: a contiguous leaf tensor of any shape; each step changes it in place.
        rate: length of a step; 1 is Newton's.
        history: how many pairs are kept.
        first_move: by how much the first step moves each variable on average.

    Attributes:
        pairs: what the last steps taught, the newest last.

    Source: Liu and Nocedal, On the limited memory BFGS method for large scale optimization, Mathematical Programming,
    1989; the two loops of `direction` are Nocedal, Mathematics of Computation, 1980.
    """

    def __init__(self, variables: Tensor, rate: float = 1.0, history: int = HISTORY, first_move: float = FIRST_MOVE):
        self.variables, self.rate, self.first_move = variables, rate, first_move
        self.pairs: deque[Pair] = deque(maxlen=history)
        self._room: list[Tensor] = []  # made for all pairs at once: later, they would lie scattered in memory
        self.gradient: Tensor | None = None  # of the last step, and the move that it made
        self.move: Tensor | None = None

    def zero_grad(self) -> None:
        self.variables.grad = None

    def state_dict(self) -> dict[str, object]:
        """All that the next step depends on besides the variables, as plain values and the tensors themselves."""
        pairs = [tuple(pair) for pair in self.pairs]
        return {"pairs": pairs, "gradient": self.gradient, "move": self.move, "first_move": self.first_move}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Goes on where a `state_dict` was taken. Tensors of it that are on this device become the solver's own."""
        here = self.variables.device
        self.first_move = state["first_move"]
        self.gradient, self.move = (None if v is None else v.to(here) for v in (state["gradient"], state["move"]))
        self.pairs.clear()
        self.pairs.extend(Pair(*(part.to(here) for part in pair)) for pair in state["pairs"])

    @torch.no_grad()
    def step(self) -> None:
        """One move, by the gradient in `variables.grad`, which is then empty: it is taken and not copied."""
        gradient, self.variables.grad = self.variables.grad.flatten(), None
        if self.gradient is None:
            factor = self.first_move * gradient.numel() / gradient.abs().sum().clamp(min=1)
        else:
            self._learn(self.move, torch.sub(gradient, self.gradient, out=self.gradient))
            factor = 1.0
        self.gradient, self.move = gradient, self.direction(gradient).mul_(self.rate * factor)
        self.variables += self.move.view_as(self.variables)

    def direction(self, gradient: Tensor) -> Tensor:
        """−H g: for each pair, newest first and then oldest first, one dot product and one sum of vectors."""
        direction, shares = -gradient, []
        for move, change, rho in reversed(self.pairs):
            shares.append(rho * move.dot(direction))
            direction.addcmul_(change, shares[-1], value=-1)
        if self.pairs:
            _, change, rho = self.pairs[-1]
            direction /= rho * change.dot(change)
        for (move, change, rho), share in zip(self.pairs, reversed(shares), strict=True):
            direction.addcmul_(move, share - rho * change.dot(direction))
        return direction

    def _learn(self, move: Tensor, change: Tensor) -> None:
        curvature = change.dot(move)
        if curvature > LEAST_CURVATURE:
            for kept, new in zip(room := self._room_for_a_pair(move), (move, change), strict=True):
                kept.copy_(new)
            self.pairs.append(Pair(*room, 1 / curvature))

    def _room_for_a_pair(self, move: Tensor) -> tuple[Tensor, Tensor]:
        """That of the oldest pair, if there are as many as are kept."""
        if len(self.pairs) == self.pairs.maxlen:
            return self.pairs.popleft()[:2]
        if not self._room:
            self._room = [torch.empty_like(move) for _ in range(2 * (self.pairs.maxlen - len(self.pairs)))]
        return self._room.pop(), self._room.pop()
