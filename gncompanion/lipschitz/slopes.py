"""Slopes of any scoring function, measured at samples: all of them lower bounds of its Lipschitz constant.

    |D(x) − D(y)| / ‖x − y‖         between pairs
    ‖∇D(x)‖                         at samples; their maximum is the L_D of Theorem 5's experiment

For a differentiable D on a convex set the suprema of both are the Lipschitz constant (Lemma 3). For a D that
jumps, like a gradient-normalized critic between its linear pieces, gradients can stay below 1 where slopes do
not.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["input_gradient_norms", "sampled_slopes"]

Score = Callable[[Tensor], Tensor]


def sampled_slopes(score: Score, x: Tensor, y: Tensor) -> Tensor:
    """Slopes of a scoring function between pairs of samples.

    Args:
        score: Samples (N, ...) to scores (N,).
        x: (N, ...) samples; in float64 for near pairs, since rounding is divided by their distance.
        y: (N, ...) samples, each different from its partner in x.

    Returns:
        (N,), of the scores' type, without gradient.

    Raises:
        ValueError: The shapes differ, a pair is of one point, or the scores are not (N,).
    """
    if x.shape != y.shape:
        raise ValueError(f"pairs need equal shapes, not {tuple(x.shape)} and {tuple(y.shape)}")
    distance = torch.linalg.vector_norm((x - y).flatten(1), dim=1)
    if (same := (distance == 0).nonzero()).numel():
        raise ValueError(f"pair {int(same[0])} is of one point: it has no slope")
    return (_scores(score, x) - _scores(score, y)).detach().abs() / distance


def input_gradient_norms(score: Score, x: Tensor, *, batch_size: int = 1024) -> Tensor:
    """‖∇D(x)‖ at each sample, by plain automatic differentiation of the sum of the scores.

    Args:
        score: Samples (N, ...) to scores (N,), each depending on its own sample only.
        x: (N, ...) samples.
        batch_size: Samples at a time.

    Returns:
        (N,), of x's type, without gradient.

    Raises:
        ValueError: The scores are not (N,).
    """
    norms = []
    for batch in x.detach().split(batch_size):
        batch.requires_grad_()
        with torch.enable_grad():
            (g,) = torch.autograd.grad(_scores(score, batch).sum(), batch)
        norms.append(torch.linalg.vector_norm(g.flatten(1), dim=1))
    return torch.cat(norms)


def _scores(score: Score, x: Tensor) -> Tensor:
    f = score(x)
    if f.shape != x.shape[:1]:
        raise ValueError(f"scores must be ({len(x)},), not {tuple(f.shape)}")
    return f
