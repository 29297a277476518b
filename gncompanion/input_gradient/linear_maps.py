"""Linear and affine operations, run again on u = a·h + t.

    linear map     op(h)      ->  op(u)
    affine map     W h + b    ->  W u + a·b

A rule refuses a call that mixes samples: dimension 0 of every tracked tensor is the batch, which is what
makes `a` one number per sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from gncompanion.input_gradient.calls import (
    Call,
    Replay,
    Rule,
    per_row,
    require_separate,
    require_supported,
    scaled,
)
from gncompanion.input_gradient.per_sample import broadcast
from gncompanion.input_gradient.weight_gradients import gradients_of

__all__ = [
    "addmm",
    "affine",
    "again",
    "batch_norm",
    "column",
    "dims_of",
    "einsum",
    "interpolate",
    "masked_fill",
    "matmul",
    "only_first_tracked",
    "product",
    "quotient",
    "run_again",
    "same_rank",
    "spatial",
    "sum_of",
    "where",
]


def column(channels: Tensor, like: Tensor) -> Tensor:
    """Shape one value per channel so that it broadcasts over `like` (N, C, ...)."""
    return channels.view(-1, *[1] * (like.dim() - 2))


def dims_of(value: Any, ndim: int) -> set[int]:
    """Count dimensions, given as one number or several, from the front."""
    dims = value if isinstance(value, Iterable) else (value,)
    return {int(d) % max(ndim, 1) for d in dims}


def only_first_tracked(call: Call) -> Tensor:
    """Return the first argument; refuse a call of which another one depends on x."""
    h, *rest = call.args
    require_supported(call.is_tracked(h), "its first argument does not depend on x but another one does")
    others = [*rest, *call.kwargs.values()]
    require_supported(not any(map(call.is_tracked, others)), "two of its arguments depend on x")
    return h  # type: ignore[no-any-return]  # a tensor, since it is tracked


def again(call: Call) -> Replay:
    """An elementwise linear map, or another that is the same call with u."""
    only_first_tracked(call)
    return run_again(call)


def run_again(call: Call) -> Replay:
    """The same call with u in place of h, for rules that have checked it."""
    function = call.function  # not `call`, which would keep the activations alive
    return Replay(lambda a, *args, **kwargs: function(*args, **kwargs), call.args, call.kwargs)


def spatial(ndim: int) -> Rule:
    """A map over the last dimensions of a batched (N, C, ...) tensor of `ndim` dimensions."""

    def rule(call: Call) -> Replay:
        require_separate(only_first_tracked(call).dim() == ndim, "its input has no batch dimension")
        return run_again(call)

    return rule


def interpolate(call: Call) -> Replay:
    """Images made larger or smaller, by any of torch's linear modes."""
    require_separate(only_first_tracked(call).dim() >= 3)
    return run_again(call)


