"""Lipschitz constants: bounds from above and from below, exact values, slopes at samples.

    lower_ ≤ L ≤ upper_,     exact_ = L

`bounds` goes layer by layer (Theorem 5), `operators` measures one layer, `exact` enumerates the linear pieces
of small perceptrons, `brackets` encloses the constants of small smooth ones, `line_scan` finds all borders
between pieces on a segment, `normalized_scan` the jumps of a normalized critic there, and `slopes` measures
any scoring function.
"""

from gncompanion.lipschitz.bounds import JacobianNorms, lower_jacobian_norms, upper_products
from gncompanion.lipschitz.exact import exact_lipschitz
from gncompanion.lipschitz.line_scan import LineScan, piece_gradients, scan_line
from gncompanion.lipschitz.normalized_scan import (
    NormalizedScan,
    Walks,
    normalized_ends,
    rises_and_jumps,
    scan_normalized,
    walk_uphill,
)
from gncompanion.lipschitz.operators import (
    Estimate,
    exact_operator_norm,
    kernel_norm,
    operator_norm,
    upper_operator_norm,
)
from gncompanion.lipschitz.sequential import layers
from gncompanion.lipschitz.slopes import input_gradient_norms, sampled_slopes

__all__ = [
    "Estimate",
    "JacobianNorms",
    "LineScan",
    "NormalizedScan",
    "Walks",
    "exact_lipschitz",
    "exact_operator_norm",
    "input_gradient_norms",
    "kernel_norm",
    "layers",
    "lower_jacobian_norms",
    "normalized_ends",
    "operator_norm",
    "piece_gradients",
    "rises_and_jumps",
    "sampled_slopes",
    "scan_line",
    "scan_normalized",
    "upper_operator_norm",
    "upper_products",
    "walk_uphill",
]
