"""Operations that move entries and change none: shapes, orders, choices, casts.

They are linear, and run again on u as they are. A rule refuses a call that moves the batch, dimension 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gncompanion.input_gradient.calls import Call, Replay, Rule, require_separate, require_supported, scaled
from gncompanion.input_gradient.linear_maps import dims_of, only_first_tracked, run_again

__all__ = [
    "along",
    "cast",
    "concatenate",
    "expand",
    "flip",
    "gather",
    "index",
    "matrix_transpose",
    "pad",
    "permute",
    "repeat",
    "reshape",
    "squeeze",
    "transpose",
]


def reshape(call: Call) -> Replay:
    """view, reshape, flatten, unflatten: row-major: a sample stays a block of rows, if their number fits."""
    only_first_tracked(call)
    require_supported(not isinstance(call.argument(1, "dtype"), torch.dtype), "it reinterprets bits")
    return run_again(call)


def squeeze(call: Call) -> Replay:
    """Dimensions of length 1 taken away: those given, or all, of which the batch must not be one."""
    h, dims = only_first_tracked(call), call.argument(1, "dim")
    if dims is None:
        require_separate(h.shape[0] != 1, "it takes the batch dimension away from a batch of one")
    else:
        require_separate(0 not in dims_of(dims, h.dim()))
    return run_again(call)


def along(position: int, *, extra: int = 0) -> Rule:
    """A map along dimensions, given at `position` or as `dim` or `axis`, that must not include the batch."""

    def rule(call: Call) -> Replay:
        h, dims = only_first_tracked(call), call.argument(position, "dim")
        dims = call.kwargs.get("axis", call.kwargs.get("dims")) if dims is None else dims
        require_separate(dims is not None and dims != (), "without `dim` it includes the batch")
        require_separate(0 not in dims_of(dims, h.dim() + extra))
        return run_again(call)

    return rule


def permute(call: Call) -> Replay:
    """A permutation of the dimensions that leaves the batch first."""
    h, order = only_first_tracked(call), _listed(call, "dims")
    require_separate(order[0] % h.dim() == 0)
    return run_again(call)


def flip(call: Call) -> Replay:
    """The order of entries along dimensions reversed, not along the batch."""
    h = only_first_tracked(call)
    require_separate(0 not in dims_of(_listed(call, "dims"), h.dim()))
    return run_again(call)


def repeat(call: Call) -> Replay:
    """A tensor repeated along its dimensions, the batch once."""
    h, times = only_first_tracked(call), _listed(call, "repeats")
    require_separate(len(times) == h.dim() and times[0] == 1)
    return run_again(call)


def transpose(call: Call) -> Replay:
    """Two dimensions exchanged, or moved to others; the batch is none of them."""
    h = only_first_tracked(call)
    first = call.argument(1, "dim0", call.kwargs.get("axis0", call.kwargs.get("source")))
    second = call.argument(2, "dim1", call.kwargs.get("axis1", call.kwargs.get("destination")))
    require_separate(not {0} & (dims_of(first, h.dim()) | dims_of(second, h.dim())))
    return run_again(call)


def matrix_transpose(call: Call) -> Replay:
    """The last two dimensions exchanged, behind the batch."""
    require_separate(only_first_tracked(call).dim() >= 3)
    return run_again(call)


def _listed(call: Call, name: str) -> tuple[int, ...]:
    """Whole numbers given one by one, or as one list at position 1 or by name."""
    found = call.args[1:] if len(call.args) > 2 else call.argument(1, name)
    return tuple(found) if isinstance(found, Iterable) else (found,)


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
        return run_again(call)
    device, dtype = like.device, like.dtype
    return Replay(lambda a, u: u.to(device, dtype), (h,))


def index(call: Call) -> Replay:
    """h[:, i, j:k, ..., None], behind a whole batch; or one per sample, h[arange(N), y]."""
    h = only_first_tracked(call)
    found = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if isinstance(found[0], Tensor):
        require_separate(_is_each_sample(found, len(h)), "it indexes the batch by a tensor")
        return run_again(call)
    plain = all(i is None or i is Ellipsis or isinstance(i, int | slice) for i in found[1:])
    behind = found[0] is Ellipsis and len(found) <= h.dim()
    whole = isinstance(found[0], slice) and found[0] == slice(None)
    require_separate(plain and (whole or behind), "it indexes the batch or by a tensor")
    return run_again(call)


def _is_each_sample(found: tuple[Any, ...], n: int) -> bool:
    """Tell whether an index is (0 … N−1, one whole number per sample, …); on a CPU only."""
    if any(not isinstance(i, Tensor) or i.is_floating_point() or i.shape != (n,) for i in found):
        return False
    batch = found[0]
    return batch.device.type == "cpu" and torch.equal(batch, torch.arange(n, dtype=batch.dtype))


def gather(call: Call) -> Replay:
    """Entries picked from each sample by a constant index of its own."""
    h, dim, where = only_first_tracked(call), call.argument(1, "dim"), call.argument(2, "index")
    require_separate(0 not in dims_of(dim, h.dim()) and where.shape[0] == h.shape[0])
    return run_again(call)


def pad(call: Call) -> Replay:
    """Padding with zeros, or with h's own values."""
    h = only_first_tracked(call)
    require_supported(not call.argument(3, "value"), "it pads with a non-zero constant")
    require_separate(len(call.argument(1, "pad")) // 2 < h.dim())
    return run_again(call)


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
