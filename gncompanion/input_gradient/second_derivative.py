"""Double backpropagation where torch has no second derivative: another kernel, or an error that helps.

Fused attention kernels have a first derivative only; the same attention as plain matrix products ("math") has
all. Of other operations the error comes when g is differentiated, not before: g itself is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

__all__ = ["ATTENTION", "CustomFunctions", "DifferentiableAttention", "math_kernel"]

ATTENTION = frozenset({F.scaled_dot_product_attention, F.multi_head_attention_forward})
ERRORS = ("NotImplemented", "Error")  # nodes that stand in autograd's graph where a derivative is missing


def math_kernel() -> AbstractContextManager[None]:
    """Enter the attention that can be differentiated as often as one likes."""
    kernel: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return kernel


class DifferentiableAttention(TorchFunctionMode):
    """Runs attention by the math kernel while it is entered."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function not in ATTENTION:
            return function(*args, **(kwargs or {}))
        with math_kernel():
            return function(*args, **(kwargs or {}))


class CustomFunctions:
    """The custom autograd functions in a graph, watched while g is computed: is it differentiable there?

    A backward is linear in what it is given. If that requires a gradient and what it returns does not, it was
    computed where autograd does not look; and autograd would take it for a constant, without a word.

    Args:
        f: The values, with their graph.
    """

    def __init__(self, f: Tensor) -> None:
        self.nodes = [node for node in _graph(f.grad_fn) if isinstance(node, BackwardCFunction)]
        self.opaque: set[str] = set()
        self._handles = [node.register_hook(self._watched(_name(node))) for node in self.nodes]

    def _watched(self, name: str) -> Callable[..., None]:
        def watched(results: Sequence[Tensor | None], given: Sequence[Tensor | None]) -> None:
            if any(grad is not None and grad.requires_grad for grad in given):
                lost = (r for r in results if r is not None and not r.requires_grad)
                self.opaque |= {name for r in lost if bool(r.any())}

        return watched

    def guarded(self, g: Tensor) -> Tensor:
        """Return g, watched until now; where it cannot be differentiated, with an error for who tries."""
        for handle in self._handles:
            handle.remove()
        missing = next((node for node in _graph(g.grad_fn) if type(node).__name__ in ERRORS), None)
        if missing is None and not self.opaque:
            return g
        why = _reason(missing) if missing else "the backward of a custom function is not made of torch's own"
        names = sorted(self.opaque or {_name(node) for node in self.nodes})
        named = f" (custom functions: {', '.join(names)})" if names else ""
        found: Tensor = _Guarded.apply(
            g,
            f"this critic's input gradient cannot be differentiated: {why}{named}. Use a form of the "
            "operation that is made of differentiable ones, such as its reference implementation, or hold "
            "the gradient constant (detach=True).",
        )
        return found


class _Guarded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, message: str) -> Tensor:
        ctx.message = message
        return g.view_as(g)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError(ctx.message)


def _reason(node: Node) -> str:
    try:
        cast(Any, node)(torch.zeros(()))  # it does nothing but raise
    except RuntimeError as error:
        return str(error).splitlines()[0].rstrip(".")
    return "torch has no second derivative of one of its operations"


def _name(node: Node) -> str:
    return type(node).__name__.removesuffix("Backward")


def _graph(root: Node | None) -> Iterator[Node]:
    pending, visited = [root], set()
    while pending:
        node = pending.pop()
        if node is not None and node not in visited:
            visited.add(node)
            yield node
            pending += [parent for parent, _ in node.next_functions]
