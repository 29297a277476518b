"""Watches a critic's forward and writes its tape: how each operation from x to f acts on u = a·h + t.

Inside one region of a piecewise linear critic every layer is affine. The record holds only if every operation
on the way was seen, and if what it used is still what it was. Nobody promises that: a critic may change
buffers, views and weights in place, in or out of autograd's sight. So

    a tracked tensor    is known by its identity and its count of changes in place
    a constant          is copied, unless it is a rule's own
    a large weight      is compared with its count of changes, at the end and by autograd before the backward
    memory              of tracked tensors and large weights may not be changed through another name

and whatever else happens, the record is refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Number
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.overrides import TorchFunctionMode

from gncompanion.input_gradient.calls import Call, CoupledSamples, Unsupported, place_of
from gncompanion.input_gradient.rules import RULES, applied
from gncompanion.input_gradient.tape import (
    Saved,
    Slot,
    Step,
    Tape,
    autocast_state,
    copies,
    mapped,
    tensors_in,
)
from gncompanion.input_gradient.torch_internals import (
    WeakTensorKeys,
    hooks_made,
    is_view,
    storage_key,
    version,
)

__all__ = ["Recorder"]

SIDE_DOORS = {  # ways to change a tensor's memory that leave no trace in its count of changes
    getattr(Tensor, name)
    for name in ("__array__", "__dlpack__", "apply_", "data_ptr", "map_", "numpy", "resize_", "set_")
} | {getattr(Tensor, name) for name in ("share_memory_", "storage", "untyped_storage")}
NODE = vars(torch._C.TensorBase)["grad_fn"].__get__  # on which a hook may change a gradient
PLAIN: tuple[type, ...] = (Number, str, slice, type(None), type(...), torch.Size)
PLAIN += (torch.dtype, torch.device, torch.layout, torch.memory_format)


class Recorder(TorchFunctionMode):
    """Watches a critic's forward, while it is entered; the forward itself runs as always, under autograd.

    A tensor is tracked when it is known to depend on `root` through recorded operations alone. The first call
    that cannot be replayed ends the record, with the reason in `refusal`; the forward goes on undisturbed.

    Args:
        root: The critic's input (N, ...), requiring a gradient.
        critic: The critic, only to name the module in a refusal.
        keep: Whether to write the tape; False notes nothing but whether every call is supported.

    Attributes:
        tape: The record.
        refusal: Why the record is of no use, or None.
        watching: Whether an activation has a hook.
        hooked: Whether such a hook has changed a gradient.
        source: Where autograd finds ∇f.
        edges: Where autograd finds δ, one for each step with weights.
    """

    def __init__(self, root: Tensor, critic: Callable[..., Any], *, keep: bool = True) -> None:
        super().__init__()
        self.tape = Tape()
        self.refusal: Unsupported | None = None
        self.watching = self.hooked = False
        self.root = root
        self.source = get_gradient_edge(root)
        self.edges: list[GradientEdge] = []
        self._critic, self._keep = critic, keep
        self._known = WeakTensorKeys()  # tensor -> (slot, version)
        self._versions: list[
            tuple[Tensor, int, str]
        ] = []  # what must not change until the end, and what it is
        self._node_hooks: int | None = None  # made before a node was asked for, and of tensors since
        self._known[root] = (0, version(root))

    def finish(self, f: Any) -> Unsupported | None:
        """Name the tape's result.

        Args:
            f: What the critic returned.

        Returns:
            Why the record is of no use, or None.
        """
        if self.refusal is None:
            self.refusal = self._unfinished(f)
        if self.refusal is None:
            self.tape.result = self._known[f][0]
        return self.refusal

    def untouched_input(self, leaf: Tensor) -> Tensor:
        """Return the critic's input as it was, which nobody else can change any more.

        Args:
            leaf: What `root` is a copy of.
        """
        unchanged = version(self.root) == self._known[self.root][1] == 0
        return self.root.detach() if unchanged else leaf.detach().clone()

    def _unfinished(self, f: Any) -> Unsupported | None:
        known = self._lookup(f)
        if not known:
            return Unsupported("its value depends on x through operations that were not seen")
        if known[1] != version(f):
            return Unsupported("its value was modified in place through operations that were not seen")
        for tensor, count, what in self._versions:
            if version(tensor) != count:
                return Unsupported(f"{what} was modified in place")
        if self._node_hooks is not None and hooks_made() > self._node_hooks:
            return Unsupported("a hook on a node of autograd's graph may change the gradient")
        if self.edges and not self._keep:
            return Unsupported("a weight wants a gradient that is not among the critic's parameters")
        return None

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self.refusal:
            return function(*args, **kwargs)
        tensors = tensors_in((*args, *kwargs.values()))
        seen = {id(t): known for t in tensors if (known := self._lookup(t))}
        if function in SIDE_DOORS and self._holds(tensors[0]):
            self._refuse(Unsupported("it may change a tensor out of sight"), function)
        self._count_hooks(function)
        others = [(t, version(t)) for t in tensors if id(t) not in seen]
        result = (
            self._run(Call(function, args, kwargs, _tracker(seen)), tensors, seen)
            if seen
            else function(*args, **kwargs)
        )
        if any(version(t) != count and self._holds(t) for t, count in others):
            self._refuse(
                Unsupported("it changes memory that the record needs, through another name"), function
            )
        return result

    def _run(self, call: Call, tensors: list[Tensor], seen: dict[int, tuple[int, int]]) -> Any:
        """Run a call on tracked tensors, and record it where autograd does."""
        function, args = call.function, call.args
        if not torch.is_grad_enabled():
            return function(*args, **call.kwargs)
        if function == Tensor.register_hook:
            args, self.watching = (args[0], self._watched(args[1]), *args[2:]), True
        step = self._step(call, {id(tensor) for tensor in tensors}, seen)  # first: the call may change them
        result = function(*args, **call.kwargs)
        found = result if isinstance(result, tuple | list) else (result,)
        outputs = [out for out in found if isinstance(out, Tensor) and out.requires_grad]
        if outputs:  # sizes, comparisons, detached copies are constants
            self._record(step, outputs, function)
        return result

    def _count_hooks(self, function: Callable[..., Any]) -> None:
        """From when a node is asked for, count the hooks of tensors, which are watched. Others may be its."""
        if function == NODE and self._node_hooks is None:
            self._node_hooks = hooks_made()
        elif function == Tensor.register_hook and self._node_hooks is not None:
            self._node_hooks += 1

    def _watched(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[Tensor], Tensor | None]:
        """The same hook; notes when it changes the gradient, which the record knows nothing of."""

        def watched(grad: Tensor) -> Tensor | None:
            before = version(grad)
            changed = hook(grad)
            self.hooked |= changed is not None or version(grad) != before
            return changed

        return watched

    def _lookup(self, value: Any) -> tuple[int, int] | None:
        """The slot of a tracked tensor, and its version when it was recorded."""
        return self._known.get(value) if isinstance(value, Tensor) and not value.is_leaf else None

    def _holds(self, tensor: Tensor) -> bool:
        """Whether a tensor lies in memory that the record needs: of tracked tensors and of large weights."""
        needed = [*self._known.keys(), *(self.tape.saved[index] for index in self.tape.shared)]
        return storage_key(tensor) in {storage_key(t) for t in needed}

    def _step(self, call: Call, given: set[int], seen: dict[int, tuple[int, int]]) -> Step | Unsupported:
        """How the call is replayed, with tracked tensors as slots; or why it cannot be."""
        if call.function not in RULES:
            return Unsupported("not among the operations known to be linear or piecewise linear")
        inputs: list[int] = []
        saved: set[int] = set()

        def placeholder(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return _plain(value)
            if call.is_tracked(value):
                inputs.append(seen[id(value)][0])
                return Slot(inputs[-1])
            kept = self._constant(value, private=id(value) not in given)
            if kept is not None:
                saved.add(kept.index)
            return kept

        try:
            replay = applied(call)
            args, kwargs = mapped(placeholder, (replay.args, replay.kwargs))
        except Unsupported as why:
            return why
        except (AttributeError, IndexError, TypeError, ValueError) as error:  # the rule's, not the call's
            return Unsupported(f"it is called in a way that is not foreseen ({error})")
        weights = tuple(sorted(saved & self.tape.weights.keys()))
        replay = replace(replay, args=args, kwargs=kwargs)
        return Step(replay, tuple(inputs), weights, autocast_state(self.root.device.type))

    def _constant(self, value: Tensor, *, private: bool) -> Saved | None:
        if value.requires_grad:
            if _reaches(value.grad_fn, self.source.node):
                raise Unsupported("one of its arguments depends on x through operations that were not seen")
            if not (value.is_leaf and copies(value)):  # in place, its graph may change with its value
                self._versions.append((value, version(value), "a weight"))
        elif not self._keep:
            return None
        return self.tape.save(value, private=private)

    def _record(self, step: Step | Unsupported, outputs: list[Tensor], function: Callable[..., Any]) -> None:
        moved = any(out.dim() == 0 or out.shape[0] != self.root.shape[0] for out in outputs)
        if moved and isinstance(step, Step):
            step = CoupledSamples("it moves or mixes the batch dimension")
        if isinstance(step, Unsupported):
            if any(_reaches(out.grad_fn, self.source.node) for out in outputs):  # else they are constants
                self._refuse(step, function)
            return
        step.outputs = self.tape.new_slots(len(outputs))
        for out, slot in zip(outputs, step.outputs, strict=True):
            self._known[out] = (slot, version(out))
        if step.weights:
            self.edges.append(get_gradient_edge(outputs[0]))
            if is_view(outputs[0]):  # a change in place would pass by the node at which δ is collected
                self._versions.append(
                    (outputs[0].detach(), version(outputs[0]), "the result of a layer, a view,")
                )
        if self._keep:
            self.tape.steps.append(step)

    def _refuse(self, why: Unsupported, function: Callable[..., Any]) -> None:
        self.refusal = type(why)(f"{place_of(self._critic, function)}: {why}")


def _tracker(seen: dict[int, tuple[int, int]]) -> Callable[[Any], bool]:
    """What tells a rule whether an argument depends on x, and is still what was recorded."""

    def is_tracked(value: Any) -> bool:
        if id(value) not in seen:
            return False
        if seen[id(value)][1] != version(value):
            raise Unsupported("a tensor that depends on x was modified in place through another name")
        return True

    return is_tracked


def _plain(value: Any) -> Any:
    """A value without tensors in it: in an unknown container one could hide."""
    if not isinstance(value, PLAIN):
        raise Unsupported(f"one of its arguments is a {type(value).__name__}, which may hold a tensor")
    return value


def _reaches(node: Node | None, target: Node) -> bool:
    """Whether autograd's graph leads from `node` back to `target`."""
    pending, visited = [node], set()
    while pending:
        node = pending.pop()
        if node is target:
            return True
        if node is not None and node not in visited:
            visited.add(node)
            pending += [parent for parent, _ in node.next_functions]
    return False
