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
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.overrides import TorchFunctionMode

from gncompanion.input_gradient.calls import Call, CoupledSamples, Unsupported, place_of
from gncompanion.input_gradient.rules import RULES, applied
from gncompanion.input_gradient.second_derivative import ATTENTION, math_kernel
from gncompanion.input_gradient.stand_ins import Given, StepWriter, reaches
from gncompanion.input_gradient.tape import Step, tensors_in
from gncompanion.input_gradient.torch_internals import hooks_made, is_view, version
from gncompanion.input_gradient.tracked import Known, TrackedTensors, tracker

__all__ = ["Recorder"]

BASE = vars(torch._C.TensorBase)
SIDE_DOORS = {  # ways to change a tensor's memory that leave no trace in its count of changes
    getattr(Tensor, name)
    for name in ("__array__", "__dlpack__", "apply_", "data_ptr", "map_", "numpy", "resize_", "set_")
} | {getattr(Tensor, name) for name in ("share_memory_", "storage", "untyped_storage")}
SETTER = BASE["data"].__set__  # autograd then goes on with what it has set, not with what was used
LOOKS = frozenset(  # what is asked of a tensor that neither changes it nor gives another
    {
        BASE[name].__get__
        for name in ("shape", "dtype", "device", "ndim", "is_leaf", "requires_grad", "is_cuda")
    }
    | {getattr(Tensor, name) for name in ("size", "dim", "numel", "__len__", "stride", "is_contiguous")}
    | {Tensor.is_floating_point, torch.is_floating_point, torch.numel}
)
_NOTHING = nullcontext()
Completed = Callable[[Any], tuple[Tensor, ...]]
NODE = BASE["grad_fn"].__get__  # on which a hook may change a gradient


