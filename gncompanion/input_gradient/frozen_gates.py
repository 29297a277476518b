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
from gncompanion.input_gradient.tape import Tape

__all__ = ["start", "through_frozen_gates"]


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
        ctx.save_for_backward(x, *deltas, *(tape.saved[index] for index in tape.shared))
        return f.clone(), g.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, a: Tensor, G: Tensor) -> tuple[Tensor | None, ...]:
        tape: Tape = ctx.tape
        x, *tensors = ctx.saved_tensors
        steps = [step for step in tape.steps if step.weights]
        deltas = dict(zip((step.outputs[0] for step in steps), tensors, strict=False))
        saved = _cut(tape, tensors[len(steps) :])
        grads: dict[int, Tensor | None] = dict.fromkeys(tape.weights)
        with torch.enable_grad():
            for step, outputs in tape.replay(a, start(a, x, G), saved):
                delta = deltas.get(step.outputs[0])
                if delta is None:  # not on a way to f
                    continue
                weights = [saved[index] for index in step.weights]
                found = torch.autograd.grad(outputs[0], weights, delta)
                for index, grad in zip(step.weights, found, strict=True):
                    known = grads[index]
                    grads[index] = grad if known is None else known + grad
        return None, None, None, None, None, *grads.values()


def _cut(tape: Tape, shared: Sequence[Tensor]) -> list[Tensor]:
    """The saved tensors cut from their graphs, those that want a gradient as leaves."""
    saved = list(tape.saved)
    for index, tensor in zip(tape.shared, shared, strict=True):
        saved[index] = tensor.detach()
    for index in tape.weights:
        saved[index] = saved[index].detach().requires_grad_()
    return saved
