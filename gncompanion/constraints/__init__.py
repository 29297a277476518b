"""Constraints on a critic, by name: each one class with at most four hooks (`base`), composed with "+".

    build("gn")    build("gp", weight=1.0)    build("gn+cr", cr={"weight": 5.0})
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from gncompanion.constraints.base import Composite, Constraint, Score
from gncompanion.constraints.clipping import WeightClipping
from gncompanion.constraints.consistency import ConsistencyRegularization
from gncompanion.constraints.divergence import WassersteinDivergence
from gncompanion.constraints.gradient_norm import GradientNorm, GradientNormalization
from gncompanion.constraints.inner_product import InnerProduct
from gncompanion.constraints.penalty import FiniteDifferencePenalty, GradientPenalty
from gncompanion.constraints.spectral import OperatorSpectralNormalization, SpectralNormalization

__all__ = ["CONSTRAINTS", "Composite", "Constraint", "GradientNorm", "Score", "build"]

CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "none": Constraint,
    "clipping": WeightClipping,
    "gp": GradientPenalty,
    "gp-one-sided": partial(GradientPenalty, one_sided=True),
    "gp-difference": FiniteDifferencePenalty,
    "sn": SpectralNormalization,
    "sn-operator": OperatorSpectralNormalization,
    "wgan-div": WassersteinDivergence,
    "gn": partial(GradientNormalization, "gn"),
    "gn-0": partial(GradientNormalization, "gn-0"),
    "gn-1": partial(GradientNormalization, "gn-1"),
    "gran": partial(GradientNormalization, "gran"),
    "gran-eps": partial(GradientNormalization, "gran-eps"),
    "pgn": partial(GradientNormalization, "pgn"),
    "inner-product": InnerProduct,
    "cr": ConsistencyRegularization,
}


def build(name: str, *, shape: tuple[int, ...] | None = None, **options: Any) -> Constraint:
    """Makes a constraint from plain values.

    Args:
        name: one of `CONSTRAINTS`, or several joined by "+".
        shape: of one input of the critic, for those that need it ("sn-operator").
        **options: the constraint's own arguments; of a composition, one dict a part, by its name.

    Returns:
        The constraint.

    Raises:
        ValueError: for an unknown name or option, or values that the constraint refuses.
    """
    parts = name.split("+")
    if len(parts) == 1:
        return _one(name, shape, options)
    if strangers := options.keys() - set(parts):
        raise ValueError(f"{sorted(strangers)} are options of no part of {name!r}; give each part's as part={{...}}")
    return Composite(*(_one(part, shape, options.get(part, {})) for part in parts))


def _one(name: str, shape: tuple[int, ...] | None, options: dict[str, Any]) -> Constraint:
    if name not in CONSTRAINTS:
        close = difflib.get_close_matches(name, CONSTRAINTS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{name!r} is not a constraint{hint} Choose from: {', '.join(CONSTRAINTS)}")
    factory = CONSTRAINTS[name]
    if name == "sn-operator":
        options = {"shape": shape, **options}
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise ValueError(f"constraint {name!r}: {error}") from None
    return factory(**options)
