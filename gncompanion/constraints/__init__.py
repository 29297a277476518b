"""Constraints on a critic, by name.

    build("gn")    build("gp", weight=1.0)    build("gn+cr", cr={"weight": 5.0})

Each is one class with at most four hooks (`base`), and "+" composes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any

from gncompanion.constraints.base import Composite, Constraint, Score
from gncompanion.constraints.consistency import ConsistencyRegularization
from gncompanion.constraints.continuous import BatchGradientNormalization, SmoothedGradientNormalization
from gncompanion.constraints.gradient_norm import GradientNorm, GradientNormalization
from gncompanion.constraints.gradient_penalty import FiniteDifferencePenalty, GradientPenalty
from gncompanion.constraints.inner_product import InnerProduct
from gncompanion.constraints.scale import Scale
from gncompanion.constraints.spectral_norm import OperatorSpectralNormalization, SpectralNormalization
from gncompanion.constraints.spectral_regularization import SpectralRegularization
from gncompanion.constraints.wasserstein_divergence import WassersteinDivergence
from gncompanion.constraints.weight_clipping import WeightClipping
from gncompanion.tools.names import pick, require_known

__all__ = ["CONSTRAINTS", "Composite", "Constraint", "GradientNorm", "Score", "build"]

CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "none": Constraint,
    "clipping": WeightClipping,
    "gp": GradientPenalty,
    "gp-one-sided": partial(GradientPenalty, one_sided=True),
    "gp-difference": FiniteDifferencePenalty,
    "sn": SpectralNormalization,
    "sn-operator": OperatorSpectralNormalization,
    "sn-regularization": SpectralRegularization,
    "wgan-div": WassersteinDivergence,
    "gn": partial(GradientNormalization, "gn"),
    "gn-0": partial(GradientNormalization, "gn-0"),
    "gn-1": partial(GradientNormalization, "gn-1"),
    "gn-batch": BatchGradientNormalization,
    "gn-smoothed": SmoothedGradientNormalization,
    "gran": partial(GradientNormalization, "gran"),
    "gran-eps": partial(GradientNormalization, "gran-eps"),
    "pgn": partial(GradientNormalization, "pgn"),
    "inner-product": InnerProduct,
    "cr": ConsistencyRegularization,
    "scale": Scale,
}


def build(name: str, *, shape: tuple[int, ...] | None = None, **options: Any) -> Constraint:
    """Make a constraint from plain values.

    Args:
        name: one of `CONSTRAINTS`, or several joined by "+".
        shape: of one input of the critic, for those that need it ("sn-operator").
        **options: the constraint's own arguments; of a composition, one dict a part, by its name.

    Returns:
        The constraint.

    Raises:
        ValueError: for an unknown name or option, or values that the constraint refuses.
    """
    parts = str(name).split("+")
    if len(parts) == 1:
        return _one(name, shape, options)
    for part, given in options.items():
        require_known(f"the options of {name!r} are one mapping a part, and it has no part", part, parts)
        if not isinstance(given, Mapping):
            raise ValueError(f"the options of {part!r} must be a mapping, not {given!r}")
    return Composite(*(_one(part, shape, options.get(part, {})) for part in parts))


def _one(name: str, shape: tuple[int, ...] | None, options: Mapping[str, Any]) -> Constraint:
    factory = pick("constraint", name, CONSTRAINTS)
    known = signature(factory).parameters
    for option in options:
        require_known(f"constraint {name!r} has no option", option, known)
    return factory(**{"shape": shape, **options} if "shape" in known else options)
