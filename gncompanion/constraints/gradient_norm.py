"""Gradient normalization: the critic divided by its input gradient's norm.

With f = D(x), g = ∇ₓD(x) and n = ‖g‖₂ a sample:

    name        formula                                  source
    gn          f / (n + |f|)                            Wu et al., ICCV 2021, equation (11)
    gn-0        f / n                                    its ablation ζ = 0
    gn-1        f / (n + 1)                              its ablation ζ = 1
    gran        K·f·n / (n² + ε)                         Bhaskara et al., WACV 2022
    gran-eps    K·f / (n + ε)                            its variant
    pgn         (1 - f) / (‖1 - g‖ + |1 - f|)            Xia, arXiv 2306.13576

On a linear piece f / n is the signed distance d from x to the piece's zero set, and gn is its softsign d / (1 + |d|),
with ‖∇f̂‖ = (n / (n + |f|))² ≤ 1 (Theorem 6). Where numerator and denominator both vanish the value is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gncompanion.constraints.base import Constraint
from gncompanion.input_gradient import METHODS, gradient_norm, value_and_input_gradient

__all__ = ["FORMULAS", "GradientNorm", "GradientNormalization"]


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator, and 0 with a finite gradient where the denominator is 0."""
    zero = denominator == 0
    return torch.where(zero, 0.0, numerator / denominator.masked_fill(zero, 1.0))


def _gran(f: Tensor, g: Tensor, *, K: float = 1.0, eps: float) -> Tensor:
    n = gradient_norm(f, g)
    return K * _ratio(f * n, n.square() + eps)


def _gran_eps(f: Tensor, g: Tensor, *, K: float = 1.0, eps: float) -> Tensor:
    return K * _ratio(f, gradient_norm(f, g) + eps)


def _gn(f: Tensor, g: Tensor) -> Tensor:
    return _ratio(f, gradient_norm(f, g) + f.abs())


FORMULAS: dict[str, Callable[..., Tensor]] = {
    "gn": _gn,
    "gn-0": lambda f, g: _ratio(f, gradient_norm(f, g)),
    "gn-1": lambda f, g: _ratio(f, gradient_norm(f, g) + 1),
    "gran": _gran,
    "gran-eps": _gran_eps,
    "pgn": lambda f, g: _gn(1 - f, 1 - g),
}


class GradientNorm(nn.Module):
    """A critic, gradient-normalized: wrap your own and use it in its place, in both steps.

    `GradientNorm(critic)(x)` has the shape of `critic(x)`. Inside DistributedDataParallel wrap this module, or give it
    the already wrapped critic: both work.

    Args:
        critic: any module with one value a sample, (N, ...) -> (N,) or (N, 1). Piecewise linear layers get the fast
            exact gradient; smooth ones double backpropagation (and Theorem 6 does not hold for them).
        formula: one of `FORMULAS`.
        method: "auto", "linear" or "autograd", of `value_and_input_gradient`.
        verify: check the fast method against autograd in every call; slow.
        **constants: the formula's own: `eps` and `K` of "gran" and "gran-eps" (their values in the paper were not found,
            so `eps` has no default).

    Raises:
        ValueError: for an unknown formula, method or constant.
    """

    def __init__(
        self, critic: nn.Module, formula: str = "gn", *, method: str = "auto", verify: bool = False, **constants: float
    ) -> None:
        super().__init__()
        _check(formula, method, constants)
        self.critic = critic
        self.formula, self.method, self.verify, self.constants = formula, method, verify, constants

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Computes the normalized values.

        Args:
            x: inputs (N, ...).
            *args: further inputs of the critic, such as labels.
            **kwargs: further keyword inputs of the critic.

        Returns:
            Values, shaped like the critic's; in [-1, 1] with the formula "gn".
        """
        f, g = value_and_input_gradient(self.critic, x, *args, method=self.method, verify=self.verify, **kwargs)
        return FORMULAS[self.formula](f.to(g.dtype), g, **self.constants)

    def extra_repr(self) -> str:
        return ", ".join([repr(self.formula), f"method={self.method!r}", *(f"{k}={v}" for k, v in self.constants.items())])


class GradientNormalization(Constraint):
    """`GradientNorm` as a constraint: the same formulas as a score.

    Args:
        formula: one of `FORMULAS`.
        method: "auto", "linear" or "autograd".
        **constants: `eps` > 0 and `K` > 0 of "gran" and "gran-eps".

    Raises:
        ValueError: for an unknown formula, method or constant.
    """

    def __init__(self, formula: str = "gn", *, method: str = "auto", **constants: float) -> None:
        _check(formula, method, constants)
        self.formula, self.method, self.constants = formula, method, constants

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        labels = () if y is None else (y,)
        f, g = value_and_input_gradient(critic, x, *labels, method=self.method)
        return FORMULAS[self.formula](f.to(g.dtype), g, **self.constants)


def _check(formula: str, method: str, constants: dict[str, float]) -> None:
    if formula not in FORMULAS:
        raise ValueError(f"formula={formula!r} is not one of {', '.join(FORMULAS)}")
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {', '.join(METHODS)}")
    known = {"K", "eps"} if formula.startswith("gran") else set()
    if unknown := constants.keys() - known:
        raise ValueError(f"{sorted(unknown)} are no constants of {formula!r}, which has {sorted(known) or 'none'}")
    if known and "eps" not in constants:
        raise ValueError(f"{formula!r} needs eps, such as 1e-2: the paper's value was not found, so there is no default")
    if bad := {k: v for k, v in constants.items() if not v > 0}:
        raise ValueError(f"{bad}: the constants of {formula!r} must be positive")
