"""A sequential critic as the steps of its theory.

    f_k = φ_k(W_k f_{k−1} + b_k),    f_0 = x,    k = 1 … K

W_k is a linear layer or a convolution, φ_k the activations that follow it (the identity where none does): f_k
includes its activation. The steps are frozen copies, with parametrized weights (spectral normalization) as
they are in eval mode, so that measuring changes nothing. Whether the critic really is the composition of its
layers is checked by value, at random inputs: residual or functional critics are refused, never measured
wrongly.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import conv2d, linear

from gncompanion.input_gradient.per_sample import broadcast
from gncompanion.tools.checks import require

__all__ = ["LIPSCHITZ", "LayerStep", "LinearMap", "SequentialCritic", "layers", "probe", "steps"]

SequentialCritic = nn.Module | Sequence[nn.Module]


def _reaches_one(slope: str) -> Callable[[nn.Module], float]:
    """The constant of an activation whose slopes reach 1, and below zero the number that it calls `slope`."""
    return lambda phi: max(1.0, abs(float(getattr(phi, slope))))


# Lipschitz constant of each activation: the supremum of |φ′|.
LIPSCHITZ: dict[type[nn.Module], Callable[[nn.Module], float]] = {
    nn.Identity: lambda _: 1.0,
    nn.Flatten: lambda _: 1.0,
    nn.ReLU: lambda _: 1.0,
    nn.LeakyReLU: _reaches_one("negative_slope"),
    nn.ELU: _reaches_one("alpha"),
    nn.Softplus: lambda _: 1.0,
    nn.Tanh: lambda _: 1.0,
    nn.Sigmoid: lambda _: 0.25,
}


class LinearMap:
    """The linear part h ↦ W h of a layer, without its bias; a frozen copy.

    Args:
        layer: A Linear, or a Conv2d padded with zeros.
        dtype: Floating point type of the copy.

    Attributes:
        layer: The layer itself.
        weight: Its weight in eval mode, without gradient.
        bias: Its bias; None = it has none.

    Raises:
        ValueError: It is another layer, or a weight is not finite.
    """

    def __init__(self, layer: nn.Module, *, dtype: torch.dtype = torch.float64) -> None:
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise ValueError(f"{type(layer).__name__} is neither Linear nor Conv2d")
        if isinstance(layer, nn.Conv2d):
            mode = layer.padding_mode
            require("padding_mode", mode, mode == "zeros", "'zeros' for a Conv2d to be measured")
        # A spectrally normalized weight changes when it is read in training mode; and it is computed in the
        # wanted type, since rounding it first would show through many layers.
        frozen = copy.deepcopy(layer).eval().to(dtype)
        self.layer = layer
        self.weight = frozen.weight.detach()
        if not self.weight.isfinite().all():
            raise ValueError(f"{layer} has weights that are not finite")
        self.bias = None if frozen.bias is None else frozen.bias.detach()

    def __call__(self, h: Tensor) -> Tensor:
        """W h, (N, *in) to (N, *out); a Linear flattens what it is given."""
        if isinstance(self.layer, nn.Linear):
            return linear(h.flatten(1), self.weight)
        conv = self.layer
        return conv2d(h, self.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)

    def affine(self, h: Tensor) -> Tensor:
        """W h + b, (N, *in) to (N, *out)."""
        z = self(h)
        return z if self.bias is None else z + self.bias.reshape(-1, *[1] * (z.ndim - 2))


@dataclass(frozen=True)
class LayerStep:
    """One step h ↦ φ(W h + b) of a critic: a linear layer with the activations that follow it.

    Args:
        linear: The map W with its bias.
        activations: The modules whose composition is φ, in order.
    """

    linear: LinearMap
    activations: list[nn.Module] = field(default_factory=list)

    @property
    def upper_slope(self) -> float:
        """Upper bound of the Lipschitz constant of φ: the product of those of its parts."""
        return math.prod(LIPSCHITZ[type(phi)](phi) for phi in self.activations)

    def activate(self, z: Tensor) -> Tensor:
        """φ(z), (N, *out)."""
        for phi in self.activations:
            z = phi(z)
        return z

    def slopes(self, z: Tensor) -> Tensor:
        """φ′(z) of each unit, shaped as φ(z)."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            out = self.activate(z)
            (slope,) = torch.autograd.grad(out.sum(), z)
        return slope.reshape(out.shape)


