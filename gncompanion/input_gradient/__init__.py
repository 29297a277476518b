"""The primitive: a critic's value and input gradient, differentiable in both, exact and fast.

    (f, g) = value_and_input_gradient(critic, x)        n = gradient_norm(f, g)

`function` is the front door, `recorder` watches the critic, and `rules` say how each operation acts.
"""

from gncompanion.input_gradient.function import (
    METHODS,
    Unsupported,
    gradient_norm,
    unsupported_reason,
    value_and_input_gradient,
)
from gncompanion.input_gradient.outputs import HasAux, check_has_aux, parted

__all__ = [
    "METHODS",
    "HasAux",
    "Unsupported",
    "check_has_aux",
    "gradient_norm",
    "parted",
    "unsupported_reason",
    "value_and_input_gradient",
]
