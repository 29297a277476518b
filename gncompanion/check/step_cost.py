"""What a critic step costs: without gradient normalization, by double backpropagation, and by "auto".

The step draws nothing back to its samples, which come from data and from a generator at rest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gncompanion.check.exactness import attempt, backward, beside, hinge
from gncompanion.check.flop_count import FlopCount
from gncompanion.check.report import StepCost
from gncompanion.check.state import State
from gncompanion.check.subject import Subject, quiet, twice_differentiable
from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import value_and_input_gradient

__all__ = ["flops_of", "plain_step", "seconds_of"]

ROUNDS = 5


def flops_of(subject: Subject, start: State) -> StepCost:
    """Count the FLOPs of convolutions and matrix products of a critic step.

    Args:
        subject: The critic and its inputs.
        start: State to begin from.

    Returns:
        FLOPs of the three steps.
    """
    found = []
    for step in _steps(subject):
        with quiet(start), FlopCount() as count:
            _, failure = attempt(step)
        found.append(float(count.total) if failure is None else None)
    plain, twice, auto = found
    return StepCost(plain or 0.0, twice, auto)


def seconds_of(subject: Subject, start: State) -> StepCost:
    """Time a critic step, the three ways in turns.

    Args:
        subject: The critic and its inputs, in the type in which it is to be timed.
        start: State to begin from.

    Returns:
        Median seconds of the three steps.
    """
    with quiet(start):
        steps = [None if attempt(step)[1] else step for step in _steps(subject)]  # this warms up, too
        rounds = [[_timed(step) if step else None for step in steps] for _ in range(ROUNDS)]
    plain, twice, auto = (_median(times) for times in zip(*rounds, strict=True))
    return StepCost(plain or 0.0, twice, auto)


def _timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _median(times: Sequence[float | None]) -> float | None:
    known = [seconds for seconds in times if seconds is not None]
    return statistics.median(known) if known else None


def _steps(subject: Subject) -> list[Callable[[], None]]:
    """The step without normalization, by double backpropagation, and by "auto"."""

    def normalized(method: str) -> None:
        values, losses = [], []
        for x in (subject.real, subject.fake):
            f, g, *aux = value_and_input_gradient(
                subject.critic, x, *subject.labels, method=method, has_aux=subject.has_aux
            )
            values.append(FORMULAS["gn"](f.to(g.dtype), g))
            losses.append(beside(aux))
        _backward(subject, hinge(*values) + sum(losses))

    def twice() -> None:
        with twice_differentiable():
            normalized("autograd")

    return [lambda: plain_step(subject), twice, lambda: normalized("auto")]


def plain_step(subject: Subject) -> None:
    """Take a critic step without gradient normalization.

    Args:
        subject: The critic and its inputs.
    """
    (real, *aux_real), (fake, *aux_fake) = subject.both(subject.real), subject.both(subject.fake)
    _backward(subject, hinge(real, fake) + beside(aux_real) + beside(aux_fake))


def _backward(subject: Subject, loss: Tensor) -> None:
    if weights := subject.weights():
        backward(loss)
    for weight in weights.values():
        weight.grad = None
