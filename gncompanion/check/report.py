"""What a check has found, as values, as text and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Errors", "Report", "StepCost"]

METHODS = {"linear": "the fast exact gradient", "autograd": "double backpropagation"}


@dataclass(frozen=True)
class Errors:
    """How far a critic step by "auto" is from torch's own double backpropagation, relative to it.

    Attributes:
        values: Error of the values f.
        input_gradients: Error of the input gradients g.
        through: Error of the loss's gradient in x, which is what a generator learns from.
        weight_gradients: Largest error among the loss's gradients in the weights; None = no weights are seen.
        worst_weight: Name of the weight that has it.
    """

    values: float
    input_gradients: float
    through: float
    weight_gradients: float | None
    worst_weight: str | None

    @property
    def largest(self) -> float:
        """Return the largest of them; infinite where one of them is no finite number."""
        found = (self.values, self.input_gradients, self.through, self.weight_gradients or 0.0)
        return max(found) if all(map(math.isfinite, found)) else math.inf


@dataclass(frozen=True)
class StepCost:
    """What a critic step costs: forward of real and generated samples, hinge loss, gradients of all weights.

    Attributes:
        plain: StepCost of the step without gradient normalization.
        twice: With it, by double backpropagation; None = torch cannot do it.
        auto: With it, by what "auto" takes; None = it fails.
    """

    plain: float
    twice: float | None
    auto: float | None

    def ratio(self, cost: float | None) -> float | None:
        """Return a cost relative to the plain step's; None where there is none."""
        return cost / self.plain if cost is not None and self.plain else None


@dataclass(frozen=True)
class Report:
    """What `check_critic` found.

    Attributes:
        critic: Name of the critic.
        shape: Shape of one sample.
        batch: Number of samples N.
        dtype: Type in which the gradient was compared: "float64" where the critic runs in it.
        method: What "auto" takes: "linear" or "autograd".
        reason: Why it is not "linear"; None where it is.
        errors: Errors against double backpropagation; None where one of the two fails.
        tolerance: Largest error that counts as right: √ε of the least precise type that the forward computes.
        failure: What a step raised; None where none did.
        flops: FLOPs of convolutions and matrix products of a critic step.
        seconds: Median seconds of a critic step in the critic's own type; None = they were not asked for.
        groups: Samples that influence each other's values, in groups; empty where each stands alone.
        moved: Names of what a plain step moves: buffers, weights, random numbers.
        astray: Names of what a step by "auto" moves otherwise than a plain step; empty where all is well.
        remedies: What could be better, and how; one sentence or two each.
    """

    critic: str
    shape: tuple[int, ...]
    batch: int
    dtype: str
    method: str
    reason: str | None
    errors: Errors | None
    tolerance: float
    failure: str | None
    flops: StepCost
    seconds: StepCost | None
    groups: tuple[tuple[int, ...], ...]
    moved: tuple[str, ...]
    astray: tuple[str, ...]
    remedies: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Return whether the gradient was found, is finite, and equals that of double backpropagation."""
        return self.errors is not None and self.errors.largest <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """Return all that was found, and the verdict, for JSON: None where a number is not finite."""
        return {**_finite(asdict(self)), "right": self.right}

    def __str__(self) -> str:
        """Return the text that `gncompanion check` prints."""
        size = f"{self.batch} samples of {self.shape}"
        lines = [
            ("critic", f"{self.critic}, {size}, compared in {self.dtype}"),
            (
                "method",
                f"{self.method}: {METHODS[self.method]}" + (f" ({self.reason})" if self.reason else ""),
            ),
            ("error", self._error()),
            ("FLOPs", _cost(self.flops, "")),
            *([("seconds", _cost(self.seconds, " s"))] if self.seconds else []),
            ("coupling", self.coupling),
            ("state", self._state()),
            *(("remedy", remedy) for remedy in self.remedies),
            ("verdict", "the gradient is right" if self.right else "THE GRADIENT IS NOT RIGHT"),
        ]
        return "\n".join(f"{name:<9} {text}" for name, text in lines)

    @property
    def coupling(self) -> str:
        """Return which samples influence each other, in words."""
        if not self.groups:
            return "none" if self.batch > 1 else "none: there is one sample"
        if len(self.groups[0]) == self.batch:
            return "all samples influence each other"
        return "samples influence each other: " + " | ".join(" ".join(map(str, g)) for g in self.groups)

    def _error(self) -> str:
        if self.errors is None:
            return f"not found: {self.failure}"
        e = self.errors
        weights = (
            "no weights are seen"
            if e.weight_gradients is None
            else f"weight gradients {e.weight_gradients:.1e} (at {e.worst_weight})"
        )
        return (
            f"{e.largest:.1e} (right up to {self.tolerance:.1e}): values {e.values:.1e}, input gradients "
            f"{e.input_gradients:.1e}, {weights}, loss in x {e.through:.1e}"
        )

    def _state(self) -> str:
        if self.astray:
            return f"moves otherwise than in a plain step: {_few(self.astray)}"
        return f"moves as in a plain step: {_few(self.moved)}" if self.moved else "nothing moves"


def _cost(cost: StepCost, unit: str) -> str:
    parts = [("plain", cost.plain), ("double backpropagation", cost.twice), ("auto", cost.auto)]
    return ", ".join(f"{name} {_amount(cost, value, unit)}" for name, value in parts)


def _amount(cost: StepCost, value: float | None, unit: str) -> str:
    if value is None:
        return "fails"
    ratio = cost.ratio(value)
    return f"{value:.3g}{unit}" + ("" if ratio is None or value is cost.plain else f" ({ratio:.2f} times)")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(held) for key, held in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _few(names: tuple[str, ...], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
