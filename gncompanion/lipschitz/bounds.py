"""Bounds of the Lipschitz constants of a critic's first k layers, from above and from below.

    L_{f_k} ≤ Π_{i ≤ k} L_{φ_i} ‖W_i‖                                       upper: products of operator norms
    L_{f_k} ≥ max over samples x of ‖J_k(x)‖,   J_k = φ_k′ W_k J_{k−1}       lower: Jacobians at samples

Theorem 5: where every L_{φ_k} ‖W_k‖ ≤ 1, L_{f_k} ≤ L_{f_{k−1}}. The same then holds of either bound, and of
the Jacobian norms at each single x, since ‖J_k‖ ≤ L_{φ_k} ‖W_k‖ ‖J_{k−1}‖.

That last inequality survives even unfinished power iterations, which go from the deepest layer to the first
and start for f_{k−1} from the v found for f_k: ‖J_{k−1} v‖ ≥ ‖J_k v‖, and no iteration lessens ‖J v‖.

Source: Wu et al., ICCV 2021, Theorem 5 (f_k includes its activation).
"""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from gncompanion.input_gradient.per_sample import broadcast, norms
from gncompanion.lipschitz.operators import largest_singular_value, upper_operator_norm
from gncompanion.lipschitz.sequential import LayerStep, SequentialCritic, probe, steps
from gncompanion.tools.checks import require, whole

__all__ = ["JacobianNorms", "lower_jacobian_norms", "upper_products"]

MAX_EXACT_INPUT = 1024  # numbers in one sample: its Jacobians cost as many forward passes
MAX_NUMBERS = 2**23  # in the tangents of one batch: 64 MB in float64


class JacobianNorms(NamedTuple):
    """Lower bounds of L_{f_k}, k = 1 … K.

    Attributes:
        lower: Largest norm over the samples, (K,).
        per_sample: Norm at each sample, (K, N).
    """

    lower: Tensor
    per_sample: Tensor


def upper_products(critic: SequentialCritic, input_shape: tuple[int, ...]) -> Tensor:
    """Bound L_{f_k}, k = 1 … K, from above: cumulative products of operator norms and activations' constants.

    Args:
        critic: A sequential critic (see `layers`).
        input_shape: Shape of one sample.

    Returns:
        The bounds, (K,), float64. Convolutions whose dense matrix is too large count with an upper bound of
        their norm, so that for 1-Lipschitz convolutions the products may grow a little.

    Raises:
        ValueError: The critic is not sequential, or the shape does not fit.

    Source: Wu et al., 2109.02235, Theorem 5.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
        >>> round(upper_products([layer], (2,)).item(), 6)
        5.0
    """
    factors, h = [], probe(input_shape)
    for step in steps(critic, input_shape):
        factors.append(step.upper_slope * upper_operator_norm(step.linear.layer, tuple(h.shape[1:])))
        h = step.activate(step.linear(h.to(step.linear.weight)))
    return torch.tensor(factors, dtype=torch.float64).cumprod(0)


def lower_jacobian_norms(
    critic: SequentialCritic,
    x: Tensor,
    *,
    n_iterations: int | None = None,
    generator: Generator | None = None,
) -> JacobianNorms:
    """Bound L_{f_k}, k = 1 … K, from below: spectral norms of the Jacobians of f_k at samples.

    Args:
        critic: A sequential critic (see `layers`).
        x: Samples, (N, ...). Their type is that of the computation: in float64 Theorem 5's inequality holds
            at each sample to 1e-12, in float32 to 1e-5, and convolutions are ten times faster on a CPU.
        n_iterations: Power iterations per layer and sample, from 1 on; None = singular values of the whole
            Jacobian, exact to rounding, for samples of up to 1024 numbers.
        generator: Source of the power iterations' random start; None = one seeded with 0.

    Returns:
        The norms at each sample and their maxima.

    Raises:
        ValueError: The critic is not sequential, x is not finite, n_iterations is no positive integer, or it
            is None and the samples are too large.

    Source: Wu et al., 2109.02235, Theorem 5.
    """
    size = math.prod(x.shape[1:])
    if n_iterations is None:
        small = size <= MAX_EXACT_INPUT
        require("n_iterations", None, small, f"a number, such as 20, for samples of {size} numbers")
    else:
        whole("n_iterations", n_iterations)
    if not x.isfinite().all():
        raise ValueError("x has values that are not finite")
    found = steps(critic, tuple(x.shape[1:]), dtype=x.dtype)
    x = x.detach().to(found[0].linear.weight)
    generator = generator or Generator().manual_seed(0)
    widest = max(slope.numel() for slope in _slopes(found, x[:1]))
    tangents = size if n_iterations is None else 1
    measured = []
    for batch in x.split(max(1, MAX_NUMBERS // (tangents * widest))):
        slopes = _slopes(found, batch)
        if n_iterations is None:
            measured.append(_exact(found, slopes, batch))
        else:
            measured.append(_power(found, slopes, batch, n_iterations, generator))
    per_sample = torch.cat(measured, dim=1)
    return JacobianNorms(per_sample.amax(dim=1), per_sample)


@torch.no_grad()
def _slopes(found: list[LayerStep], x: Tensor) -> list[Tensor]:
    """φ_k′ at x of each step, (N, *out_k)."""
    slopes, h = [], x
    for step in found:
        z = step.linear.affine(h)
        slopes.append(step.slopes(z))
        h = step.activate(z)
    return slopes


def _tangent(step: LayerStep, slope: Tensor, t: Tensor) -> Tensor:
    """φ_k′ W_k t, for r tangents per sample, t (N · r, *in) in blocks of r."""
    t = step.linear(t)
    return (t.reshape(len(slope), -1, *slope.shape[1:]) * slope[:, None]).flatten(0, 1)


@torch.no_grad()
def _exact(found: list[LayerStep], slopes: list[Tensor], x: Tensor) -> Tensor:
    """(K, N): every unit vector of the input, pushed forward, gives J_k column by column."""
    n, size = len(x), math.prod(x.shape[1:])
    t = torch.eye(size, dtype=x.dtype, device=x.device).repeat(n, 1).reshape(n * size, *x.shape[1:])
    largest = []
    for step, slope in zip(found, slopes, strict=True):
        t = _tangent(step, slope, t)
        largest.append(largest_singular_value(t.reshape(n, size, -1)))
    return torch.stack(largest)


def _power(
    found: list[LayerStep], slopes: list[Tensor], x: Tensor, n_iterations: int, generator: Generator
) -> Tensor:
    """(K, N): power iterations on each J_k, from the deepest to the first."""
    v = _unit(torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device))
    largest = []
    for k in range(len(found), 0, -1):

        def jacobian(t: Tensor, k: int = k) -> Tensor:
            for step, slope in zip(found[:k], slopes[:k], strict=True):
                t = _tangent(step, slope, t)
            return t

        transpose = torch.func.vjp(jacobian, v)[1]
        for _ in range(n_iterations):
            (back,) = transpose(_unit(jacobian(v)))
            dead = back.flatten(1).abs().amax(dim=1) == 0  # J_k = 0 there: keep v for the layers before
            v = torch.where(broadcast(dead, x), v, _unit(back))
        largest.append(norms(jacobian(v)))
    return torch.stack(largest[::-1])


def _unit(t: Tensor) -> Tensor:
    """t with each sample scaled to norm 1, zeros left as they are."""
    return t / broadcast(norms(t).clamp(min=torch.finfo(t.dtype).tiny), t)
