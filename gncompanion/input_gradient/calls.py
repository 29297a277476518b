"""One call of the critic's forward, how it is run again, and the reasons why it may not be.

A rule looks at a `Call`, some of whose arguments depend on x ("tracked"), and returns a `Replay`: what acts
on u = a·h + t as the call, with its gates frozen, acts on h. The replayed function gets a, one number per
sample, as its first argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from torch import Tensor, nn

from gncompanion.input_gradient.per_sample import broadcast

__all__ = [
    "Call",
    "CoupledSamples",
    "Replay",
    "Rule",
    "Unsupported",
    "per_row",
    "place_of",
    "require_separate",
    "require_supported",
    "scaled",
]


class Unsupported(Exception):
    """A call that cannot be replayed with frozen gates; the message says why."""


class CoupledSamples(Unsupported):
    """A call that moves or mixes the batch dimension, so that `a` is no longer one number per sample."""


@dataclass(slots=True)
class Call:
    """One call `function(*args, **kwargs)` of the forward, before it runs.

    Attributes:
        function: The function of torch.
        args: Its arguments by position.
        kwargs: Its arguments by name.
        is_tracked: Tells whether a value is a tensor that depends on x.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    is_tracked: Callable[[Any], bool]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return the argument given at `position` or by `name`."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)


@dataclass(slots=True)
class Replay:
    """How a call is run again: `function(a, *args, **kwargs)`, with u in place of each tracked tensor h.

    Attributes:
        function: What acts on u.
        args: Its arguments by position, after a.
        kwargs: Its arguments by name.
        overwrites: Whether it writes its result over its first argument u, in memory that must then be u's
            alone; fresh memory costs a CPU ten times the arithmetic of a gate.
        completed: What the call's result adds to these arguments, where they are known only then.
        gradients: The gradients of its second and third argument from δ = ∂f/∂result, where a formula is
            cheaper than autograd: `gradients(a, delta, wanted, *args, **kwargs)`, None where not wanted.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    overwrites: bool = False
    completed: Callable[[Any], tuple[Any, ...]] | None = None
    gradients: Callable[..., tuple[Tensor | None, ...]] | None = None


Rule = Callable[[Call], Replay]


def require_supported(condition: bool, why: str) -> None:
    """Refuse a call unless a condition holds."""
    if not condition:
        raise Unsupported(why)


def require_separate(condition: bool, why: str = "it moves or mixes the batch dimension") -> None:
    """Refuse a call unless it keeps the samples apart, at dimension 0."""
    if not condition:
        raise CoupledSamples(why)


def per_row(a: Tensor, like: Tensor) -> Tensor:
    """Repeat a, (N,) or (N, 1), for each of a sample's rows: (Nk,), where `like` is (Nk, ...)."""
    a = a if a.dim() == 1 else a.reshape(-1)
    a = a if a.dtype is like.dtype else a.to(like.dtype)
    samples, rows = a.shape[0], like.shape[0]
    return a if rows == samples else a.repeat_interleave(rows // samples)


def scaled(a: Tensor, constant: Tensor | float, like: Tensor) -> Tensor:
    """Compute a·constant, with a (N,) or (N, 1) broadcast over `like`, (N, ...) or (Nk, ...)."""
    return broadcast(per_row(a, like), like) * constant


def place_of(critic: Callable[..., Any], function: Callable[..., Any]) -> str:
    """Say where in a critic a function is being called: the innermost module, by its name, and the function.

    Args:
        critic: The critic whose forward is running.
        function: The function of torch.

    Returns:
        Such as "ELU '1.1', elu".
    """
    name = getattr(function, "__qualname__", repr(function)).removeprefix("TensorBase.")
    names = {m: name for name, m in critic.named_modules()} if isinstance(critic, nn.Module) else {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module):
            return f"{type(module).__name__} {names.get(module, '')!r}, {name}".replace(" '',", ",")
        frame = frame.f_back
    return name
