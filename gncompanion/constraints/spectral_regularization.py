"""Spectral norm regularization: the critic's loss + λ/2·Σ_l σ(W_l)².

    ∂/∂W  λ/2·σ(W)² = λ σ₁ u₁v₁ᵀ

pulls at each layer's largest singular value and at nothing else. Unlike spectral normalization it divides
nothing: no bound on the slope follows, only a price of slope.

σ is estimated as in spectral normalization, by power iteration with a warm start, of the kernel reshaped to a
matrix (see `spectral`).

Source: Yoshida and Miyato 2017, as Miyato et al. 2018 set it against spectral normalization.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gncompanion.constraints.base import Constraint, Score

__all__ = ["SpectralRegularization"]

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)
VECTOR = "regularized_direction"  # a buffer of each layer, so that a checkpoint of the critic has it


class SpectralRegularization(Constraint):
    """Add λ/2·σ² of every linear, convolution and embedding layer of the critic that was prepared last.

    Args:
        weight: λ ≥ 0; the default is ours.
        n_iterations: power iterations a penalty, ≥ 1; ten times as many at first.
        seed: of the start vectors.

    Raises:
        ValueError: for a weight or number of iterations out of range, or, when used, for a critic without
            such layers.
    """

    def __init__(self, weight: float = 0.1, *, n_iterations: int = 1, seed: int = 0) -> None:
        if not weight >= 0:
            raise ValueError(f"weight={weight!r} must not be negative")
        if type(n_iterations) is not int or n_iterations < 1:
            raise ValueError(f"n_iterations={n_iterations!r} must be an integer of at least 1")
        self.weight, self.n_iterations, self.seed = weight, n_iterations, seed
        self._layers: list[nn.Module] = []

    def prepare(self, critic: nn.Module) -> None:
        layers = [module for module in critic.modules() if isinstance(module, KINDS)]
        if not layers:
            raise ValueError(f"{type(critic).__name__} has no layer with a spectral norm to regularize")
        generator = torch.Generator().manual_seed(self.seed)
        for layer in layers:
            matrix = layer.weight.detach().flatten(1)
            start = torch.randn(matrix.shape[1], generator=generator).to(matrix)
            layer.register_buffer(VECTOR, start / start.norm())
            _iterate(layer, 10 * self.n_iterations)
        self._layers = layers

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor | float:
        return self.weight / 2 * sum(self._squared_norm(layer) for layer in self._layers)

    def _squared_norm(self, layer: nn.Module) -> Tensor:
        if layer.training:
            _iterate(layer, self.n_iterations)
        v = getattr(layer, VECTOR).clone()  # the buffer moves on while autograd still needs this one
        return (layer.weight.flatten(1) @ v).square().sum()  # its gradient is 2σ u₁v₁ᵀ, v taken as constant


@torch.no_grad()
def _iterate(layer: nn.Module, times: int) -> None:
    """Move the layer's vector towards v₁."""
    matrix, v = layer.weight.flatten(1), getattr(layer, VECTOR)
    for _ in range(times):
        image = matrix.mT @ (matrix @ v)
        if image.any():  # a weight of zeros has no direction, and no norm either
            v.copy_(image / image.norm())
