"""FLOPs counted as they happen, by torch's own formulas, with no hook on anything.

torch's FlopCounterMode tells modules apart by hooks on their activations. A hook may change a gradient, so
where there are some the fast gradient may not be taken, and what is counted would not be what training does.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["FlopCount"]


class FlopCount(TorchDispatchMode):
    """Counts the FLOPs of convolutions, matrix products and attention while it is entered.

    Attributes:
        total: What was counted so far; a product and a sum count two.

    Example:
        >>> with FlopCount() as count:
        ...     _ = torch.ones(3, 4) @ torch.ones(4, 5)
        >>> count.total
        120
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        operation = getattr(function, "overloadpacket", None)
        if operation is torch.ops.aten.convolution_backward:
            self.total += _of_convolution_backward(*args)
        elif formula := flop_registry.get(operation):
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def _of_convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *settings: Any) -> int:
    """As many as the forward for each gradient that is wanted, of x and of the weight.

    torch's formula takes the weight gradient of a convolution in groups for that of one without them.
    """
    *_, transposed, _, _, wanted = settings
    positions = prod(x.shape[2:] if transposed else grad.shape[2:])
    gradients: int = sum(wanted[:2])
    return gradients * 2 * x.shape[0] * positions * weight.numel()
