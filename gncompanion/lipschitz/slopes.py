"""Slopes of any scoring function, measured at samples: all of them lower bounds of its Lipschitz constant.

    |D(x) − D(y)| / ‖x − y‖         between pairs
    ‖∇D(x)‖                         at samples; their maximum is the L_D of Theorem 5's experiment

For a differentiable D on a convex set the suprema of both are the Lipschitz constant (Lemma 3). For a D that
jumps, like a gradient-normalized critic between its linear pieces, gradients can stay below 1 where slopes do
not.

Source: Wu et al., 2109.02235, Lemma 3 and Theorem 5's experiment.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gncompanion.input_gradient.per_sample import input_gradient, require_one_per_sample

__all__ = ["input_gradient_norms", "sampled_slopes"]


def sampled_slopes(score: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Measure the slopes of a scoring function between pairs of samples.

    Args:
        score: Scoring function, (N, ...) -> (N,).
        x: Samples, (N, ...); in float64 for near pairs, since rounding is divided by their distance.
        y: Samples, (N, ...), each different from its partner in x.

    Returns:
        The slopes, (N,), of the scores' type, without gradient.

    Raises:
        ValueError: The shapes differ, a pair is of one point, or the scores are not (N,).

    Example:
        >>> sampled_slopes(lambda z: 3 * z[:, 0], torch.zeros(1, 1), torch.ones(1, 1))
        tensor([3.])
    """
    if x.shape != y.shape:
        raise ValueError(f"pairs need equal shapes, not {tuple(x.shape)} and {tuple(y.shape)}")
    distance: Tensor = torch.linalg.vector_norm((x - y).flatten(1), dim=1)
    if (same := (distance == 0).nonzero()).numel():
        raise ValueError(f"pair {int(same[0])} is of one point: it has no slope")
    f_x, f_y = require_one_per_sample(score(x), x), require_one_per_sample(score(y), y)
    return (f_x - f_y).detach().abs() / distance


def input_gradient_norms(score: Callable[[Tensor], Tensor], x: Tensor, *, batch_size: int = 1024) -> Tensor:
    """Measure ‖∇D(x)‖ at each sample, by plain automatic differentiation of the sum of the scores.

    Args:
        score: Scoring function, (N, ...) -> (N,), whose values depend on their own samples only.
        x: Samples, (N, ...).
        batch_size: Samples at a time.

    Returns:
        The norms, (N,), of x's type, without gradient.

    Raises:
        ValueError: The scores are not (N,).

    Example:
        >>> input_gradient_norms(lambda z: 3 * z[:, 0] + 4 * z[:, 1], torch.zeros(2, 2))
        tensor([5., 5.])
    """
    norms = []
    for batch in x.detach().split(batch_size):
        batch.requires_grad_()
        with torch.enable_grad():
            g = input_gradient(score(batch), batch)
        norms.append(torch.linalg.vector_norm(g.flatten(1), dim=1))
    return torch.cat(norms)
