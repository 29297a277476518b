"""A critic K times as steep: K f is K-Lipschitz where f is 1-Lipschitz.

    build("sn+scale", scale={"K": 2.0})

Source: GraN-GAN's baselines "with an altered Lipschitz constant" (Bhaskara et al. 2022, Table 2). Which
constants they had is not known to us, nor how spectral normalization got them: scaling its output is ours.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from gncompanion.constraints.base import Constraint

__all__ = ["Scale"]


class Scale(Constraint):
    """Multiply the critic's value by a constant.

    Args:
        K: the constant, positive and finite.

    Raises:
        ValueError: for another K.
    """

    def __init__(self, K: float) -> None:
        if isinstance(K, str) or not 0 < K < math.inf:
            raise ValueError(f"K={K!r} must be positive and finite")
        self.K = K

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.K * super().score(critic, x, y)
