"""The critic's forward, recorded as one affine map a sample, to be run again with frozen gates.

Inside one region of a piecewise linear critic every layer is affine. `Recorder` watches the forward and
keeps, for each operation on the path from x to f, how it acts on `u = a·h + t` (`linear_ops`). `FrozenGates`
turns that record into a differentiable function of the critic's weights:

    forward     δ_l = ∂f/∂z_l for every operation with a weight, and g = δ_0          one input-backward

    backward    from a = ∂L/∂f and G = ∂L/∂g:  u_0 = a·x + G  is pushed through the record, and at layer l
                ∂L/∂W_l = Σ_samples δ_l ⊗ u_l        ∂L/∂b_l = Σ_samples a·δ_l        a forward, a W-product

Since u_0 = a·(x + G/a), it is the *plain* weight gradient at the shifted point x + G/a, gates frozen at x.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from gncompanion.input_gradient.rules import (
    RULES,
    Call,
    CoupledSamples,
    SideDoor,
    Unsupported,
    is_side_door,
    overwrites,
    scaled,
)

__all__ = ["FrozenGates", "Recorder", "Tape", "start"]


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
    """One recorded operation: `function(a, *args, **kwargs)` fills the slots `outputs`."""

    function: Callable[..., Any]
    args: Any
    kwargs: Any
    inputs: tuple[int, ...]  # the slots among them
    autocast: dict[str, Any]
    weights: tuple[int, ...]  # the saved tensors that want a gradient
    outputs: tuple[int, ...] = ()


@dataclass
class Tape:
    """The steps from x (slot 0) to f (slot `result`), and the tensors they use."""

    steps: list[Step] = field(default_factory=list)
    saved: list[Tensor] = field(default_factory=list)
    slots: int = 1
    result: int = 0

    def new_slots(self, n: int) -> tuple[int, ...]:
        self.slots += n
        return tuple(range(self.slots - n, self.slots))

    def save(self, tensor: Tensor) -> Saved:
        for index, known in enumerate(self.saved):
            if known is tensor:
                return Saved(index)
        self.saved.append(tensor)
        return Saved(len(self.saved) - 1)

    def replay(self, a: Tensor, u: Tensor, saved: list[Tensor]) -> Iterator[tuple[Step, tuple[Tensor, ...]]]:
        """Push u_0 (N, ...) through the record; yield each step with its outputs, free what is used up."""
        last_use = {slot: n for n, step in enumerate(self.steps) for slot in step.inputs}
        values: dict[int, Tensor] = {0: u}
        for n, step in enumerate(self.steps):
            args, kwargs = _fill((step.args, step.kwargs), values, saved)
            if overwrites(step.function):
                later = (v for slot, v in values.items() if last_use.get(slot, n) > n or slot == self.result)
                args = (args[0].clone() if _share_memory(args[0], later) else args[0], *args[1:])
            with _as_recorded(step.autocast):
                outputs = _tuple(step.function(a, *args, **kwargs))
            yield step, outputs
            values |= zip(step.outputs, (out.detach() for out in outputs), strict=True)
            for slot in {*step.inputs, *step.outputs}:
                if last_use.get(slot, -1) <= n and slot != self.result:
                    values.pop(slot, None)


def _share_memory(tensor: Any, others: Iterable[Tensor]) -> bool:
    return any(other.untyped_storage() is tensor.untyped_storage() for other in others)


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    """`function` applied to the leaves of nested tuples, lists and dicts."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([_map(function, v) if type(v) in _NESTS else function(v) for v in value])
    if kind is dict:
        return {k: _map(function, v) for k, v in value.items()}
    return function(value)


_NESTS = (tuple, list, dict)


def _leaves(value: Any) -> list[Any]:
    leaves: list[Any] = []
    _map(leaves.append, value)
    return leaves


def _fill(value: Any, values: dict[int, Tensor], saved: list[Tensor]) -> Any:
    tables = {Slot: values, Saved: saved}
    return _map(lambda leaf: tables[type(leaf)][leaf.index] if type(leaf) in tables else leaf, value)


