"""What every network is made of: the two faces, activations, and layers that torch does not have.

    generator   G(z, y) = layers(z)              z (N, z_dim)  ↦  x (N, *shape)
    critic      f(x, y) = head(features(x))      x (N, *shape) ↦  f (N,)

Both take labels `y`; those that are unconditional ignore them. No critic couples the samples of a batch
(there is no batch normalization), so that row i of ∇ₓ Σⱼ f(xⱼ) is ∇f(xᵢ). With "relu" or "leaky_relu" it is
piecewise linear too, as Assumption 4 of Wu et al. 2021 (2109.02235) asks.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "Critic", "Generator", "LearnedScale", "SumOverSpace", "require_labels"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "softplus-20": partial(nn.Softplus, beta=20),
}


class Generator(nn.Module):
    """A map from noise to samples.

    Args:
        z_dim: Dimension of the noise.
        layers: The map itself, (N, z_dim) to (N, *shape).
    """

    def __init__(self, z_dim: int, layers: nn.Sequential) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.layers = layers

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Generate one sample per row of noise.

        Args:
            z: Noise, (N, z_dim).
            y: Labels, (N,); an unconditional generator ignores them, a conditional one needs them.

        Returns:
            The samples, (N, *shape).
        """
        x: Tensor = self.layers(z)
        return x


class Critic(nn.Module):
    """A map from samples to scores, in two parts that measurements can slice.

    Args:
        features: All hidden layers, in order.
        head: What turns the last hidden layer into one number per sample, (N, 1).
    """

    def __init__(self, features: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Score each sample.

        Args:
            x: Samples, (N, *shape).
            y: Labels, (N,); an unconditional critic ignores them, a conditional one needs them.

        Returns:
            The scores, (N,).
        """
        f: Tensor = self.head(self.features(x)).squeeze(1)
        return f


class SumOverSpace(nn.Module):
    """(N, C, H, W) to (N, C), by a sum where an average would do up to a scale."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


class LearnedScale(nn.Module):
    """x to γ x, with one learned γ that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


def require_labels(y: Tensor | None, who: str) -> Tensor:
    """Refuse a call of a conditional network without labels.

    Args:
        y: The labels, (N,), or None.
        who: The network, as the message begins: "this critic".

    Returns:
        The labels.

    Raises:
        ValueError: There are no labels.
    """
    if y is None:
        raise ValueError(f"{who} is conditional: it needs labels y (N,)")
    return y
