"""What backpropagation leaves out of a slope: what flows over the borders, where the normalized critic jumps.

Samples move with the parameter θ, V(θ) = E D̂(G_θ(z)), and have the density ρ. With v(x) the mean velocity of
the samples at x when θ moves along a unit vector u, and ν a border's normal, from its side − to its side +,

    dV/du  =  E ⟨∇D̂, ∂G/∂u⟩  +  Σ over borders ∫ (D̂₊ − D̂₋) ⟨v, ν⟩ ρ dS
              seen              unseen

    |unseen|  ≤  ‖∂G‖ Σ over borders ∫ tanh(¼ |log n₊ − log n₋|) ρ dS,      ‖∂G‖ = sup of ‖∂G/∂θ‖.

`shifted_normal_slopes` has both sides of the first line by themselves, where G_θ(z) = θ + σ z is a normal
distribution that is shifted and the critic has one hidden layer, whose borders are lines. `slope_along` holds
any objective's slope along its backpropagated gradient against what that gradient says.

Source: ours; the first line is the divergence theorem on each piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from gncompanion.constraints.gradient_norm import ratio
from gncompanion.theory.critic_batch import Shape, values_and_gradients
from gncompanion.tools.checks import require

__all__ = ["Along", "ShiftSlopes", "shifted_normal_slopes", "slope_along"]

REACH, TICKS = 5.0, 801  # standard deviations to which integrals go, and points on a side


class ShiftSlopes(NamedTuple):
    """Slopes of E D̂(θ + σ z) along u, each by an integral of its own.

    Attributes:
        whole: The derivative, E D̂ ⟨u, z⟩ / σ, in which D̂ is not differentiated.
        seen: What backpropagation says, E ⟨∇D̂, u⟩.
        unseen: What flows over the borders.
        bound: What |unseen| can be at most.
    """

    whole: float
    seen: float
    unseen: float
    bound: float


def shifted_normal_slopes(
    shape: Shape, theta: Tensor, *, centre: Tensor, std: float, direction: Tensor
) -> ShiftSlopes:
    """Compute the slopes for one critic of one hidden layer in the plane.

    Args:
        shape: Its sizes.
        theta: Its numbers, (P,), float64.
        centre: The mean of the samples, (2,).
        std: Their standard deviation σ.
        direction: The unit vector u, (2,).

    Returns:
        The slopes; the integrals are sums over a grid, good to about 10⁻³.

    Raises:
        ValueError: The critic has not one hidden layer, or is not one on the plane.
    """
    require("shape", shape, shape.in_dim == 2 and shape.depth == 1, "one hidden layer on the plane")
    ticks = torch.linspace(-REACH, REACH, TICKS, dtype=torch.float64)
    z = torch.cartesian_prod(ticks, ticks)
    weight = torch.softmax(-z.square().sum(1) / 2, 0)
    f, g = (t[0] for t in values_and_gradients(shape, theta[None], (centre + std * z)[None]))
    n = torch.linalg.vector_norm(g, dim=1)
    size = n + f.abs()
    whole = weight @ (ratio(f, size) * (z @ direction)) / std
    seen = weight @ (ratio(n, size.square()) * (g @ direction))
    return ShiftSlopes(whole.item(), seen.item(), *_over_borders(shape, theta, centre, std, direction))


def _over_borders(
    shape: Shape, theta: Tensor, centre: Tensor, std: float, direction: Tensor
) -> tuple[float, float]:
    """The flow over all borders, and the bound on it."""
    (first, bias), (last, _) = shape.layers(theta[None])
    ticks = torch.linspace(-REACH, REACH, TICKS, dtype=torch.float64) * std
    unseen = bound = 0.0
    for w, b, a in zip(first[0], bias[0, 0], last[0, 0], strict=True):
        normal = w / w.norm()
        away = (w @ centre + b) / w.norm()  # the centre's signed distance from the border
        x = centre - away * normal + ticks[:, None] * torch.stack([-normal[1], normal[0]])
        f, g = (t[0] for t in values_and_gradients(shape, theta[None], x[None]))
        on = (x @ w + b > 0).double()[:, None]  # on the line itself either gate may have come out
        sides = [torch.linalg.vector_norm(g + (s - on) * a * w, dim=1) for s in (0, 1)]
        jump = ratio(f, sides[1] + f.abs()) - ratio(f, sides[0] + f.abs())
        rho = torch.exp(-(away**2 + ticks.square()) / (2 * std**2)) / (2 * pi * std**2)
        step = ticks[1] - ticks[0]
        unseen += ((jump * rho).sum() * step * (normal @ direction)).item()
        steepest = (sides[1].log() - sides[0].log()).abs().div(4).tanh()
        bound += ((steepest * rho).sum() * step).item()
    return unseen, bound


class Along(NamedTuple):
    """An objective's slope along its backpropagated gradient.

    Attributes:
        length: That gradient's length, the slope that it says.
        ratios: The slope by central differences over that length, one for each step size; none if it is 0.
        errors: Their standard errors, from the blocks.
    """

    length: float
    ratios: list[float]
    errors: list[float]


def slope_along(
    seen: Callable[[Tensor], Tensor], whole: Callable[[Tensor], Tensor], theta: Tensor, rises: Sequence[float]
) -> Along:
    """Compare a slope with what backpropagation says of it: (V(θ + h u) − V(θ − h u)) / 2h against ‖∂V‖.

    Args:
        seen: The objective as training differentiates it, theta -> its values on B blocks of samples.
        whole: The same values, on the same samples.
        theta: Where.
        rises: By how much V should rise, to say how long steps are: h = rise / ‖∂V‖.

    Returns:
        The comparison.
    """
    theta = theta.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(seen(theta).mean(), theta)
    theta, length = theta.detach(), gradient.norm().item()
    ratios, errors = [], []
    for rise in rises if length else ():
        step = rise / length**2 * gradient
        with torch.no_grad():
            found = (whole(theta + step) - whole(theta - step)) / (2 * rise)
        ratios.append(found.mean().item())
        errors.append(found.std().item() / sqrt(len(found)))
    return Along(length, ratios, errors)
