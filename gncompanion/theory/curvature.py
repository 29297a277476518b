"""Curvature of a critic at samples: how far it is from the piecewise linear one of Theorem 6.

With H = ∇²f, g = ∇f, n = ‖g‖ and u = g/n, for a critic of d-dimensional inputs:

    hessian_norms     ‖H‖_F² = Σ_j ‖H e_j‖²                    exact: d double backpropagations
                      ‖H‖_F² = E ‖H v‖²,  v uniform on {±1}ᵈ   Hutchinson: one a probe
    norm_gradients    ∇n = H u,  ‖∇n‖ ≤ ‖H‖_F                  one

A piecewise linear critic has H = 0 almost everywhere (Assumption 4). Without it, gradient normalization
f̂ = f/(n + |f|) has ∇f̂ = (n g − f ∇n)/(n + |f|)², so that Theorem 6 misses by no more than curvature allows:

    | ‖∇f̂‖ − (n/(n + |f|))² |  ≤  |f| ‖∇n‖ / (n + |f|)²  ≤  |f| ‖H‖_F / (n + |f|)²

Source: Wu et al., ICCV 2021, Theorem 6 and its proof; the bound follows by the triangle inequality.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["hessian_norms", "norm_gradients"]

Score = Callable[[Tensor], Tensor]


def hessian_norms(
    score: Score, x: Tensor, *, n_probes: int | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Frobenius norm of the Hessian ∇²f at each sample, exact or estimated.

    Args:
        score: Samples (N, ...) to scores (N,), each depending on its own sample only.
        x: (N, ...) samples.
        n_probes: None = exact, by one pass a coordinate; else so many random probes, of relative error about
            1/√n_probes at most in the squared norm.
        generator: Of the probes, on x's device; needed with n_probes.

    Returns:
        (N,), of x's type, without gradient.

    Raises:
        ValueError: The scores are not (N,), n_probes is no positive integer, or its generator is missing.
    """
    probes = _coordinates(x) if n_probes is None else _signs(x, n_probes, generator)
    x, g = _input_gradient(score, x)
    squares = sum(_times_hessian(g, x, v).flatten(1).square().sum(1) for v in probes)
    return (squares / (n_probes or 1)).sqrt()


def norm_gradients(score: Score, x: Tensor) -> Tensor:
    """∇‖∇f‖ = H g/‖g‖ at each sample; 0 where g = 0.

    Args:
        score: Samples (N, ...) to scores (N,), each depending on its own sample only.
        x: (N, ...) samples.

    Returns:
        Shaped like x, without gradient.

    Raises:
        ValueError: The scores are not (N,).
    """
    x, g = _input_gradient(score, x)
    n = torch.linalg.vector_norm(g.detach().flatten(1), dim=1).view(-1, *[1] * (x.dim() - 1))
    return _times_hessian(g, x, g.detach() / torch.where(n == 0, 1, n))


def _coordinates(x: Tensor) -> Iterator[Tensor]:
    """The unit vectors e_j, each for all samples."""
    for j in range(x[0].numel()):
        v = torch.zeros_like(x)
        v.view(len(x), -1)[:, j] = 1
        yield v


def _signs(x: Tensor, n_probes: int, generator: torch.Generator | None) -> list[Tensor]:
    if type(n_probes) is not int or n_probes < 1:
        raise ValueError(f"n_probes={n_probes!r} must be a positive integer, or None for the exact norm")
    if generator is None:
        raise ValueError("random probes need a generator, such as torch.Generator().manual_seed(0)")
    bits = torch.randint(2, (n_probes, *x.shape), generator=generator, device=x.device)
    return list((2 * bits - 1).to(x.dtype))


def _input_gradient(score: Score, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    with torch.enable_grad():
        f = score(x)
        if f.shape != x.shape[:1]:
            raise ValueError(f"scores must be ({len(x)},), not {tuple(f.shape)}")
        (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    return x, g


def _times_hessian(g: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """H v: the derivative of ⟨g, v⟩, zero where g does not depend on x."""
    if not g.requires_grad:
        return torch.zeros_like(x)
    (product,) = torch.autograd.grad(g, x, v, retain_graph=True, materialize_grads=True)
    return product
