"""Gradient normalization: the critic divided by its input gradient's norm.

With f = D(x), g = ∇ₓD(x) and n = ‖g‖₂ a sample:

    name        formula                                  source
    gn          f / (n + |f|)                            Wu et al., ICCV 2021, equation (11)
    gn-0        f / n                                    its ablation ζ = 0
    gn-1        f / (n + 1)                              its ablation ζ = 1
    gran        K·f·n / (n² + ε)                         Bhaskara et al., WACV 2022
    gran-eps    K·f / (n + ε)                            its variant
    pgn         (1 - f) / (‖1 - g‖ + |1 - f|)            Xia, arXiv 2306.13576

On a linear piece f / n is the signed distance d from x to the piece's zero set, and gn is its softsign
d / (1 + |d|), with ‖∇f̂‖ = (n / (n + |f|))² ≤ 1 (Theorem 6). Where numerator and denominator both vanish the
value is 0; where n = 0 alone, gn-0 is infinite, as that distance is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from gncompanion.constraints.base import Constraint
from gncompanion.input_gradient import METHODS, gradient_norm, value_and_input_gradient
from gncompanion.tools.names import require_known

__all__ = ["FORMULAS", "GradientNorm", "GradientNormalization"]


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide elementwise, and give 0 with gradient 0 where both vanish."""
    zero = (numerator == 0) & (denominator == 0)
    return torch.where(zero, 0.0, numerator / denominator.masked_fill(zero, 1.0))


def _gran(f: Tensor, g: Tensor, *, K: float = 1.0, eps: float) -> Tensor:
    n = gradient_norm(f, g)
    return K * f * n / (n.square() + eps)


def _gran_eps(f: Tensor, g: Tensor, *, K: float = 1.0, eps: float) -> Tensor:
    return K * f / (gradient_norm(f, g) + eps)


def _gn(f: Tensor, g: Tensor) -> Tensor:
    return ratio(f, gradient_norm(f, g) + f.abs())


FORMULAS: dict[str, Callable[..., Tensor]] = {
    "gn": _gn,
    "gn-0": lambda f, g: ratio(f, gradient_norm(f, g)),
    "gn-1": lambda f, g: f / (gradient_norm(f, g) + 1),
    "gran": _gran,
    "gran-eps": _gran_eps,
    "pgn": lambda f, g: _gn(1 - f, 1 - g),
}


class GradientNorm(nn.Module):
    """Normalize a critic by its gradient: wrap your own and use this in its place, in both steps.

    `GradientNorm(critic)(x)` has the shape of `critic(x)`. Under DistributedDataParallel wrap this module
    (or give it the wrapped critic: that works too, but not with `static_graph=True`, which is refused).

    Args:
        critic: any module with one value a sample, (N, ...) -> (N,) or (N, 1). Piecewise linear layers get
            the fast exact gradient; smooth ones double backpropagation, and Theorem 6 does not hold for them.
        formula: one of `FORMULAS`.
        eps: ε > 0 of "gran" and "gran-eps", which need it: the paper's value was not found.
        K: the Lipschitz constant > 0 of "gran" and "gran-eps"; None = 1.
        method: "auto", "linear" or "autograd", of `value_and_input_gradient`.
        verify: check the fast method against autograd in every call; slow.

    Raises:
        ValueError: for an unknown formula, method or constant.
    """

    def __init__(
        self,
        critic: nn.Module,
        formula: str = "gn",
        *,
        eps: float | None = None,
        K: float | None = None,
        method: str = "auto",
        verify: bool = False,
    ) -> None:
        super().__init__()
        self.constants = _checked(formula, method, eps=eps, K=K)
        self.critic = critic
        self.formula, self.method, self.verify = formula, method, verify

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the normalized values.

        Args:
            x: inputs (N, ...).
            *args: further inputs of the critic, such as labels.
            **kwargs: further keyword inputs of the critic.

        Returns:
            Values, shaped like the critic's; in [-1, 1] with the formula "gn".
        """
        f, g = value_and_input_gradient(
            self.critic, x, *args, method=self.method, verify=self.verify, **kwargs
        )
        return FORMULAS[self.formula](f.to(g.dtype), g, **self.constants)

    def extra_repr(self) -> str:
        constants = [f"{name}={value}" for name, value in self.constants.items()]
        return ", ".join([repr(self.formula), *constants, f"method={self.method!r}"])


class GradientNormalization(Constraint):
    """Score by the critic, gradient-normalized: `GradientNorm` as a constraint.

    Args:
        formula: one of `FORMULAS`.
        eps: ε > 0 of "gran" and "gran-eps", which need it.
        K: the Lipschitz constant > 0 of "gran" and "gran-eps"; None = 1.
        method: "auto", "linear" or "autograd", of `value_and_input_gradient`.

    Raises:
        ValueError: for an unknown formula, method or constant.
    """

    def __init__(
        self, formula: str = "gn", *, eps: float | None = None, K: float | None = None, method: str = "auto"
    ) -> None:
        self.constants = _checked(formula, method, eps=eps, K=K)
        self.formula, self.method = formula, method

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        labels = () if y is None else (y,)
        f, g = value_and_input_gradient(critic, x, *labels, method=self.method)
        return FORMULAS[self.formula](f.to(g.dtype), g, **self.constants)


def _checked(formula: str, method: str, **constants: float | None) -> dict[str, float]:
    """Refuse what does not fit together; return the constants that were given."""
    require_known("unknown formula", formula, FORMULAS)
    require_known("unknown method", method, METHODS)
    given = {name: value for name, value in constants.items() if value is not None}
    for name, value in given.items():
        takers = [f for f in FORMULAS if name in signature(FORMULAS[f]).parameters]
        require_known(f"{name} is no constant of", formula, takers)
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r} must be positive and finite")
    if "eps" in signature(FORMULAS[formula]).parameters.keys() - given.keys():
        raise ValueError(
            f"{formula!r} needs eps, such as 1e-2: the paper's value was not found, so none is assumed"
        )
    return given
