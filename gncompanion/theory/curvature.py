"""Curvature of a critic at samples: how far it is from the piecewise linear one of Theorem 6.

With H = ∇²f, g = ∇f, n = ‖g‖ and u = g/n, for a critic of d-dimensional inputs:

    hessian_norms     ‖H‖_F² = Σ_j ‖H e_j‖²                    exact: d double backpropagations
                      ‖H‖_F² = E ‖H v‖²,  v uniform on {±1}ᵈ   Hutchinson: one per probe
    norm_gradients    ∇n = H u,  ‖∇n‖ ≤ ‖H‖_F                  one

A piecewise linear critic has H = 0 almost everywhere (Assumption 4). Without it, gradient normalization
f̂ = f/(n + |f|) has ∇f̂ = (n g − f ∇n)/(n + |f|)², so that Theorem 6 misses by no more than curvature allows:

    | ‖∇f̂‖ − (n/(n + |f|))² |  ≤  |f| ‖∇n‖ / (n + |f|)²  ≤  |f| ‖H‖_F / (n + |f|)²

Source: Wu et al., 2109.02235, Theorem 6 and its proof; the bound follows by the triangle inequality.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gncompanion.input_gradient.per_sample import broadcast, input_gradient
from gncompanion.tools.checks import require, whole

__all__ = ["hessian_norms", "norm_gradients"]


def hessian_norms(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    n_probes: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Measure the Frobenius norm of the Hessian ∇²f at each sample, exactly or by random probes.

    Args:
        score: Scoring function f, (N, ...) -> (N,), whose values depend on their own samples only.
        x: Samples, (N, ...).
        n_probes: Number of random probes, of relative error about 1/√n_probes at most in the squared norm;
            None = exact, by one pass per coordinate.
        generator: Source of the probes, on x's device; needed with n_probes.

    Returns:
        The norms, (N,), of x's type, without gradient.

    Raises:
        ValueError: The scores are not (N,), n_probes is no positive integer, or its generator is missing.

    Example:
        >>> hessian_norms(lambda x: x[:, 0] ** 2 * 3 / 2, torch.ones(1, 2))  # ∇²f = [[3, 0], [0, 0]]
        tensor([3.])
    """
    probes = _coordinates(x) if n_probes is None else _signs(x, n_probes, generator)
    x, g = _with_gradient(score, x)
    squares = x.detach().new_zeros(len(x))
    for v in probes:
        squares += _times_hessian(g, x, v).flatten(1).square().sum(1)
    return (squares / (n_probes or 1)).sqrt()


def norm_gradients(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Compute ∇‖∇f‖ = H g/‖g‖ at each sample; 0 where g = 0.

    Args:
        score: Scoring function f, (N, ...) -> (N,), whose values depend on their own samples only.
        x: Samples, (N, ...).

    Returns:
        The gradients, shaped like x, without gradient of their own.

    Raises:
        ValueError: The scores are not (N,).
    """
    x, g = _with_gradient(score, x)
    n = broadcast(torch.linalg.vector_norm(g.detach().flatten(1), dim=1), x)
    return _times_hessian(g, x, g.detach() / torch.where(n == 0, 1, n))


def _coordinates(x: Tensor) -> Iterator[Tensor]:
    """The unit vectors e_j, each for all samples."""
    for j in range(x[0].numel()):
        v = torch.zeros_like(x)
        v.view(len(x), -1)[:, j] = 1
        yield v


def _signs(x: Tensor, n_probes: int, generator: torch.Generator | None) -> list[Tensor]:
    whole("n_probes", n_probes)
    seeded = "a generator, such as torch.Generator().manual_seed(0), for random probes"
    require("generator", generator, generator is not None, seeded)
    bits = torch.randint(2, (n_probes, *x.shape), generator=generator, device=x.device)
    return list((2 * bits - 1).to(x.dtype))


def _with_gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Samples that require a gradient, and the score's gradient there, which can be differentiated."""
    x = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    with torch.enable_grad():
        g = input_gradient(score(x), x, create_graph=True)
    return x, g


def _times_hessian(g: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """H v: the derivative of ⟨g, v⟩, zero where g does not depend on x."""
    if not g.requires_grad:
        return torch.zeros_like(x)
    (product,) = torch.autograd.grad(g, x, v, retain_graph=True, materialize_grads=True)
    return product
