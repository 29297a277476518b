"""Weight clipping: w ← clip(w, -c, c) after each critic step.

It bounds every layer's operator norm, and so the critic's Lipschitz constant, by *some* number that depends
on c, the widths and the depth: too large a c trains slowly, too small a c makes gradients vanish.

Source: Arjovsky et al. 2017, Algorithm 1 (c = 0.01).
"""

from __future__ import annotations

import torch
from torch import nn

from gncompanion.constraints.base import Constraint

__all__ = ["WeightClipping"]


class WeightClipping(Constraint):
    """Clip every parameter of the critic, biases included.

    Args:
        c: the bound, > 0.

    Raises:
        ValueError: if c is not positive.
    """

    def __init__(self, c: float = 0.01) -> None:
        if not c > 0:
            raise ValueError(f"c={c!r} must be a positive bound on the weights, such as 0.01")
        self.c = c

    @torch.no_grad()
    def after_step(self, critic: nn.Module) -> None:
        for parameter in critic.parameters():
            parameter.clamp_(-self.c, self.c)
