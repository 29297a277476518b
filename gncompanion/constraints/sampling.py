"""Where a penalty looks: the distribution r(x) of the points at which it is evaluated.

Source: Wu et al. 2018 (WGAN-div, 1712.01026) compare six of them; WGAN-GP's (1704.00028) is the first.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gncompanion.input_gradient.per_sample import broadcast
from gncompanion.tools.names import pick

__all__ = ["SAMPLINGS", "interpolate", "labels_at", "sampling"]


def interpolate(x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one point per pair, uniformly on the segment from x to y.

    Args:
        x: Points, (N, ...).
        y: As many points, (N, ...).
        generator: The source of random numbers, on their device.

    Returns:
        Points, (N, ...): εx + (1 - ε)y with one ε ~ U[0, 1] per pair.
    """
    epsilon = torch.rand(len(x), generator=generator, device=x.device)
    return y + broadcast(epsilon, x).to(x.dtype) * (x - y)


def _shuffled(x: Tensor, generator: torch.Generator) -> Tensor:
    return x[torch.randperm(len(x), generator=generator, device=x.device)]


def _within(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    sides = [interpolate(x, _shuffled(x, generator), generator) for x in (real, fake)]
    return torch.cat(sides)


def _pooled(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    pool = torch.cat([real, fake])
    return interpolate(pool, _shuffled(pool, generator), generator)


SAMPLINGS: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {
    "real-fake": interpolate,
    "within": _within,
    "pooled": _pooled,
    "both": lambda real, fake, generator: torch.cat([real, fake]),
    "fake": lambda real, fake, generator: fake,
    "real": lambda real, fake, generator: real,
}


def sampling(name: str) -> Callable[[Tensor, Tensor, torch.Generator], Tensor]:
    """Look up r(x) by its name.

    Args:
        name: "real-fake" (interpolates between a real and a generated sample), "within" (between two real,
            and between two generated ones), "pooled" (between any two of both), "both", "fake" or "real"
            (the samples themselves).

    Returns:
        A function (real (N, ...), fake (N, ...), generator) -> points (M, ...).

    Raises:
        ValueError: The name is none of these.
    """
    return pick("sampling of r(x)", name, SAMPLINGS)


def labels_at(points: Tensor, y: Tensor | None) -> Tensor | None:
    """Repeat labels for points that stack the samples to which they belong.

    Args:
        points: The points, (M, ...), with M a multiple of N.
        y: The labels, (N,), of real and generated samples alike; None = the critic is unconditional.

    Returns:
        The labels of the points, (M,), or None.
    """
    return None if y is None else torch.cat([y] * (len(points) // len(y)))
