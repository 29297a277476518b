"""Many small ReLU critics at once, each a row of numbers: their values D̂ and slopes in closed form.

    h_l = m_l ∘ (W_l h_{l−1} + b_l),   f = ⟨w, h_L⟩ + b        m_l = 1[W_l h_{l−1} + b_l > 0], the gates
    g = W_1ᵀ m_1 ∘ W_2ᵀ m_2 ∘ … w                              ∇f, a product of matrices
    D̂ = f / (n + |f|),   ‖∇D̂‖ = (n / (n + |f|))²,   n = ‖g‖

Automatic differentiation of these lines takes the gates for constants, as that of any ReLU network does: its
gradient is that of `GradientNorm` and backpropagation, blind to the jumps of D̂ where a gate turns. Without
differentiation they are a fast objective for optimizers that need values only.

A smooth critic has Softplus(β) for ReLU, and sigmoid(β z) for gates, which move with x and W. With its gates
*frozen* n is differentiated as if they did not: what automatic differentiation does to a ReLU network always.

A critic's numbers are those of `MLPCritic`, in the order of its `parameters()`. The contest is

    V(θ) = E_P D̂_θ − E_Q D̂_θ        for finite P and Q, one pair for each row.

Source: Wu et al., 2109.02235, for D̂; the batching is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from gncompanion.constraints.gradient_norm import ratio
from gncompanion.models import MLPCritic
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools.checks import require

__all__ = ["Contest", "Shape", "fresh_critics", "split_layers", "values_and_gradients"]


class Shape(NamedTuple):
    """The sizes of a critic.

    Attributes:
        in_dim: Dimension d of a point.
        width: Units per hidden layer.
        depth: Hidden layers, at least 1.
    """

    in_dim: int
    width: int
    depth: int

    def critic(self, theta: Tensor | None = None, *, seed: int = 0) -> MLPCritic:
        """Make one of these critics.

        Args:
            theta: Its numbers, (P,); None = fresh ones.
            seed: Seed of the fresh ones.

        Returns:
            The critic, of theta's type.
        """
        random = torch.Generator().manual_seed(seed)
        critic = MLPCritic(self.in_dim, width=self.width, depth=self.depth, generator=random)
        if theta is not None:
            critic.to(theta.dtype)
            vector_to_parameters(theta.detach(), critic.parameters())
        return critic

    def layers(self, theta: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Split rows of numbers into weights and biases: (R, P) -> [(R, out, in), (R, 1, out)] per layer."""
        return split_layers(theta, [self.in_dim, *[self.width] * self.depth, 1])


def split_layers(theta: Tensor, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Split rows of a perceptron's numbers, in the order of its `parameters()`, into weights and biases.

    Args:
        theta: The numbers, (R, P).
        sizes: Units of each layer, those of the input first.

    Returns:
        For each layer its weights (R, out, in) and biases (R, 1, out).

    Raises:
        ValueError: A row has more or fewer numbers than such a perceptron.
    """
    found, at = [], 0
    for n_in, n_out in pairwise(sizes):
        weight = theta[:, at : at + n_in * n_out].reshape(-1, n_out, n_in)
        at += n_in * n_out
        found.append((weight, theta[:, None, at : at + n_out]))
        at += n_out
    require("numbers of a perceptron", theta.shape[1], theta.shape[1] == at, f"{at} for layers of {sizes}")
    return found


def fresh_critics(shape: Shape, seeds: Sequence[int]) -> Tensor:
    """Draw fresh critics, as `MLPCritic` does.

    Args:
        shape: Their sizes.
        seeds: One seed for each critic.

    Returns:
        Their numbers, (R, P), float64.
    """
    return (
        torch.stack([parameters_to_vector(shape.critic(seed=s).parameters()) for s in seeds])
        .detach()
        .double()
    )


def values_and_gradients(
    shape: Shape, theta: Tensor, x: Tensor, *, beta: float | None = None, frozen: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute every critic's values and input gradients, differentiable in theta and x.

    Args:
        shape: The critics' sizes.
        theta: Their numbers, (R, P).
        x: Their points, (R, N, d).
        beta: Sharpness β of Softplus activations; None = ReLU.
        frozen: Whether g is differentiated as if gates did not move; with ReLU it always is.

    Returns:
        f (R, N) and g (R, N, d).
    """
    *hidden, (last, bias) = shape.layers(theta)
    h, gates = x, []
    for weight, b in hidden:
        z = torch.baddbmm(b, h, weight.mT)
        gate = (z > 0).to(z.dtype) if beta is None else torch.sigmoid(beta * z)
        h = z * gate if beta is None else softplus(z, beta=beta)
        gates.append(gate.detach() if frozen else gate)
    f = torch.baddbmm(bias, h, last.mT)[..., 0]
    back = last.expand(-1, x.shape[1], -1)
    for (weight, _), gate in zip(reversed(hidden), reversed(gates), strict=True):
        back = torch.bmm(back * gate, weight)
    return f, back


@dataclass(frozen=True)
class Contest:
    """Pairs of finite distributions, one for each of S runs, and the critics that are to tell them apart.

    Attributes:
        shape: The critics' sizes.
        real: Points of P, (S, n, d).
        fake: Points of Q, (S, m, d).
    """

    shape: Shape
    real: Tensor
    fake: Tensor

    def distances(self) -> Tensor:
        """Compute the exact W1 of each pair, (S,)."""
        return torch.tensor([exact_w1(*pair) for pair in zip(self.real, self.fake, strict=True)]).double()

    def value(self, theta: Tensor) -> Tensor:
        """Compute V = E_P D̂ − E_Q D̂: theta (S, P) or (S, K, P) -> (S,) or (S, K), from −2 to 2."""
        copies = 1 if theta.ndim == 2 else theta.shape[1]
        x = torch.cat([self.real, self.fake], dim=1).to(theta.dtype).repeat_interleave(copies, 0)
        f, g = values_and_gradients(self.shape, theta.flatten(0, -2), x)
        scores = ratio(f, torch.linalg.vector_norm(g, dim=-1) + f.abs())
        n = self.real.shape[1]
        return (scores[:, :n].mean(1) - scores[:, n:].mean(1)).view(theta.shape[:-1])

    def slopes(self, theta: Tensor) -> Tensor:
        """Compute the lengths of the gradients ∇D̂ that the points of Q would get: (S, P) -> (S, m)."""
        found: Tensor = torch.linalg.vector_norm(self.pushes(theta), dim=-1)
        return found

    def pushes(self, theta: Tensor) -> Tensor:
        """Compute ∇D̂ at the points of Q, uphill: (S, P) -> (S, m, d); 0 where n = 0."""
        with torch.no_grad():
            f, g = values_and_gradients(self.shape, theta, self.fake.to(theta.dtype))
            n = torch.linalg.vector_norm(g, dim=-1)
            size = (n + f.abs()).square()
            return torch.where(size == 0, 0.0, n / size.masked_fill(size == 0, 1.0))[..., None] * g
