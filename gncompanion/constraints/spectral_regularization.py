"""Spectral norm regularization: the critic's loss + λ/2·Σ_l σ(W_l)².

    ∂/∂W  λ/2·σ(W)² = λ σ₁ u₁v₁ᵀ

pulls at each layer's largest singular value and at nothing else. Unlike spectral normalization it divides
nothing: no bound on the slope follows, only a price of slope.

σ is estimated as in spectral normalization, by power iteration with a warm start, of the kernel reshaped to a
matrix (see `spectral_norm`). The iteration's vector is a buffer of its layer: it moves, is copied and is
saved with the critic, and the penalty finds it again there.

Source: Yoshida and Miyato 2017 (1705.10941), as Miyato et al. 2018 (1802.05957) set it against spectral
normalization.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gncompanion.constraints.base import Constraint, Score
from gncompanion.tools.checks import non_negative, whole

__all__ = ["SpectralRegularization"]

KernelLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Embedding
VECTOR = "regularized_direction"


class SpectralRegularization(Constraint):
    """Add λ/2·σ² of every linear, convolution and embedding layer that was prepared.

    Args:
        weight: The penalty's weight λ ≥ 0; the default is ours.
        n_iterations: Power iterations per penalty, ≥ 1; ten times as many when the critic is prepared.
        seed: Seed of the start vectors.

    Raises:
        ValueError: The weight or the number of iterations is out of range, or, when used, the critic has no
            such layers.
    """

    def __init__(self, weight: float = 0.1, *, n_iterations: int = 1, seed: int = 0) -> None:
        self.weight, self.seed = non_negative("weight", weight), seed
        self.n_iterations = whole("n_iterations", n_iterations)

    def prepare(self, critic: nn.Module) -> None:
        layers = [module for module in critic.modules() if isinstance(module, KernelLayer)]
        if not layers:
            raise ValueError(f"{type(critic).__name__} has no layer with a spectral norm to regularize")
        generator = torch.Generator().manual_seed(self.seed)
        for layer in layers:
            matrix = layer.weight.detach().flatten(1)
            start = torch.randn(matrix.shape[1], generator=generator).to(matrix)
            layer.register_buffer(VECTOR, start / start.norm())
            _iterate(layer, 10 * self.n_iterations)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor | float:
        modules = score.critic.modules()
        layers = [module for module in modules if isinstance(module, KernelLayer) and hasattr(module, VECTOR)]
        return self.weight / 2 * sum(self._squared_norm(layer) for layer in layers)

    def _squared_norm(self, layer: KernelLayer) -> Tensor:
        if layer.training:
            _iterate(layer, self.n_iterations)
        v = layer.get_buffer(VECTOR).clone()  # the buffer moves on while autograd still needs this one
        return (layer.weight.flatten(1) @ v).square().sum()  # its gradient is 2σ u₁v₁ᵀ, v taken as constant


@torch.no_grad()
def _iterate(layer: KernelLayer, times: int) -> None:
    """Move the layer's vector towards v₁."""
    matrix, v = layer.weight.flatten(1), layer.get_buffer(VECTOR)
    for _ in range(times):
        image = matrix.mT @ (matrix @ v)
        if image.any():  # a weight of zeros has no direction, and no norm either
            v.copy_(image / image.norm())
