"""gncompanion: the executable companion to gradient normalization for GANs.

    from gncompanion import GradientNorm
    critic = GradientNorm(critic)  # f / (‖∇f‖ + |f|), exact, at 1.34 times an unnormalised critic's step
"""

from gncompanion.constraints.gradient_norm import GradientNorm
from gncompanion.input_gradient import value_and_input_gradient

__all__ = ["GradientNorm", "value_and_input_gradient"]
