"""Mixtures of equal Gaussians in the plane, where a lost mode is plain to see.

    x = centre_y + std · z,     y uniform on the centres,  z ~ N(0, I)

The label y is the Gaussian that a sample was drawn from.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from gncompanion.tools.checks import positive, whole
from gncompanion.tools.digests import content_digest

__all__ = ["GaussianGrid", "GaussianRing"]


class _Mixture(ABC):
    shape: tuple[int, ...] = (2,)
    std: float

    @property
    @abstractmethod
    def centers(self) -> Tensor:
        """Means of the Gaussians, (n_classes, 2), float32."""

    @property
    def n_classes(self) -> int:
        return len(self.centers)

    @property
    def digest(self) -> str:
        return content_digest(repr(self))

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        device = generator.device
        y = torch.randint(self.n_classes, (n,), generator=generator, device=device)
        z = torch.randn(n, 2, generator=generator, device=device)
        return self.centers.to(device)[y] + self.std * z, y


@dataclass(frozen=True)
class GaussianRing(_Mixture):
    """Gaussians evenly on a circle about the origin.

    Args:
        n_modes: Number of Gaussians; the first lies at (radius, 0).
        radius: Radius of the circle.
        std: Standard deviation of each Gaussian, in each coordinate.

    Raises:
        ValueError: An argument is not positive.

    Example:
        >>> GaussianRing(n_modes=4).centers[0]
        tensor([2., 0.])
    """

    n_modes: int = 8
    radius: float = 2.0
    std: float = 0.02
    name = "ring"

    def __post_init__(self) -> None:
        whole("n_modes", self.n_modes)
        positive("radius", self.radius)
        positive("std", self.std, such_as=0.02)

    @property
    def centers(self) -> Tensor:
        """Means of the Gaussians, (n_modes, 2), float32, counterclockwise."""
        angle = torch.arange(self.n_modes, dtype=torch.float64) * (2 * math.pi / self.n_modes)
        return (self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)).float()


@dataclass(frozen=True)
class GaussianGrid(_Mixture):
    """Gaussians on a square grid about the origin.

    Args:
        side: Number of Gaussians along an edge; there are side² in all.
        spacing: Distance of neighbouring Gaussians.
        std: Standard deviation of each Gaussian, in each coordinate.

    Raises:
        ValueError: An argument is not positive.
    """

    side: int = 5
    spacing: float = 1.0
    std: float = 0.05
    name = "grid"

    def __post_init__(self) -> None:
        whole("side", self.side)
        positive("spacing", self.spacing)
        positive("std", self.std, such_as=0.05)

    @property
    def centers(self) -> Tensor:
        """Means of the Gaussians, (side², 2), float32, column by column."""
        ticks = self.spacing * (torch.arange(self.side) - (self.side - 1) / 2)
        return torch.cartesian_prod(ticks, ticks)
