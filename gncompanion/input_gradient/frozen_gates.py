"""(f, g) as a differentiable function of the critic's weights, with the gates frozen.

    forward     δ_l = ∂f/∂z_l for every operation with a weight, and g = δ_0          one input-backward

    backward    from a = ∂L/∂f and G = ∂L/∂g:  u_0 = a·x + G  is pushed through the tape, and at layer l
                ∂L/∂W_l = Σ_samples δ_l ⊗ u_l        ∂L/∂b_l = Σ_samples a·δ_l        a forward, a W-product

Since u_0 = a·(x + G/a), it is the *plain* weight gradient at the shifted point x + G/a, gates frozen at x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gncompanion.input_gradient.calls import scaled
from gncompanion.input_gradient.tape import Saved, Step, Tape, run

__all__ = ["require_agreement", "start", "through_frozen_gates"]


def through_frozen_gates(
    tape: Tape, f: Tensor, g: Tensor, x: Tensor, deltas: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor]:
    """Give f and g their gradient in the weights on the tape.

    Args:
        tape: The record of the critic's forward at x.
        f: Its values, (N,) or (N, 1), without a graph.
        g: Its input gradients (N, ...), without a graph.
        x: The inputs (N, ...).
        deltas: δ_l for each step with a weight, in their order; None where f does not depend on it.

    Returns:
        The same f and g.
    """
    f, g = _FrozenGates.apply(tape, f, g, x, deltas, *tape.weights.values())
    return f, g


def start(a: Tensor, x: Tensor, G: Tensor) -> Tensor:
    """Compute u_0 = a·x + G, what the replay starts from (N, ...)."""
    return scaled(a, x, like=x) + G


def require_agreement(tape: Tape, f: Tensor, g: Tensor, x: Tensor) -> None:
    """Push u_0 = x + g through the record: the network linearised at x must give f + ‖g‖².

    Args:
        tape: The record of the critic's forward at x.
        f: Its values, (N,) or (N, 1), without a graph.
        g: Its input gradients (N, ...), without a graph.
        x: The inputs (N, ...).

    Raises:
        RuntimeError: It does not.
    """
    ones = torch.ones_like(f)
    with torch.no_grad():
        found = tape.value(ones, start(ones, x, g)).double()
        squared = g.double().reshape(len(g), -1).square().sum(1).view_as(f)
    lowest = min((t.dtype for t in (f, g)), key=lambda dtype: -torch.finfo(dtype).eps)
    error = (found - f.double() - squared).abs() / (f.double().abs() + squared).clamp_min(
        torch.finfo(lowest).tiny
    )
    tolerance = torch.finfo(lowest).eps ** 0.5
    if not bool((error <= tolerance).all()):
        raise RuntimeError(
            f"the recorded linear map and autograd differ by {error.max():.1e} (relative; at most "
            f"{tolerance:.1e}): the critic does something that the record does not show. "
            'Use method="autograd", and please report it.'
        )


class _FrozenGates(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        tape: Tape,
        f: Tensor,
        g: Tensor,
        x: Tensor,
        deltas: Sequence[Tensor | None],
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.tape = tape
        # What is not copied is saved by autograd, which notices when it is changed before the backward.
        ctx.save_for_backward(x, *deltas, *(tape.saved[index] for index in tape.shared.values()))
        return f.clone(), g.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, a: Tensor, G: Tensor) -> tuple[Tensor | None, ...]:
        tape: Tape = ctx.tape
        x, *tensors = ctx.saved_tensors
        steps = [step for step in tape.steps if step.weights]
        shared = tensors[len(steps) :]
        deltas = {
            step.outputs[0]: delta
            for step, delta in zip(steps, tensors, strict=False)
            if delta is not None  # on a way to f
        }
        gradients = _WeightGradients(deltas, _cut(tape, shared))
        wanted = {step.outputs[0] for step in steps} & deltas.keys()
        tape.replay(a, start(a, x, G), gradients.saved, gradients, lambda step: step.outputs[0] in wanted)
        return None, None, None, None, None, *map(gradients.found.get, tape.weights)


class _WeightGradients:
    """What is done with each step: its weights' gradients are found, by formula or by autograd."""

    def __init__(self, deltas: dict[int, Tensor], saved: list[Tensor]) -> None:
        self.deltas, self.saved = deltas, saved
        self.found: dict[int, Tensor] = {}

    def __call__(
        self, step: Step, a: Tensor, args: list[Any], kwargs: dict[str, Any], needed: bool
    ) -> tuple[Tensor, ...]:
        delta = self.deltas.get(step.outputs[0]) if step.weights else None
        if delta is None:
            return run(step, a, args, kwargs)
        if step.gradients is None:
            return self._by_autograd(step, delta, a, args, kwargs)
        places = [v.index if type(v) is Saved else None for v in (*step.args, None)[1:3]]
        grads = step.gradients(a, delta, [index in step.weights for index in places], *args, **kwargs)
        self._add(places, grads)
        return run(step, a, args, kwargs) if needed else ()

    def _by_autograd(
        self, step: Step, delta: Tensor, a: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            outputs = run(step, a, args, kwargs)
            weights = [self.saved[index] for index in step.weights]
            grads = torch.autograd.grad(outputs[0], weights, delta)
        self._add(step.weights, grads)
        return tuple(out.detach() for out in outputs)

    def _add(self, indices: Sequence[int | None], grads: Sequence[Tensor | None]) -> None:
        for index, grad in zip(indices, grads, strict=False):
            if index is not None and grad is not None:
                known = self.found.get(index)
                self.found[index] = grad if known is None else known + grad


def _cut(tape: Tape, shared: Sequence[Tensor]) -> list[Tensor]:
    """The saved tensors cut from their graphs, as leaves where autograd finds their gradient."""
    saved = list(tape.saved)
    for index, tensor in zip(tape.shared.values(), shared, strict=True):
        saved[index] = tensor.detach()
    for index in {index for step in tape.steps if step.gradients is None for index in step.weights}:
        saved[index] = saved[index].detach().requires_grad_()
    return saved
