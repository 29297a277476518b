"""Whether the samples of a batch influence each other's values: decided by what is true, once per critic.

    r_j different for each sample:      ∂/∂x_i Σ_j r_j f_j  =  r_i ∂f_i/∂x_i      if they do not

A critic with batch normalization in training mode, minibatch statistics or packed samples couples them, and
then row i of ∇ₓ Σ_j f_j is not the gradient of f_i alone. The check costs one input-backward, at the first
call of a critic in a mode; what came out is remembered with the critic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from gncompanion.input_gradient.per_sample import broadcast

__all__ = ["are_coupled", "can_be_checked", "known_coupling", "remember"]

GOLDEN = 0.6180339887498949  # its multiples modulo 1 keep neighbours apart, and no two are equal

_KNOWN: WeakKeyDictionary[Any, dict[tuple[bool, ...], bool]] = WeakKeyDictionary()


def are_coupled(f: Tensor, source: Any, g: Tensor) -> bool:
    """Tell whether a sample's value depends on another sample.

    Args:
        f: The values, (N,) or (N, 1), with their graph, which is kept.
        source: Where autograd finds the gradient of the batch: the inputs, or their edge in the graph.
        g: The gradient of the values' sum, (N, ...).

    Returns:
        Whether a differently weighted sum has another gradient than that of separate samples.
    """
    r = 1 + torch.arange(1, len(f) + 1, dtype=torch.float64) * GOLDEN % 1
    weights = r.to(f).view_as(f)
    (found,) = torch.autograd.grad(f, [source], weights, retain_graph=True)
    g = g.detach()
    expected = broadcast(weights.to(g.dtype), g) * g
    # What rounding makes differ is far smaller; a coupling below a ten-thousandth (float32) does not matter.
    tolerance = torch.finfo(g.dtype).eps ** 0.5 * expected.abs().max()
    return bool((found - expected).abs().max() > tolerance)


def can_be_checked(f: Tensor) -> bool:
    """Tell whether values can be looked at: not those of fake tensors, nor while a CUDA graph is captured."""
    if type(f) is not Tensor or f.device.type == "meta":
        return False
    return not (f.is_cuda and torch.cuda.is_current_stream_capturing())


def known_coupling(critic: Callable[..., Any]) -> bool | None:
    """Look up what was found for a critic in its present mode; None = it was not checked yet."""
    try:
        return _KNOWN.get(critic, {}).get(_mode(critic))
    except TypeError:  # it cannot be hashed, or not be referred to weakly
        return None


def remember(critic: Callable[..., Any], coupled: bool) -> None:
    """Note what was found for a critic in its present mode."""
    try:
        _KNOWN.setdefault(critic, {})[_mode(critic)] = coupled
    except TypeError:
        return


def _mode(critic: Callable[..., Any]) -> tuple[bool, ...]:
    return tuple(part.training for part in critic.modules()) if isinstance(critic, nn.Module) else ()
