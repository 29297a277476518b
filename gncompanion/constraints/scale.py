"""A critic K times as steep: K f is K-Lipschitz where f is 1-Lipschitz.

    build("sn+scale", scale={"K": 2.0})

Source: GraN-GAN's baselines "with an altered Lipschitz constant" (Bhaskara et al. 2022, 2111.03162, Table 2).
Which constants they had is not known to us, nor how spectral normalization got them: scaling its output is
ours.
"""

from __future__ import annotations

from torch import Tensor, nn

from gncompanion.constraints.base import Constraint
from gncompanion.tools.checks import positive

__all__ = ["Scale"]


class Scale(Constraint):
    """Multiply the critic's value by a constant.

    Args:
        K: The constant, positive and finite.

    Raises:
        ValueError: K is not positive and finite.
    """

    def __init__(self, K: float) -> None:
        self.K = positive("K", K)

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.K * super().score(critic, x, y)
