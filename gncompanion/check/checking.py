"""The check of a critic as one function; `gncompanion check` prints what it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gncompanion.check.exactness import attempt, by_autograd, by_package, compared
from gncompanion.check.influence import influence, influencing_groups
from gncompanion.check.loading import first_line
from gncompanion.check.remedies import remedies_for
from gncompanion.check.report import Errors, Report
from gncompanion.check.state import State
from gncompanion.check.step_cost import flops_of, plain_step, seconds_of
from gncompanion.check.subject import Subject, draw, quiet, subject_of
from gncompanion.input_gradient import HasAux, check_has_aux, unsupported_reason
from gncompanion.tools.checks import flag, require, whole

__all__ = ["check_critic"]


def check_critic(
    critic: Callable[..., Any],
    shape: tuple[int, ...],
    *,
    batch: int = 8,
    labels: int | None = None,
    device: str = "cpu",
    seconds: bool = False,
    seed: int = 0,
    has_aux: HasAux = False,
) -> Report:
    """Check what `value_and_input_gradient`, and with it `GradientNorm`, makes of a critic.

    The critic is copied, to float64, at weights that no zero hides, and the copy takes one critic step by
    "auto" and one by torch's own double backpropagation. It stays in its mode: what matters is training.

    Args:
        critic: Any callable, usually an nn.Module, with one value per sample: (N, *shape) -> (N,) or (N, 1).
            It is left as it is, and so are the random generators.
        shape: Shape of one sample.
        batch: Number of samples N, from 1 on; with 1 no coupling can be seen.
        labels: Number of classes, from 1 on: labels (N,) become the critic's second input; None = it has
            none.
        device: Name of a device of torch.
        seconds: Whether the steps are timed, too, in the critic's own type.
        seed: Seed of the inputs.
        has_aux: Whether the critic returns more than its value, as in `value_and_input_gradient`. A loss on
            the rest is then part of the step.

    Returns:
        What was found.

    Raises:
        ValueError: An argument is out of range, the device cannot be used, the critic cannot be copied, its
            forward raises, it does not give one value per sample or none that depends on x, or two forwards
            of it differ.

    Example:
        >>> from torch.nn import Linear, Sequential, SiLU
        >>> report = check_critic(Sequential(Linear(2, 8), SiLU(), Linear(8, 1)), (2,))
        >>> report.method, report.right
        ('autograd', True)
        >>> report.reason
        "SiLU '1', silu: not among the operations known to be linear or piecewise linear"
    """
    whole("batch", batch), whole("seed", seed, low=0), flag("seconds", seconds)
    check_has_aux(has_aux)
    if labels is not None:
        whole("labels", labels)
    valid = isinstance(shape, tuple | list) and all(type(n) is int and n > 0 for n in shape)
    require("shape", shape, valid, "the positive whole numbers of one sample's shape, such as (3, 32, 32)")
    require("critic", critic, callable(critic), "a critic, which can be called")
    before = State(_nothing)
    try:
        torch.manual_seed(seed)
        inputs = draw(tuple(shape), batch=batch, labels=labels, device=_usable(device), seed=seed)
        subject = subject_of(critic, inputs, has_aux=has_aux)
        own = subject_of(critic, inputs, in_its_own_type=True, has_aux=has_aux) if seconds else None
        return _report(critic, subject, own)
    finally:
        before.restore()


def _nothing() -> None:
    """A critic without a state, to keep the random generators by."""


def _usable(device: str) -> torch.device:
    try:
        torch.empty(1, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch built without CUDA
        raise ValueError(f"device={device!r} cannot be used here, take cpu: {first_line(error)}") from None


def _report(critic: Callable[..., Any], subject: Subject, own: Subject | None) -> Report:
    start = State(subject.critic)
    _require_values(subject, start)
    reason = _reason(subject, start)
    errors, failure, moved, astray = _exactness(subject, start)
    flops = flops_of(subject, start)
    alone = len(subject.real) == 1
    groups = () if alone else influencing_groups(influence(subject, start), subject.tolerance)
    return Report(
        critic=_name(critic),
        shape=tuple(subject.real.shape[1:]),
        batch=len(subject.real),
        dtype=str(subject.real.dtype).removeprefix("torch."),
        method="autograd" if reason else "linear",
        reason=reason,
        errors=errors,
        tolerance=subject.tolerance,
        failure=failure,
        flops=flops,
        seconds=seconds_of(own, State(own.critic)) if own else None,
        groups=groups,
        moved=moved,
        astray=astray,
        remedies=remedies_for(
            subject.critic,
            reason=reason,
            failure=failure,
            errors=errors,
            tolerance=subject.tolerance,
            flops=flops,
            coupled=bool(groups),
            astray=astray,
            note=subject.note,
        ),
    )


def _name(critic: Callable[..., Any]) -> str:
    return str(getattr(critic, "__name__", type(critic).__name__))


def _require_values(subject: Subject, start: State) -> None:
    """Refuse a critic without one value per sample, and one whose values change from call to call."""
    n = len(subject.real)
    with quiet(start):
        f = subject.value(subject.real)
    if isinstance(f, Tensor) and f.dim() and len(f) < n and n % len(f) == 0 and f.numel() == len(f):
        raise ValueError(
            f"the critic must give one value per sample, ({n},) or ({n}, 1); it gave {tuple(f.shape)}. If it "
            f"judges packs of {n // len(f)}, a pack is the sample: give it x.flatten(0, 1), in a module "
            f"around it, with --shape {','.join(map(str, (n // len(f), *subject.real.shape[1:])))}"
        )
    with quiet(start):
        again = subject.value(subject.real)
    if isinstance(f, Tensor) and not torch.allclose(f, again, rtol=subject.tolerance, equal_nan=True):
        raise ValueError(
            "two forwards of the critic from the same state differ: it draws random numbers, or remembers, "
            "where torch, Python and NumPy do not know of it, so its gradient cannot be compared"
        )


def _reason(subject: Subject, start: State) -> str | None:
    """Why "auto" does not take the fast gradient, without the general remedy; None where it does."""
    with quiet(start):
        reason = unsupported_reason(subject.critic, subject.real, *subject.labels, has_aux=subject.has_aux)
    return reason.partition(". Use method=")[0] if reason else None


def _exactness(
    subject: Subject, start: State
) -> tuple[Errors | None, str | None, tuple[str, ...], tuple[str, ...]]:
    """Errors of a step by "auto", or why there are none; what a plain step moves, and "auto" otherwise."""
    expected, no_oracle = attempt(lambda: by_autograd(subject, start))
    found, failure = attempt(lambda: by_package(subject, start))
    after = State(subject.critic)
    with quiet(start):
        attempt(lambda: plain_step(subject))
    plain = State(subject.critic)
    moved, astray = start.moved(plain), plain.moved(after) if found else ()
    if found is None or expected is None:
        return None, failure or f"by double backpropagation: {no_oracle}", moved, astray
    return compared(found, expected, float(torch.finfo(subject.lowest).eps)), None, moved, astray
