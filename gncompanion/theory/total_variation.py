"""Critics that turn gradient normalization's game into total variation: walls, flat on both sides.

    sup over piecewise linear D of  E_P D̂ − E_Q D̂  =  2 TV(P, Q),        D̂ = D / (‖∇D‖ + |D|)

D̂ lies in [−1, 1], hence ≤. For ≥, a critic that is constant near the points where P outweighs Q, and constant
of the other sign where Q outweighs P: there ∇D = 0, so that D̂ = D/|D| = ±1, whatever the distance between
them. Two critics of this kind, for finite supports:

    CubeWalls      D(x) = clip(c (dist(x, U′) − dist(x, U)), −1, 1), U and U′ unions of cubes around points,
                   dist the distance in the maximum norm: the critic of the proof, in any dimension
    step_critic    a ReLU network of one hidden layer, a staircase in ⟨u, x⟩: two units for each step

At such a critic every slope that a generator would get, and every weight gradient, is 0.

Source: ours; Wu et al., 2109.02235, for D̂. TV(P, Q) = sup over sets A of P(A) − Q(A), from 0 to 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gncompanion.models import MLPCritic
from gncompanion.tools.checks import require, whole

__all__ = ["CubeWalls", "HahnSets", "hahn_sets", "staircase_direction", "step_critic"]

FINE = (
    2.0**-20
)  # a direction's numbers are multiples of this, so that sums of a few thousand of them are exact


class HahnSets(NamedTuple):
    """Where one of two finite distributions outweighs the other.

    Attributes:
        positive: Different points at which P has more mass, (n, d).
        negative: Different points at which Q has more mass, (m, d).
        total_variation: TV(P, Q) = ½ Σ |p − q|, from 0 to 1.
    """

    positive: Tensor
    negative: Tensor
    total_variation: float


def hahn_sets(real: Tensor, fake: Tensor) -> HahnSets:
    """Split the pooled points of two samples by the sign of P − Q, all points of a sample weighing the same.

    Args:
        real: Points of P, (n, d); repeated ones add up.
        fake: Points of Q, (m, d).

    Returns:
        The two sets, without the points at which both weigh the same, and the total variation.

    Example:
        >>> hahn_sets(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])).total_variation
        0.5
    """
    points, place = torch.cat([real, fake]).double().unique(dim=0, return_inverse=True)
    shares = torch.cat([torch.full((len(real),), 1 / len(real)), torch.full((len(fake),), -1 / len(fake))])
    mass = torch.zeros(len(points), dtype=torch.float64).index_add(0, place, shares.double())
    mass[mass.abs() < 1e-12] = 0  # k/n − l/m in floating point
    return HahnSets(points[mass > 0], points[mass < 0], mass.abs().sum().item() / 2)


class CubeWalls(nn.Module):
    """D(x) = clip(c (dist(x, U′) − dist(x, U)), −1, 1), with cubes U around some points and U′ around others.

    Args:
        positive: Centres of U's cubes, (n, d).
        negative: Centres of U′'s cubes, (m, d), none of them a point of `positive`.
        half: Half an edge of a cube; None = a quarter of the least distance between the two sets of centres.

    Raises:
        ValueError: The two sets share a point, or cubes of U and U′ would touch.
    """

    def __init__(self, positive: Tensor, negative: Tensor, *, half: float | None = None) -> None:
        super().__init__()
        apart = (positive[:, None] - negative).abs().amax(-1).min().item()
        require("the least distance between the two sets of points", apart, apart > 0, "positive")
        self.half_edge = apart / 4 if half is None else half
        require("half", self.half_edge, 0 < 2 * self.half_edge < apart, f"positive and below {apart / 2}")
        self.steepness = 1 / (apart - 2 * self.half_edge)
        self.centres: Tensor
        self.register_buffer("centres", torch.cat([positive, negative]))
        self.n_positive = len(positive)

    def forward(self, x: Tensor) -> Tensor:
        """Score each point: x (N, d) -> (N,), from −1 to 1."""
        outside = ((x[:, None] - self.centres).abs() - self.half_edge).clamp_min(0).amax(-1)
        towards, away = outside[:, : self.n_positive].amin(1), outside[:, self.n_positive :].amin(1)
        f: Tensor = (self.steepness * (away - towards)).clamp(-1, 1)
        return f


def staircase_direction(
    positive: Tensor, negative: Tensor, *, tries: int = 4096, generator: torch.Generator
) -> Tensor:
    """Find a direction along which the two sets of points alternate seldom.

    Args:
        positive: Points, (n, d).
        negative: Other points, (m, d).
        tries: Number of random directions from which the best is taken.
        generator: Source of the directions.

    Returns:
        A direction u, (d,), of length 1 to six digits, whose numbers are multiples of 2⁻²⁰.
    """
    d = positive.shape[1]
    u = torch.randn(whole("tries", tries), d, dtype=torch.float64, generator=generator)
    u = (u / u.norm(dim=1, keepdim=True) / FINE).round() * FINE
    points = torch.cat([positive, negative]).double()
    order = (points @ u.T).sort(dim=0).indices
    changes = (order < len(positive)).int().diff(dim=0).abs().sum(0)
    best: Tensor = u[changes.argmin()]
    return best


def step_critic(
    positive: Tensor, negative: Tensor, direction: Tensor, *, width: int | None = None
) -> MLPCritic:
    """Build a ReLU critic of one hidden layer that is 1 near some points, −1 near others, and flat there.

    Along ⟨u, x⟩ the points lie in some order. Between two neighbours of different signs D climbs by ±2 on a
    ramp, k relu(⟨u, x⟩ − a) − k relu(⟨u, x⟩ − b). With k a power of two, and u's numbers multiples of 2⁻²⁰,
    the gradients of ramps that lie behind cancel exactly.

    Args:
        positive: Points where D̂ becomes 1, (n, d).
        negative: Points where D̂ becomes −1, (m, d).
        direction: Direction u, (d,), along which no positive point coincides with a negative one.
        width: Number of hidden units; None = two for each change of sign. Units that are left over are dead.

    Returns:
        The critic, in float64.

    Raises:
        ValueError: Points of both sets coincide along u, or the width is too small.
    """
    u = (direction.double() / FINE).round() * FINE
    t, order = (torch.cat([positive, negative]).double() @ u).sort()
    sign = torch.where(order < len(positive), 1.0, -1.0).double()
    change = sign.diff().nonzero()[:, 0]
    gap = t.diff()[change]
    least = gap.min().item() if len(gap) else 1.0
    require("the least gap along the direction", least, least > 0, "positive: take another direction")
    k = 2.0 ** math.ceil(math.log2(4 / least))
    middle, turn = (t[change] + t[change + 1]) / 2, k * sign[change + 1]
    need = 2 * len(change)
    width = whole("width", max(need, 1) if width is None else width, low=max(need, 1))
    critic = MLPCritic(len(u), width=width, depth=1, generator=torch.Generator()).double()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.zero_()
        weight, bias, last, offset = critic.parameters()
        weight[:need] = u
        bias[:need] = -torch.cat([middle - 1 / k, middle + 1 / k])
        last[0, :need] = torch.cat([turn, -turn])
        offset.fill_(sign[0])
    return critic
