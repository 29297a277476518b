"""The Wasserstein divergence: the critic's loss + k·E_{r(x)} ‖∇f‖ᵖ.

    W_{k,p} = max_f  E_p[f] - E_q[f] - k E_r ‖∇f‖ᵖ,    k > 0, p > 1

needs no Lipschitz constraint at all; k = 1/2, p = 2 is the transport special case. A penalty (‖∇f‖ - 1)² is
not of this family.

Source: Wu et al. 2018 (WGAN-div): k = 2, p = 6. Its official code has the coefficient 10 and interpolates
between real and generated samples; two other implementations average over raw samples of both with k/2 each,
which `at="both"` is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gncompanion.constraints.base import Constraint, Score
from gncompanion.constraints.gradient_penalty import labels_at, norms
from gncompanion.constraints.sampling import sampling
from gncompanion.input_gradient import METHODS
from gncompanion.tools.names import require_known

__all__ = ["WassersteinDivergence"]


class WassersteinDivergence(Constraint):
    """Add k ‖∇f‖ᵖ at samples of r(x).

    Args:
        k: the coefficient, > 0.
        p: the power, > 1.
        at: r(x), one of `SAMPLINGS`.
        method: of `value_and_input_gradient`.

    Raises:
        ValueError: for k or p out of range, or an unknown r(x) or method.
    """

    def __init__(
        self, k: float = 2.0, *, p: float = 6.0, at: str = "real-fake", method: str = "auto"
    ) -> None:
        if not (k > 0 and p > 1):
            raise ValueError(f"k={k!r} and p={p!r}: a Wasserstein divergence needs k > 0 and p > 1")
        require_known("unknown method", method, METHODS)
        self.k, self.p, self.method = k, p, method
        self._points = sampling(at)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        points = self._points(real, fake, generator)
        return self.k * norms(score, points, y=labels_at(points, y), method=self.method).pow(self.p).mean()
