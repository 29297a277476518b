"""Scores as formulas in a critic's value f, its input gradient g and the point x, and how they are reached.

    name                  score                          what it tests
    inner                 p / n,  p = ⟨g, x⟩             the counter-experiment
    inner, squashed       p / (n + |p|)                  is it the missing bound?
    value back            (p + c̄) / n                    c̄ = f − p, held constant in the weights' gradient
    value back, squashed  (p + c̄) / (n + |p + c̄|)        GN's score, but for its gradient
    D/n                   f / n                          the intercept is back, and learns
    GraN                  f n / (n² + ε)                 nearly the same; unbounded
    D/(n+ε)               f / (n + ε)                    likewise
    GN                    f / (n + |f|)                  bounded

with n = ‖g‖. The formulas are those of `gncompanion.constraints`, at the arguments given here.

Source: Su Jianlin, kexue.fm/archives/8757, second doubt, for the first; GN-GAN (2109.02235) and GraN-GAN
(2111.03162) for the last four; the ones between are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gncompanion.constraints import build
from gncompanion.constraints.gradient_norm import GradientNormalization
from gncompanion.constraints.inner_product import InnerProduct
from gncompanion.tools.names import pick

__all__ = ["EPS", "SCORES", "STEPS_BETWEEN", "scored"]

EPS = 1e-2  # ours: GraN's value was not found

SCORES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "inner": ("inner-product", {}),
    "D/n": ("gn-0", {}),
    "GraN": ("gran", {"eps": EPS}),
    "GN": ("gn", {}),
}

STEPS_BETWEEN: dict[str, tuple[str, Mapping[str, Any]]] = {
    "inner, squashed": ("inner-product", {"squash": True}),
    "value back": ("inner-product", {"intercept": "value"}),
    "value back, squashed": ("inner-product", {"intercept": "value", "squash": True}),
    "D/(n+ε)": ("gran-eps", {"eps": EPS}),
}


def scored(name: str, f: Tensor, g: Tensor, x: Tensor) -> Tensor:
    """Score by one of `SCORES` or `STEPS_BETWEEN`.

    Args:
        name: The score's name.
        f: Critic's values, (N,).
        g: Input gradients, (N, ...).
        x: The points, shaped like g.

    Returns:
        The scores, (N,).

    Raises:
        ValueError: The name is unknown.
    """
    constraint, options = pick("score", name, SCORES | STEPS_BETWEEN)
    rule = build(constraint, **options)
    if isinstance(rule, InnerProduct):
        return rule.combine(f, g, x)
    assert isinstance(rule, GradientNormalization)
    return rule.normalize(f, g)
