"""Which samples influence each other's values, found by looking: one backward for each value.

J_ij = ‖∂f_i/∂x_j‖        samples i and j influence each other where J_ij or J_ji is more than rounding
"""

from __future__ import annotations

import torch
from torch import Tensor

from gncompanion.check.state import State
from gncompanion.check.subject import Subject, quiet

__all__ = ["influence", "influencing_groups"]


def influence(subject: Subject, start: State) -> Tensor:
    """Measure how strongly each value depends on each sample.

    Args:
        subject: The critic and its inputs.
        start: State to begin from.

    Returns:
        J (N, N): the norm of the gradient of value i in sample j.
    """
    x = subject.real.clone().requires_grad_()
    with quiet(start):
        f = subject.value(x * 1).flatten()
        rows = [torch.autograd.grad(value, [x], retain_graph=True)[0].flatten(1) for value in f]
    return torch.stack([row.double().norm(dim=1) for row in rows]).cpu()


def influencing_groups(strength: Tensor, tolerance: float) -> tuple[tuple[int, ...], ...]:
    """Gather the samples that influence each other, directly or through others.

    Args:
        strength: J (N, N), from `influence`.
        tolerance: The share of the largest J_ij up to which an influence is rounding.

    Returns:
        Groups of two samples or more, by their numbers; empty where each value depends on its own sample.

    Example:
        >>> influencing_groups(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]), 1e-6)
        ((1, 2),)
    """
    touching = strength > tolerance * strength.max()
    touching = touching | touching.T | torch.eye(len(strength), dtype=torch.bool)
    for _ in range(len(strength).bit_length()):  # paths of twice the length each time
        touching = (touching.double() @ touching.double()) > 0
    groups = {tuple(row.nonzero().flatten().tolist()) for row in touching}
    return tuple(sorted(group for group in groups if len(group) > 1))
