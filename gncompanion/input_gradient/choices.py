"""What a call itself chooses or draws: the greatest entries, and the masks of dropout.

    out = s ⊙ h + c    ->    s ⊙ u + a·c        where s and c are those of the forward

They are read off the call's result, so that nothing is drawn a second time and ties are broken as they were.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from gncompanion.input_gradient.calls import Call, Replay, Rule, require_separate, require_supported, scaled
from gncompanion.input_gradient.gates import extremum
from gncompanion.input_gradient.linear_maps import dims_of, only_first_tracked

__all__ = ["along_dimension", "drawn", "dropout", "greatest", "of_two_or_along"]


def along_dimension(position: int, *, default: int | None = None) -> Rule:
    """max, sort, topk and the like along one dimension, given at `position`: they gather what they choose."""

    def rule(call: Call) -> Replay:
        h, dim = only_first_tracked(call), call.argument(position, "dim", default)
        require_supported(not isinstance(dim, Tensor), "it compares two tensors")
        require_separate(isinstance(dim, int), "without `dim` it includes the batch")
        require_separate(0 not in dims_of(dim, h.dim()))

        def replay(a: Tensor, u: Tensor, where: Tensor) -> tuple[Tensor, ...]:
            if where.dim() == u.dim():
                return (u.gather(dim, where),)
            return (u.gather(dim, where.unsqueeze(dim)).squeeze(dim),)

        return Replay(replay, (h,), completed=lambda found: (found.indices,))

    return rule


def of_two_or_along(call: Call) -> Replay:
    """max and min, of two tensors or along a dimension."""
    other = call.argument(1, "other")
    if isinstance(other, Tensor):
        return extremum(Call(call.function, (call.args[0], other), {}, call.is_tracked))
    return along_dimension(1)(call)


def greatest(call: Call) -> Replay:
    """amax and amin along dimensions; those that are equally great have equal shares, as in autograd."""
    h, dim = only_first_tracked(call), call.argument(1, "dim", ())
    require_separate(dim != (), "without `dim` it includes the batch")
    dims = sorted(dims_of(dim, h.dim()))
    require_separate(0 not in dims)
    keep = bool(call.argument(2, "keepdim", False))

    def completed(out: Tensor) -> tuple[Tensor]:
        out = out.detach()
        for d in () if keep else dims:
            out = out.unsqueeze(d)
        chosen = (h.detach() == out).to(h.dtype)
        return (chosen / chosen.sum(dims, keepdim=True),)

    return Replay(lambda a, u, share: (u * share).sum(dims, keepdim=keep), (h,), completed=completed)


def dropout(call: Call) -> Replay:
    """Dropout of entries or channels; outside training the identity."""
    h, training = only_first_tracked(call), call.argument(2, "training", call.kwargs.get("train", True))
    return drawn()(call) if training else Replay(lambda a, u: u, (h,))


def drawn(*, affine: bool = False) -> Rule:
    """An elementwise map of random slopes, and intercepts if `affine`; autograd says which were drawn."""

    def rule(call: Call) -> Replay:
        h = only_first_tracked(call)
        edge, before = get_gradient_edge(h), h.detach().clone() if affine else None

        def completed(out: Tensor) -> tuple[Tensor, ...]:
            (slope,) = torch.autograd.grad(out, [edge], torch.ones_like(out), retain_graph=True)
            return (slope,) if before is None else (slope, out.detach() - slope * before)

        return Replay(_replayed, (h,), completed=completed)

    return rule


def _replayed(a: Tensor, u: Tensor, slope: Tensor, intercept: Tensor | None = None) -> Tensor:
    return slope * u if intercept is None else slope * u + scaled(a, intercept, u)
