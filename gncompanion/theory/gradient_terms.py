"""A normalized critic's weight gradient: its two terms, and the one point at which it is a plain gradient.

Let f̂ = φ(f, g) be a normalization, a function of a critic's value f and input gradient g, and n = ‖g‖. With
a = ∂φ/∂f and G = ∂φ/∂g, the chain rule splits its weight gradient:

    ∂f̂/∂W = a ∂f/∂W + ⟨G, ∂g/∂W⟩                                   task term + norm term
    GN:      n/(n + |f|)² ∂f/∂W − f/(n + |f|)² ∂n/∂W                (Wu et al., gradient analysis)

On the linear piece of x the critic is f_x(y) = ⟨g, y⟩ + c, with g and c functions of the weights, the gates
being those of x. Hence ∂f_x/∂W at y is ⟨∂g/∂W, y⟩ + ∂c/∂W, and the two terms are one:

    ∂f̂/∂W = a · ∂f_x/∂W  at the point  x + G/a

For GN, and for f/n, this point is x' = x − f g/n², the foot of the perpendicular from x on {f_x = 0}
(`affine_pieces`).

Source: Wu et al., 2109.02235, for the two terms; the point is ours (notebook 06).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import value_and_input_gradient
from gncompanion.input_gradient.per_sample import broadcast

__all__ = [
    "Terms",
    "equivalent_point",
    "relative_error",
    "sensitivities",
    "weight_gradient",
    "weight_terms",
]

Formula = Callable[[Tensor, Tensor], Tensor]


class Terms(NamedTuple):
    """The two terms of a weight gradient, each (P,): all parameters of the critic in one vector.

    Attributes:
        task: Task term Σ ℓ a ∂f/∂W, what an unnormalized critic would learn, reweighted.
        norm: Norm term Σ ℓ ⟨G, ∂g/∂W⟩, what acts on the input gradient; GN's "penalty".
    """

    task: Tensor
    norm: Tensor


def sensitivities(f: Tensor, g: Tensor, *, formula: Formula = FORMULAS["gn"]) -> tuple[Tensor, Tensor]:
    """Differentiate a normalization by the critic's value and by its input gradient.

    Args:
        f: Critic's values, (N,).
        g: Input gradients, (N, ...).
        formula: Normalization φ(f, g) -> (N,), such as `FORMULAS["gn"]` or
            `partial(FORMULAS["gran"], eps=0.01)`.

    Returns:
        The derivatives a = ∂φ/∂f (N,) and G = ∂φ/∂g, shaped like g; without gradient.

    Example:
        >>> a, G = sensitivities(torch.tensor([1.0]), torch.tensor([[3.0, 0.0]]))
        >>> a, G  # n/(n + |f|)² and −f g/(n (n + |f|)²)
        (tensor([0.1875]), tensor([[-0.0625, -0.0000]]))
    """
    f, g = f.detach().requires_grad_(), g.detach().requires_grad_()
    with torch.enable_grad():
        a, G = torch.autograd.grad(formula(f, g).sum(), (f, g))
    return a, G


def weight_terms(
    critic: nn.Module, x: Tensor, slopes: Tensor, *, formula: Formula = FORMULAS["gn"], method: str = "auto"
) -> Terms:
    """Compute both terms of ∂L/∂W = Σ_i ℓ_i ∂f̂(x_i)/∂W.

    Args:
        critic: Critic, (N, ...) -> (N,), all of whose parameters require gradients.
        x: Samples, (N, ...).
        slopes: Loss's slope ℓ = ∂L/∂f̂ in each score, (N,); −1/N for a real sample under the Wasserstein
            loss.
        formula: Normalization φ(f, g) -> (N,), as in `sensitivities`.
        method: Method of `value_and_input_gradient`.

    Returns:
        The two terms, (P,) each, in the order of `critic.parameters()`.

    Source: Wu et al., 2109.02235, gradient analysis.
    """
    f, g = value_and_input_gradient(critic, x, method=method)
    a, G = sensitivities(f, g, formula=formula)
    task = (slopes * a * f).sum()
    norm = (slopes * (G * g).flatten(1).sum(1)).sum()
    return Terms(weight_gradient(task, critic), weight_gradient(norm, critic))


def weight_gradient(value: Tensor, critic: nn.Module) -> Tensor:
    """Differentiate a number by all weights of a critic, and keep its graph.

    Args:
        value: Scalar, with a graph.
        critic: Module all of whose parameters require gradients.

    Returns:
        One vector, (P,), in the order of `critic.parameters()`; 0 for what the value does not depend on.
    """
    parameters = list(critic.parameters())
    found = torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Compute the largest difference of two tensors, relative to the largest entry expected.

    Args:
        found: Tensor to judge.
        expected: Tensor of the same shape, with an entry that is not 0.

    Returns:
        The difference, from 0 on.
    """
    error: float = ((found - expected).abs().max() / expected.abs().max()).item()
    return error


def equivalent_point(x: Tensor, f: Tensor, g: Tensor, *, formula: Formula = FORMULAS["gn"]) -> Tensor:
    """Compute x + G/a, where the plain gradient, times a, is the normalized critic's.

    Args:
        x: Samples, (N, ...).
        f: Critic's values, (N,).
        g: Input gradients, (N, ...).
        formula: Normalization φ(f, g) -> (N,), as in `sensitivities`.

    Returns:
        Points shaped like x; those of `foot_point` for GN and for f/n.
    """
    a, G = sensitivities(f, g, formula=formula)
    return x + G / broadcast(a, x)
