"""The record of a critic's forward: its operations from x to f, and the tensors that they use.

Steps fill slots: slot 0 is x, and `replay` pushes u_0 through all of them. What does not depend on x is saved
as it was at its call. A constant, and a small weight such as a bias, is *copied*: additions keep nothing for
autograd, so nothing would notice that it was changed afterwards. A large weight is not copied; autograd
itself keeps it, and refuses to go on if it was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gncompanion.input_gradient.calls import Replay

__all__ = ["Saved", "Slot", "Step", "Tape", "autocast_state", "copies", "mapped", "tensors_in"]

COPIED = 2**14  # elements up to which a weight is copied: biases and gains, not kernels


@dataclass(frozen=True)
class Slot:
    """Stands, in a recorded call, for a value that depends on x."""

    index: int


@dataclass(frozen=True)
class Saved:
    """Stands, in a recorded call, for a tensor that does not depend on x: a weight, a gate, a constant."""

    index: int


@dataclass
class Step:
    """One recorded operation, with `Slot` and `Saved` in place of tensors.

    Attributes:
        replay: What is run again, as `replay.function(a, *replay.args, **replay.kwargs)`.
        inputs: The slots among its arguments.
        weights: The saved tensors among its arguments that want a gradient.
        autocast: The autocast in force at the call.
        outputs: The slots that it fills.
    """

    replay: Replay
    inputs: tuple[int, ...]
    weights: tuple[int, ...]
    autocast: dict[str, Any]
    outputs: tuple[int, ...] = ()


@dataclass
class Tape:
    """The steps from x to f.

    Attributes:
        steps: The operations, in their order.
        saved: What they use that does not depend on x, as it was then.
        weights: Those of them that want a gradient, by their index in `saved`: the caller's own tensors.
        shared: Indices of those that are no copies but the caller's own, in whose memory they lie.
        slots: The number of slots; slot 0 is x.
        result: The slot that holds f.
    """

    steps: list[Step] = field(default_factory=list)
    saved: list[Tensor] = field(default_factory=list)
    weights: dict[int, Tensor] = field(default_factory=dict)
    shared: list[int] = field(default_factory=list)
    slots: int = 1
    result: int = 0

    def new_slots(self, n: int) -> tuple[int, ...]:
        """Number n further slots."""
        self.slots += n
        return tuple(range(self.slots - n, self.slots))

    def save(self, tensor: Tensor, *, private: bool) -> Saved:
        """Keep a tensor as it is now.

        Args:
            tensor: What does not depend on x.
            private: Whether nobody else can change it, so that it need not be copied.

        Returns:
            What stands for it in the recorded call.
        """
        if is_shared := not copies(tensor):
            known = (index for index in self.shared if self.saved[index] is tensor)
            if (found := next(known, None)) is not None:
                return Saved(found)
            self.shared.append(len(self.saved))
        if tensor.requires_grad:
            self.weights[len(self.saved)] = tensor
        self.saved.append(tensor if private or is_shared else tensor.detach().clone())
        return Saved(len(self.saved) - 1)

    def replay(
        self, a: Tensor, u: Tensor, saved: Sequence[Tensor]
    ) -> Iterator[tuple[Step, tuple[Tensor, ...]]]:
        """Push u_0 through the record; yields each step with its outputs, and frees what is used up.

        Args:
            a: One number per sample, (N,) or (N, 1).
            u: u_0, shaped like x (N, ...).
            saved: What stands in place of `self.saved`.
        """
        last_use = {slot: n for n, step in enumerate(self.steps) for slot in step.inputs}
        values: dict[int, Tensor] = {0: u}
        for n, step in enumerate(self.steps):
            args, kwargs = _filled((step.replay.args, step.replay.kwargs), values, saved)
            if step.replay.overwrites:
                later = (v for slot, v in values.items() if last_use.get(slot, n) > n or slot == self.result)
                args = (args[0].clone() if _share_memory(args[0], later) else args[0], *args[1:])
            with _as_recorded(step.autocast):
                outputs = _tuple(step.replay.function(a, *args, **kwargs))
            yield step, outputs
            values |= zip(step.outputs, (out.detach() for out in outputs), strict=True)
            for slot in {*step.inputs, *step.outputs}:
                if last_use.get(slot, -1) <= n and slot != self.result:
                    values.pop(slot, None)


def copies(tensor: Tensor) -> bool:
    """Tell whether a tensor that others can change is copied: a constant, or a small weight."""
    is_weight = tensor.requires_grad or isinstance(tensor, nn.Parameter)
    return not is_weight or tensor.numel() <= COPIED


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to the leaves of nested tuples, lists and dicts."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([mapped(function, v) if type(v) in _NESTS else function(v) for v in value])
    if kind is dict:
        return {k: mapped(function, v) for k, v in value.items()}
    return function(value)


_NESTS = (tuple, list, dict)


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """List the tensors among values and in tuples, lists and dicts among them, to any depth."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, dict):
            found += tensors_in(value.values())
        elif isinstance(value, tuple | list):
            found += tensors_in(value)
    return found


def autocast_state(device: str) -> dict[str, Any]:
    """Note the autocast in force, as arguments to enter it again; casts are not cached across the two."""
    enabled = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device)
    return {"device_type": device, "dtype": dtype, "enabled": enabled, "cache_enabled": False}


def _as_recorded(autocast: dict[str, Any]) -> AbstractContextManager[Any]:
    """The autocast of a recorded call; entering torch's costs as much as a small layer."""
    if autocast["enabled"] or torch.is_autocast_enabled(autocast["device_type"]):
        return torch.autocast(**autocast)
    return nullcontext()


def _filled(value: Any, values: dict[int, Tensor], saved: Sequence[Tensor]) -> Any:
    def tensor(leaf: Any) -> Any:
        kind = type(leaf)
        return values[leaf.index] if kind is Slot else saved[leaf.index] if kind is Saved else leaf

    return mapped(tensor, value)


def _share_memory(tensor: Any, others: Iterable[Tensor]) -> bool:
    return any(other.untyped_storage() is tensor.untyped_storage() for other in others)


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)
