"""Spectral normalization under the microscope: how fast power iteration arrives, and SN's own gradient.

With W = Σ σ_i u_i v_iᵀ, σ₁ > σ₂ ≥ …, and W̄ = W / σ₁:

    ṽ ← Wᵀũ / ‖Wᵀũ‖,   ũ ← Wṽ / ‖Wṽ‖,   σ̃ = ũᵀWṽ                                          (12), (13)
    0 ≤ σ₁² − σ̃_t² ≤ σ₁² tan²θ (σ₂ / σ₁)^(4t − 2)          θ the angle between the first ũ and u₁
    ∂W̄ / ∂W_ij = (E_ij − [u₁v₁ᵀ]_ij W̄) / σ₁                                                (14)
    ∂V / ∂W = (Σ δhᵀ − λ u₁v₁ᵀ) / σ₁,    λ = Σ δᵀW̄h,  δ = ∂V / ∂(W̄h)                       (15)

(15) vanishes where Σ δhᵀ = k u₁v₁ᵀ, and is always orthogonal to W, since W̄ does not change with W's scale.

The rate: WWᵀ shrinks what ũ has off u₁ by (σ₂/σ₁)² an iteration, ṽ_t is half an iteration ahead, and σ̃_t²,
a Rayleigh quotient of WᵀW, is off by σ₁² times the square of what ṽ_t has off v₁.

Source: Miyato et al., 1802.05957; equations are numbered as in the 2019 notes on it that notebook 02 names.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from gncompanion.tools.checks import whole

__all__ = [
    "PowerTrace",
    "power_iteration",
    "sn_gradient",
    "sn_jacobian",
    "top_singular",
    "tracked_norms",
    "upper_power_error",
]


class PowerTrace(NamedTuple):
    """A run of power iteration.

    Attributes:
        sigma: Estimate σ̃ after 1 … T iterations, (T,), never above σ₁ and never falling.
        u: Last ũ, (m,).
        v: Last ṽ, (n,).
    """

    sigma: Tensor
    u: Tensor
    v: Tensor


def power_iteration(weight: Tensor, start: Tensor, *, n_iterations: int) -> PowerTrace:
    """Run power iteration on a matrix, as spectral normalization does, and keep every estimate.

    Args:
        weight: Matrix W, (m, n).
        start: First ũ, (m,), of any length but 0.
        n_iterations: Number of iterations T ≥ 1.

    Returns:
        The trace, without gradient.

    Raises:
        ValueError: n_iterations is no positive integer, or the start has another size or is mapped to 0.

    Source: Miyato et al., 1802.05957; equations (12) and (13).

    Example:
        >>> weight, start = torch.diag(torch.tensor([2.0, 1.0])), torch.tensor([1.0, 0.0])
        >>> power_iteration(weight, start, n_iterations=1).sigma
        tensor([2.])
    """
    whole("n_iterations", n_iterations)
    if weight.dim() != 2 or start.shape != weight.shape[:1]:
        raise ValueError(
            f"start has shape {tuple(start.shape)}: must be one number per row of W, {tuple(weight.shape)}"
        )
    weight, u, sigma = weight.detach(), start.detach(), []
    for _ in range(n_iterations):
        v = weight.mT @ u
        if not v.any():
            raise ValueError("the start is orthogonal to all that W maps to")
        v = v / v.norm()
        image = weight @ v
        sigma.append(image.norm())
        u = image / sigma[-1]
    return PowerTrace(torch.stack(sigma), u, v)


def upper_power_error(weight: Tensor, start: Tensor, *, n_iterations: int) -> Tensor:
    """Bound (σ₁ − σ̃_t) / σ₁ from above, before any iteration: tan²θ (σ₂ / σ₁)^(4t − 2).

    Args:
        weight: Matrix W, (m, n), min(m, n) ≥ 2.
        start: First ũ, (m,).
        n_iterations: Number of iterations T ≥ 1.

    Returns:
        The bounds for t = 1 … T, (T,).

    Raises:
        ValueError: n_iterations is no positive integer.
    """
    whole("n_iterations", n_iterations)
    u, s, _ = torch.linalg.svd(weight.detach(), full_matrices=False)
    cos = (u[:, 0] @ start).abs() / start.norm()
    t = torch.arange(1, n_iterations + 1, dtype=weight.dtype)
    # σ₁ − σ̃ ≤ (σ₁² − σ̃²) / σ₁, as σ₁ + σ̃ ≥ σ₁
    bounds: Tensor = (1 / cos**2 - 1) * (s[1] / s[0]) ** (4 * t - 2)
    return bounds


def tracked_norms(weights: Iterable[Tensor], start: Tensor, *, carry: bool = True) -> Tensor:
    """Follow the norm of a weight in training, with one power iteration for each of its values.

    Args:
        weights: Matrices, (m, n), one after the other.
        start: First ũ, (m,).
        carry: Whether each iteration starts from the last ũ, which is what makes one enough; False = from
            `start`.

    Returns:
        The estimates, (T,), each at most the norm of its weight.
    """
    estimates, u = [], start
    for weight in weights:
        trace = power_iteration(weight, u, n_iterations=1)
        estimates.append(trace.sigma[0])
        u = trace.u if carry else start
    return torch.stack(estimates)


def top_singular(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute u₁ (m,), σ₁ () and v₁ (n,) of W (m, n), by singular value decomposition."""
    u, s, vt = torch.linalg.svd(weight, full_matrices=False)
    return u[:, 0], s[0], vt[0]


def sn_jacobian(weight: Tensor) -> Tensor:
    """Compute ∂W̄_ab / ∂W_ij in closed form, equation (14).

    Args:
        weight: Matrix W, (m, n), its largest singular value simple.

    Returns:
        The derivatives, (m, n, m, n), by a, b, i, j.

    Source: Miyato et al., 1802.05957; equation (14).
    """
    m, n = weight.shape
    u, sigma, v = top_singular(weight)
    identity = torch.eye(m * n, dtype=weight.dtype).reshape(m, n, m, n)
    return (identity - torch.einsum("ab,i,j->abij", weight / sigma, u, v)) / sigma


def sn_gradient(weight: Tensor, delta: Tensor, h: Tensor) -> Tensor:
    """Compute ∂V/∂W of a spectrally normalized layer in closed form, equation (15).

    Args:
        weight: Matrix W, (m, n), its largest singular value simple.
        delta: Derivatives ∂V/∂(W̄h), (N, m), one row per sample.
        h: Layer's inputs, (N, n).

    Returns:
        The gradient, (m, n), summed over the samples.

    Source: Miyato et al., 1802.05957; equation (15), of one sample there.
    """
    u, sigma, v = top_singular(weight)
    plain = delta.mT @ h  # ∂V/∂W̄ = Σ δhᵀ
    strength = (plain * weight).sum() / sigma  # λ = ⟨Σ δhᵀ, W̄⟩
    return (plain - strength * torch.outer(u, v)) / sigma
