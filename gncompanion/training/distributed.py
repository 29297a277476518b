"""One training shared by several processes: each has all the random numbers, and a part of every batch.

    torchrun --standalone --nproc_per_node=4 --no-python gncompanion train -f notebooks/full/09_….yml

Every process draws the whole batch and takes every n-th sample of it. DistributedDataParallel averages the
gradients and batch normalization's statistics are those of the whole batch, so that n processes take the
steps that one would take, but for rounding. What a penalty draws (interpolates, shifts) is independent in
each process, and the same in distribution only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

__all__ = ["Share", "joined", "share", "shared_statistics"]

# Every process moves its buffers alike; the argument that says so has a new name since torch 2.15.
_NAMES = signature(DistributedDataParallel.__init__).parameters
_SYNC_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"


@dataclass(frozen=True)
class Share:
    """This process's part of the work.

    Args:
        rank: which process this is, from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    def part(self, samples: Tensor) -> Tensor:
        """Take every `world`-th of the samples (N, ...), from `rank` on."""
        return samples[self.rank :: self.world] if self.world > 1 else samples

    def require_divisible(self, **batches: int) -> None:
        """Refuse batches that cannot be shared out evenly.

        Raises:
            ValueError: naming the first.
        """
        for name, size in batches.items():
            if size % self.world:
                raise ValueError(f"{name}={size} cannot be shared out evenly over {self.world} processes")

    def own(self, random: torch.Generator) -> torch.Generator:
        """Make a source of random numbers of this process's own; the shared one stays where it is."""
        if self.world == 1:
            return random
        twin = torch.Generator(random.device).set_state(random.get_state())
        seed = int(torch.randint(2**62, (), generator=twin, device=random.device))
        return twin.manual_seed(seed + self.rank)

    def averaging(self, module: nn.Module) -> nn.Module:
        """Make a module whose gradients are averaged over all processes."""
        return DistributedDataParallel(module, **{_SYNC_BUFFERS: False}) if self.world > 1 else module

    def mean(self, values: Tensor) -> Tensor:
        """Average values over all processes."""
        if self.world > 1:
            dist.all_reduce(values)
            values = values / self.world
        return values

    def any(self, flag: bool) -> bool:
        """Say whether the flag is raised in any process; all must ask."""
        if self.world == 1:
            return flag
        flags: list[bool] = [False] * self.world
        dist.all_gather_object(flags, flag)
        return any(flags)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.world > 1:
            dist.barrier()


def share() -> Share:
    """Find out which process this is, of those that have `joined`."""
    return Share(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Share()


@contextmanager
def joined() -> Iterator[Share]:
    """Join the processes that torchrun started; alone, if it did not start this one.

    Each takes the GPU of its local rank where there are GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Share()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield share()
    finally:
        dist.destroy_process_group()


def shared_statistics(module: nn.Module, device: torch.device) -> nn.Module:
    """Let batch normalization see the whole batch: torch's own on a GPU, ours on a CPU, which that refuses.

    Args:
        module: changed in place.
        device: where it will run.

    Returns:
        The module.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.__class__ = _SharedBatchNorm
    return module


class _Sum(torch.autograd.Function):
    """The sum over all processes, of a value and, on the way back, of its gradients."""

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
        mean = _Sum.apply(x.mean((0, 2, 3))) / world
        centred = x - mean[:, None, None]
        variance = _Sum.apply(centred.square().mean((0, 2, 3))) / world
        with torch.no_grad():
            n = world * x.numel() / x.shape[1]
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        normal = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return normal * self.weight[:, None, None] + self.bias[:, None, None] if self.affine else normal