def layers(critic: SequentialCritic) -> list[nn.Module]:
    """List the linear layers and activations of a sequential critic, in the order in which it registers them.

    Args:
        critic: A module made of them, or a sequence of such modules.

    Returns:
        The modules themselves; parametrized layers (spectral normalization) count as one.

    Raises:
        ValueError: One is neither Linear, Conv2d nor an activation of `LIPSCHITZ`, or no linear layer comes
            first.

    Example:
        >>> layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
        [Linear(in_features=2, out_features=3, bias=True), ReLU()]
    """
    modules = [critic] if isinstance(critic, nn.Module) else critic
    found = [leaf for module in modules for leaf in _layers_within(module)]
    first = next((leaf for leaf in found if not isinstance(leaf, nn.Flatten | nn.Identity)), None)
    if not isinstance(first, nn.Linear | nn.Conv2d):
        raise ValueError(f"a critic starts with a linear layer, not with {type(first).__name__}")
    return found


def steps(
    critic: SequentialCritic, input_shape: tuple[int, ...], *, dtype: torch.dtype = torch.float64
) -> list[LayerStep]:
    """Take a sequential critic apart into its steps.

    Args:
        critic: A sequential critic, as in `layers`. A plain sequence of modules is composed in its order; a
            Linear flattens its input.
        input_shape: Shape of one sample.
        dtype: Floating point type of the steps.

    Returns:
        The K steps, on the critic's device.

    Raises:
        ValueError: The critic is refused by `layers`, or its values are not those of its layers one after
            the other.
    """
    found: list[LayerStep] = []
    for layer in layers(critic):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            found.append(LayerStep(LinearMap(layer, dtype=dtype)))
        elif found:
            found[-1].activations.append(_frozen_activation(layer))
    if isinstance(critic, nn.Module):
        _require_composition(critic, found, probe(input_shape).to(found[0].linear.weight))
    return found


def probe(input_shape: tuple[int, ...]) -> Tensor:
    """Draw samples to try a critic on, always the same.

    They are of sizes 0.1 to 10, and x comes with −x: every unit's kink is likely to be crossed.

    Args:
        input_shape: Shape of one sample.

    Returns:
        The samples, (32, *input_shape), float64.
    """
    x = torch.randn(16, *input_shape, generator=Generator().manual_seed(0), dtype=torch.float64)
    x *= broadcast(torch.logspace(-1, 1, 16, dtype=torch.float64), x)
    return torch.cat([x, -x])


def _frozen_activation(layer: nn.Module) -> nn.Module:
    frozen = copy.deepcopy(layer).eval()
    if isinstance(frozen, nn.ReLU | nn.LeakyReLU | nn.ELU):
        frozen.inplace = False
    return frozen


@torch.no_grad()
def _require_composition(critic: nn.Module, found: list[LayerStep], x: Tensor) -> None:
    expected = copy.deepcopy(critic).eval().to(x.dtype)(x).flatten()
    for step in found:
        x = step.activate(step.linear.affine(x))
    # Equal to half the digits: far above rounding, far below what another layer would change.
    rounding = torch.finfo(x.dtype).eps ** 0.5 * expected.abs().max()
    same_size = x.numel() == len(expected)
    if not (same_size and rounding.isfinite() and (x.flatten() - expected).abs().max() <= rounding):
        raise ValueError(f"{type(critic).__name__} is not the composition of its layers in their order")


def _layers_within(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Linear | nn.Conv2d) or type(module) in LIPSCHITZ:
        yield module
    elif isinstance(module, nn.Sequential) or any(module.children()):
        for child in module.children():
            yield from _layers_within(child)
    else:
        known = ", ".join(kind.__name__ for kind in LIPSCHITZ)
        raise ValueError(f"{type(module).__name__} is neither Linear, Conv2d nor one of {known}")
