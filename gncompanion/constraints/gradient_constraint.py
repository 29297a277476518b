"""The base of every constraint that is written in a critic's value f and input gradient g = ∇ₓf.

Such a constraint is one formula on top of one primitive: a normalization scores by φ(f, g), a penalty adds
the mean of ψ(‖g‖) at some points. What they share, how g is found and how labels reach the critic, is here.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gncompanion.constraints.base import Constraint
from gncompanion.input_gradient import METHODS, value_and_input_gradient
from gncompanion.tools.names import require_known

__all__ = ["GradientConstraint"]


class GradientConstraint(Constraint):
    """A constraint written in f and g.

    Args:
        method: How g is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: The method is unknown.
    """

    def __init__(self, *, method: str) -> None:
        require_known("unknown method", method, METHODS)
        self.method = method

    def value_and_gradient(
        self, critic: Callable[..., Tensor], x: Tensor, y: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Compute the value and the input gradient by this constraint's method.

        Args:
            critic: The critic or a scoring function, (N, ...) -> (N,).
            x: Inputs, (N, ...).
            y: Labels, (N,), if the critic is conditional.

        Returns:
            The values f, (N,), and the gradients g, shaped like x; both are differentiable once more.
        """
        labels = () if y is None else (y,)
        return value_and_input_gradient(critic, x, *labels, method=self.method)
