"""Gates: the piecewise linear operations, replayed with the slopes that they have at h.

    gate     s ⊙ h + c    ->    s ⊙ u + a·c        slope s and intercept c as they are at h

Slopes and intercepts are computed before the call runs, since it may change h in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gncompanion.input_gradient.calls import Call, Replay, require_separate, require_supported, scaled
from gncompanion.input_gradient.linear_maps import column, only_first_tracked, same_rank

__all__ = ["POOLED", "elementwise", "extremum", "leaky_relu", "max_pool", "prelu", "relu"]

POOLED: dict[Callable[..., Any], int] = {  # and the dimensions of a batch of what each pools
    F.max_pool1d: 3,
    F.adaptive_max_pool1d: 3,
    F.max_pool2d: 4,
    F.adaptive_max_pool2d: 4,
    F.max_pool3d: 5,
    F.adaptive_max_pool3d: 5,
}
CACHED = 2**19  # elements that a CPU's cache holds: twice as many or half as many are as fast
RECTIFY = torch.ops.aten.leaky_relu_backward.grad_input  # u where on, else slope·u, in one pass


def relu(call: Call) -> Replay:
    """ReLU: a leaky ReLU of slope 0."""
    h = call.args[0]
    return Replay(_rectified, (h, _is_on(h), 0.0), overwrites=True)


def leaky_relu(call: Call) -> Replay:
    """Leaky ReLU, of any slope."""
    h, slope = call.args[0], call.argument(1, "negative_slope", 0.01)
    return Replay(_rectified, (h, _is_on(h), slope), overwrites=True)


def prelu(call: Call) -> Replay:
    """Parametric ReLU, its slopes differentiated too."""
    h = only_first_tracked(call)

    def replay(a: Tensor, u: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        return torch.where(mask, u, u * column(weight, u))

    return Replay(replay, (h, h.detach() > 0, call.argument(1, "weight")))


def elementwise(call: Call) -> Replay:
    """Any elementwise piecewise linear function; autograd itself says its slope, also at the kinks."""
    h = only_first_tracked(call)
    others = [*call.args[1:], *call.kwargs.values()]
    require_supported(not any(isinstance(v, Tensor) for v in others), "its bounds are tensors")
    leaf = h.detach().clone().requires_grad_()
    out = call.function(leaf.clone(), *call.args[1:], **call.kwargs)
    (slope,) = torch.autograd.grad(out.sum(), leaf)
    intercept = (out - slope * leaf).detach()
    return Replay(lambda a, u, s, c: s * u + scaled(a, c, u), (h, slope, intercept))


def max_pool(call: Call) -> Replay:
    """Max pooling of (N, C, ...), with the positions that are the greatest at h."""
    h = only_first_tracked(call)
    require_separate(h.dim() == POOLED[call.function], "its input has no batch dimension")
    require_supported(not call.kwargs.get("return_indices"), "it returns indices")
    with torch.no_grad():
        _, where = call.function(h, *call.args[1:], **{**call.kwargs, "return_indices": True})

    def replay(a: Tensor, u: Tensor, where: Tensor) -> Tensor:
        return u.flatten(2).gather(2, where.flatten(2)).view_as(where)

    return Replay(replay, (h, where))


def extremum(call: Call) -> Replay:
    """maximum and minimum of two tensors, one of which may be a constant; where they are equal, halves."""
    x, y = call.args[:2]
    require_supported(len(call.args) == 2 and not call.kwargs, "it takes further arguments")
    same_rank(call, (x, y))
    left, right = call.is_tracked(x), call.is_tracked(y)
    with torch.no_grad():
        first, equal = call.function(x, y) == x, x == y

    def replay(a: Tensor, x: Tensor, y: Tensor, first: Tensor, equal: Tensor) -> Tensor:
        like = x if left else y
        x, y = x if left else scaled(a, x, like), y if right else scaled(a, y, like)
        return torch.where(equal, (x + y) / 2, torch.where(first, x, y))

    return Replay(replay, (x, y, first, equal))


def _is_on(h: Tensor) -> Tensor:
    """Where a rectifier passes h on: one byte per element, as integers, which CPUs read faster."""
    return torch.gt(h, 0).view(torch.int8)


def _pieces(u: Tensor, on: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Both in pieces that stay in a CPU's cache, where `on` is turned into floats; on a GPU nothing is."""
    if u.is_cuda or u.numel() <= CACHED:
        return [(u, on)]
    samples = max(1, CACHED // max(1, u[0].numel()))
    return zip(u.split(samples), on.split(samples), strict=True)


def _rectified(a: Tensor, u: Tensor, on: Tensor, slope: float) -> Tensor:
    """u where on, else slope·u; `torch.where` takes 15 times as long on a CPU."""
    for piece, passes in _pieces(u, on):
        RECTIFY(piece, passes, slope, False, grad_input=piece)
    return u
