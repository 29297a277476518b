"""Spectral normalization: every layer's weight divided by its largest singular value, W ← W / σ(W).

Two values of σ are in use for a convolution, and only one of them bounds the layer:

    kernel      σ of the kernel reshaped to a (C_out, C_in·k·k) matrix     Miyato et al. 2018; torch's own
    operator    σ of the convolution as a linear map of images             Theorem 5's "every layer has L = 1"

Both are estimated by power iteration with a warm start, u ← W v / ‖W v‖, v ← Wᵀ u / ‖Wᵀ u‖, σ ≈ ⟨u, W v⟩, the
vectors taken as constants where σ is differentiated.

Source: Miyato et al. 2018 (SN-GAN, 1802.05957), equations (11) to (15). Theorem 5's critic in
the authors' working repository (basiclab/Faster-GNGAN-PyTorch) iterates on the operator, 10 times per forward
and 100 times at first.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_input
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from gncompanion.constraints.base import Constraint
from gncompanion.tools.checks import require, whole

__all__ = ["OperatorSpectralNormalization", "SpectralNormalization"]

OperatorLayer = nn.Linear | nn.Conv2d  # those with a norm as a linear map of images


class SpectralNormalization(Constraint):
    """Divide every linear, convolution and embedding layer by its kernel's norm (torch's parametrization).

    Args:
        n_iterations: Power iterations per forward in training mode, ≥ 1.
        seed: Seed of the start vectors.

    Raises:
        ValueError: The number of iterations is no whole number of at least 1.
    """

    def __init__(self, n_iterations: int = 1, *, seed: int = 0) -> None:
        self.n_iterations, self.seed = whole("n_iterations", n_iterations), seed

    def prepare(self, critic: nn.Module) -> None:
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Embedding)
        layers = [module for module in critic.modules() if isinstance(module, kinds)]
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(self.seed)  # torch draws the start vectors from the global generators
            for layer in layers:
                spectral_norm(layer, n_power_iterations=self.n_iterations)


class OperatorSpectralNormalization(Constraint):
    """Divide every linear and 2-D convolution layer by its norm as a linear map of images.

    Args:
        shape: The shape of one of the critic's inputs, without the batch: a convolution's norm depends on the
            image's size.
        n_iterations: Power iterations per forward in training mode, ≥ 1; ten times as many at first.
        seed: Seed of the start vectors.

    Raises:
        ValueError: There is no shape, or less than one iteration; when used, a layer has no one norm: it pads
            otherwise than by a number of zeros, or is applied to inputs of several shapes.
    """

    def __init__(self, shape: tuple[int, ...], *, n_iterations: int = 10, seed: int = 0) -> None:
        require("shape", shape, bool(shape), "that of one input of the critic, such as (3, 32, 32)")
        self.shape, self.n_iterations, self.seed = tuple(shape), whole("n_iterations", n_iterations), seed

    def prepare(self, critic: nn.Module) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        layers = {
            name: module for name, module in critic.named_modules() if isinstance(module, OperatorLayer)
        }
        norms = {}
        for name, shape in _input_shapes(critic, self.shape).items():
            layer = layers[name]
            start = torch.randn((1, *shape), generator=generator).to(layer.weight)
            norms[layer] = _OperatorNorm(layer, start, self.n_iterations)
        for layer, norm in norms.items():  # only now, so that a critic that is refused is left as it was
            parametrize.register_parametrization(layer, "weight", norm)


def _input_shapes(critic: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the input's shape of every linear and convolution layer, by its name, as seen in one forward."""
    probe = copy.deepcopy(critic).eval()  # a forward may move running statistics
    shapes: dict[str, tuple[int, ...]] = {}

    def see(name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen = tuple(inputs[0].shape[1:])
        if shapes.setdefault(name, seen) != seen:
            raise ValueError(f"layer {name!r} has no one norm: its inputs are {shapes[name]} and {seen}")

    for name, layer in probe.named_modules():
        if isinstance(layer, OperatorLayer):
            layer.register_forward_pre_hook(partial(see, name))
    with torch.no_grad():
        probe(next(probe.parameters()).new_zeros(1, *shape))
    return shapes


class _OperatorNorm(nn.Module):
    """weight -> weight / σ, with σ the norm of the layer as a linear map on inputs of one shape."""

    v: Tensor

    def __init__(self, layer: OperatorLayer, start: Tensor, n_iterations: int) -> None:
        super().__init__()
        self.n_iterations = n_iterations
        self.convolution = None
        if isinstance(layer, nn.Conv2d):
            if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
                raise ValueError(f"no operator norm for {layer}: pad it with zeros, and by a number")
            self.convolution = (layer.stride, layer.padding, layer.dilation, layer.groups)
        self.register_buffer("v", start / start.norm())
        self._iterate(layer.weight.detach(), 10 * n_iterations)

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # σ as precise as the weight
            if self.training:
                self._iterate(weight.detach(), self.n_iterations)
            v = self.v.clone()  # the buffer moves on while autograd still needs this one
            norm: Tensor = self._operate(weight, v).norm()  # ∂‖W v‖/∂W = u ⊗ v with u = W v / ‖W v‖
            return weight / norm

    def _operate(self, weight: Tensor, v: Tensor) -> Tensor:
        return linear(v, weight) if self.convolution is None else conv2d(v, weight, None, *self.convolution)

    def _operate_back(self, weight: Tensor, u: Tensor) -> Tensor:
        if self.convolution is None:
            return u @ weight
        image: Tensor = conv2d_input(self.v.shape, weight, u, *self.convolution)
        return image

    @torch.no_grad()
    def _iterate(self, weight: Tensor, times: int) -> None:
        for _ in range(times):
            v = self._operate_back(weight, self._operate(weight, self.v))
            self.v.copy_(v / v.norm())
