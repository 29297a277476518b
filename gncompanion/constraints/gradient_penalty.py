"""Gradient penalties: λ·E[(‖∇f‖ - 1)²], its one-sided form, and the finite difference it replaces.

    two-sided            λ (n - 1)²                              n = ‖∇f(x̃)‖ at interpolates x̃ (by default)
    one-sided            λ max(n - 1, 0)²
    finite difference    λ (|f(x) - f(x')| / ‖x - x'‖ - 1)²      at pairs of a real and a generated sample

Source: Gulrajani et al. 2017 (WGAN-GP, 1704.00028, λ = 10); the one-sided form is in its appendix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gncompanion.constraints.base import Constraint, Score
from gncompanion.constraints.gradient_constraint import GradientConstraint
from gncompanion.constraints.sampling import labels_at, sampling
from gncompanion.input_gradient import gradient_norm
from gncompanion.tools.checks import flag, non_negative

__all__ = ["FiniteDifferencePenalty", "GradientPenalty"]


class GradientPenalty(GradientConstraint):
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
        super().__init__(method=method)
        self.weight, self.target = non_negative("weight", weight), non_negative("target", target)
        self.one_sided = flag("one_sided", one_sided)
        self._points = sampling(at)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        points = self._points(real, fake, generator).detach()
        excess = gradient_norm(*self.value_and_gradient(score, points, labels_at(points, y))) - self.target
        return self.weight * (excess.relu() if self.one_sided else excess).square().mean()


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
