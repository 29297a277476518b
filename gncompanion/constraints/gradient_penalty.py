"""Gradient penalties: λ·E[(‖∇f‖ - 1)²], its one-sided and zero-centered forms, and a finite difference.

    two-sided            λ (n - 1)²                              n = ‖∇f(x̃)‖ at interpolates x̃ (by default)
    one-sided            λ max(n - 1, 0)²
    R1, R2               γ/2 n²                                  at real samples, at generated ones
    finite difference    λ (|f(x) - f(x')| / ‖x - x'‖ - 1)²      at pairs of a real and a generated sample

Source: Gulrajani et al. 2017 (WGAN-GP, 1704.00028, λ = 10); the one-sided form is in its appendix. R1 and R2:
Mescheder et al. 2018 (1801.04406), equations (9) and (10).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gncompanion.constraints.base import Constraint, Score
from gncompanion.constraints.pointwise_penalty import PointwisePenalty
from gncompanion.tools.checks import flag, non_negative

__all__ = ["FiniteDifferencePenalty", "GradientPenalty", "ZeroCenteredPenalty"]


class GradientPenalty(PointwisePenalty):
    """Add λ (‖∇f‖ - target)², on both sides of the target or only above it.

    Args:
        weight: The penalty's weight λ ≥ 0.
        target: The norm that is asked for, ≥ 0.
        one_sided: Whether only norms above the target are penalised.
        at: Where the gradient is taken, one of `SAMPLINGS`.
        method: How it is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: The weight or the target is negative, or the place or the method is unknown.
    """

    def __init__(
        self,
        weight: float = 10.0,
        *,
        target: float = 1.0,
        one_sided: bool = False,
        at: str = "real-fake",
        method: str = "auto",
    ) -> None:
        super().__init__(at=at, method=method)
        self.weight, self.target = non_negative("weight", weight), non_negative("target", target)
        self.one_sided = flag("one_sided", one_sided)

    def mean(self, n: Tensor) -> Tensor:
        excess = n - self.target
        return self.weight * (excess.relu() if self.one_sided else excess).square().mean()


class ZeroCenteredPenalty(GradientPenalty):
    """Add γ/2 ‖∇f‖²: R1 at real samples, R2 at generated ones.

    Args:
        gamma: The penalty's weight γ ≥ 0.
        at: Where the gradient is taken, one of `SAMPLINGS`.
        method: How it is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: The weight is negative, or the place or the method is unknown.
    """

    def __init__(self, gamma: float = 10.0, *, at: str = "real", method: str = "auto") -> None:
        super().__init__(non_negative("gamma", gamma) / 2, target=0.0, at=at, method=method)


class FiniteDifferencePenalty(Constraint):
    """Add λ (|f(x) - f(x')| / ‖x - x'‖ - 1)², at the batch's pairs of a real and a generated sample.

    Args:
        weight: The penalty's weight λ ≥ 0.

    Raises:
        ValueError: The weight is negative.
    """

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = non_negative("weight", weight)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        distance = torch.linalg.vector_norm((real - fake).flatten(1), dim=1)
        rise = (score(real, y) - score(fake, y)).flatten().abs()
        slope: Tensor = rise / distance.clamp_min(torch.finfo(real.dtype).eps)
        return self.weight * (slope - 1).square().mean()
