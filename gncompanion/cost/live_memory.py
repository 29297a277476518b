"""How much memory a computation holds at once: the bytes of all live storages, operation by operation.

    peak = max over operations of  Σ bytes of storages made inside and still alive

Exact and repeatable, unlike an allocator's count: it knows no caching, rounding or workspace. Also on fake
tensors, which have shapes and no content, so that a full-size network's peak takes a second and no memory:

    with FakeTensorMode():
        critic, x = DCGANCritic(32, 3), torch.randn(64, 3, 32, 32)
        with LiveMemory() as memory:
            critic(x).sum().backward()
    memory.peak    # bytes, weights and x not among them, the weights' gradients among them

What is not seen is what an operation allocates and frees within itself, such as a convolution's workspace; on
a GPU `torch.cuda.max_memory_allocated` counts that too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

__all__ = ["LiveMemory"]


class LiveMemory(TorchDispatchMode):
    """Counts, while it is entered, the bytes of the tensors that operations make and have not yet let go.

    Storages that exist before, such as weights and inputs, are not counted, nor are views of them.

    Attributes:
        live: Bytes held now.
        peak: Most bytes held at once.

    Example:
        >>> import torch
        >>> with LiveMemory() as memory:
        ...     a = torch.ones(100) + 1  # 400 bytes and 400; the ones are let go
        >>> memory.live, memory.peak
        (400, 800)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has not annotated its own
        self.live = self.peak = 0
        self._known = WeakIdKeyDictionary()  # storages that were there before, or are counted already

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        for storage in _storages((args, kwargs)):
            self._known.setdefault(storage, None)
        result = function(*args, **(kwargs or {}))
        for storage in _storages(result):
            self._count(storage)
        return result

    def _count(self, storage: UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known[storage] = None
        size = storage.nbytes()
        weakref.finalize(storage, self._release, size).atexit = False
        self.live += size
        self.peak = max(self.peak, self.live)

    def _release(self, size: int) -> None:
        self.live -= size


def _storages(values: Any) -> list[UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]
