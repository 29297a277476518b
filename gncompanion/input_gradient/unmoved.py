"""Looking at a critic without moving it: its buffers and the random state are put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["unmoved"]


@contextmanager
def unmoved(critic: Callable[..., Tensor], x: Tensor) -> Iterator[None]:
    """Put the random state and a module's buffers back at the end, in place and under their names.

    Args:
        critic: The critic; one that is no module has no buffers that could be known.
        x: Its inputs, on whose device it may draw.
    """
    owners = [m._buffers for m in critic.modules()] if isinstance(critic, nn.Module) else []
    before = [(b, name, t, None if t is None else t.clone()) for b in owners for name, t in b.items()]
    devices = [x.device] if isinstance(x, Tensor) and x.is_cuda else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            for buffers, name, tensor, value in before:
                if tensor is not None and value is not None:
                    with torch.no_grad():
                        tensor.copy_(value)
                buffers[name] = tensor