class Recorder(TorchFunctionMode):
    """Watches a critic's forward and writes its tape; the forward itself runs as always, under autograd.

    A tensor is tracked when it is known to depend on `root` through recorded operations alone. The first call
    that cannot be replayed ends the record, with the reason in `refusal`; the forward goes on undisturbed.

    Args:
        root: the critic's input (N, ...), requiring a gradient.
        critic: only to name the module in a refusal.
        keep: False records nothing but whether every call is supported (no weight wants a gradient).
    """

    def __init__(self, root: Tensor, critic: Callable[..., Any], *, keep: bool = True) -> None:
        super().__init__()
        self.tape = Tape()
        self.refusal: Unsupported | None = None
        self.hooked = False  # a hook on an activation has changed a gradient
        self.root = root
        self.source = get_gradient_edge(root)
        self.edges: list[GradientEdge] = []  # where autograd finds δ, one for each step with weights
        self._critic, self._keep = critic, keep
        self._known = WeakIdKeyDictionary()  # tensor -> (slot, version)
        self._views: list[tuple[Tensor, int]] = []  # results of layers that are views, and their versions
        self._known[root] = (0, root._version)

    def finish(self, f: Tensor) -> Unsupported | None:
        """Names the tape's result; returns why the record is of no use, if so."""
        if self.refusal is None and not self._lookup(f):
            self.refusal = Unsupported("its value depends on x through operations that were not seen")
        if self.refusal is None and any(view._version != version for view, version in self._views):
            # the change in place has passed by the node of the view, at which δ would be collected
            self.refusal = Unsupported("the result of a layer, a view, was modified in place")
        if self.refusal is None and self.edges and not self._keep:
            self.refusal = Unsupported("a weight wants a gradient that is not among the critic's parameters")
        if self.refusal is None:
            self.tape.result = self._known[f][0]
        return self.refusal

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self.refusal or not torch.is_grad_enabled() or not (seen := self._seen(args, kwargs)):
            return function(*args, **kwargs)
        if function is Tensor.register_hook:
            args = (args[0], self._watched(args[1]), *args[2:])
        step = self._rule(function, args, kwargs, seen)  # first: the call may change its arguments in place
        result = function(*args, **kwargs)
        outputs = [out for out in _tuple(result) if isinstance(out, Tensor) and out.requires_grad]
        if outputs or isinstance(step, SideDoor):  # sizes, comparisons, detached copies are constants
            self._record(step, outputs, function)
        return result

    def _watched(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[Tensor], Tensor | None]:
        """The same hook; notes when it changes the gradient, which the record knows nothing of."""

        def watched(grad: Tensor) -> Tensor | None:
            changed = hook(grad)
            self.hooked |= changed is not None
            return changed

        return watched

    def _seen(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int, tuple[int, int]]:
        """The slot and version of each tracked tensor in a call, by its id."""
        found = ((leaf, self._lookup(leaf)) for leaf in _leaves((args, kwargs)))
        return {id(leaf): known for leaf, known in found if known}

    def _lookup(self, value: Any) -> tuple[int, int] | None:
        return self._known.get(value) if isinstance(value, Tensor) and not value.is_leaf else None

    def _rule(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seen: dict[int, tuple[int, int]],
    ) -> Step | Unsupported:
        """How the call is replayed, with tracked tensors as slots; or why it cannot be."""
        if is_side_door(function):
            return SideDoor("it may change a tensor out of sight")
        if function not in RULES:
            return Unsupported("not among the operations known to be linear or piecewise linear")

        def is_tracked(value: Any) -> bool:
            if id(value) not in seen:
                return False
            if seen[id(value)][1] != value._version:
                raise Unsupported("a tensor that depends on x was modified in place through another name")
            return True

        def placeholder(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return Slot(seen[id(value)][0]) if is_tracked(value) else self._constant(value)

        try:
            replay, *arguments = RULES[function](Call(function, args, kwargs, is_tracked))
            return self._step(replay, _map(placeholder, arguments))
        except Unsupported as why:
            return why
        except (AttributeError, IndexError, TypeError, ValueError) as error:  # the rule's, not the call's
            return Unsupported(f"it is called in a way that is not foreseen ({error})")

    def _step(self, replay: Callable[..., Any], arguments: list[Any]) -> Step:
        leaves = _leaves(arguments)
        inputs = tuple(leaf.index for leaf in leaves if type(leaf) is Slot)
        saved = {leaf.index for leaf in leaves if type(leaf) is Saved}
        weights = tuple(sorted(index for index in saved if self.tape.saved[index].requires_grad))
        return Step(replay, *arguments, inputs, _autocast(self.root.device.type), weights)

    def _constant(self, value: Tensor) -> Saved | None:
        if value.requires_grad and _reaches(value.grad_fn, self.source.node):
            raise Unsupported("one of its arguments depends on x through operations that were not seen")
        return self.tape.save(value) if self._keep or value.requires_grad else None

    def _record(self, step: Step | Unsupported, outputs: list[Tensor], function: Callable[..., Any]) -> None:
        moved = any(out.dim() == 0 or out.shape[0] != self.root.shape[0] for out in outputs)
        if moved and isinstance(step, Step):
            step = CoupledSamples("it moves or mixes the batch dimension")
        if isinstance(step, Unsupported):
            self.refusal = type(step)(f"{_calling_module(self._critic)}{_name(function)}: {step}")
            return
        step.outputs = self.tape.new_slots(len(outputs))
        for out, slot in zip(outputs, step.outputs, strict=True):
            self._known[out] = (slot, out._version)
        if step.weights:
            self.edges.append(get_gradient_edge(outputs[0]))
            if outputs[0]._is_view():
                self._views.append((outputs[0].detach(), outputs[0]._version))
        if self._keep:
            self.tape.steps.append(step)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function)).removeprefix("TensorBase.")


