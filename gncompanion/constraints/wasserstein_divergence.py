"""The Wasserstein divergence: the critic's loss + k·E_{r(x)} ‖∇f‖ᵖ.

    W_{k,p} = max_f  E_p[f] - E_q[f] - k E_r ‖∇f‖ᵖ,    k > 0, p > 1

needs no Lipschitz constraint at all; k = 1/2, p = 2 is the transport special case. A penalty (‖∇f‖ - 1)² is
not of this family.

Source: Wu et al. 2018 (WGAN-div, 1712.01026): k = 2, p = 6. Its official code has the coefficient 10 and
interpolates between real and generated samples; two other implementations average over raw samples of both
with k/2 each, which `at="both"` is.
"""

from __future__ import annotations

from math import inf

from torch import Tensor

from gncompanion.constraints.pointwise_penalty import PointwisePenalty
from gncompanion.tools.checks import is_number, positive, require

__all__ = ["WassersteinDivergence"]


class WassersteinDivergence(PointwisePenalty):
    """Add k ‖∇f‖ᵖ at samples of r(x).

    Args:
        k: The coefficient, > 0.
        p: The power, > 1.
        at: The distribution r(x) of the points, one of `SAMPLINGS`.
        method: How the gradient is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: k or p is out of range, or r(x) or the method is unknown.
    """

    def __init__(
        self, k: float = 2.0, *, p: float = 6.0, at: str = "real-fake", method: str = "auto"
    ) -> None:
        super().__init__(at=at, method=method)
        require("p", p, is_number(p) and 1 < p < inf, "a finite number above 1, such as 6.0")
        self.k, self.p = positive("k", k, such_as=2.0), p

    def mean(self, n: Tensor) -> Tensor:
        return self.k * n.pow(self.p).mean()
