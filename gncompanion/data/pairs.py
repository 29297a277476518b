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

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from gncompanion.data.base import Dataset, digest, require_count, require_positive

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
        name: Its whole definition: the digest is taken of it.
        shape: Of one sample.
        draw: `draw(n, generator) -> x`, (n, *shape) float32 on the generator's device.
    """

    name: str
    shape: tuple[int, ...]
    draw: Callable[[int, Generator], Tensor]
    n_classes = None

    @property
    def digest(self) -> str:
        return digest(self.name)

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, None]:
        return self.draw(n, generator), None


@dataclass(frozen=True)
class Pair:
    """Two distributions and their exact Wasserstein-1 distance.

    Args:
        name: Its definition.
        real: The distribution that a critic should score high.
        fake: The other one, of the same shape; drawn independently.
        w1: Distance of the distributions (that of two samples is larger on average: see `transport`).
    """

    name: str
    real: Dataset
    fake: Dataset
    w1: float


def shifted(dataset: Dataset, shift: Sequence[float]) -> Pair:
    """Any data set, and itself moved by a vector: W1 = ‖shift‖.

    The shift itself is a coupling of that cost, and by Jensen none costs less than the distance of the means.

    Args:
        dataset: The real one.
        shift: As many numbers as one sample has, in its units.

    Returns:
        The pair.

    Raises:
        ValueError: The shift has the wrong length or is not finite.
    """
    size = math.prod(dataset.shape)
    if len(shift) != size or not all(math.isfinite(s) for s in shift):
        raise ValueError(f"shift must be {size} finite numbers, not {shift}")

    def draw(n: int, generator: Generator) -> Tensor:
        x, _ = dataset.sample(n, generator)
        return x + torch.tensor(shift, dtype=x.dtype, device=x.device).reshape(dataset.shape)

    moved = Sampler(f"{dataset.name} {dataset.digest} + {list(shift)}", dataset.shape, draw)
    return Pair(f"{dataset.name} + {list(shift)}", dataset, moved, math.hypot(*shift))


def shifted_boxes(shift: float, dim: int = 2) -> Pair:
    """Two unit boxes, one moved along the first axis: W1 = |shift|, and disjoint if |shift| > 1.

    Args:
        shift: Distance moved, in edges of the box.
        dim: Dimension.

    Returns:
        The pair; the real box is centred on the origin.

    Raises:
        ValueError: dim is not an integer from 1 on, or the shift is not finite.
    """
    require_count(dim=dim)
    box = Sampler(f"box(dim={dim})", (dim,), lambda n, g: _uniform(n, dim, g) - 0.5)
    return shifted(box, [shift] + [0.0] * (dim - 1))


def parallel_lines(theta: float) -> Pair:
    """The uniform distributions of the segments {0} × [0, 1] and {θ} × [0, 1]: W1 = |θ|.

    Args:
        theta: Distance of the segments.

    Returns:
        The pair, in two dimensions.

    Raises:
        ValueError: theta is not finite.

    Source: Arjovsky, Chintala and Bottou, Wasserstein GAN, 2017, Example 1.
    """

    def draw(n: int, generator: Generator) -> Tensor:
        u = _uniform(n, 1, generator)
        return torch.cat([torch.zeros_like(u), u], dim=1)

    return shifted(Sampler("line", (2,), draw), [theta, 0.0])


def concentric_spheres(gap: float, dim: int = 2, *, radius: float = 1.0) -> Pair:
    """The uniform distributions of two spheres about the origin: W1 = |gap|.

    Moving along the radius costs |gap|; ‖x‖ is 1-Lipschitz and its means differ by as much.

    Args:
        gap: Radius of the fake sphere less that of the real one, greater than −radius.
        dim: Of the space; in one dimension a sphere is two points.
        radius: Of the real sphere.

    Returns:
        The pair.

    Raises:
        ValueError: dim is not an integer from 1 on, or a radius is not positive.
    """
    require_count(dim=dim)
    require_positive(radius=radius, outer_radius=radius + gap)
    real, fake = (
        Sampler(f"sphere(dim={dim}, radius={r})", (dim,), lambda n, g, r=r: r * normalize(_normal(n, dim, g)))
        for r in (radius, radius + gap)
    )
    return Pair(f"spheres of dimension {dim}, {gap} apart", real, fake, abs(gap))


def gaussians_on_line(gap: float, std_real: float = 1.0, std_fake: float = 1.0) -> Pair:
    """Two Gaussians on the line: W1 is the mean of a folded normal.

    The quantile functions differ by m + (σ₂ − σ₁)z, z being the normal quantile.

    Args:
        gap: Mean of the fake one; that of the real one is 0.
        std_real: Standard deviation of the real one.
        std_fake: Standard deviation of the fake one.

    Returns:
        The pair, in one dimension.

    Raises:
        ValueError: A standard deviation is not positive.
    """
    require_positive(std_real=std_real, std_fake=std_fake)
    real, fake = (
        Sampler(f"gaussian(mean={m}, std={s})", (1,), lambda n, g, m=m, s=s: m + s * _normal(n, 1, g))
        for m, s in ((0.0, std_real), (gap, std_fake))
    )
    name = f"gaussians {gap} apart, std {std_real} and {std_fake}"
    return Pair(name, real, fake, _folded_normal_mean(gap, abs(std_fake - std_real)))


def _folded_normal_mean(mean: float, std: float) -> float:
    """E|mean + std·Z|."""
    if std == 0:
        return abs(mean)
    z = mean / std
    return std * math.sqrt(2 / math.pi) * math.exp(-(z**2) / 2) + mean * math.erf(z / math.sqrt(2))


def _uniform(n: int, dim: int, generator: Generator) -> Tensor:
    return torch.rand(n, dim, generator=generator, device=generator.device)


def _normal(n: int, dim: int, generator: Generator) -> Tensor:
    return torch.randn(n, dim, generator=generator, device=generator.device)
