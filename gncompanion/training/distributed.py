"""One training shared by several processes: each has all the random numbers, and a part of every batch.

    torchrun --standalone --nproc_per_node=4 --no-python gncompanion train -f notebooks/full/09_….yml

Every process draws the whole batch and takes every n-th sample of it. DistributedDataParallel averages the
gradients and batch normalization's statistics are those of the whole batch (`batch_statistics`), so that n
processes take the steps that one would take, but for rounding. What a penalty draws (interpolates, shifts) is
independent in each process, and the same in distribution only.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from gncompanion.tools.parents import noticing_orphaned

__all__ = ["Share", "bare", "current_share", "joined"]

# Every process moves its buffers alike; the argument that says so has a new name since torch 2.15.
_NAMES = signature(DistributedDataParallel.__init__).parameters
_SYNC_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers"


@dataclass(frozen=True)
class Share:
    """This process's part of the work.

    Attributes:
        rank: The number of this process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    def part(self, samples: Tensor) -> Tensor:
        """Take every `world`-th of the samples (N, ...), from `rank` on."""
        return samples[self.rank :: self.world] if self.world > 1 else samples

    def require_divisible(self, **batches: int) -> None:
        """Refuse batches that cannot be shared out evenly.

        Args:
            **batches: Sizes by name.

        Raises:
            ValueError: One of them cannot; names the first.
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
        options: dict[str, Any] = {_SYNC_BUFFERS: False}
        return DistributedDataParallel(module, **options) if self.world > 1 else module

    def mean(self, values: Tensor) -> Tensor:
        """Average values over all processes."""
        if self.world > 1:
            dist.all_reduce(values)
            values = values / self.world
        return values

    def largest(self, values: Tensor) -> Tensor:
        """Find the largest of each value over all processes; all must ask."""
        if self.world > 1:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def each(self, values: Tensor) -> list[Tensor]:
        """Gather the values of each process, in the order of ranks; all must ask."""
        if self.world == 1:
            return [values]
        found = [torch.empty_like(values) for _ in range(self.world)]
        dist.all_gather(found, values)
        return found

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.world > 1:
            dist.barrier()


def bare(module: nn.Module) -> nn.Module:
    """Return the module itself, without the DistributedDataParallel around it, if there is one."""
    if isinstance(module, DistributedDataParallel):
        inner: nn.Module = module.module
        return inner
    return module


def current_share() -> Share:
    """Find out which process this is, of those that have `joined`."""
    return Share(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Share()


@contextmanager
def joined() -> Iterator[Share]:
    """Join the processes that torchrun started; alone, if it did not start this one.

    Each takes the GPU of its local rank where there are GPUs. When torchrun is killed they do not go on as
    orphans, but end as at its SIGTERM.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Share()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with noticing_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM)):
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        try:
            yield current_share()
        finally:
            dist.destroy_process_group()
