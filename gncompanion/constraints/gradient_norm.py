"""Gradient normalization: the critic divided by its input gradient's norm.

With f = D(x), g = ∇ₓD(x) and n = ‖g‖₂, each per sample:

    name        formula                                  source
    gn          f / (n + |f|)                            Wu et al., ICCV 2021 (2109.02235), equation (11)
    gn-0        f / n                                    its ablation ζ = 0
    gn-1        f / (n + 1)                              its ablation ζ = 1
    gran        K·f·n / (n² + ε)                         Bhaskara et al., WACV 2022 (2111.03162)
    gran-eps    K·f / (n + ε)                            its variant
    pgn         (1 - f) / (‖1 - g‖ + |1 - f|)            Xia (2306.13576)

On a linear piece f / n is the signed distance d from x to the piece's zero set, and gn is its softsign
d / (1 + |d|), with ‖∇f̂‖ = (n / (n + |f|))² ≤ 1 (Theorem 6). Where numerator and denominator both vanish the
value is 0; where n = 0 alone, gn-0 is infinite, as that distance is.

Each can be taken with g held constant (`detach`), which drops the norm from the weights' gradient. In x
nothing changes, g being locally constant on a piecewise linear critic. Readers of a blog post that compares
GN and GraN (kexue.fm/archives/8757) asked whether one may; it was left open there.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from gncompanion.constraints.gradient_constraint import GradientConstraint
from gncompanion.input_gradient import HasAux, check_has_aux, gradient_norm, value_and_input_gradient
from gncompanion.tools.checks import flag, positive
from gncompanion.tools.names import require_known

__all__ = ["FORMULAS", "GradientNorm", "GradientNormalization", "ratio"]


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide elementwise, and give 0 with gradient 0 where both vanish.

    Args:
        numerator: The numerators, of any shape.
        denominator: The denominators, of the same shape.

    Returns:
        The quotients, of the same shape.
    """
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


class GradientNormalization(GradientConstraint):
    """Score by the critic, gradient-normalized.

    Args:
        formula: One of `FORMULAS`.
        eps: The ε > 0 of "gran" and "gran-eps", which need it: the paper's value was not found.
        K: The Lipschitz constant > 0 of "gran" and "gran-eps"; None = 1.
        detach: Whether g, and with it n, is held constant where the score is differentiated.
        method: How g is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: The formula, the method or a constant is unknown or does not fit the others.
    """

    def __init__(
        self,
        formula: str = "gn",
        *,
        eps: float | None = None,
        K: float | None = None,
        detach: bool = False,
        method: str = "auto",
    ) -> None:
        self.constants = _constants(formula, eps=eps, K=K)
        super().__init__(method=method)
        self.formula, self.detach = formula, flag("detach", detach)

    def normalize(self, f: Tensor, g: Tensor) -> Tensor:
        """Compute the normalized values from f and g.

        Args:
            f: The critic's values, (N,) or (N, 1).
            g: Its input gradients, (N, ...).

        Returns:
            The normalized values, shaped like f.
        """
        return FORMULAS[self.formula](f.to(g.dtype), g.detach() if self.detach else g, **self.constants)

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.normalize(*self.value_and_gradient(critic, x, y))


class GradientNorm(nn.Module):
    """Normalize a critic by its gradient: wrap your own and use this in its place, in both steps.

    `GradientNorm(critic)(x)` has the shape of `critic(x)`. Under DistributedDataParallel wrap this module
    (or give it the wrapped critic: that works too, but not with `static_graph=True`, which is refused).

    Args:
        critic: Any module with one value per sample, (N, ...) -> (N,) or (N, 1). Piecewise linear layers get
            the fast exact gradient; smooth ones get double backpropagation, and Theorem 6 does not hold for
            them.
        formula: One of `FORMULAS`.
        eps: The ε > 0 of "gran" and "gran-eps", which need it: the paper's value was not found.
        K: The Lipschitz constant > 0 of "gran" and "gran-eps"; None = 1.
        detach: Whether the gradient, and with it its norm, is held constant where values are differentiated.
        method: How the gradient is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.
        verify: Whether the fast method is checked against autograd in every call, which is slow.
        has_aux: Whether the critic returns more than its value, as in `value_and_input_gradient`: True for
            (value, anything else), the value's name for a dictionary. So does this module, then.

    Raises:
        ValueError: The formula, the method, a constant or `has_aux` is unknown or does not fit the others.

    Example:
        >>> score = GradientNorm(nn.Linear(2, 1))
        >>> score(torch.ones(5, 2)).shape
        torch.Size([5, 1])
    """

    def __init__(
        self,
        critic: nn.Module,
        formula: str = "gn",
        *,
        eps: float | None = None,
        K: float | None = None,
        detach: bool = False,
        method: str = "auto",
        verify: bool = False,
        has_aux: HasAux = False,
    ) -> None:
        super().__init__()
        check_has_aux(has_aux)
        self.constraint = GradientNormalization(formula, eps=eps, K=K, detach=detach, method=method)
        self.critic = critic
        self.verify, self.has_aux = flag("verify", verify), has_aux

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Compute the normalized values.

        Args:
            x: Inputs, (N, ...).
            *args: Further inputs of the critic, such as labels.
            **kwargs: Further keyword inputs of the critic.

        Returns:
            The values, shaped like the critic's; in [-1, 1] with the formula "gn". With `has_aux`, also what
            else the critic returned, as it is, with its own gradient: (values, aux).
        """
        rule, verify, has_aux = self.constraint, self.verify, self.has_aux
        f, g, *aux = value_and_input_gradient(
            self.critic, x, *args, method=rule.method, verify=verify, has_aux=has_aux, **kwargs
        )
        values = rule.normalize(f, g)
        return (values, *aux) if aux else values

    def extra_repr(self) -> str:
        rule = self.constraint
        named = rule.constants | ({"detach": True} if rule.detach else {}) | {"method": rule.method}
        named |= {"has_aux": self.has_aux} if self.has_aux else {}
        return ", ".join([repr(rule.formula), *(f"{name}={value!r}" for name, value in named.items())])


def _constants(formula: str, **constants: float | None) -> dict[str, float]:
    """Refuse what does not fit together; return the constants that were given."""
    require_known("unknown formula", formula, FORMULAS)
    given = {name: value for name, value in constants.items() if value is not None}
    for name, value in given.items():
        takers = [f for f in FORMULAS if name in signature(FORMULAS[f]).parameters]
        require_known(f"{name} is no constant of", formula, takers)
        positive(name, value)
    if "eps" in signature(FORMULAS[formula]).parameters.keys() - given.keys():
        raise ValueError(
            f"{formula!r} needs eps, such as 1e-2: the paper's value was not found, so none is assumed"
        )
    return given
