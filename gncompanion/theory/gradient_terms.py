"""A normalized critic's weight gradient: its two terms, and the one point at which it is a plain gradient.

Let f̂ = φ(f, g) be a normalization, a function of a critic's value f and input gradient g, and n = ‖g‖. With
a = ∂φ/∂f and G = ∂φ/∂g, the chain rule splits its weight gradient:

    ∂f̂/∂W = a ∂f/∂W + ⟨G, ∂g/∂W⟩                                   task term + norm term
    GN:      n/(n + |f|)² ∂f/∂W − f/(n + |f|)² ∂n/∂W                (Wu et al., gradient analysis)

On the linear piece of x the critic is f_x(y) = ⟨g, y⟩ + c, with g and c functions of the weights, the gates
being those of x. Hence ∂f_x/∂W at y is ⟨∂g/∂W, y⟩ + ∂c/∂W, and the two terms are one:

    ∂f̂/∂W = a · ∂f_x/∂W  at the point  x + G/a

For GN, and for f/n, this point is x' = x − f g/n², the foot of the perpendicular from x on {f_x = 0}.

Source: Wu et al., ICCV 2021, for the two terms; the point is ours (notebook 06).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import value_and_input_gradient

__all__ = [
    "Terms",
    "equivalent_point",
    "foot_point",
    "frozen_gates",
    "relative_error",
    "sensitivities",
    "weight_gradient",
    "weight_terms",
]

Formula = Callable[[Tensor, Tensor], Tensor]


class Terms(NamedTuple):
    """The two terms of a weight gradient, each (P,): all parameters of the critic in one vector.

    Attributes:
        task: Σ ℓ a ∂f/∂W, what an unnormalized critic would learn, reweighted.
        norm: Σ ℓ ⟨G, ∂g/∂W⟩, what acts on the input gradient; GN's "penalty".
    """

    task: Tensor
    norm: Tensor


def sensitivities(f: Tensor, g: Tensor, *, formula: Formula = FORMULAS["gn"]) -> tuple[Tensor, Tensor]:
    """Differentiate a normalization by the critic's value and by its input gradient.

    Args:
        f: values (N,).
        g: input gradients (N, ...).
        formula: φ(f, g) -> (N,), such as `FORMULAS["gn"]` or `partial(FORMULAS["gran"], eps=0.01)`.

    Returns:
        a = ∂φ/∂f (N,) and G = ∂φ/∂g, shaped like g; without gradient.
    """
    f, g = f.detach().requires_grad_(), g.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(formula(f, g).sum(), (f, g))


def weight_terms(
    critic: nn.Module, x: Tensor, slopes: Tensor, *, formula: Formula = FORMULAS["gn"], method: str = "auto"
) -> Terms:
    """Compute both terms of ∂L/∂W = Σ_i ℓ_i ∂f̂(x_i)/∂W.

    Args:
        critic: (N, ...) -> (N,); all of its parameters require gradients.
        x: samples (N, ...).
        slopes: ℓ = ∂L/∂f̂ (N,), the loss's slope in each score; −1/N for a real sample under the Wasserstein
            loss.
        formula: φ(f, g) -> (N,), as in `sensitivities`.
        method: of `value_and_input_gradient`.

    Returns:
        The two terms (P,), in the order of `critic.parameters()`.
    """
    f, g = value_and_input_gradient(critic, x, method=method)
    a, G = sensitivities(f, g, formula=formula)
    task = (slopes * a * f).sum()
    norm = (slopes * (G * g).flatten(1).sum(1)).sum()
    return Terms(weight_gradient(task, critic), weight_gradient(norm, critic))


def weight_gradient(value: Tensor, critic: nn.Module) -> Tensor:
    """Differentiate a number by all weights of a critic, and keep its graph.

    Args:
        value: a scalar, with a graph.
        critic: all of its parameters require gradients.

    Returns:
        One vector (P,), in the order of `critic.parameters()`; 0 for what the value does not depend on.
    """
    parameters = list(critic.parameters())
    found = torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Compute the largest difference of two tensors of one shape, relative to the largest entry expected."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def foot_point(x: Tensor, f: Tensor, g: Tensor) -> Tensor:
    """Compute x' = x − f g/n², the point nearest to x where the affine map of x's linear piece is 0.

    Args:
        x: samples (N, ...).
        f: values (N,).
        g: input gradients (N, ...), nowhere 0.

    Returns:
        Points shaped like x, each at the distance |f|/n from its sample; it may lie outside the piece.
    """
    per_sample = f / g.flatten(1).square().sum(1)
    return x - per_sample.view(-1, *[1] * (x.dim() - 1)) * g


def equivalent_point(x: Tensor, f: Tensor, g: Tensor, *, formula: Formula = FORMULAS["gn"]) -> Tensor:
    """Compute x + G/a, where the plain gradient, times a, is the normalized critic's.

    Args:
        x: samples (N, ...).
        f: values (N,).
        g: input gradients (N, ...).
        formula: φ(f, g) -> (N,), as in `sensitivities`.

    Returns:
        Points shaped like x; `foot_point` for GN and for f/n.
    """
    a, G = sensitivities(f, g, formula=formula)
    return x + G / a.view(-1, *[1] * (x.dim() - 1))


@contextmanager
def frozen_gates(critic: nn.Module, x: Tensor) -> Iterator[None]:
    """Make a critic, for a while, the affine map f_x of the linear piece in which each sample lies.

    A second implementation of what `replay` does, by hooks on the activation modules; for checks.

    Args:
        critic: whose activations are `nn.ReLU` and `nn.LeakyReLU` modules, each called once a forward.
        x: samples (N, ...); within the context the critic takes N points, row i on sample i's piece.

    Yields:
        None; the critic is changed in place, and as it was afterwards.

    Raises:
        ValueError: if it has other modules with no weights than are known to be linear.
    """
    linear = (nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.Flatten, nn.Identity)
    leaves = [module for module in critic.modules() if not list(module.children())]
    for module in leaves:
        if not isinstance(module, (*linear, nn.ReLU, nn.LeakyReLU, nn.Sequential)):
            raise ValueError(f"{type(module).__name__} has no gates that could be frozen: take nn.LeakyReLU")
    gates: dict[nn.Module, Tensor] = {}

    def freeze(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        (z,) = inputs
        gates[module] = torch.full_like(z, getattr(module, "negative_slope", 0.0)).masked_fill(z > 0, 1.0)

    def apply(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return gates[module] * inputs[0]

    activations = [module for module in leaves if isinstance(module, nn.ReLU | nn.LeakyReLU)]
    with ExitStack() as recording, torch.no_grad():
        for module in activations:
            recording.callback(module.register_forward_hook(freeze).remove)
        critic(x)
    with ExitStack() as frozen:
        for module in activations:
            frozen.callback(module.register_forward_hook(apply).remove)
        yield
