"""Processes that share a training agree to stop, about once a second, however long a step takes.

A question costs an all-reduce of two numbers, so that it is asked at every n-th step only:

    n ← min(2 n, PERIOD / seconds a step),  at least 1

with the seconds since the last question as the slowest process has measured them. All processes learn the
same two numbers, so that all ask at the same steps.
"""

from __future__ import annotations

import time

import torch

from gncompanion.training.distributed import Share

__all__ = ["PERIOD", "Agreement"]

PERIOD = 1.0  # seconds: torchrun kills 30 seconds after the signal


class Agreement:
    """Decides when a process asks the others whether to stop.

    Args:
        share: This process's part.
        device: The device on which the processes exchange tensors.
    """

    def __init__(self, share: Share, device: torch.device) -> None:
        self._share, self._device = share, device
        self._every = self._left = 1
        self._asked = time.monotonic()

    def stop(self, wanted: bool) -> bool:
        """Tell after a step whether to stop: as soon as any process wants to, and in all at the same step.

        Args:
            wanted: Whether this process wants to; alone, that is the answer.

        Returns:
            The answer, the same in every process.
        """
        if self._share.world == 1:
            return wanted
        self._left -= 1
        if self._left:
            return False
        now = time.monotonic()
        ours = torch.tensor([float(wanted), now - self._asked], device=self._device)
        any_wanted, seconds = self._share.largest(ours).tolist()
        self._every = max(1, min(2 * self._every, int(PERIOD * self._every / max(seconds, 1e-9))))
        self._left, self._asked = self._every, now
        return bool(any_wanted)
