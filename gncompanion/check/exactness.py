"""Is the gradient right? One critic step with gradient normalization and the hinge loss, found in two ways.

    L  =  mean max(0, 1 - f̂(x_real)) + mean max(0, 1 + f̂(x_fake)),        f̂ = f / (‖∇f‖ + |f|)

Once by the package, as a training does it: both calls, then one backward. Once by torch.autograd alone, twice
differentiated, each call with its own backward, so that nothing can change between a call and its gradient.
What a critic returns beside its value has a loss of its own, the mean of its squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from gncompanion.check.loading import first_line
from gncompanion.check.report import Errors
from gncompanion.check.state import State
from gncompanion.check.subject import Subject, quiet, twice_differentiable
from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import value_and_input_gradient

__all__ = ["Found", "attempt", "backward", "beside", "by_autograd", "by_package", "compared", "hinge"]

T = TypeVar("T")

VALUE, INPUT, THROUGH = "values", "input gradients", "through"
Found = dict[str, Tensor]


def by_package(subject: Subject, start: State) -> Found:
    """Take the step by the package's primitive, as `method="auto"` takes it.

    Args:
        subject: The critic and its inputs.
        start: State to begin from.

    Returns:
        Values, input gradients, and the loss's gradients in the inputs and in each weight, by name.
    """
    points, has_aux = _points(subject), subject.has_aux
    with quiet(start):
        found = [
            value_and_input_gradient(subject.critic, x, *subject.labels, has_aux=has_aux) for x in points
        ]
        losses = [beside(aux) for *_, aux in found] if has_aux else []
        backward(hinge(*(FORMULAS["gn"](f.to(g.dtype), g) for f, g, *_ in found)) + sum(losses))
    return _taken(subject, points, [(f, g) for f, g, *_ in found])


def by_autograd(subject: Subject, start: State) -> Found:
    """Take the same step by torch.autograd alone.

    Args:
        subject: The critic and its inputs.
        start: State to begin from.

    Returns:
        As `by_package`.
    """
    points, pairs = _points(subject), []
    with quiet(start), twice_differentiable():
        for x, sign in zip(points, (-1, 1), strict=True):
            f, aux = subject.both(x * 1)
            (g,) = torch.autograd.grad(f.sum(), [x], create_graph=True, materialize_grads=True)
            pairs.append((f, g))
            backward(torch.relu(1 + sign * FORMULAS["gn"](f.to(g.dtype), g)).mean() + beside(aux))
    return _taken(subject, points, pairs)


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the critic's hinge loss from its values of real and generated samples, (N,) or (N, 1)."""
    return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()


def beside(aux: Any) -> Tensor | float:
    """Compute a loss of what a critic returns beside its value: ½ E h² summed over its tensors that learn."""
    tensors = (h for h in tree_leaves(aux) if isinstance(h, Tensor) and h.requires_grad)
    return sum(h.abs().square().mean() / 2 for h in tensors)


def backward(loss: Tensor) -> None:
    """Add a loss's gradients to `.grad`, as a training does.

    Nothing else would do: asked for some gradients alone, autograd leaves out the node that says a function
    cannot be differentiated twice, and returns no gradient where there should be an error.
    """
    loss.backward()


def _points(subject: Subject) -> list[Tensor]:
    for weight in subject.weights().values():
        weight.grad = None  # what a step that failed has left
    return [x.clone().requires_grad_() for x in (subject.real, subject.fake)]


def _taken(subject: Subject, points: list[Tensor], pairs: list[tuple[Tensor, Tensor]]) -> Found:
    """Gather what a step has left in `.grad`, which it clears."""
    f, g = (torch.cat([pair[part].detach().flatten() for pair in pairs]) for part in (0, 1))
    named = {f"weight {name}": weight for name, weight in subject.weights().items()}
    found = {VALUE: f, INPUT: g, THROUGH: torch.cat([_gradient(x).flatten() for x in points])}
    return found | {name: _gradient(weight) for name, weight in named.items()}


def _gradient(leaf: Tensor) -> Tensor:
    found, leaf.grad = leaf.grad, None
    return torch.zeros_like(leaf) if found is None else found.to_dense()


def compared(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], eps: float) -> Errors:
    """Compare two steps.

    Args:
        found: One of them.
        expected: The one that is right.
        eps: The rounding of the type in which both were computed.

    Returns:
        The errors. Each is ‖found - expected‖ / ‖expected‖; a weight whose gradient all but vanishes is
        compared with the largest gradient of a weight, at 100 √ε, for rounding is all that it holds.
    """
    weights = [name for name in expected if name.startswith("weight ")]
    floor = min(1.0, 100 * eps**0.5) * max((_norm(expected[name]) for name in weights), default=0.0)
    of_weights = {name: _error(found[name], expected[name], floor) for name in weights}
    worst = max(of_weights, key=lambda name: _rank(of_weights[name]), default=None)
    return Errors(
        values=_error(found[VALUE], expected[VALUE]),
        input_gradients=_error(found[INPUT], expected[INPUT]),
        through=_error(found[THROUGH], expected[THROUGH], floor=eps * _norm(expected[INPUT])),
        weight_gradients=of_weights[worst] if worst else None,
        worst_weight=worst.removeprefix("weight ") if worst else None,
    )


def _norm(value: Tensor) -> float:
    return float(value.double().norm())


def _error(found: Tensor, expected: Tensor, floor: float = 0.0) -> float:
    difference = _norm(found.double() - expected.double())
    return difference / (max(_norm(expected), floor) or 1.0)


def _rank(error: float) -> float:
    return error if math.isfinite(error) else math.inf


def attempt(step: Callable[[], T]) -> tuple[T | None, str | None]:
    """Take a step, or say why it cannot be taken.

    Args:
        step: What takes it.

    Returns:
        What it found and None; or None and what it raised, in one line.
    """
    try:
        return step(), None
    except RuntimeError as error:
        return None, first_line(error)
