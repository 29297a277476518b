"""The counter-experiment: ⟨∇D / ‖∇D‖, x⟩ in place of D / ‖∇D‖.

On a linear piece D(x) = ⟨g, x⟩ + c, so

    ⟨g / n, x⟩ = (D(x) - c) / n

is D / n without the piece's intercept c. For a network without biases c = 0 and the two are equal; with biases the
intercept is lost, and every bias has exactly zero gradient, since no bias enters g.

Source: Su Jianlin's post (000), second doubt; the remark on the biases is a comment under it.
"""

from __future__ import annotations

from torch import Tensor, nn

from gncompanion.constraints.base import Constraint
from gncompanion.input_gradient import METHODS, gradient_norm, value_and_input_gradient

__all__ = ["InnerProduct"]


class InnerProduct(Constraint):
    """The score ⟨g, x⟩ / n, and 0 where n = 0.

    Args:
        method: "auto", "linear" or "autograd".

    Raises:
        ValueError: for an unknown method.
    """

    def __init__(self, *, method: str = "auto") -> None:
        if method not in METHODS:
            raise ValueError(f"method={method!r} is not one of {', '.join(METHODS)}")
        self.method = method

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        f, g = value_and_input_gradient(critic, x, *(() if y is None else (y,)), method=self.method)
        n = gradient_norm(f, g)
        zero = n == 0
        return (g * x).flatten(1).sum(1).view_as(f) / n.masked_fill(zero, 1.0)
