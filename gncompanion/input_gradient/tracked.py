"""Which tensors depend on x, known by their identity, and the memory in which they lie.

A tensor is forgotten when the last reference to it has gone: the record keeps no activation alive. Its number
in Python may then be another tensor's, so that the reference is asked, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import ref

from torch import Tensor

from gncompanion.input_gradient.calls import Unsupported
from gncompanion.input_gradient.torch_internals import owned, storage_key, version

__all__ = ["Known", "TrackedTensors", "tracker"]

Known = tuple["ref[Tensor]", int, int]  # the tensor, its slot, and its version when it was recorded


class TrackedTensors:
    """The slot of each tensor that depends on x through recorded operations."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}

    def add(self, tensor: Tensor, slot: int) -> None:
        """Note in which slot a tensor is, as it is now."""
        self._known[id(tensor)] = (ref(tensor), slot, version(tensor))

    def get(self, tensor: Tensor) -> Known | None:
        """Look a tensor up; one that was cut from its graph in place is a constant: None."""
        known = self._known.get(id(tensor))
        if known is None or known[0]() is not tensor or tensor.is_leaf:
            return None
        return known

    def lie_at(self, tensor: Tensor, others: Iterable[Tensor]) -> bool:
        """Tell whether a tensor lies in the memory of one that is tracked, or of one of others."""
        key = storage_key(tensor)
        return any(storage_key(t) == key for t in (*self._alive(), *others))

    def _alive(self) -> Iterator[Tensor]:
        for reference, _, _ in self._known.values():
            tensor = owned(reference())
            if tensor is not None:
                yield tensor


def tracker(seen: dict[int, Known]) -> Callable[[Any], bool]:
    """Make what tells a rule whether an argument depends on x.

    Args:
        seen: The call's tensors that do, by identity.

    Returns:
        The function; it raises `Unsupported` for a tensor that is no longer what was recorded.
    """

    def is_tracked(value: Any) -> bool:
        known = seen.get(id(value))
        if known is None:
            return False
        if known[2] != version(value):
            raise Unsupported("a tensor that depends on x was modified in place through another name")
        return True

    return is_tracked
