"""Batch normalization whose statistics are those of the whole batch, of which each process has a part."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

__all__ = ["shared_statistics"]


def shared_statistics(module: nn.Module, device: torch.device) -> nn.Module:
    """Let batch normalization see the whole batch: torch's own on a GPU, ours on a CPU, which that refuses.

    Args:
        module: The network; changed in place.
        device: The device on which it will run.

    Returns:
        The module.

    Raises:
        ValueError: A normalization on a CPU keeps no running statistics, or averages them without a momentum.
    """
    if device.type == "cuda":
        synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return synchronized
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            if part.momentum is None or not part.track_running_stats:
                raise ValueError(
                    f"{part} cannot be shared over processes: it needs a momentum and statistics"
                )
            part.__class__ = _SharedBatchNorm
    return module


class _Sum(torch.autograd.Function):
    """The sum over all processes, of a value and, on the way back, of its gradients.

    torch.distributed.nn.functional.all_reduce computes the same; torch 2.15 warns that it is deprecated, and
    names a function of a private module instead.
    """

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalization with the statistics of all processes' equal parts, on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        world = dist.get_world_size()
        mean: Tensor = _Sum.apply(x.mean((0, 2, 3))) / world
        centred = x - mean[:, None, None]
        variance: Tensor = _Sum.apply(centred.square().mean((0, 2, 3))) / world
        self._note(mean, variance, world * x.numel() / x.shape[1])
        normal = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return normal * self.weight[:, None, None] + self.bias[:, None, None] if self.affine else normal

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor, n: float) -> None:
        """Move the running statistics towards those of a batch of n numbers per channel."""
        assert self.num_batches_tracked is not None  # `shared_statistics` has seen to the four
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * n / (n - 1), self.momentum)
