"""Gates: the piecewise linear operations, replayed with the slopes that they have at h.

    gate     s ⊙ h + c    ->    s ⊙ u + a·c        slope s and intercept c as they are at h

Slopes and intercepts are computed before the call runs, since it may change h in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gncompanion.input_gradient.calls import Call, Replay, Rule, require_separate, require_supported, scaled
from gncompanion.input_gradient.linear_maps import column, dims_of, only_first_tracked, where

__all__ = [
    "POOLED",
    "along_dimension",
    "dropout",
    "elementwise",
    "extremum",
    "leaky_relu",
    "max_pool",
    "prelu",
    "relu",
]

POOLED: dict[Callable[..., Any], int] = {  # and the dimensions of a batch of what each pools
    F.max_pool1d: 3,
    F.adaptive_max_pool1d: 3,
    F.max_pool2d: 4,
    F.adaptive_max_pool2d: 4,
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


def dropout(call: Call) -> Replay:
    """Dropout outside training, where it is the identity."""
    h = only_first_tracked(call)
    require_supported(not call.argument(2, "training", True), "it is random: dropout in training mode")
    return Replay(lambda a, u: u, (h,))


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
    """maximum and minimum of two tensors, at least one of which depends on x: which one it is at h."""
    x, y = (v.detach() if isinstance(v, Tensor) else v for v in call.args[:2])
    with torch.no_grad():
        first = call.function(x, y) == x
    return where(replace(call, args=(first, *call.args[:2])))


def along_dimension(name: str) -> Rule:
    """max, min and sort along one dimension, which gather the entries that are chosen at h."""

    def rule(call: Call) -> Replay:
        h, dim = only_first_tracked(call), call.argument(1, "dim", -1 if name == "sort" else None)
        require_supported(not isinstance(dim, Tensor), "it compares two tensors")
        require_separate(isinstance(dim, int), "without `dim` it includes the batch")
        require_separate(0 not in dims_of(dim, h.dim()))
        with torch.no_grad():
            indices = call.function(h, *call.args[1:], **call.kwargs).indices
        keep = indices.dim() == h.dim()
        where = indices if keep else indices.unsqueeze(dim)

        def replay(a: Tensor, u: Tensor, where: Tensor) -> tuple[Tensor, ...]:
            chosen = u.gather(dim, where)
            return (chosen if keep else chosen.squeeze(dim),)

        return Replay(replay, (h, where))

    return rule


def _is_on(h: Tensor) -> Tensor:
    """Where a rectifier passes h on: one byte per element, as integers, which CPUs read faster."""
    return (h.detach() > 0).view(torch.int8)


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
