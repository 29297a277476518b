"""One number per sample: its place among a sample's dimensions, each sample's norm, and its input gradient.

broadcast(a, x)       a (N,)  ->  (N, 1, ..., 1), as many dimensions as x (N, ...)
norms(x)              (N,)    ‖x_i‖₂, also where the squares underflow
input_gradient(f, x)  (N, ...), row i = ∇f(x_i) where samples do not touch each other
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["broadcast", "input_gradient", "norms", "require_one_per_sample"]


def broadcast(a: Tensor, like: Tensor) -> Tensor:
    """Shape one number per sample so that it multiplies or adds to whole samples.

    Args:
        a: The numbers, (N,) or (N, 1).
        like: The samples, (N, ...).

    Returns:
        A view of a, (N, 1, ..., 1), with as many dimensions as `like`.
    """
    return a.reshape(-1, *[1] * (like.dim() - 1))


def norms(x: Tensor) -> Tensor:
    """Compute the Euclidean norm of each sample; its own gradient is 0, not NaN, where a sample is 0.

    Args:
        x: Samples, (N, ...).

    Returns:
        The norms, (N,).
    """
    flat = x.reshape(len(x), -1)
    # Scaled, since the squares of a deep critic's gradient may underflow; the scale cancels, in ∂n/∂x too.
    scale = flat.detach().abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    lengths: Tensor = torch.linalg.vector_norm(flat / scale, dim=1)
    return scale.squeeze(1) * lengths


def input_gradient(f: Tensor, x: Tensor, *, create_graph: bool = False) -> Tensor:
    """Differentiate a score by its input, with plain automatic differentiation of the sum over the samples.

    Args:
        f: The scores, (N,) exactly, computed from x.
        x: The samples, (N, ...), which require a gradient.
        create_graph: Whether the result can be differentiated in turn.

    Returns:
        The gradient of the sum, shaped like x: each sample's own where samples do not touch each other.

    Raises:
        ValueError: The scores are not (N,).
    """
    require_one_per_sample(f, x)
    (g,) = torch.autograd.grad(f.sum(), x, create_graph=create_graph)
    return g


def require_one_per_sample(f: Tensor, x: Tensor) -> Tensor:
    """Refuse scores that are not one number per sample.

    Args:
        f: The scores.
        x: The samples, (N, ...).

    Returns:
        The scores.

    Raises:
        ValueError: The scores are not (N,).
    """
    if f.shape != x.shape[:1]:
        raise ValueError(f"scores must be ({len(x)},), not {tuple(f.shape)}")
    return f
