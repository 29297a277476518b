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

from gncompanion.input_gradient.calls import Call, Replay, Rule, require, require_separate, scaled

__all__ = [
    "addmm",
    "affine",
    "again",
    "along",
    "batch_norm",
    "cast",
    "column",
    "concatenate",
    "dims_of",
    "expand",
    "gather",
    "index",
    "interpolate",
    "matmul",
    "only_first_tracked",
    "pad",
    "permute",
    "product",
    "quotient",
    "reshape",
    "spatial",
    "squeeze",
    "sum_of",
    "transpose",
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
    require(call.is_tracked(h), "its first argument does not depend on x but another one does")
    others = [*rest, *call.kwargs.values()]
    require(not any(map(call.is_tracked, others)), "two of its arguments depend on x")
    return h  # type: ignore[no-any-return]  # a tensor, since it is tracked


def again(call: Call) -> Replay:
    """An elementwise linear map, or another that is the same call with u."""
    only_first_tracked(call)
    return _again(call)


def _again(call: Call) -> Replay:
    function = call.function  # not `call`, which would keep the activations alive
    return Replay(lambda a, *args, **kwargs: function(*args, **kwargs), call.args, call.kwargs)


def reshape(call: Call) -> Replay:
    """view, reshape, flatten, unflatten: row-major, samples stay apart while dimension 0 keeps its length."""
    only_first_tracked(call)
    require(not isinstance(call.argument(1, "dtype"), torch.dtype), "it reinterprets bits")
    return _again(call)


def squeeze(call: Call) -> Replay:
    """Dimensions of length 1 taken away: those given, or all, of which the batch must not be one."""
    h, dims = only_first_tracked(call), call.argument(1, "dim")
    if dims is None:
        require_separate(h.shape[0] != 1, "it takes the batch dimension away from a batch of one")
    else:
        require_separate(0 not in dims_of(dims, h.dim()))
    return _again(call)


def along(position: int, *, extra: int = 0) -> Rule:
    """A map along dimensions, given at `position` or as `dim` or `axis`, that must not include the batch."""

    def rule(call: Call) -> Replay:
        h, dims = only_first_tracked(call), call.argument(position, "dim", call.kwargs.get("axis"))
        require_separate(dims is not None and dims != (), "without `dim` it includes the batch")
        require_separate(0 not in dims_of(dims, h.dim() + extra))
        return _again(call)

    return rule


def permute(call: Call) -> Replay:
    """A permutation of the dimensions that leaves the batch first."""
    h = only_first_tracked(call)
    order = call.args[1:] if len(call.args) > 2 else call.argument(1, "dims")
    order = tuple(order) if isinstance(order, Iterable) else (order,)
    require_separate(order[0] % h.dim() == 0)
    return _again(call)


def transpose(call: Call) -> Replay:
    """Two dimensions exchanged, neither of them the batch."""
    h = only_first_tracked(call)
    first = call.argument(1, "dim0", call.kwargs.get("axis0"))
    second = call.argument(2, "dim1", call.kwargs.get("axis1"))
    require_separate(0 not in dims_of((first, second), h.dim()))
    return _again(call)


def index(call: Call) -> Replay:
    """h[:, i, j:k, ..., None], behind a whole batch; or one per sample, h[arange(N), y]."""
    h = only_first_tracked(call)
    found = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if isinstance(found[0], Tensor):
        require_separate(_is_each_sample(found, len(h)), "it indexes the batch by a tensor")
        return _again(call)
    plain = all(i is None or i is Ellipsis or isinstance(i, int | slice) for i in found[1:])
    behind = found[0] is Ellipsis and len(found) <= h.dim()
    whole = isinstance(found[0], slice) and found[0] == slice(None)
    require_separate(plain and (whole or behind), "it indexes the batch or by a tensor")
    return _again(call)


def _is_each_sample(found: tuple[Any, ...], n: int) -> bool:
    """Tell whether an index is (0 … N−1, one whole number per sample, …); on a CPU only."""
    if any(not isinstance(i, Tensor) or i.is_floating_point() or i.shape != (n,) for i in found):
        return False
    batch = found[0]
    return batch.device.type == "cpu" and torch.equal(batch, torch.arange(n, dtype=batch.dtype))


def spatial(ndim: int) -> Rule:
    """A map over the last dimensions of a batched (N, C, ...) tensor of `ndim` dimensions."""

    def rule(call: Call) -> Replay:
        require_separate(only_first_tracked(call).dim() == ndim, "its input has no batch dimension")
        return _again(call)

    return rule


def pad(call: Call) -> Replay:
    """Padding with zeros, or with h's own values."""
    h = only_first_tracked(call)
    require(not call.argument(3, "value"), "it pads with a non-zero constant")
    require_separate(len(call.argument(1, "pad")) // 2 < h.dim())
    return _again(call)


def interpolate(call: Call) -> Replay:
    """Images made larger or smaller, by any of torch's linear modes."""
    require_separate(only_first_tracked(call).dim() >= 3)
    return _again(call)


def concatenate(extra: int) -> Rule:
    """cat (extra = 0) and stack (extra = 1); pieces that do not depend on x are constants."""

    def rule(call: Call) -> Replay:
        pieces, dim = tuple(call.args[0]), call.argument(1, "dim", call.kwargs.get("axis", 0))
        tracked = [call.is_tracked(p) for p in pieces]
        require_separate(0 not in dims_of(dim, pieces[0].dim() + extra))
        function = torch.stack if extra else torch.cat

        def replay(a: Tensor, values: list[Tensor]) -> Tensor:
            return function([v if t else scaled(a, v, v) for v, t in zip(values, tracked, strict=True)], dim)

        return Replay(replay, (list(pieces),))

    return rule


def _same_rank(call: Call, values: Iterable[Any]) -> None:
    """Broadcasting must leave the batch of every tracked tensor at dimension 0."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    rank = max(v.dim() for v in tensors)
    require_separate(all(v.dim() == rank for v in tensors if call.is_tracked(v)))


def sum_of(function: Callable[..., Tensor], *, reverse: bool = False) -> Rule:
    """x ± alpha·y, where either may be a constant."""

    def rule(call: Call) -> Replay:
        x, y = call.args[:2][::-1] if reverse else call.args[:2]
        _same_rank(call, (x, y))
        require(call.kwargs.keys() <= {"alpha"}, "it takes further arguments")
        left, right = call.is_tracked(x), call.is_tracked(y)

        def replay(a: Tensor, x: Any, y: Any, **kwargs: Any) -> Tensor:
            like = x if left else y
            return function(x if left else scaled(a, x, like), y if right else scaled(a, y, like), **kwargs)

        return Replay(replay, (x, y), call.kwargs)

    return rule


def product(call: Call) -> Replay:
    """h times a constant."""
    require(len(call.args) == 2 and not call.kwargs, "it takes further arguments")
    require(not all(map(call.is_tracked, call.args)), "it multiplies two tensors that both depend on x")
    _same_rank(call, call.args)
    return Replay(lambda a, x, y: torch.mul(x, y), call.args)


def quotient(call: Call) -> Replay:
    """h divided by a constant."""
    require(len(call.args) == 2 and not call.kwargs, "it takes further arguments")
    require(not call.is_tracked(call.args[1]), "it divides by a tensor that depends on x")
    _same_rank(call, call.args)
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
            out.add_(scaled(a, bias if weight.dim() == 2 else column(bias, out), out))
        return out

    return Replay(replay, call.args, call.kwargs)


def addmm(call: Call) -> Replay:
    """β·b + α·h W, with a constant matrix from the right: what nn.Linear was, written by hand."""
    b, h, weight = call.args[:3]
    require(call.is_tracked(h) and not call.is_tracked(b), "what it adds depends on x")
    require(not call.is_tracked(weight), "it multiplies two tensors that both depend on x")
    beta: float = call.kwargs.get("beta", 1)
    alpha: float = call.kwargs.get("alpha", 1)

    def replay(a: Tensor, b: Tensor, u: Tensor, weight: Tensor) -> Tensor:
        return alpha * torch.matmul(u, weight) + beta * scaled(a, b, u)

    return Replay(replay, (b, h, weight))


def matmul(call: Call) -> Replay:
    """h W, with a constant matrix or vector; from the left only behind the batch, where no samples mix."""
    left, right = call.args[:2]
    require(not (call.is_tracked(left) and call.is_tracked(right)), "two of its arguments depend on x")
    h, weight, least = (left, right, 2) if call.is_tracked(left) else (right, left, 3)
    require_separate(h.dim() >= least and weight.dim() <= 2)
    return Replay(lambda a, x, y: torch.matmul(x, y), (left, right))


def expand(call: Call) -> Replay:
    """Dimensions of length 1 repeated; the batch stays first while no dimension is added before it."""
    h = only_first_tracked(call)
    shape = call.args[1:] if len(call.args) > 2 else call.argument(1, "size", call.kwargs.get("other"))
    sizes = tuple(shape.shape if isinstance(shape, Tensor) else shape)
    require_separate(len(sizes) == h.dim())
    return Replay(lambda a, u: u.expand(sizes), (h,))


def cast(call: Call) -> Replay:
    """Another type or device: one that is named, or that of another tensor."""
    h = only_first_tracked(call)
    like = next((v for v in (*call.args[1:], *call.kwargs.values()) if isinstance(v, Tensor)), None)
    if like is None:
        return _again(call)
    device, dtype = like.device, like.dtype
    return Replay(lambda a, u: u.to(device, dtype), (h,))


def gather(call: Call) -> Replay:
    """Entries picked from each sample by a constant index of its own."""
    h, dim = only_first_tracked(call), call.argument(1, "dim")
    require_separate(0 not in dims_of(dim, h.dim()))
    return _again(call)


def where(call: Call) -> Replay:
    """One of two values, chosen by a condition that does not depend on x but for its sign."""
    condition, x, y = call.args
    require(not call.is_tracked(condition), "its condition is a tensor that depends on x")
    _same_rank(call, (condition, x, y))
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
