"""What could be better, and how: a sentence or two for each thing that a check has found."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gncompanion.check.report import Errors, StepCost

__all__ = ["remedies_for"]

Hints = Sequence[tuple[str, str]]  # what the text says, and what helps; the first that fits

FAILURES: Hints = (
    (
        "modified by an inplace operation",
        "the critic changes a tensor in place between its calls: give each call's loss a backward of its "
        "own, or write out of place",
    ),
    (
        "flash|efficient_attention|scaled_dot_product",
        "fused attention has no second derivative in torch: call the critic under "
        "torch.nn.attention.sdpa_kernel(SDPBackend.MATH), the reference kernel",
    ),
    (
        "[Dd]erivative|not implemented|once_differentiable|double backward",
        "an operation has no second derivative: take one that has; NVIDIA's custom operations have a "
        'reference implementation, impl="ref"',
    ),
)
# Of a reason such as "SiLU '1', silu: not among the operations ...", what follows the module.
REASONS: Hints = (
    (r"^batch_norm", "leave the normalization out"),
    (
        r"norm|^(var|std|sqrt|rsqrt)",
        "it divides by a statistic of x; leave it out, for gradient normalization needs no other",
    ),
    (r"attention|softmax|^(einsum|bmm|matmul|__matmul__)", "a product of what depends on x has no fast form"),
    (
        "elu|silu|mish|softplus|tanh|sigmoid|^(exp|log|square|pow|__pow__|sin|cos)",
        "it is not piecewise linear; take LeakyReLU or ReLU in its place",
    ),
    ("moves or mixes the batch", "keep the batch in dimension 0, and its samples apart"),
    (
        "not seen",
        "a custom autograd.Function, NumPy or code in C++ computes with x; write it in torch's operations",
    ),
    ("in place", "write into a new tensor"),
    ("hook", "remove the hook that changes a gradient, where you train"),
    ("random", "draw in the data or in evaluation mode, not here"),
)
OTHER = (
    "take a piecewise linear operation in its place; if it is (piecewise) linear, it lacks a rule, and "
    "CONTRIBUTING.md says how to add one"
)


def remedies_for(
    critic: Callable[..., Any],
    *,
    reason: str | None,
    failure: str | None,
    errors: Errors | None,
    tolerance: float,
    flops: StepCost,
    coupled: bool,
    astray: tuple[str, ...],
    note: str | None,
) -> tuple[str, ...]:
    """Say what helps against each thing that was found.

    Args:
        critic: The critic.
        reason: Why "auto" does not take the fast gradient; None = it does.
        failure: What a step raised; None = nothing.
        errors: The errors, if they could be found.
        tolerance: The largest error that counts as right.
        flops: What the steps cost.
        coupled: Whether samples influence each other.
        astray: What moves otherwise than in a plain step.
        note: Why the gradient was not compared in float64; None = it was.

    Returns:
        The remedies, what is worst first.
    """
    found = []
    if failure:
        found.append(_first(FAILURES, failure, f"the critic's step fails: {failure}"))
    elif errors and not math.isfinite(errors.largest):
        found.append(
            "a value or a gradient is not finite: look for a root or a norm at 0, and add 1e-8 in it"
        )
    elif errors and errors.largest > tolerance:
        found.append('a wrong gradient is a fault of this package: take method="autograd", and report it')
    if coupled:
        found.append(_against_coupling(critic))
    if reason:
        found.append(_against_double_backpropagation(reason, None if failure else flops.ratio(flops.auto)))
    if astray:
        found.append(
            f"{astray[0]} moves otherwise than in a plain step: forward alone should move it, and only once "
            "(activation checkpointing runs forward again)"
        )
    return (*found, f"{note}: compared with less precision") if note else tuple(found)


def _first(hints: Hints, text: str, other: str) -> str:
    return next((hint for pattern, hint in hints if re.search(pattern, text)), other)


def _against_double_backpropagation(reason: str, ratio: float | None) -> str:
    """Such as: SiLU at 'blocks.3.act' …: auto takes double backpropagation, exact but 2.01 times …"""
    called = re.search(r"([\w.]+): ", reason)
    about = f"{called[1].rpartition('.')[2]}: {reason[called.end() :]}" if called else reason
    price = f", exact at {ratio:.2f} times a plain step" if ratio else ""
    remedy = _first(REASONS, about, OTHER)
    return f"{reason}. So auto takes double backpropagation{price}. To be faster: {remedy}"


def _against_coupling(critic: Callable[..., Any]) -> str:
    modules = critic.named_modules() if isinstance(critic, nn.Module) else ()
    mixing = [
        name for name, m in modules if isinstance(m, _BatchNorm) and (m.training or m.running_mean is None)
    ]
    if mixing:
        return f"batch normalization at {mixing[0]!r}: samples influence each other. Use GroupNorm, or none"
    return (
        "samples influence each other, by a minibatch statistic or the like, and g is the gradient of the "
        "batch's summed values, not of each sample's own; auto warns of it. Leave it out, or accept that"
    )