def same_rank(call: Call, values: Iterable[Any]) -> None:
    """Refuse a call whose broadcasting moves the batch of a tracked tensor away from dimension 0."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    rank = max(v.dim() for v in tensors)
    require_separate(all(v.dim() == rank for v in tensors if call.is_tracked(v)))


def sum_of(function: Callable[..., Tensor], *, reverse: bool = False) -> Rule:
    """x ± alpha·y, where either may be a constant."""

    def rule(call: Call) -> Replay:
        x, y = call.args[:2][::-1] if reverse else call.args[:2]
        same_rank(call, (x, y))
        require_supported(call.kwargs.keys() <= {"alpha"}, "it takes further arguments")
        left, right = call.is_tracked(x), call.is_tracked(y)

        def replay(a: Tensor, x: Any, y: Any, **kwargs: Any) -> Tensor:
            like = x if left else y
            return function(x if left else scaled(a, x, like), y if right else scaled(a, y, like), **kwargs)

        return Replay(replay, (x, y), call.kwargs)

    return rule


def product(call: Call) -> Replay:
    """h times a constant."""
    require_supported(len(call.args) == 2 and not call.kwargs, "it takes further arguments")
    require_supported(
        not all(map(call.is_tracked, call.args)), "it multiplies two tensors that both depend on x"
    )
    same_rank(call, call.args)
    return Replay(lambda a, x, y: torch.mul(x, y), call.args)


def quotient(call: Call) -> Replay:
    """h divided by a constant."""
    require_supported(len(call.args) == 2 and not call.kwargs, "it takes further arguments")
    require_supported(not call.is_tracked(call.args[1]), "it divides by a tensor that depends on x")
    same_rank(call, call.args)
    return Replay(lambda a, x, y: torch.div(x, y), call.args)


def affine(call: Call) -> Replay:
    """linear and convolutions, transposed or not: (input, weight, bias, ...)."""
    h, weight, function = only_first_tracked(call), call.argument(1, "weight"), call.function
    if weight.dim() == 2:
        require_separate(h.dim() >= 2)
    else:
        require_separate(h.dim() == weight.dim(), "its input has no batch dimension")

    def replay(
        a: Tensor, u: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **kwargs: Any
    ) -> Tensor:
        out: Tensor = function(u, weight, None, *rest, **kwargs)
        if bias is not None:
            bias = bias.to(out.dtype)
            bias = bias if weight.dim() == 2 else column(bias, out)
            out.addcmul_(broadcast(per_row(a, out), out), bias)
        return out

    gradients = gradients_of(function, call.args[3:], call.kwargs)
    return Replay(replay, call.args, call.kwargs, gradients=gradients)


def addmm(call: Call) -> Replay:
    """β·b + α·h W, with a constant matrix from the right: what nn.Linear was, written by hand."""
    b, h, weight = call.args[:3]
    require_supported(call.is_tracked(h) and not call.is_tracked(b), "what it adds depends on x")
    require_supported(not call.is_tracked(weight), "it multiplies two tensors that both depend on x")
    beta: float = call.kwargs.get("beta", 1)
    alpha: float = call.kwargs.get("alpha", 1)

    def replay(a: Tensor, b: Tensor, u: Tensor, weight: Tensor) -> Tensor:
        return alpha * torch.matmul(u, weight) + beta * scaled(a, b, u)

    return Replay(replay, (b, h, weight))


def matmul(call: Call) -> Replay:
    """h W, with a constant matrix or vector, or one for each sample; from the left only behind the batch."""
    left, right = call.args[:2]
    require_supported(
        not (call.is_tracked(left) and call.is_tracked(right)), "two of its arguments depend on x"
    )
    h, weight, least = (left, right, 2) if call.is_tracked(left) else (right, left, 3)
    require_separate(h.dim() >= least and weight.dim() <= (2 if h.dim() == 2 else h.dim()))
    return Replay(lambda a, x, y: torch.matmul(x, y), (left, right))


def einsum(call: Call) -> Replay:
    """A sum of products, one factor of which depends on x, with the batch first in it and in the result."""
    equation, operands = call.args[0], call.args[1:]
    operands = tuple(operands[0]) if isinstance(operands[0], tuple | list) else operands
    tracked = [call.is_tracked(v) for v in operands]
    require_supported(sum(tracked) == 1, "several of its arguments depend on x")
    require_supported(isinstance(equation, str) and "->" in equation, "its result has no letters")
    terms, result = equation.replace(" ", "").split("->")
    term = terms.split(",")[tracked.index(True)]
    require_separate(term[:1].isalpha() and result[:1] == term[0] and term.count(term[0]) == 1)
    return Replay(lambda a, values: torch.einsum(equation, *values), (list(operands),))


def masked_fill(call: Call) -> Replay:
    """A constant where a mask is set, h elsewhere."""
    h, mask, value = only_first_tracked(call), call.argument(1, "mask"), call.argument(2, "value")
    return where(Call(call.function, (mask, value, h), {}, call.is_tracked))


def where(call: Call) -> Replay:
    """One of two values, chosen by a condition that does not depend on x but for its sign."""
    condition, x, y = call.args
    require_supported(not call.is_tracked(condition), "its condition is a tensor that depends on x")
    same_rank(call, (condition, x, y))
    left, right = call.is_tracked(x), call.is_tracked(y)

    def replay(a: Tensor, condition: Tensor, x: Any, y: Any) -> Tensor:
        like = x if left else y
        return torch.where(condition, x if left else scaled(a, x, like), y if right else scaled(a, y, like))

    return Replay(replay, (condition, x, y))


def batch_norm(call: Call) -> Replay:
    """Batch normalization with stored statistics: (h − mean) / √(var + eps) · weight + bias."""
    training = call.argument(5, "training", False) or call.argument(1, "running_mean") is None
    require_separate(not training, "batch normalization in training mode mixes the samples")
    h = only_first_tracked(call)
    return Replay(_normalised, (h, *call.args[1:]), call.kwargs)


def _normalised(
    a: Tensor,
    u: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    out = (u - scaled(a, column(running_mean, u), u)) * column((running_var + eps).rsqrt(), u)
    out = out if weight is None else out * column(weight, u)
    out = out if bias is None else out + scaled(a, column(bias, u), u)
    return out.to(u.dtype)
