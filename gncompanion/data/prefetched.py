"""Batches of images that do not fit on the device: gathered on the host while the device computes.

    batch k goes to the device      meanwhile a thread gathers batch k + 1 into pinned memory

Which images come is drawn on the host, by a generator of its own, so that no step waits for the device to
say; what is pinned goes over without stopping either of the two. The generator's state before the batch that
is waiting is saved with a training, which so goes on with the batches that it would have had.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from gncompanion.data.images import Images

__all__ = ["Prefetched"]


class Prefetched:
    """Batches of one size, each prepared while the one before is in use.

    Args:
        images: The set, in main memory.
        n: Number of samples of a batch.
        random: The source of random numbers, on the device; what seeds the host's is drawn from it.
        state: What `state` returned of one that is to go on; None = it starts.
    """

    def __init__(
        self, images: Images, n: int, random: torch.Generator, state: dict[str, Any] | None = None
    ) -> None:
        self._images, self._n, self._random = images, n, random
        self._host, self._pool = torch.Generator(), ThreadPoolExecutor(1)
        on_gpu = random.device.type == "cuda"
        shape = (n, *images.shape)
        self._buffers = [torch.empty(shape, dtype=torch.uint8, pin_memory=on_gpu) for _ in range(2)]
        self._copied = [torch.cuda.Event() for _ in range(2)] if on_gpu else []
        self._turn = 0
        if state is None:
            seed = torch.randint(2**62, (), generator=random, device=random.device)
            self._host.manual_seed(int(seed))
        else:
            self._host.set_state(state["host"].cpu())
        self._drawn_from = self._host.get_state()
        self._next = self._gather()

    def sample(self) -> tuple[Tensor, Tensor | None]:
        """Take the batch that is ready, and have the next one prepared.

        Returns:
            The samples (n, C, H, W), float32 in [−1, 1], on the device, and their labels (n,), or None.
        """
        index, pixels = self._next.result()
        device, labels = self._random.device, self._images.labels
        on_device = pixels.to(device, non_blocking=True)
        if self._copied:
            self._copied[self._turn].record()
        x = self._images.drawn(on_device, self._random)
        y = None if labels is None else labels[index].to(device)
        self._turn = 1 - self._turn
        self._drawn_from = self._host.get_state()
        self._next = self._gather()
        return x, y

    def state(self) -> dict[str, Any]:
        """Return what the batches from the next one on depend on, besides the device's generator."""
        return {"host": self._drawn_from}

    def _gather(self) -> Future[tuple[Tensor, Tensor]]:
        index = torch.randint(len(self._images), (self._n,), generator=self._host)
        return self._pool.submit(self._fill, index, self._turn)

    def _fill(self, index: Tensor, turn: int) -> tuple[Tensor, Tensor]:
        if self._copied:
            self._copied[turn].synchronize()  # what was there has left
        return index, torch.index_select(self._images.pixels, 0, index, out=self._buffers[turn])
