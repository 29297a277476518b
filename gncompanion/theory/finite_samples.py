"""A few points of two densities, drawn once: the data set of a discriminator that can learn them by heart.

    p_n = (1/n) Σ_i δ(x_i),    x_i ~ p        each sample is one of the n points

The best discriminator of two such sets is a step at every point: its slope has no bound.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from gncompanion.data import Pair, Sampler
from gncompanion.theory.gaussians import Gaussians
from gncompanion.theory.wasserstein import w1_on_line
from gncompanion.tools.checks import whole

__all__ = ["finite_pair"]


def finite_pair(real: Gaussians, fake: Gaussians, *, n_points: int, seed: int) -> Pair:
    """Draw a few points of two densities, once, as two data sets that know no others.

    Args:
        real: The density of the real points.
        fake: That of the others.
        n_points: Points of either side, ≥ 1.
        seed: Seed of the points.

    Returns:
        The pair, whose samples are drawn from these points with replacement, and whose W1 is theirs.

    Raises:
        ValueError: The number of points is no positive integer.
    """
    whole("n_points", n_points)
    random, known = np.random.default_rng(seed), []
    for density in (real, fake):
        which = random.choice(len(density.means), n_points, p=density.weights)
        drawn = density.means[which] + density.stds[which] * random.standard_normal(n_points)
        known.append(torch.from_numpy(drawn).float()[:, None])
    p, q = (Sampler(f"points {x.flatten().tolist()}", (1,), _drawn_from(x)) for x in known)
    return Pair(f"{p.name} and {q.name}", p, q, w1_on_line(*known))


def _drawn_from(points: Tensor) -> Callable[[int, Generator], Tensor]:
    return lambda n, generator: points[torch.randint(len(points), (n,), generator=generator)]
