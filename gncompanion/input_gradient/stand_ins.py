"""What stands on the tape for a call's arguments: slots, saved tensors, and values without tensors."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node

from gncompanion.input_gradient.calls import Call, Replay, Unsupported
from gncompanion.input_gradient.tape import NESTS, Saved, Slot, Step, Tape, autocast_state, copies, mapped
from gncompanion.input_gradient.torch_internals import version
from gncompanion.input_gradient.tracked import Known

__all__ = ["Given", "StepWriter", "reaches"]

Guarded = tuple[Tensor, int, str]  # what must not change until the end, its version, and what it is
Given = tuple[Tensor, int]  # a tensor among a call's arguments, and its version before the call

PLAIN: tuple[type, ...] = (Number, str, slice, type(None), type(...), torch.Size)
PLAIN += (torch.dtype, torch.device, torch.layout, torch.memory_format)
_SIMPLE = frozenset({int, float, bool, str, type(None), slice})


class StepWriter:
    """Turns calls into steps of a tape.

    Args:
        source: Where autograd's graph begins, at x.
        device: The kind of device, such as "cpu".
        keep: Whether constants are saved.

    Attributes:
        tape: The tape; what is saved goes there.
        guarded: What must not change until the end.
    """

    def __init__(self, source: Node, device: str, *, keep: bool) -> None:
        self.tape = Tape()
        self.guarded: list[Guarded] = []
        self._source, self._device, self._keep = source, device, keep

    def write(self, call: Call, replay: Replay, seen: dict[int, Known], given: Sequence[Given]) -> Step:
        """Say how a call is replayed.

        Args:
            call: The call.
            replay: What its rule makes of it.
            seen: The call's tensors that depend on x, by identity.
            given: Its other tensors: the caller's own, which may change after the call.

        Returns:
            The step.

        Raises:
            Unsupported: It cannot be replayed; says why.
        """
        inputs: list[int] = []
        saved: list[int] = []

        def stand_in(value: Any) -> Any:
            if type(value) in _SIMPLE:
                return value
            if not isinstance(value, Tensor):
                return _plain(value)
            if call.is_tracked(value):
                slot = Slot(seen[id(value)][1])
                inputs.append(slot.index)
                return slot
            kept = self._constant(value, private=all(value is not other for other, _ in given))
            if kept is not None:
                saved.append(kept.index)
            return kept

        # Not by recursion: a function that names itself is a circle, which would keep the activations alive.
        args = [mapped(stand_in, v) if type(v) in NESTS else stand_in(v) for v in replay.args]
        kwargs = mapped(stand_in, replay.kwargs) if replay.kwargs else {}
        weights = tuple(sorted(self.tape.weights.keys() & saved)) if saved else ()
        autocast, gradients = autocast_state(self._device), replay.gradients
        if gradients is not None and (autocast is not None or not _are_leading(weights, args)):
            gradients = None
        return Step(
            replay.function, args, kwargs, tuple(inputs), weights, autocast, replay.overwrites, gradients
        )

    def _constant(self, value: Tensor, *, private: bool) -> Saved | None:
        if value.requires_grad:
            is_leaf = value.is_leaf
            if not is_leaf and reaches(value.grad_fn, self._source):
                raise Unsupported("one of its arguments depends on x through operations that were not seen")
            if not (is_leaf and copies(value)):  # in place, its graph may change with its value
                self.guarded.append((value, version(value), "a weight"))
        elif not self._keep:
            return None
        return self.tape.save(value, private=private)


def _are_leading(weights: tuple[int, ...], args: list[Any]) -> bool:
    """Tell whether the weights are the second and third argument, each once, as formulas expect."""
    leading = [v.index for v in args[1:3] if type(v) is Saved]
    return len(set(leading)) == len(leading) and set(weights) <= set(leading)


def _plain(value: Any) -> Any:
    """A value without tensors in it: in an unknown container one could hide."""
    if not isinstance(value, PLAIN):
        raise Unsupported(f"one of its arguments is a {type(value).__name__}, which may hold a tensor")
    return value


def reaches(node: Node | None, target: Node) -> bool:
    """Tell whether autograd's graph leads from `node` back to `target`."""
    pending, visited = [node], set()
    while pending:
        node = pending.pop()
        if node is target:
            return True
        if node is not None and node not in visited:
            visited.add(node)
            pending += [parent for parent, _ in node.next_functions]
    return False
