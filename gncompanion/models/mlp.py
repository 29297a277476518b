"""Multilayer perceptrons, for points in ℝᵈ.

    h₀ = x,   h_k = a(W_k h_{k−1} + b_k)  for k = 1 … depth,   out = W h_depth + b

A ReLU critic of this kind is small enough to enumerate its linear pieces. Without biases it is homogeneous,
f(t x) = t f(x) for t > 0, hence f(x) = ⟨∇f(x), x⟩ (Euler). Weights and biases start from PyTorch's own
default, U(-1/√fan-in, 1/√fan-in): with zero biases every fresh network would be homogeneous. Sizes and rule
are ours.
"""

import torch
from torch import Tensor, nn

from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator
from gncompanion.models.initialisation import initialise, uniform
from gncompanion.tools.checks import whole
from gncompanion.tools.names import pick

__all__ = ["MLPCritic", "MLPGenerator"]


class MLPGenerator(Generator):
    """A ReLU perceptron from noise to points.

    Args:
        z_dim: Dimension of the noise.
        out_dim: Dimension d of the points.
        width: Number of units per hidden layer.
        depth: Number of hidden layers, at least 1.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: A size is not a positive integer.
    """

    def __init__(
        self,
        z_dim: int = 8,
        out_dim: int = 2,
        *,
        width: int = 128,
        depth: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        whole("z_dim", z_dim)
        hidden = _hidden(z_dim, width, depth, bias=True, activation="relu")
        super().__init__(z_dim, hidden.append(nn.Linear(width, whole("out_dim", out_dim))))
        initialise(self, uniform, generator)


class MLPCritic(Critic):
    """A perceptron from points, or flattened images, to scores.

    Args:
        in_dim: Dimension d of a point; of an image, its number of values.
        width: Number of units per hidden layer.
        depth: Number of hidden layers, at least 1.
        bias: Whether there are biases; False = a homogeneous network.
        activation: A name from `blocks.ACTIVATIONS`.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: A size is not a positive integer, or the activation is unknown.
    """

    def __init__(
        self,
        in_dim: int = 2,
        *,
        width: int = 128,
        depth: int = 3,
        bias: bool = True,
        activation: str = "relu",
        generator: torch.Generator | None = None,
    ) -> None:
        whole("in_dim", in_dim)
        hidden = _hidden(in_dim, width, depth, bias=bias, activation=activation)
        super().__init__(hidden, nn.Sequential(nn.Linear(width, 1, bias=bias)))
        initialise(self, uniform, generator)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Score each sample.

        Args:
            x: Samples, (N, d), or of any other shape with d values per sample.
            y: Labels, (N,), which are ignored.

        Returns:
            The scores, (N,).
        """
        return super().forward(x.flatten(1), y)


def _hidden(in_dim: int, width: int, depth: int, *, bias: bool, activation: str) -> nn.Sequential:
    make_activation = pick("activation", activation, ACTIVATIONS)
    layers = nn.Sequential()
    for size in [in_dim] + [whole("width", width)] * (whole("depth", depth) - 1):
        layers.extend([nn.Linear(size, width, bias=bias), make_activation()])
    return layers
