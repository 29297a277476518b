"""Scan of a gradient-normalized critic along a segment, torn where its critic's linear pieces meet.

    D̂ = f / (n + |f|),     n = ‖∇f‖, constant on each piece

D̂ has two values at a knot, one from either side, and its jump is their difference. On a piece it is monotone
in f, and so along the segment. `line_scan` finds the pieces.

Source: Wu et al., 2109.02235, for D̂; the scan is ours.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from gncompanion.lipschitz.line_scan import LineScan, piece_gradients, scan_line
from gncompanion.lipschitz.sequential import SequentialCritic

__all__ = ["NormalizedScan", "Walks", "normalized_ends", "rises_and_jumps", "scan_normalized", "walk_uphill"]


class NormalizedScan(NamedTuple):
    """The gradient-normalized critic D̂ = f / (n + |f|) along a segment, torn at the knots.

    Attributes:
        scan: Critic's K pieces.
        norm: Gradient norm n = ‖∇f‖ on each piece, (K,), float64.
        ends: Values of D̂ at the left and the right end of each piece, seen from inside it, (K, 2), float64.
    """

    scan: LineScan
    norm: Tensor
    ends: Tensor

    @property
    def jumps(self) -> Tensor:
        """Jumps from left to right at the knots inside the segment, (K − 1,)."""
        return self.ends[1:, 0] - self.ends[:-1, 1]

    @property
    def rises(self) -> Tensor:
        """Rise on each piece, where D̂ is monotone, (K,): all variation is Σ |rises| + Σ |jumps|."""
        return self.ends[:, 1] - self.ends[:, 0]


def scan_normalized(
    critic: SequentialCritic, x0: Tensor, x1: Tensor, *, max_crossings: int | None = None
) -> NormalizedScan:
    """Scan a critic, and its gradient-normalized version with it.

    Args:
        critic: The critic f itself, not the normalized one, as in `scan_line`.
        x0: One end, (*shape).
        x1: The other end, (*shape).
        max_crossings: Number of crossings after which the scan stops; None = scan the whole segment.

    Returns:
        The scan, and D̂ at both ends of every piece.

    Raises:
        ValueError: `scan_line` refuses the critic, the segment or the number.
    """
    scan = scan_line(critic, x0, x1, max_crossings=max_crossings)
    norm = piece_gradients(critic, scan).norm
    return NormalizedScan(scan, norm, normalized_ends(scan, norm))


def rises_and_jumps(critic: SequentialCritic, x: Tensor, y: Tensor) -> Tensor:
    """Split the differences D̂(x) − D̂(y) of pairs of points into what pieces and what jumps contribute.

    Where the pairs are an optimal coupling of two finite distributions, the mean of the differences is the
    value E_P D̂ − E_Q D̂, the pieces contribute W1 at most (Theorem 6), and all that is above it is jumps.

    Args:
        critic: The critic f itself, not the normalized one.
        x: One point of each pair, (N, ...).
        y: The other, (N, ...), nowhere the same.

    Returns:
        The sum over the pieces and the sum over the jumps of the segment from y to x, (N, 2), float64.

    Raises:
        ValueError: `scan_line` refuses the critic or a segment.
    """
    scans = [scan_normalized(critic, *ends) for ends in zip(y, x, strict=True)]
    return torch.stack([torch.stack([scan.rises.sum(), scan.jumps.sum()]) for scan in scans])


class Walks(NamedTuple):
    """Walks of N samples up a critic's gradient, straight, to T places.

    Attributes:
        changes: At each place how much D̂ has risen since the start, how much of this on pieces, how much by
            jumps, and the sum of the jumps' absolute values, (N, 4, T), float64.
        cosine: The least cosine between ∇D̂ and ∇D at the N starts.
        steepest: The greatest ‖∇D̂‖ there.
    """

    changes: Tensor
    cosine: float
    steepest: float


def walk_uphill(critic: nn.Module, x: Tensor, places: Tensor) -> Walks:
    """Walk from each sample along the critic's gradient there, and split the rise of D̂ exactly.

    Args:
        critic: The critic f itself, float64.
        x: Where to start, (N, *shape), float64; nowhere with ∇f = 0.
        places: Distances from the start, (T,), rising from 0.

    Returns:
        The walks.

    Raises:
        ValueError: `scan_line` refuses the critic or a walk.
    """
    both: list[Callable[..., Tensor]] = [critic, partial(_normalized, critic)]
    g, g_hat = (value_and_input_gradient(h, x, method="autograd")[1].detach() for h in both)
    size, size_hat = (t.flatten(1).norm(dim=1) for t in (g, g_hat))
    cosine = ((g * g_hat).flatten(1).sum(1) / (size * size_hat)).min().item()
    uphill = g / size.reshape(-1, *[1] * (g.ndim - 1))
    changes = [_changes(critic, *start, places.double()) for start in zip(x, uphill, strict=True)]
    return Walks(torch.stack(changes), cosine, size_hat.max().item())


def _normalized(critic: nn.Module, x: Tensor) -> Tensor:
    f, g = value_and_input_gradient(critic, x, method="autograd")
    return f / (gradient_norm(f, g) + f.abs())


def _changes(critic: nn.Module, start: Tensor, direction: Tensor, places: Tensor) -> Tensor:
    """What `Walks.changes` says of one sample, (4, T)."""
    torn = scan_normalized(critic, start, start + places[-1] * direction)
    passed = torch.searchsorted(torn.scan.crossings * places[-1], places)
    parts = (torn.jumps, torn.jumps.abs())
    net, total = (torch.cat([torch.zeros(1, dtype=torch.float64), p]).cumsum(0)[passed] for p in parts)
    with torch.no_grad():
        rise = _normalized(critic, torn.scan.at(places / places[-1])).detach() - torn.ends[0, 0]
    return torch.stack([rise, rise - net, net, total])


def normalized_ends(scan: LineScan, norm: Tensor) -> Tensor:
    """Compute D̂ = f / (n + |f|) at both ends of every piece, seen from inside it.

    Args:
        scan: Scan of the critic f, of K pieces.
        norm: Gradient norm ‖∇f‖ of each piece, (K,), from `piece_gradients`.

    Returns:
        The values at the left and the right end, (K, 2); 0 where f = n = 0.
    """
    f = torch.stack([scan.f[:-1], scan.f[1:]], dim=1)
    size = norm[:, None] + f.abs()
    return torch.where(size == 0, 0.0, f / size.masked_fill(size == 0, 1.0))
