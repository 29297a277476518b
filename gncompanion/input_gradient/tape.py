"""The record of a critic's forward: its operations from x to f, and the tensors that they use.

Steps fill slots: slot 0 is x, and `replay` pushes u_0 through all of them. What does not depend on x is saved
as it was at its call. A constant, and a small weight such as a bias, is *copied*: additions keep nothing for
autograd, so nothing would notice that it was changed afterwards. A large weight is not copied; autograd
itself keeps it, and refuses to go on if it was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "NESTS",
    "Saved",
    "Slot",
    "Step",
    "Tape",
    "autocast_state",
    "copies",
    "mapped",
    "run",
    "tensors_in",
]

Autocast = torch.dtype  # to which floating point is cast
COPIED = 2**14  # elements up to which a weight is copied: biases and gains, not kernels


@dataclass(slots=True)
class Slot:
    """Stands, in a recorded call, for a value that depends on x."""

    index: int


@dataclass(slots=True)
class Saved:
    """Stands, in a recorded call, for a tensor that does not depend on x: a weight, a gate, a constant."""

    index: int


@dataclass(slots=True)
class Step:
    """One recorded operation, run again as `function(a, *args, **kwargs)`.

    Attributes:
        function: What acts on u.
        args: Its arguments by position, with `Slot` and `Saved` in place of tensors.
        kwargs: Its arguments by name, likewise.
        inputs: The slots among its arguments.
        weights: The saved tensors among its arguments that want a gradient.
        autocast: The autocast in force at the call, or None.
        overwrites: Whether it writes over its first argument.
        gradients: The formula of its weights' gradients, or None where autograd finds them.
        outputs: The slots that it fills.
    """

    function: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    weights: tuple[int, ...]
    autocast: Autocast | None
    overwrites: bool
    gradients: Callable[..., Any] | None
    outputs: tuple[int, ...] = ()

    def filled(self, values: dict[int, Tensor], saved: Sequence[Tensor]) -> tuple[list[Any], dict[str, Any]]:
        """Its arguments, with the tensors in their places."""

        def tensor(leaf: Any) -> Any:
            kind = type(leaf)
            if kind is Slot:
                return values[leaf.index]
            if kind is Saved:
                return saved[leaf.index]
            return leaf

        kwargs = mapped(tensor, self.kwargs) if self.kwargs else {}
        return [mapped(tensor, leaf) if type(leaf) in NESTS else tensor(leaf) for leaf in self.args], kwargs


Act = Callable[[Step, Tensor, list[Any], dict[str, Any], bool], Sequence[Any]]


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
    shared: dict[int, int] = field(default_factory=dict)
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
        index, is_copied = len(self.saved), copies(tensor)
        if not is_copied and self.shared.setdefault(id(tensor), index) != index:
            return Saved(self.shared[id(tensor)])
        if tensor.requires_grad:
            self.weights[index] = tensor
        self.saved.append(tensor.detach().clone() if is_copied and not private else tensor)
        return Saved(index)

    def replay(
        self,
        a: Tensor,
        u: Tensor,
        saved: Sequence[Tensor],
        act: Act,
        wanted: Callable[[Step], bool],
    ) -> None:
        """Push u_0 through those operations on which others depend that are wanted.

        Args:
            a: One number per sample, (N,) or (N, 1).
            u: u_0, shaped like x (N, ...).
            saved: What stands in place of `self.saved`.
            act: What is done with each step: `act(step, a, args, kwargs, needed)` returns its outputs, at
                least where they are needed.
            wanted: Whether a step is, for its own sake.
        """
        a, values = a.reshape(-1), {0: u}
        ambient = torch.is_autocast_enabled(u.device.type)
        for step, dying, kept in self._plan(wanted):
            args, kwargs = step.filled(values, saved)
            for slot in dying:
                del values[slot]
            if step.overwrites and _is_shared(args[0], values.values()):
                args[0] = args[0].clone()
            with as_recorded(step.autocast, u.device.type) if ambient or step.autocast else _NOTHING:
                outputs = act(step, a, args, kwargs, bool(kept))
            if kept:
                values |= {slot: out for slot, out in zip(step.outputs, outputs, strict=True) if slot in kept}

    def value(self, a: Tensor, u: Tensor) -> Tensor:
        """Push u_0 through the whole record, to what f becomes; arguments as in `replay`."""
        if self.result == 0:
            return u
        found: list[Tensor] = []

        def act(step: Step, a: Tensor, args: list[Any], kwargs: dict[str, Any], needed: bool) -> Any:
            outputs = run(step, a, args, kwargs)
            found[:] = [outputs[step.outputs.index(self.result)]] if self.result in step.outputs else found
            return outputs

        self.replay(a, u, self.saved, act, lambda step: self.result in step.outputs)
        return found[0]

    def _plan(self, wanted: Callable[[Step], bool]) -> list[tuple[Step, set[int], set[int]]]:
        """The steps to take; of each, the slots that nothing needs after it, and its outputs needed later."""
        needed: set[int] = set()
        plan = []
        for step in reversed(self.steps):
            kept = needed.intersection(step.outputs)
            if kept or wanted(step):
                needed -= kept
                plan.append((step, set(step.inputs) - needed, kept))
                needed.update(step.inputs)
        return plan[::-1]


def copies(tensor: Tensor) -> bool:
    """Tell whether a tensor that others can change is copied: a constant, or a small weight."""
    return tensor.numel() <= COPIED or not (tensor.requires_grad or isinstance(tensor, nn.Parameter))


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to the leaves of nested tuples, lists and dicts."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([mapped(function, v) if type(v) in NESTS else function(v) for v in value])
    if kind is dict:
        return {k: mapped(function, v) for k, v in value.items()}
    return function(value)


NESTS = (tuple, list, dict)
_NOTHING = nullcontext()


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


def autocast_state(device: str) -> Autocast | None:
    """Note the autocast in force, or None where there is none."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def as_recorded(autocast: Autocast | None, device: str) -> AbstractContextManager[Any]:
    """The autocast of a recorded call; what it casts is not cached across the two."""
    return torch.autocast(device, dtype=autocast, enabled=autocast is not None, cache_enabled=False)


def run(step: Step, a: Tensor, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Run a step's operation, as it is; returns its outputs."""
    value = step.function(a, *args, **kwargs)
    return value if isinstance(value, tuple) else tuple(value) if isinstance(value, list) else (value,)


def _is_shared(tensor: Tensor, others: Iterable[Tensor]) -> bool:
    """Tell whether several entries, of a tensor or of others too, lie at one place in memory."""
    repeats = any(step == 0 and n > 1 for step, n in zip(tensor.stride(), tensor.shape, strict=True))
    return repeats or _share_memory(tensor, others)


def _share_memory(tensor: Tensor, others: Iterable[Tensor]) -> bool:
    return any(other.untyped_storage() is tensor.untyped_storage() for other in others)
