"""Pairs of distributions whose Wasserstein-1 distance is known in closed form.

    parallel lines       (0, U) and (θ, U)               W1 = |θ|              f(x) = −sign(θ) x₁
    a shift              X and X + s, for any X          W1 = ‖s‖              f(x) = −⟨s, x⟩ / ‖s‖
    concentric spheres   rU and (r + a)U with ‖U‖ = 1    W1 = |a|              f(x) = −sign(a) ‖x‖
    Gaussians on a line  N(0, σ₁²) and N(m, σ₂²)         W1 = E|m + (σ₂ − σ₁)Z|

f is an optimal critic, 1-Lipschitz with E f(real) − E f(fake) = W1: linear for lines and shifts, curved for
spheres. On parallel lines the Jensen–Shannon divergence is log 2 for every θ ≠ 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from gncompanion.data.base import Dataset
from gncompanion.tools.checks import positive, require, whole
from gncompanion.tools.digests import content_digest

__all__ = [
    "Pair",
    "Sampler",
    "concentric_spheres",
    "gaussians_on_line",
    "parallel_lines",
    "shifted",
    "shifted_boxes",
]


@dataclass(frozen=True)
class Sampler:
    """A data set without labels, given by a function.

    Args:
        name: The whole definition; the digest is that of the name.
        shape: Shape of one sample.
        draw: `draw(n, generator) -> x`, with x (n, *shape), float32, on the generator's device.
    """

    name: str
    shape: tuple[int, ...]
    draw: Callable[[int, Generator], Tensor]
    n_classes: ClassVar[int | None] = None

    @property
    def digest(self) -> str:
        return content_digest(self.name)

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, None]:
        return self.draw(n, generator), None


@dataclass(frozen=True)
class Pair:
    """Two distributions and their exact Wasserstein-1 distance.

    Args:
        name: Definition of the pair.
        real: The distribution that a critic should score high.
        fake: The other distribution, of the same shape, drawn independently.
        w1: Wasserstein-1 distance of the distributions; that of two samples is larger on average, as
            `gncompanion.theory.wasserstein` says.
    """

    name: str
    real: Dataset
    fake: Dataset
    w1: float


def shifted(dataset: Dataset, shift: Sequence[float]) -> Pair:
    """Pair a data set with itself moved by a vector: W1 = ‖shift‖.

    The shift itself is a coupling of that cost, and by Jensen none costs less than the distance of the means.

    Args:
        dataset: The real distribution.
        shift: The vector, as many finite numbers as one sample has, in the units of the samples.

    Returns:
        The pair.

    Raises:
        ValueError: The shift has the wrong length or is not finite.

    Example:
        >>> from gncompanion.data import GaussianRing
        >>> shifted(GaussianRing(), [3.0, 4.0]).w1
        5.0
    """
    size = math.prod(dataset.shape)
    valid = len(shift) == size and all(math.isfinite(s) for s in shift)
    require("shift", shift, valid, f"{size} finite numbers")

    def draw(n: int, generator: Generator) -> Tensor:
        x, _ = dataset.sample(n, generator)
        return x + torch.tensor(shift, dtype=x.dtype, device=x.device).reshape(dataset.shape)

    moved = Sampler(f"{dataset.name} {dataset.digest} + {list(shift)}", dataset.shape, draw)
    return Pair(f"{dataset.name} + {list(shift)}", dataset, moved, math.hypot(*shift))


def shifted_boxes(shift: float, dim: int = 2) -> Pair:
    """Pair two unit boxes, one moved along the first axis: W1 = |shift|, and disjoint if |shift| > 1.

    Args:
        shift: Distance that the fake box is moved, in edges of the box.
        dim: Dimension of the boxes, from 1 on.

    Returns:
        The pair; the real box is centred on the origin.

    Raises:
        ValueError: dim is not an integer from 1 on, or the shift is not finite.
    """
    whole("dim", dim)
    box = Sampler(f"box(dim={dim})", (dim,), lambda n, g: _uniform(n, dim, g) - 0.5)
    return shifted(box, [shift] + [0.0] * (dim - 1))


def parallel_lines(theta: float) -> Pair:
    """Pair the uniform distributions of the segments {0} × [0, 1] and {θ} × [0, 1]: W1 = |θ|.

    Args:
        theta: Place of the fake segment, right of the real one if positive.

    Returns:
        The pair, in two dimensions.

    Raises:
        ValueError: theta is not finite.

    Source: Arjovsky, Chintala and Bottou 2017 (WGAN, 1701.07875), Example 1.
    """

    def draw(n: int, generator: Generator) -> Tensor:
        u = _uniform(n, 1, generator)
        return torch.cat([torch.zeros_like(u), u], dim=1)

    return shifted(Sampler("line", (2,), draw), [theta, 0.0])


def concentric_spheres(gap: float, dim: int = 2, *, radius: float = 1.0) -> Pair:
    """Pair the uniform distributions of two spheres about the origin: W1 = |gap|.

    Moving along the radius costs |gap|; ‖x‖ is 1-Lipschitz and its means differ by as much.

    Args:
        gap: Radius of the fake sphere less that of the real one, greater than −radius.
        dim: Dimension of the space, from 1 on; in one dimension a sphere is two points.
        radius: Radius of the real sphere.

    Returns:
        The pair.

    Raises:
        ValueError: dim is not an integer from 1 on, or a radius is not positive.
    """
    whole("dim", dim)
    positive("radius", radius)
    positive("radius + gap", radius + gap)
    real, fake = _sphere(dim, radius), _sphere(dim, radius + gap)
    return Pair(f"spheres of dimension {dim}, {gap} apart", real, fake, abs(gap))


def gaussians_on_line(gap: float, std_real: float = 1.0, std_fake: float = 1.0) -> Pair:
    """Pair two Gaussians on the line: W1 is the mean of a folded normal.

    The quantile functions differ by m + (σ₂ − σ₁)z, z being the normal quantile.

    Args:
        gap: Mean of the fake Gaussian; that of the real one is 0.
        std_real: Standard deviation of the real Gaussian.
        std_fake: Standard deviation of the fake Gaussian.

    Returns:
        The pair, in one dimension.

    Raises:
        ValueError: A standard deviation is not positive.

    Example:
        >>> gaussians_on_line(2.0).w1
        2.0
    """
    positive("std_real", std_real)
    positive("std_fake", std_fake)
    real, fake = _gaussian(0.0, std_real), _gaussian(gap, std_fake)
    name = f"gaussians {gap} apart, std {std_real} and {std_fake}"
    return Pair(name, real, fake, _folded_normal_mean(gap, abs(std_fake - std_real)))


def _sphere(dim: int, radius: float) -> Sampler:
    def draw(n: int, generator: Generator) -> Tensor:
        return radius * normalize(_normal(n, dim, generator))

    return Sampler(f"sphere(dim={dim}, radius={radius})", (dim,), draw)


def _gaussian(mean: float, std: float) -> Sampler:
    def draw(n: int, generator: Generator) -> Tensor:
        return mean + std * _normal(n, 1, generator)

    return Sampler(f"gaussian(mean={mean}, std={std})", (1,), draw)


def _folded_normal_mean(mean: float, std: float) -> float:
    """Compute E|mean + std·Z| for a standard normal Z."""
    if std == 0:
        return abs(mean)
    z = mean / std
    return std * math.sqrt(2 / math.pi) * math.exp(-(z**2) / 2) + mean * math.erf(z / math.sqrt(2))


def _uniform(n: int, dim: int, generator: Generator) -> Tensor:
    return torch.rand(n, dim, generator=generator, device=generator.device)


def _normal(n: int, dim: int, generator: Generator) -> Tensor:
    return torch.randn(n, dim, generator=generator, device=generator.device)
