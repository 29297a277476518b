"""Spectral normalization: every layer's weight divided by its largest singular value, W ← W / σ(W).

Two values of σ are in use for a convolution, and only one of them bounds the layer:

    kernel      σ of the kernel reshaped to a (C_out, C_in·k·k) matrix     Miyato et al. 2018; torch's own
    operator    σ of the convolution as a linear map of images             Theorem 5's "every layer has L = 1"

Both are estimated by power iteration with a warm start, u ← W v / ‖W v‖, v ← Wᵀ u / ‖Wᵀ u‖, σ ≈ ⟨u, W v⟩, the vectors
taken as constants where σ is differentiated.

Source: Miyato et al. 2018, equations (11) to (15); the authors' Theorem 5 critic iterates on the operator, 10 times a
forward and 100 times at first (paper-facts, section 1.3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_input
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from gncompanion.constraints.base import Constraint

__all__ = ["OperatorSpectralNormalization", "SpectralNormalization"]


class SpectralNormalization(Constraint):
    """The reshaped kernel's norm, for every linear, convolution and embedding layer (torch's parametrization).

    Args:
        n_iterations: power iterations a forward in training mode, ≥ 1.
        seed: of the start vectors.
    """

    def __init__(self, n_iterations: int = 1, *, seed: int = 0) -> None:
        self.n_iterations, self.seed = n_iterations, seed

    def prepare(self, critic: nn.Module) -> None:
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Embedding)
        with torch.random.fork_rng():  # torch draws the start vectors from the global generator
            torch.manual_seed(self.seed)
            for module in [m for m in critic.modules() if isinstance(m, kinds)]:
                spectral_norm(module, n_power_iterations=self.n_iterations)


class OperatorSpectralNormalization(Constraint):
    """The convolution operator's norm, for every linear and 2-D convolution layer.

    Args:
        shape: of one of the critic's inputs, without the batch: a convolution's norm depends on the image's size.
        n_iterations: power iterations a forward in training mode, ≥ 1; ten times as many at first.
        seed: of the start vectors.
    """

    def __init__(self, shape: tuple[int, ...], *, n_iterations: int = 10, seed: int = 0) -> None:
        self.shape, self.n_iterations, self.seed = tuple(shape), n_iterations, seed

    def prepare(self, critic: nn.Module) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        for layer, shape in _input_shapes(critic, self.shape):
            start = torch.randn((1, *shape), generator=generator).to(layer.weight)
            parametrize.register_parametrization(layer, "weight", _OperatorNorm(layer, start, self.n_iterations))


def _input_shapes(critic: nn.Module, shape: tuple[int, ...]) -> list[tuple[nn.Linear | nn.Conv2d, tuple[int, ...]]]:
    """Every linear and convolution layer with its input's shape, seen in one forward."""
    layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    seen: dict[nn.Module, tuple[int, ...]] = {}
    hooks = [m.register_forward_pre_hook(lambda m, args: seen.update({m: args[0].shape[1:]})) for m in layers]
    try:
        with torch.no_grad():
            parameter = next(critic.parameters())
            critic(torch.zeros((1, *shape), device=parameter.device, dtype=parameter.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return [(layer, tuple(seen[layer])) for layer in layers if layer in seen]


class _OperatorNorm(nn.Module):
    """weight -> weight / σ, with σ the norm of the layer as a linear map on inputs of one shape."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, start: Tensor, n_iterations: int) -> None:
        super().__init__()
        self.n_iterations = n_iterations
        self.convolution = None
        if isinstance(layer, nn.Conv2d):
            if layer.padding_mode != "zeros":
                raise ValueError(f"padding_mode={layer.padding_mode!r}: only zero padding has its operator norm here")
            self.convolution = (layer.stride, layer.padding, layer.dilation, layer.groups)
        self.register_buffer("v", start / start.norm())
        self._iterate(layer.weight.detach(), 10 * n_iterations)

    def forward(self, weight: Tensor) -> Tensor:
        if self.training:
            self._iterate(weight.detach(), self.n_iterations)
        v = self.v.clone()  # the buffer moves on while autograd still needs this one
        image = self._operate(weight, v)
        u = (image / image.norm()).detach()
        return weight / (u * image).sum()

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight

    def _operate(self, weight: Tensor, v: Tensor) -> Tensor:
        return linear(v, weight) if self.convolution is None else conv2d(v, weight, None, *self.convolution)

    def _operate_back(self, weight: Tensor, u: Tensor) -> Tensor:
        return u @ weight if self.convolution is None else conv2d_input(self.v.shape, weight, u, *self.convolution)

    @torch.no_grad()
    def _iterate(self, weight: Tensor, times: int) -> None:
        for _ in range(times):
            v = self._operate_back(weight, self._operate(weight, self.v))
            self.v.copy_(v / v.norm())
