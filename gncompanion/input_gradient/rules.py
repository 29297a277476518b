"""Which operations are (piecewise) linear in what depends on x, and how to run them again with frozen gates.

A rule looks at one call of the critic's forward, some of whose arguments depend on x ("tracked"), and returns
how it acts on `u = a·h + t`, with `h` the recorded value, `a` one scalar a sample and `t` a tangent:

    linear map           op(h)        ->  op(u)
    affine map           W h + b      ->  W u + a·b
    gate                 s ⊙ h + c    ->  s ⊙ u + a·c        slope s and intercept c as they are at h

Everything not in `RULES` is refused, never guessed. A rule also refuses a call that mixes samples: dimension
0 of every tracked tensor is the batch, which is what makes `a` a scalar a sample.

    rule(call) -> (function, args, kwargs)       replayed as function(a, *args, **kwargs) with u in place of h
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gncompanion.input_gradient.per_sample import broadcast

__all__ = [
    "RULES",
    "Call",
    "CoupledSamples",
    "Replay",
    "SideDoor",
    "Unsupported",
    "is_side_door",
    "overwrites",
    "scaled",
]

Replay = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Unsupported(Exception):
    """A call that cannot be replayed with frozen gates; the message says why."""


class CoupledSamples(Unsupported):
    """A call in which one sample's value depends on another sample."""


class SideDoor(Unsupported):
    """A way to change a tensor that leaves no trace in what the call returns."""


@dataclass
class Call:
    """One call `function(*args, **kwargs)` of the forward, before it runs.

    Attributes:
        is_tracked: tells whether a value is a tensor that depends on x.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    is_tracked: Callable[[Any], bool]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """The argument given at `position` or by `name`."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)


def scaled(a: Tensor, constant: Tensor | float, like: Tensor) -> Tensor:
    """a·constant, with a (N,) or (N, 1) broadcast over the dimensions of `like` (N, ...)."""
    return broadcast(a.to(like.dtype), like) * constant


