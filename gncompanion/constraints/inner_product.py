"""The counter-experiment: ⟨∇D / ‖∇D‖, x⟩ in place of D / ‖∇D‖.

On a linear piece D(x) = ⟨g, x⟩ + c, so

    ⟨g / n, x⟩ = (D(x) - c) / n

is D / n without the piece's intercept c. For a network without biases c = 0 and the two are equal; with
biases the intercept is lost, and every bias has exactly zero gradient, since no bias enters g.

Source: Su Jianlin, kexue.fm/archives/8757, second doubt; the remark on the biases is a comment under it.
"""

from __future__ import annotations

from torch import Tensor, nn

from gncompanion.constraints.base import Constraint
from gncompanion.constraints.gradient_norm import ratio
from gncompanion.input_gradient import METHODS, gradient_norm, value_and_input_gradient
from gncompanion.names import require_known

__all__ = ["InnerProduct"]


class InnerProduct(Constraint):
    """Score by ⟨g, x⟩ / n, and 0 where n = 0.

    Args:
        method: "auto", "linear" or "autograd".

    Raises:
        ValueError: for an unknown method.
    """

    def __init__(self, *, method: str = "auto") -> None:
        require_known("unknown method", method, METHODS)
        self.method = method

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        f, g = value_and_input_gradient(critic, x, *(() if y is None else (y,)), method=self.method)
        return ratio((g * x).flatten(1).sum(1).view_as(f), gradient_norm(f, g))
