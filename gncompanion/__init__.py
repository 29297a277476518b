"""gncompanion: the executable companion to gradient normalization for GANs.

    from gncompanion import GradientNorm
    critic = GradientNorm(critic)

makes f / (‖∇f‖ + |f|) of any critic f, with the exact gradient, at 1.34 times an unnormalised critic's step.
"""

from gncompanion.constraints.gradient_norm import GradientNorm
from gncompanion.input_gradient import value_and_input_gradient

__all__ = ["GradientNorm", "value_and_input_gradient"]
