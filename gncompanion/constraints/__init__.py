"""Constraints on a critic.

    build("gn")    build("gp", weight=1.0)    build("gn+cr", cr={"weight": 5.0})

Each is one class with at most four hooks (`base`), `registry` has their names, and "+" composes them.
"""

from gncompanion.constraints.base import Composite, Constraint, Score
from gncompanion.constraints.gradient_norm import GradientNorm
from gncompanion.constraints.registry import CONSTRAINTS, build

__all__ = ["CONSTRAINTS", "Composite", "Constraint", "GradientNorm", "Score", "build"]
