"""A generator's weights averaged over the steps of its training, which often make better samples.

    average ← decay · average + (1 − decay) · generator      after each step from `start` on; before, a copy

Buffers, such as batch normalization's statistics, are copied and not averaged.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["Average"]


class Average:
    """An exponential moving average of a generator's weights (EMA).

    Args:
        generator: The network in training.
        decay: The average's own share at each step, in [0, 1).
        start: Number of steps before averaging starts.

    Attributes:
        module: The generator with averaged weights, which need no gradients.
    """

    def __init__(self, generator: nn.Module, *, decay: float, start: int) -> None:
        self.module = copy.deepcopy(generator).requires_grad_(False)
        self._decay, self._start = decay, start
        self._weights, self._buffers = list(self.module.parameters()), list(self.module.buffers())
        self._new_weights, self._new_buffers = list(generator.parameters()), list(generator.buffers())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the generator's present weights.

        Args:
            step: The step that has just been done, counted from 0.
        """
        decay = self._decay if step >= self._start else 0.0
        get_ema_multi_avg_fn(decay)(self._weights, self._new_weights, None)
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._new_buffers)
