"""What a constraint costs in FLOPs and bytes, counted without doing the work.

    iteration = n_dis · critic_turn + generator_turn          FLOPs add up; of bytes the hungrier turn counts

FLOPs are those of convolutions and matrix products, bytes the most that tensors held at once beyond weights,
moments and the given samples (`live_memory`). Both are exact: on fake tensors, which have shapes and no
content, they cost a second at any size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from torch._subclasses.fake_tensor import FakeTensorMode

from gncompanion.check.flop_count import FlopCount
from gncompanion.cost.live_memory import LiveMemory
from gncompanion.cost.work import PARTS, parts

__all__ = ["Cost", "count", "flops", "iteration"]


class Cost(NamedTuple):
    """What a piece of work needs.

    Attributes:
        flops: Floating point operations of convolutions and matrix products.
        bytes: Most bytes that its tensors hold at once.
    """

    flops: int
    bytes: int


def flops(do: Callable[[], object]) -> int:
    """Count the floating point operations of convolutions and matrix products.

    Args:
        do: What is counted; it is done once, on whatever tensors it uses.

    Returns:
        A product and a sum count two.

    Example:
        >>> import torch
        >>> flops(lambda: torch.ones(3, 4) @ torch.ones(4, 5))
        120
    """
    with FlopCount() as counter:
        do()
    found: int = counter.total
    return found


def count(variant: str, *arguments: Any, only: Collection[str] = PARTS, **settings: Any) -> dict[str, Cost]:
    """Count FLOPs and bytes of each part of an iteration without doing the work.

    Args:
        variant: Name of the way to constrain the critic, as in `parts`.
        *arguments: Further arguments of `parts`.
        only: Names of the parts to count, some of `PARTS`.
        **settings: Further settings of `parts`.

    Returns:
        The cost of each part.

    Raises:
        ValueError: `parts` refuses the variant, the network or an option.

    Example:
        >>> plane = {"network": "mlp", "shape": (2,), "width": 16}
        >>> once, twice = (count(f"GN, {how}", **plane) for how in ("primitive", "double backpropagation"))
        >>> once["critic"].flops < twice["critic"].flops
        True
    """
    found = {}
    with FakeTensorMode():
        work = parts(variant, *arguments, **settings)
        for part in only:
            operations = flops(work[part])  # first: it keeps tensors alive
            with LiveMemory() as memory:  # now Adam's moments are there
                work[part]()
            found[part] = Cost(operations, memory.peak)
    return found


def iteration(turns: Mapping[str, Cost], n_dis: int) -> Cost:
    """Add up an iteration's FLOPs, and find the most bytes that it holds at once.

    Args:
        turns: Costs from `count`, both turns among them.
        n_dis: Critic steps per iteration.

    Returns:
        The iteration's cost.
    """
    critic, generator = turns["critic_turn"], turns["generator_turn"]
    return Cost(n_dis * critic.flops + generator.flops, max(critic.bytes, generator.bytes))
