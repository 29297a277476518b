"""The base of every penalty that is a mean of ψ(‖∇f‖) over points of a distribution r(x).

    E_{r(x)} ψ(n),    n = ‖∇f(x)‖

Where r(x) is the batch itself (R1, R2), its value and gradient are those of the pass that scored it: the
penalty asks for them (`gradient_method`), and `Score` remembers them. Everywhere else the critic runs again.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from gncompanion.constraints.base import PLACES, Score
from gncompanion.constraints.gradient_constraint import GradientConstraint
from gncompanion.constraints.sampling import labels_at, sampling
from gncompanion.input_gradient import gradient_norm

__all__ = ["PointwisePenalty"]


class PointwisePenalty(GradientConstraint):
    """Add E ψ(‖∇f‖) at the points of r(x).

    Args:
        at: The distribution r(x) of the points, one of `SAMPLINGS`.
        method: How the gradient is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: r(x) or the method is unknown.
    """

    def __init__(self, *, at: str, method: str) -> None:
        super().__init__(method=method)
        self._points, self._at = sampling(at), at
        if at in PLACES:
            self.gradient_method = method

    @abstractmethod
    def mean(self, n: Tensor) -> Tensor:
        """Compute the penalty from the gradient's norms.

        Args:
            n: The norms at the points, (M,) or (M, 1).

        Returns:
            A scalar.
        """

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        found = score.remembered(self._at, real, fake, y=y, method=self.method)
        if found is None:
            points = self._points(real, fake, generator).detach()
            found = self.value_and_gradient(score.function, points, labels_at(points, y))
        return self.mean(gradient_norm(*found))
