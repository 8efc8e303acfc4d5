"""Adam: the optimizer that moves every variable by about the same, however steep the loss is there.

It does what `torch.optim.Adam` does with these defaults; a test holds the two together. Ours needs no compiler: whoever
makes an optimizer of torch's imports that as well, which takes about as long as importing torch.
"""

import torch
from torch import Tensor

MEAN_DECAY, SQUARE_DECAY = 0.9, 0.999  # β₁ and β₂ of the paper
EPSILON = 1e-8


class Adam:
    """Moves `variables` by −rate · m̂ / (√v̂ + ε), with running means of the gradient, m, and of its square, v.

    They start at 0 and are too small at first; m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) make up for that after t steps.

    Args:
        variables: a leaf tensor of any shape; each step changes it in place.
        rate: about how far a variable moves in one step.

    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1.
    """

    def __init__(self, variables: Tensor, rate: float):
        self.variables, self.rate, self.steps = variables, rate, 0
        self.mean, self.square = torch.zeros_like(variables), torch.zeros_like(variables)

    def zero_grad(self) -> None:
        self.variables.grad = None

    def state_dict(self) -> dict[str, object]:
        """All that the next step depends on besides the variables, as plain values and the tensors themselves."""
        return {"steps": self.steps, "mean": self.mean, "square": self.square}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Goes on where a `state_dict` was taken. Tensors of it that are on this device become the solver's own."""
        here = self.variables.device
        self.steps, self.mean, self.square = state["steps"], state["mean"].to(here), state["square"].to(here)

    @torch.no_grad()
    def step(self) -> None:
        """One move, by the gradient in `variables.grad`."""
        gradient = self.variables.grad
        self.steps += 1
        self.mean.lerp_(gradient, 1 - MEAN_DECAY)
        self.square.mul_(SQUARE_DECAY).addcmul_(gradient, gradient, value=1 - SQUARE_DECAY)
        spread = (self.square / (1 - SQUARE_DECAY**self.steps)).sqrt_().add_(EPSILON)
        self.variables.addcdiv_(self.mean, spread, value=-self.rate / (1 - MEAN_DECAY**self.steps))
