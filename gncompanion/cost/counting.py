"""What a constraint costs in FLOPs and bytes, counted without doing the work.

    iteration = n_dis · critic_turn + generator_turn          FLOPs add up; of bytes the hungrier turn counts

FLOPs are those of convolutions and matrix products, bytes the most that tensors held at once beyond weights,
moments and the given samples (`live_memory`). Both are exact: on fake tensors, which have shapes and no
content, they cost a second at any size.

torch's own counter takes the weight gradient of a convolution in groups for that of one without them, which
is as many times the work as there are groups; here it has a formula of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import prod
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gncompanion.cost.live_memory import LiveMemory
from gncompanion.cost.work import PARTS, parts

__all__ = ["Cost", "count", "flops", "iteration"]

Shape = tuple[int, ...]


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
        >>> flops(lambda: torch.ones(3, 4) @ torch.ones(4, 5))
        120
    """
    formulas = {torch.ops.aten.convolution_backward: _of_convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        do()
    found: int = counter.get_total_flops()
    return found


def _of_convolution_backward(grad: Shape, x: Shape, weight: Shape, *arguments: Any, **kwargs: Any) -> int:
    """As many as the forward for each of the gradients of the input and of the weight that are wanted."""
    *_, transposed, _, _, wanted = arguments
    positions = x[2:] if transposed else grad[2:]
    gradients: int = sum(wanted[:2])
    return gradients * 2 * x[0] * prod(positions) * prod(weight)


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