class Recorder(TorchFunctionMode):
    """Watches a critic's forward, while it is entered; the forward itself runs as always, under autograd.

    A tensor is tracked when it is known to depend on `root` through recorded operations alone. The first call
    that cannot be replayed ends the record, with the reason in `refusal`; the forward goes on undisturbed.

    Args:
        root: The critic's input (N, ...), requiring a gradient.
        critic: The critic, only to name the module in a refusal.
        keep: Whether to write the tape; False notes nothing but whether every call is supported.
        aside: Whether a call without a rule does no harm as long as the value does not depend on it, as in a
            critic that also returns logits. Whoever asks for it keeps the graph of what was computed aside.

    Attributes:
        tape: The record.
        refusal: Why the record is of no use, or None.
        watching: Whether an activation has a hook.
        hooked: Whether such a hook has changed a gradient.
        source: Where autograd finds ∇f.
        edges: Where autograd finds δ, one for each step with weights.
    """

    def __init__(
        self, root: Tensor, critic: Callable[..., Any], *, keep: bool = True, aside: bool = False
    ) -> None:
        super().__init__()
        self.refusal: Unsupported | None = None
        self.watching = self.hooked = False
        self.root = root
        self.source = get_gradient_edge(root)
        self.edges: list[GradientEdge] = []
        self._critic, self._keep = critic, keep
        self._aside: list[tuple[Node, Unsupported]] | None = [] if aside else None
        self._samples = root.shape[0]
        self._known = TrackedTensors()
        self._writer = StepWriter(self.source.node, root.device.type, keep=keep)
        self.tape, self._guarded = self._writer.tape, self._writer.guarded
        self._node_hooks: int | None = None  # made before a node was asked for, and of tensors since
        self._known.add(root, 0)

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
            self.tape.result = self._slot(f)
        return self.refusal

    def untouched_input(self, leaf: Tensor) -> Tensor:
        """Return the critic's input as it was, which nobody else can change any more.

        Args:
            leaf: What `root` is a copy of.
        """
        known = self._known.get(self.root)
        unchanged = known is not None and version(self.root) == known[2] == 0
        return self.root.detach() if unchanged else leaf.detach().clone()

    def _slot(self, f: Tensor) -> int:
        known = self._known.get(f)
        assert known is not None
        return known[1]

    def _unfinished(self, f: Any) -> Unsupported | None:
        known = self._known.get(f) if isinstance(f, Tensor) else None
        if not known:
            return self._on_the_way(f)
        if known[2] != version(f):
            return Unsupported("its value was modified in place through operations that were not seen")
        for tensor, count, what in self._guarded:
            if version(tensor) != count:
                return Unsupported(f"{what} was modified in place")
        if self._node_hooks is not None and hooks_made() > self._node_hooks:
            return Unsupported("a hook on a node of autograd's graph may change the gradient")
        if self.edges and not self._keep:
            return Unsupported("a weight wants a gradient that is not among the critic's parameters")
        return None

    def _on_the_way(self, f: Any) -> Unsupported:
        """Why the value is not known: the first call without a rule that it depends on, if there is one."""
        graph = f.grad_fn if isinstance(f, Tensor) else None
        why = (why for node, why in self._aside or () if reaches(graph, node))
        return next(why, Unsupported("its value depends on x through operations that were not seen"))

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in LOOKS:
            return function(*args, **kwargs)
        with math_kernel() if function in ATTENTION else _NOTHING:
            return self._watch(function, args, kwargs)

    def _watch(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run any call; where it has to do with what is tracked, with care."""
        if self.refusal is not None:
            return function(*args, **kwargs)
        seen: dict[int, Known] = {}
        others: list[Given] = []
        for tensor in tensors_in((*args, *kwargs.values()) if kwargs else args):
            known = self._known.get(tensor)
            if known is None:
                others.append((tensor, version(tensor)))
            else:
                seen[id(tensor)] = known
        if (function in SIDE_DOORS and self._holds(args[0])) or (function == SETTER and self._uses(args[0])):
            self._refuse(Unsupported("it may change a tensor out of sight"), function)
        self._count_hooks(function)
        if seen and torch.is_grad_enabled():
            result = self._run(Call(function, args, kwargs, tracker(seen)), seen, others)
        else:
            result = function(*args, **kwargs)
        for tensor, count in others:
            if version(tensor) != count and self._holds(tensor):
                why = "it changes memory that the record needs, through another name"
                self._refuse(Unsupported(why), function)
        return result

    def _run(self, call: Call, seen: dict[int, Known], others: list[Given]) -> Any:
        """Run a call on tracked tensors, and record it where autograd does."""
        function, args = call.function, call.args
        if function == Tensor.register_hook:
            args, self.watching = (args[0], self._watched(args[1]), *args[2:]), True
        step, completed = self._step(call, seen, others)  # first: the call may change them
        result = function(*args, **call.kwargs)
        if isinstance(result, Tensor):
            outputs = [result] if result.requires_grad else []
        else:
            found = result if isinstance(result, tuple | list) else ()
            outputs = [out for out in found if isinstance(out, Tensor) and out.requires_grad]
        if outputs:  # sizes, comparisons, detached copies are constants
            self._record(step, outputs, function)
            if completed is not None and isinstance(step, Step):
                self._complete(step, completed, result, function)
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

    def _holds(self, tensor: Tensor) -> bool:
        """Whether a tensor lies in memory that the record needs: of tracked tensors and of large weights."""
        return self._known.lie_at(tensor, (self.tape.saved[index] for index in self.tape.shared.values()))

    def _uses(self, tensor: Tensor) -> bool:
        """Whether a tensor is one of those that autograd may have saved."""
        return self._holds(tensor) or any(tensor is weight for weight in self.tape.weights.values())

    def _step(
        self, call: Call, seen: dict[int, Known], others: list[Given]
    ) -> tuple[Step | Unsupported, Completed | None]:
        """How the call is replayed, and what completes it; or why it cannot be."""
        if call.function not in RULES:
            return Unsupported("not among the operations known to be linear or piecewise linear"), None
        try:
            replay = applied(call)
            return self._writer.write(call, replay, seen, others), replay.completed
        except Unsupported as why:
            return why, None
        except (AttributeError, IndexError, TypeError, ValueError) as error:  # the rule's, not the call's
            return Unsupported(f"it is called in a way that is not foreseen ({error})"), None

    def _record(self, step: Step | Unsupported, outputs: list[Tensor], function: Callable[..., Any]) -> None:
        if isinstance(step, Step):
            step = self._misplaced(outputs) or step
        if isinstance(step, Unsupported):
            found = [out.grad_fn for out in outputs if reaches(out.grad_fn, self.source.node)]
            if found:  # else they are constants
                self._unsupported(step, found, function)
            return
        step.outputs = self.tape.new_slots(len(outputs))
        for out, slot in zip(outputs, step.outputs, strict=True):
            self._known.add(out, slot)
        if step.weights:
            self.edges.append(get_gradient_edge(outputs[0]))
            if is_view(outputs[0]):  # a change in place would pass by the node at which δ is collected
                self._guarded.append(
                    (outputs[0].detach(), version(outputs[0]), "the result of a layer, a view,")
                )
        if self._keep:
            self.tape.steps.append(step)

    def _complete(self, step: Step, completed: Completed, result: Any, function: Callable[..., Any]) -> None:
        """Add to a step what is known only from its result."""
        if self.watching or self._node_hooks is not None:
            why = "with hooks on its activations, it cannot be asked what it drew or chose"
            self._refuse(Unsupported(why), function)
        elif self._keep:
            step.args += [self.tape.save(tensor, private=True) for tensor in completed(result)]

    def _misplaced(self, outputs: list[Tensor]) -> Unsupported | None:
        """Why the samples are not in their places: each must have as many rows, one after the other."""
        for out in outputs:
            shape = out.shape
            if not shape or shape[0] % self._samples:
                return CoupledSamples("it moves or mixes the batch dimension")
            if out.dtype.is_complex:
                return Unsupported("its result is complex")
        return None

    def _unsupported(self, why: Unsupported, found: list[Node | None], function: Callable[..., Any]) -> None:
        """Refuse the record; or, where what lies aside may be anything, what depends on these results."""
        if self._aside is None:
            self._refuse(why, function)
        else:
            named = self._named(why, function)
            self._aside += [(node, named) for node in found if node is not None]

    def _refuse(self, why: Unsupported, function: Callable[..., Any]) -> None:
        self.refusal = self._named(why, function)

    def _named(self, why: Unsupported, function: Callable[..., Any]) -> Unsupported:
        return type(why)(f"{place_of(self._critic, function)}: {why}")