def _overwriting(replay: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Marks a replay that writes its result over u; fresh memory costs a CPU ten times the arithmetic."""
    replay.overwrites = True
    return replay


def overwrites(replay: Callable[..., Any]) -> bool:
    """Tell whether a replay writes over its first argument u, in memory that must then be u's alone."""
    return getattr(replay, "overwrites", False)


def _column(channels: Tensor, like: Tensor) -> Tensor:
    """One value a channel, shaped to broadcast over `like` (N, C, ...)."""
    return channels.view(-1, *[1] * (like.dim() - 2))


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise Unsupported(why)


def _require_separate(condition: bool, why: str = "it moves or mixes the batch dimension") -> None:
    if not condition:
        raise CoupledSamples(why)


def _only_first_tracked(call: Call) -> Tensor:
    h, *rest = call.args
    _require(call.is_tracked(h), "its first argument does not depend on x but another one does")
    others = [*rest, *call.kwargs.values()]
    _require(not any(map(call.is_tracked, others)), "two of its arguments depend on x")
    return h


def _again(call: Call) -> Replay:
    function = call.function  # not `call`, which would keep the activations alive
    return (lambda a, *args, **kwargs: function(*args, **kwargs)), call.args, call.kwargs


def _reshape(call: Call) -> Replay:
    """view, reshape, flatten, unflatten: row-major, samples stay apart while dimension 0 keeps its length."""
    _only_first_tracked(call)
    _require(not isinstance(call.argument(1, "dtype"), torch.dtype), "it reinterprets bits")
    return _again(call)


def _dims(value: Any, ndim: int) -> set[int]:
    dims = value if isinstance(value, Iterable) else (value,)
    return {int(d) % max(ndim, 1) for d in dims}


def _along(position: int, *, extra: int = 0) -> Callable[[Call], Replay]:
    """A map along dimensions, given at `position` or as `dim`, that must not include the batch."""

    def rule(call: Call) -> Replay:
        h, dims = _only_first_tracked(call), call.argument(position, "dim")
        _require_separate(dims is not None and dims != (), "without `dim` it includes the batch")
        _require_separate(0 not in _dims(dims, h.dim() + extra))
        return _again(call)

    return rule


def _permute(call: Call) -> Replay:
    h = _only_first_tracked(call)
    order = call.args[1:] if len(call.args) > 2 else call.argument(1, "dims")
    order = tuple(order) if isinstance(order, Iterable) else (order,)
    _require_separate(order[0] % h.dim() == 0)
    return _again(call)


def _transpose(call: Call) -> Replay:
    h = _only_first_tracked(call)
    dims = {call.argument(1, "dim0") % h.dim(), call.argument(2, "dim1") % h.dim()}
    _require_separate(0 not in dims)
    return _again(call)


def _index(call: Call) -> Replay:
    _only_first_tracked(call)
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    plain = all(isinstance(i, int | slice) for i in index[1:])
    _require_separate(index[0] == slice(None) and plain, "it indexes the batch or by a tensor")
    return _again(call)


def _spatial(ndim: int) -> Callable[[Call], Replay]:
    """A map over the last dimensions of a batched (N, C, ...) tensor of `ndim` dimensions."""

    def rule(call: Call) -> Replay:
        _require_separate(_only_first_tracked(call).dim() == ndim, "its input has no batch dimension")
        return _again(call)

    return rule


def _pad(call: Call) -> Replay:
    h = _only_first_tracked(call)
    _require(not call.argument(3, "value"), "it pads with a non-zero constant")
    _require_separate(len(call.argument(1, "pad")) // 2 < h.dim())
    return _again(call)


def _interpolate(call: Call) -> Replay:
    _require_separate(_only_first_tracked(call).dim() >= 3)
    return _again(call)


def _elementwise_linear(call: Call) -> Replay:
    _only_first_tracked(call)
    return _again(call)


def _dropout(call: Call) -> Replay:
    h = _only_first_tracked(call)
    _require(not call.argument(2, "training", True), "it is random: dropout in training mode")
    return (lambda a, u: u), (h,), {}


def _concatenate(extra: int) -> Callable[[Call], Replay]:
    """cat (extra = 0) and stack (extra = 1); pieces that do not depend on x are constants."""

    def rule(call: Call) -> Replay:
        pieces, dim = tuple(call.args[0]), call.argument(1, "dim", 0)
        tracked = [call.is_tracked(p) for p in pieces]
        _require_separate(0 not in _dims(dim, pieces[0].dim() + extra))
        function = torch.stack if extra else torch.cat

        def replay(a: Tensor, values: list[Tensor]) -> Tensor:
            return function([v if t else scaled(a, v, v) for v, t in zip(values, tracked, strict=True)], dim)

        return replay, (list(pieces),), {}

    return rule


def _same_rank(call: Call, values: Iterable[Any]) -> None:
    """Broadcasting must leave the batch of every tracked tensor at dimension 0."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    rank = max(v.dim() for v in tensors)
    _require_separate(all(v.dim() == rank for v in tensors if call.is_tracked(v)))


def _sum(function: Callable[..., Tensor], *, reverse: bool = False) -> Callable[[Call], Replay]:
    """x ± alpha·y, where either may be a constant."""

    def rule(call: Call) -> Replay:
        x, y = call.args[:2][::-1] if reverse else call.args[:2]
        _same_rank(call, (x, y))
        _require(call.kwargs.keys() <= {"alpha"}, "it takes further arguments")
        left, right = call.is_tracked(x), call.is_tracked(y)

        def replay(a: Tensor, x: Any, y: Any, **kwargs: Any) -> Tensor:
            like = x if left else y
            return function(x if left else scaled(a, x, like), y if right else scaled(a, y, like), **kwargs)

        return replay, (x, y), call.kwargs

    return rule


def _product(call: Call) -> Replay:
    _require(len(call.args) == 2 and not call.kwargs, "it takes further arguments")
    _require(not all(map(call.is_tracked, call.args)), "it multiplies two tensors that both depend on x")
    _same_rank(call, call.args)
    return (lambda a, x, y: torch.mul(x, y)), call.args, {}


def _quotient(call: Call) -> Replay:
    _require(len(call.args) == 2 and not call.kwargs, "it takes further arguments")
    _require(not call.is_tracked(call.args[1]), "it divides by a tensor that depends on x")
    _same_rank(call, call.args)
    return (lambda a, x, y: torch.div(x, y)), call.args, {}


def _affine(call: Call) -> Replay:
    """linear and convolutions, transposed or not: (input, weight, bias, ...)."""
    h, weight, function = _only_first_tracked(call), call.argument(1, "weight"), call.function
    if function in LINEAR:
        _require_separate(h.dim() >= 2)
    else:
        _require_separate(h.dim() == weight.dim(), "its input has no batch dimension")

    def replay(
        a: Tensor, u: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **kwargs: Any
    ) -> Tensor:
        out = function(u, weight, None, *rest, **kwargs)
        if bias is None:
            return out
        bias = bias.to(out.dtype)
        return out.add_(scaled(a, bias if weight.dim() == 2 else _column(bias, out), out))

    return replay, call.args, call.kwargs


def _matmul(call: Call) -> Replay:
    """h W, with a constant matrix or vector from the right; from the left it would mix samples."""
    h, weight = _only_first_tracked(call), call.args[1]
    _require_separate(h.dim() >= 2 and weight.dim() <= 2)
    return (lambda a, x, y: torch.matmul(x, y)), call.args, {}


def _batch_norm(call: Call) -> Replay:
    """Batch normalization with stored statistics: (h - mean) / √(var + eps) · weight + bias."""
    training = call.argument(5, "training", False) or call.argument(1, "running_mean") is None
    _require_separate(not training, "batch normalization in training mode mixes the samples")
    h = _only_first_tracked(call)

    def replay(
        a: Tensor,
        u: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        out = (u - scaled(a, _column(mean, u), u)) * _column((var + eps).rsqrt(), u)
        out = out if weight is None else out * _column(weight, u)
        out = out if bias is None else out + scaled(a, _column(bias, u), u)
        return out.to(u.dtype)

    return replay, (h, *call.args[1:]), call.kwargs


def _is_on(h: Tensor) -> Tensor:
    """Where a rectifier passes h on: one byte an element, as integers, which CPUs turn into floats faster."""
    return (h.detach() > 0).view(torch.int8)


def _pieces(u: Tensor, on: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Both in pieces that stay in a CPU's cache, where `on` is turned into floats; on a GPU nothing is."""
    if u.is_cuda:
        return [(u, on)]
    samples = max(1, CACHED // max(1, u[0].numel()))
    return zip(u.split(samples), on.split(samples), strict=True)


@_overwriting
def _rectified(a: Tensor, u: Tensor, on: Tensor, slope: float) -> Tensor:
    """u where on, else slope·u; `torch.where` takes 15 times as long on a CPU."""
    for piece, passes in _pieces(u, on):
        torch.ops.aten.leaky_relu_backward.grad_input(piece, passes, slope, False, grad_input=piece)
    return u


def _relu(call: Call) -> Replay:
    h = call.args[0]
    return _rectified, (h, _is_on(h), 0.0), {}


def _leaky_relu(call: Call) -> Replay:
    h, slope = call.args[0], call.argument(1, "negative_slope", 0.01)
    return _rectified, (h, _is_on(h), slope), {}


def _prelu(call: Call) -> Replay:
    h = _only_first_tracked(call)

    def replay(a: Tensor, u: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        return torch.where(mask, u, u * _column(weight, u))

    return replay, (h, h.detach() > 0, call.argument(1, "weight")), {}


def _gate(call: Call) -> Replay:
    """Any elementwise piecewise linear function; autograd itself says its slope, also at the kinks."""
    h = _only_first_tracked(call)
    others = [*call.args[1:], *call.kwargs.values()]
    _require(not any(isinstance(v, Tensor) for v in others), "its bounds are tensors")
    leaf = h.detach().clone().requires_grad_()
    out = call.function(leaf.clone(), *call.args[1:], **call.kwargs)
    (slope,) = torch.autograd.grad(out.sum(), leaf)
    intercept = (out - slope * leaf).detach()
    return (lambda a, u, s, c: s * u + scaled(a, c, u)), (h, slope, intercept), {}


def _max_pool(call: Call) -> Replay:
    h = _only_first_tracked(call)
    _require_separate(h.dim() == 4, "its input has no batch dimension")
    _require(not call.kwargs.get("return_indices"), "it returns indices")
    with torch.no_grad():
        _, where = call.function(h, *call.args[1:], **{**call.kwargs, "return_indices": True})

    def replay(a: Tensor, u: Tensor, where: Tensor) -> Tensor:
        return u.flatten(-2).gather(-1, where.flatten(-2)).view_as(where)

    return replay, (h, where), {}


def _spellings(*names: str) -> set[Callable[..., Any]]:
    """Every function of torch that bears one of these names."""
    spaces = (torch, torch.Tensor, F, torch._C._nn)
    return {getattr(space, name) for space in spaces for name in names if hasattr(space, name)}


def is_side_door(function: Callable[..., Any]) -> bool:
    """Tell whether a function of torch can change a tensor out of autograd's sight."""
    return function in _SIDE_DOORS or getattr(function, "__self__", None) is torch.Tensor.data


CACHED = 2**19  # elements that a CPU's cache holds: twice as many or half as many are as fast
LINEAR = _spellings("linear")
_SIDE_DOORS = _spellings("set_", "resize_")

_BY_NAME: list[tuple[Callable[[Call], Replay], tuple[str, ...]]] = [
    (_affine, ("linear", "conv1d", "conv2d", "conv3d")),
    (_affine, ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")),
    (_matmul, ("matmul", "mm", "__matmul__")),
    (_batch_norm, ("batch_norm",)),
    (_sum(torch.add), ("add", "add_", "__add__", "__radd__", "__iadd__")),
    (_sum(torch.sub), ("sub", "sub_", "subtract", "__sub__", "__isub__")),
    (_sum(torch.sub, reverse=True), ("__rsub__", "rsub")),
    (_product, ("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__")),
    (_quotient, ("div", "div_", "divide", "true_divide", "__truediv__", "__itruediv__")),
    (_relu, ("relu", "relu_")),
    (_leaky_relu, ("leaky_relu", "leaky_relu_")),
    (_prelu, ("prelu",)),
    (_gate, ("abs", "clamp", "clamp_", "clamp_min", "clamp_max", "threshold")),
    (_gate, ("hardtanh", "hardtanh_", "relu6", "hardshrink", "softshrink")),
    (_reshape, ("view", "reshape", "flatten", "unflatten")),
    (_along(1), ("sum", "mean", "squeeze", "narrow")),
    (_along(1, extra=1), ("unsqueeze",)),
    (_along(2), ("chunk", "split")),
    (_permute, ("permute",)),
    (_transpose, ("transpose", "swapaxes")),
    (_index, ("__getitem__",)),
    (_concatenate(0), ("cat", "concat", "concatenate")),
    (_concatenate(1), ("stack",)),
    (_pad, ("pad",)),
    (_spatial(3), ("avg_pool1d", "adaptive_avg_pool1d")),
    (_spatial(4), ("avg_pool2d", "adaptive_avg_pool2d", "pixel_shuffle", "pixel_unshuffle")),
    (_spatial(5), ("avg_pool3d", "adaptive_avg_pool3d")),
    (_interpolate, ("interpolate",)),
    (_elementwise_linear, ("neg", "__neg__", "negative", "clone", "contiguous", "to", "float", "double")),
    (_elementwise_linear, ("half", "bfloat16", "type_as")),
    (_dropout, ("dropout",)),
]

RULES: dict[Callable[..., Any], Callable[[Call], Replay]] = {
    function: rule for rule, names in _BY_NAME for function in _spellings(*names)
}
RULES |= {function: _max_pool for function in (F.max_pool2d, F.adaptive_max_pool2d)}