def _autocast(device: str) -> dict[str, Any]:
    """The autocast in force, as arguments to enter it again; casts are not cached across the two."""
    enabled = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device)
    return {"device_type": device, "dtype": dtype, "enabled": enabled, "cache_enabled": False}


def _as_recorded(autocast: dict[str, Any]) -> AbstractContextManager[None]:
    """The autocast of a recorded call; entering torch's costs as much as a small layer."""
    if autocast["enabled"] or torch.is_autocast_enabled(autocast["device_type"]):
        return torch.autocast(**autocast)
    return nullcontext()


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


def _calling_module(critic: Callable[..., Any]) -> str:
    """The innermost module whose forward is running, by its name inside the critic."""
    names = {m: name for name, m in critic.named_modules()} if isinstance(critic, nn.Module) else {}
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module):
            return f"{type(module).__name__} {names.get(module, '')!r}, ".replace(" '',", ",")
        frame = frame.f_back
    return ""


class FrozenGates(torch.autograd.Function):
    """(f, g) as a function of the weights on the tape, with the gates frozen."""

    @staticmethod
    def forward(
        ctx: Any, tape: Tape, f: Tensor, g: Tensor, x: Tensor, deltas: list[Tensor | None], *saved: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.tape = tape
        ctx.save_for_backward(x, *deltas, *saved)
        return f.clone(), g.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, a: Tensor, G: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        steps = [step for step in ctx.tape.steps if step.weights]
        deltas = dict(zip((step.outputs[0] for step in steps), tensors, strict=False))
        saved = [t.detach().requires_grad_(t.requires_grad) for t in tensors[len(steps) :]]
        grads: list[Tensor | None] = [None] * len(saved)
        with torch.enable_grad():
            for step, outputs in ctx.tape.replay(a, start(a, x, G), saved):
                delta = deltas.get(step.outputs[0])
                if delta is None:  # not on a way to f
                    continue
                weights = [saved[index] for index in step.weights]
                found = torch.autograd.grad(outputs[0], weights, delta)
                for index, grad in zip(step.weights, found, strict=True):
                    grads[index] = grad if grads[index] is None else grads[index] + grad
        return None, None, None, None, None, *grads


def start(a: Tensor, x: Tensor, G: Tensor) -> Tensor:
    """u_0 = a·x + G, what the replay starts from (N, ...)."""
    return scaled(a, x, like=x) + G
