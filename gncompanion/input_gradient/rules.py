"""Which operations are known to be linear or piecewise linear in what depends on x, by torch's names.

    RULES[function](call) -> Replay        run as replay.function(a, *args, **kwargs), with u in place of h

Everything not in `RULES` is refused, never guessed. To add an operation, write its rule in `linear_maps`,
`shapes`, `gates` or `choices` (or find the one that fits), name it in `OPERATIONS`, and add a critic that
uses it to the tests of rules, which compare with double backpropagation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from gncompanion.input_gradient import choices, gates, linear_maps, shapes
from gncompanion.input_gradient.calls import Call, Replay, Rule

__all__ = ["RULES", "applied"]


INPUT = ("input",)
OPERANDS = ("input", "other")


def applied(call: Call) -> Replay:
    """Apply the call's rule, its leading arguments given by position.

    Args:
        call: The call; its function is in `RULES`.

    Returns:
        How it is run again.

    Raises:
        Unsupported: The rule refuses the call; says why.
    """
    leading = LEADING[call.function]
    positioned = (
        _positioned(call, leading) if call.kwargs and not call.kwargs.keys().isdisjoint(leading) else call
    )
    return RULES[call.function](positioned)


def _positioned(call: Call, leading: tuple[str, ...]) -> Call:
    """The same call with its leading arguments, such as `input=`, at the positions where rules read them."""
    args, kwargs = list(call.args), dict(call.kwargs)
    for position, name in enumerate(leading):
        if len(args) == position and name in kwargs:
            args.append(kwargs.pop(name))
    return replace(call, args=tuple(args), kwargs=kwargs)


def _spellings(*names: str) -> set[Callable[..., Any]]:
    """Every function of torch that bears one of these names."""
    spaces = (torch, torch.Tensor, F, torch._C._nn)
    return {getattr(space, name) for space in spaces for name in names if hasattr(space, name)}


OPERATIONS: list[tuple[Rule, tuple[str, ...], tuple[str, ...]]] = [
    (linear_maps.affine, ("input", "weight", "bias"), ("linear", "conv1d", "conv2d", "conv3d")),
    (
        linear_maps.affine,
        ("input", "weight", "bias"),
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    ),
    (linear_maps.matmul, OPERANDS, ("matmul", "mm", "mv", "bmm", "__matmul__", "__rmatmul__")),
    (linear_maps.addmm, ("input", "mat1", "mat2"), ("addmm",)),
    (linear_maps.batch_norm, INPUT, ("batch_norm",)),
    (linear_maps.sum_of(torch.add), OPERANDS, ("add", "add_", "__add__", "__radd__", "__iadd__")),
    (linear_maps.sum_of(torch.sub), OPERANDS, ("sub", "sub_", "subtract", "__sub__", "__isub__")),
    (linear_maps.sum_of(torch.sub, reverse=True), OPERANDS, ("__rsub__", "rsub")),
    (linear_maps.product, OPERANDS, ("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__")),
    (linear_maps.quotient, OPERANDS, ("div", "div_", "divide", "true_divide", "__truediv__", "__itruediv__")),
    (linear_maps.einsum, (), ("einsum",)),
    (linear_maps.masked_fill, INPUT, ("masked_fill", "masked_fill_")),
    (linear_maps.where, ("condition", "input", "other"), ("where",)),
    (shapes.reshape, INPUT, ("view", "reshape", "flatten", "unflatten")),
    (shapes.squeeze, INPUT, ("squeeze",)),
    (shapes.along(1), INPUT, ("sum", "mean", "narrow", "select", "unbind", "cumsum", "index_select")),
    (shapes.along(1, extra=1), INPUT, ("unsqueeze",)),
    (shapes.along(2), INPUT, ("chunk", "split", "roll", "repeat_interleave")),
    (shapes.flip, INPUT, ("flip",)),
    (shapes.repeat, INPUT, ("repeat",)),
    (shapes.permute, INPUT, ("permute",)),
    (shapes.transpose, INPUT, ("transpose", "swapaxes", "swapdims", "movedim", "moveaxis")),
    (shapes.expand, INPUT, ("expand", "expand_as")),
    (shapes.index, INPUT, ("__getitem__",)),
    (shapes.gather, INPUT, ("gather",)),
    (shapes.concatenate(0), ("tensors",), ("cat", "concat", "concatenate")),
    (shapes.concatenate(1), ("tensors",), ("stack",)),
    (shapes.pad, INPUT, ("pad",)),
    (linear_maps.spatial(3), INPUT, ("avg_pool1d", "adaptive_avg_pool1d")),
    (
        linear_maps.spatial(4),
        INPUT,
        ("avg_pool2d", "adaptive_avg_pool2d", "pixel_shuffle", "pixel_unshuffle"),
    ),
    (linear_maps.spatial(5), INPUT, ("avg_pool3d", "adaptive_avg_pool3d")),
    (linear_maps.interpolate, INPUT, ("interpolate", "channel_shuffle")),
    (linear_maps.again, INPUT, ("neg", "__neg__", "negative", "clone", "contiguous")),
    (shapes.cast, INPUT, ("to", "type_as", "float", "double", "half", "bfloat16")),
    (gates.relu, INPUT, ("relu", "relu_")),
    (gates.leaky_relu, INPUT, ("leaky_relu", "leaky_relu_")),
    (gates.prelu, INPUT, ("prelu",)),
    (gates.elementwise, INPUT, ("abs", "clamp", "clamp_", "clamp_min", "clamp_max", "threshold")),
    (gates.elementwise, INPUT, ("clip", "clip_", "clamp_min_", "clamp_max_", "threshold_", "abs_")),
    (gates.elementwise, INPUT, ("hardtanh", "hardtanh_", "relu6", "hardshrink", "softshrink", "hardsigmoid")),
    (gates.extremum, OPERANDS, ("maximum", "minimum")),
    (choices.of_two_or_along, INPUT, ("max", "min")),
    (choices.along_dimension(1), INPUT, ("median", "cummax", "cummin")),
    (choices.along_dimension(1, default=-1), INPUT, ("sort",)),
    (choices.along_dimension(2, default=-1), INPUT, ("topk", "kthvalue")),
    (choices.greatest, INPUT, ("amax", "amin")),
    (choices.dropout, INPUT, ("dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d")),
    (choices.drawn(affine=True), INPUT, ("alpha_dropout", "feature_alpha_dropout")),
    (choices.drawn(), INPUT, ("rrelu", "rrelu_")),
]

RULES: dict[Callable[..., Any], Rule] = {
    function: rule for rule, _, names in OPERATIONS for function in _spellings(*names)
}
RULES |= dict.fromkeys(gates.POOLED, gates.max_pool)
RULES |= {F.unfold: linear_maps.spatial(4), F.fold: linear_maps.spatial(3)}
RULES |= {vars(torch._C.TensorBase)["mT"].__get__: shapes.matrix_transpose}

LEADING: dict[Callable[..., Any], tuple[str, ...]] = {
    **dict.fromkeys(RULES, INPUT),
    **{function: leading for _, leading, names in OPERATIONS for function in _spellings(*names)},
}
