"""Gradient penalties: λ·E[(‖∇f‖ - 1)²], its one-sided form, and the finite difference it replaces.

    two-sided            λ (n - 1)²                              n = ‖∇f(x̃)‖ at interpolates x̃ (by default)
    one-sided            λ max(n - 1, 0)²
    finite difference    λ (|f(x) - f(x')| / ‖x - x'‖ - 1)²      at pairs of a real and a generated sample

Source: Gulrajani et al. 2017 (WGAN-GP, λ = 10); the one-sided form is in its appendix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gncompanion.constraints.base import Constraint, Score
from gncompanion.constraints.sampling import sampling
from gncompanion.input_gradient import METHODS, gradient_norm, value_and_input_gradient
from gncompanion.tools.names import require_known

__all__ = ["FiniteDifferencePenalty", "GradientPenalty", "norms"]


def norms(score: Score, x: Tensor, *, y: Tensor | None = None, method: str = "auto") -> Tensor:
    """Compute ‖∇score‖ a sample, differentiable in the critic's weights.

    Args:
        score: the scoring function (x, y) -> (N,).
        x: points (N, ...).
        y: labels (N,), if the critic is conditional.
        method: of `value_and_input_gradient`.

    Returns:
        Norms (N,).
    """
    f, g = value_and_input_gradient(score, x.detach(), y, method=method)
    return gradient_norm(f, g).flatten()


def labels_at(points: Tensor, y: Tensor | None) -> Tensor | None:
    """Repeat labels (N,) for points (M, ...) that stack the samples they belong to, M a multiple of N."""
    return None if y is None else torch.cat([y] * (len(points) // len(y)))


class GradientPenalty(Constraint):
    """Add λ (‖∇f‖ - target)², on both sides of the target or only above it.

    Args:
        weight: λ ≥ 0.
        target: the norm asked for, ≥ 0.
        one_sided: penalise only norms above the target.
        at: where, one of `SAMPLINGS`.
        method: of `value_and_input_gradient`.

    Raises:
        ValueError: for a negative weight or target, or an unknown place or method.
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
        if not (weight >= 0 and target >= 0):
            raise ValueError(f"weight={weight!r} and target={target!r} must not be negative")
        require_known("unknown method", method, METHODS)
        self.weight, self.target, self.one_sided, self.method = weight, target, one_sided, method
        self._points = sampling(at)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        points = self._points(real, fake, generator)
        excess = norms(score, points, y=labels_at(points, y), method=self.method) - self.target
        return self.weight * (excess.relu() if self.one_sided else excess).square().mean()


class FiniteDifferencePenalty(Constraint):
    """Add λ (|f(x) - f(x')| / ‖x - x'‖ - 1)², at the batch's pairs of a real and a generated sample.

    Args:
        weight: λ ≥ 0.

    Raises:
        ValueError: for a negative weight.
    """

    def __init__(self, weight: float = 10.0) -> None:
        if not weight >= 0:
            raise ValueError(f"weight={weight!r} must not be negative")
        self.weight = weight

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        distance = torch.linalg.vector_norm((real - fake).flatten(1), dim=1)
        rise = (score(real, y) - score(fake, y)).flatten().abs()
        slope = rise / distance.clamp_min(torch.finfo(real.dtype).eps)
        return self.weight * (slope - 1).square().mean()
