"""Weight clipping: w ← clip(w, -c, c) after each critic step.

It bounds every layer's operator norm, and so the critic's Lipschitz constant, by *some* number that depends
on c, the widths and the depth: too large a c trains slowly, too small a c makes gradients vanish.

Source: Arjovsky et al. 2017 (WGAN, 1701.07875), Algorithm 1 (c = 0.01).
"""

from __future__ import annotations

import torch
from torch import nn

from gncompanion.constraints.base import Constraint
from gncompanion.tools.checks import positive

__all__ = ["WeightClipping"]


class WeightClipping(Constraint):
    """Clip every parameter of the critic, biases included.

    Args:
        c: The bound on the absolute value of each weight, > 0.

    Raises:
        ValueError: The bound is not positive and finite.
    """

    def __init__(self, c: float = 0.01) -> None:
        self.c = positive("c", c, such_as=0.01)

    @torch.no_grad()
    def after_step(self, critic: nn.Module) -> None:
        for parameter in critic.parameters():
            parameter.clamp_(-self.c, self.c)
