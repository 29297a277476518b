"""The weights' gradients of linear layers and convolutions, from δ and u, by their formulas.

    z = W u + a·b        ∂L/∂W = Σ_rows δ ⊗ u        ∂L/∂b = Σ_rows a·δ

Autograd would give the same, at the price of one graph and one call of its engine for each layer: as long as
all the arithmetic of a small critic. It still serves where the formula is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gncompanion.input_gradient.calls import per_row

__all__ = ["gradients_of"]

Gradients = Callable[..., tuple[Tensor | None, ...]]

CONVOLUTIONS: dict[Callable[..., Any], int] = {F.conv1d: 1, F.conv2d: 2, F.conv3d: 3}
SETTINGS = ("stride", "padding", "dilation", "groups")


def gradients_of(
    function: Callable[..., Any], settings: Sequence[Any], named: dict[str, Any]
) -> Gradients | None:
    """Find the formula for a layer's weight and bias.

    Args:
        function: What the layer calls.
        settings: Its arguments after the bias, by position.
        named: Its arguments by name.

    Returns:
        The formula, `gradients(a, delta, wanted, u, weight, bias, ...)`; None = leave it to autograd.
    """
    if function is F.linear:
        return None if settings or named else _linear
    if function not in CONVOLUTIONS or not named.keys() <= {*SETTINGS}:
        return None
    given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **named}
    given |= zip(SETTINGS, settings, strict=False)
    if isinstance(given["padding"], str):  # "same" may pad one side more than the other
        return None
    stride, padding, dilation = (_each(given[name], CONVOLUTIONS[function]) for name in SETTINGS[:3])
    return _convolution(stride, padding, dilation, given["groups"])


def _linear(
    a: Tensor,
    delta: Tensor,
    wanted: Sequence[bool],
    u: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor | None, ...]:
    """Both gradients of a linear layer; δ is (N, ..., out) and u (N, ..., in)."""
    rows = delta
    if delta.dim() > 2:
        rows, delta, u = delta.flatten(1, -2).sum(1), delta.flatten(0, -2), u.flatten(0, -2)
    of_weight = torch.mm(delta.t(), u) if wanted[0] else None
    return of_weight, _of_bias(a, rows) if wanted[1] else None


def _convolution(stride: list[int], padding: list[int], dilation: list[int], groups: int) -> Gradients:
    def gradients(
        a: Tensor,
        delta: Tensor,
        wanted: Sequence[bool],
        u: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *rest: Any,
        **kwargs: Any,
    ) -> tuple[Tensor | None, ...]:
        of_weight = None
        if wanted[0]:
            of_weight = torch.ops.aten.convolution_backward(
                delta,
                u,
                weight,
                None,
                stride,
                padding,
                dilation,
                False,
                [0] * len(stride),
                groups,
                [False, True, False],
            )[1]
        rows = delta.flatten(2).sum(2) if wanted[1] else delta
        return of_weight, _of_bias(a, rows) if wanted[1] else None

    return gradients


def _of_bias(a: Tensor, rows: Tensor) -> Tensor:
    """Σ a·δ, with δ summed over a row's other dimensions."""
    return (per_row(a, rows).unsqueeze(1) * rows).sum(0)


def _each(value: Any, n: int) -> list[int]:
    values = [int(value)] if isinstance(value, int) else [int(v) for v in value]
    return values * n if len(values) == 1 else values
