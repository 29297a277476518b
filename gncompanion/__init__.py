"""gncompanion: the executable companion to gradient normalization for GANs.

    from gncompanion import GradientNorm
    critic = GradientNorm(critic)

makes f / (‖∇f‖ + |f|) of any critic f, with the exact gradient, at 1.34 times an unnormalised critic's step;

    from gncompanion import r1_penalty, r2_penalty, gradient_penalty, divergence_penalty
    f, penalty = r1_penalty(critic, real)

make a critic's value and a penalty on its gradient together, at the same price.
"""

from gncompanion.constraints.gradient_norm import GradientNorm
from gncompanion.constraints.with_penalty import (
    divergence_penalty,
    gradient_penalty,
    r1_penalty,
    r2_penalty,
)
from gncompanion.input_gradient import value_and_input_gradient

__all__ = [
    "GradientNorm",
    "__version__",
    "divergence_penalty",
    "gradient_penalty",
    "r1_penalty",
    "r2_penalty",
    "value_and_input_gradient",
]

__version__: str


def __getattr__(name: str) -> str:
    """The version, looked up when somebody asks: most who import the package never do."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    try:
        return metadata.version(__name__)
    except metadata.PackageNotFoundError:
        raise AttributeError("gncompanion is on the path but not installed, and has no version") from None
