"""Constraints by name, and how one is made from plain values.

build("gn")    build("gp", weight=1.0)    build("gn", detach=True)    build("r1+r2", r1={"gamma": 1.0})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gncompanion.constraints.base import Composite, Constraint
from gncompanion.constraints.consistency import ConsistencyRegularization
from gncompanion.constraints.continuous import BatchGradientNormalization, SmoothedGradientNormalization
from gncompanion.constraints.gradient_norm import GradientNormalization
from gncompanion.constraints.gradient_penalty import (
    FiniteDifferencePenalty,
    GradientPenalty,
    ZeroCenteredPenalty,
)
from gncompanion.constraints.inner_product import InnerProduct
from gncompanion.constraints.scale import Scale
from gncompanion.constraints.spectral_norm import OperatorSpectralNormalization, SpectralNormalization
from gncompanion.constraints.spectral_regularization import SpectralRegularization
from gncompanion.constraints.wasserstein_divergence import WassersteinDivergence
from gncompanion.constraints.weight_clipping import WeightClipping
from gncompanion.tools.names import require_known
from gncompanion.tools.registry import make

__all__ = ["CONSTRAINTS", "build"]

CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "none": Constraint,
    "clipping": WeightClipping,
    "gp": GradientPenalty,
    "gp-one-sided": partial(GradientPenalty, one_sided=True),
    "gp-difference": FiniteDifferencePenalty,
    "r1": partial(ZeroCenteredPenalty, at="real"),
    "r2": partial(ZeroCenteredPenalty, at="fake"),
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
        name: One of `CONSTRAINTS`, or several joined by "+".
        shape: The shape of one input of the critic, for those that need it ("sn-operator").
        **options: The constraint's own arguments; of a composition, one mapping per part, by its name.

    Returns:
        The constraint.

    Raises:
        ValueError: The name or an option is unknown, one without a default is missing, or the constraint
            refuses a value.

    Example:
        >>> build("gran", eps=0.01, K=2.0).constants
        {'eps': 0.01, 'K': 2.0}
    """
    parts = str(name).split("+")
    if len(parts) == 1:
        return make("constraint", name, CONSTRAINTS, options, shape=shape)
    for part, given in options.items():
        require_known(f"the options of {name!r} are one mapping per part, and it has no part", part, parts)
        if not isinstance(given, Mapping):
            raise ValueError(f"the options of {part!r} must be a mapping, not {given!r}")
    made = (make("constraint", part, CONSTRAINTS, options.get(part, {}), shape=shape) for part in parts)
    return Composite(*made)
