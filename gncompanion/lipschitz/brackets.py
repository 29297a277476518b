"""Rigorous brackets on the Lipschitz constant of a small network on a box, also of a smooth one.

    max over cell centres c of ‖∇f(c)‖   ≤   L   ≤   max over cells C of sup_{J ∈ [J](C)} ‖J‖

A cell C = {x : |x − c| ≤ r} is a box. [J](C) is an interval matrix that holds every Jacobian on it, built
layer by layer, each unit's slope enclosed over all its inputs that can occur:

    [J(z_k)] = W_k [J(h_{k−1})]          z_k(x) ∈ z_k(c) ± |[J(z_k)]| r            (mean value form)
    [J(h_k)] = [φ′(z_k)] ⊙ [J(z_k)]      φ′([a, b]) ⊆ [min(φ′(a), φ′(b)), max(φ′(a), φ′(m), φ′(b))]

with m the point of [a, b] that is nearest to 0: each activation of `LIPSCHITZ` has a slope that is monotone
or peaks at 0. The first inequality is the easy direction of Lemma 3, the second its line integral. Cells
whose upper bound exceeds the greatest lower one are cut in two, the rest are done with: the bracket closes.

Bounds hold in exact arithmetic; those of float64 are off by its rounding, about 1e-14 of their value.

Source: mean value form and bisection are Moore, Interval Analysis, 1966; the enclosure of a network's slopes
in this form is ours.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gncompanion.lipschitz.sequential import LayerStep, SequentialCritic, steps
from gncompanion.tools.checks import require

__all__ = ["Bracket", "bracket_lipschitz"]

CELLS_AT_A_TIME = 2**13  # cells at a time
TRIVIAL = (nn.Flatten, nn.Identity)


class Bracket(NamedTuple):
    """A Lipschitz constant between two bounds, lower ≤ L ≤ upper.

    Attributes:
        lower: Gradient norm ‖∇f‖ at `point`.
        upper: Largest upper bound over all cells.
        point: Steepest of the cells' centres, (d,), float64.
        trace: Cells looked at so far, lower and upper bound after each of R rounds of bisections, (R, 3),
            float64.
    """

    lower: float
    upper: float
    point: Tensor
    trace: Tensor


def bracket_lipschitz(
    critic: SequentialCritic,
    input_dim: int,
    *,
    box: tuple[float, float],
    tol: float = 1e-3,
    max_cells: int = 500_000,
) -> Bracket:
    """Enclose the Lipschitz constant of a perceptron with one output on a box.

    Args:
        critic: A sequential critic (see `layers`) of Linear layers and at most one activation after each.
        input_dim: Dimension d of a sample; the number of cells grows exponentially with it.
        box: Domain [low, high]ᵈ.
        tol: Relative width ≥ 0 at which to stop: upper ≤ (1 + tol) · lower.
        max_cells: Number of cells after which to stop, however wide the bracket is then.

    Returns:
        The bracket.

    Raises:
        ValueError: low ≥ high, a layer or activation is another, or the critic has several outputs.
    """
    low, high = box
    require("box", box, low < high, "(low, high) with low < high")
    found = steps(critic, (input_dim,))
    _require_supported(found)
    centre = torch.full((1, input_dim), (low + high) / 2, dtype=torch.float64)
    radius = torch.full_like(centre, (high - low) / 2)
    seen, lower, settled, point, trace = 0, 0.0, 0.0, centre[0], []
    while True:
        slope, bound = _slopes_and_bounds(found, centre, radius)
        seen += len(centre)
        if slope.max() > lower:
            lower, point = float(slope.max()), centre[slope.argmax()]
        wide = bound > (1 + tol) * lower
        settled = _greatest(settled, bound[~wide])
        trace.append((seen, lower, max(lower, _greatest(settled, bound[wide]))))
        if not wide.any() or seen + 2 * int(wide.sum()) > max_cells:
            return Bracket(lower, trace[-1][-1], point, torch.tensor(trace, dtype=torch.float64))
        centre, radius = _halves(centre[wide], radius[wide])


def _require_supported(found: list[LayerStep]) -> None:
    for step in found:
        kinked = [type(phi).__name__ for phi in step.activations if not isinstance(phi, TRIVIAL)]
        if step.linear.weight.ndim != 2 or len(kinked) > 1:
            raise ValueError(f"{step.linear.layer} before {kinked}: only Linear and at most one activation")
    if (outputs := len(found[-1].linear.weight)) != 1:
        raise ValueError(f"the critic has {outputs} outputs: a bracket needs one")


def _greatest(value: float, values: Tensor) -> float:
    return max([value, *values.amax(dim=0, keepdim=True).tolist()]) if len(values) else value


def _halves(centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Cut every cell (N, d) across its longest side."""
    cut = radius == radius.amax(dim=1, keepdim=True)
    cut &= cut.cumsum(dim=1) == 1  # the first of the longest
    radius = torch.where(cut, radius / 2, radius)
    shift = torch.where(cut, radius, 0.0)
    return torch.cat([centre - shift, centre + shift]), radius.repeat(2, 1)


def _slopes_and_bounds(found: list[LayerStep], centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """‖∇f(c)‖ and sup ‖[J](C)‖ of cells (N, d), each (N,)."""
    batches = [
        (_bounds(found, c, torch.zeros_like(r)), _bounds(found, c, r))  # a cell of one point is its centre
        for c, r in zip(centre.split(CELLS_AT_A_TIME), radius.split(CELLS_AT_A_TIME), strict=True)
    ]
    slopes, bounds = zip(*batches, strict=True)
    return torch.cat(slopes), torch.cat(bounds)


@torch.no_grad()
def _bounds(found: list[LayerStep], centre: Tensor, radius: Tensor) -> Tensor:
    """Upper bounds of ‖∇f‖ on cells (N, d): the enclosure [J] is middle ± spread, each (N, units, d)."""
    middle = torch.eye(centre.shape[1], dtype=torch.float64).expand(len(centre), -1, -1)
    spread, h = torch.zeros_like(middle), centre
    for step in found:
        middle, spread = step.linear.weight @ middle, step.linear.weight.abs() @ spread
        z = step.linear.affine(h)
        reach = ((middle.abs() + spread) @ radius[:, :, None]).squeeze(2)
        slope, error = _slope_range(step, z - reach, z + reach)
        spread = slope.abs() * spread + error * (middle.abs() + spread)
        middle, h = slope * middle, step.activate(z).reshape(z.shape)  # a Flatten may merge the batch
    bounds: Tensor = torch.linalg.vector_norm((middle.abs() + spread).flatten(1), dim=1)
    return bounds


def _slope_range(step: LayerStep, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """φ′ on [low, high] as middle and radius, each (N, units, 1)."""
    nearest_to_zero = low.clamp(min=0) + high.clamp(max=0)
    slopes = [step.slopes(z).reshape(z.shape) for z in (low, high, nearest_to_zero)]
    least, most = torch.minimum(*slopes[:2]), torch.stack(slopes).amax(dim=0)
    return ((most + least) / 2)[..., None], ((most - least) / 2)[..., None]
