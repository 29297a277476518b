"""A constraint on a critic: at most four hooks, each of which does nothing here.

    prepare(critic)                       once, before training
    score(critic, x, y)                   wherever the critic's value is needed
    penalty(score, real, fake, y, ...)    added to the critic's loss
    after_step(critic)                    after the critic's optimizer step

`penalty` gets the scoring function, not the critic, so that a normalization and a penalty compose: what is
penalised, and what is measured later, is what was trained. The scoring function is a `Score`, a constraint
bound to a critic. A penalty on weights, which are no function of samples, finds the critic in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Composite", "Constraint", "Score"]


class Constraint:
    """No constraint at all."""

    def prepare(self, critic: nn.Module) -> None:
        """Change the critic once, before training.

        Args:
            critic: The module to be trained; it is changed in place.
        """

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the value that losses, penalties and measurements see.

        Args:
            critic: The module, (N, ...) -> (N,).
            x: Inputs, (N, ...).
            y: Labels, (N,), if the critic is conditional.

        Returns:
            The scores, (N,).
        """
        f: Tensor = critic(x) if y is None else critic(x, y)
        return f

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor | float:
        """Compute what is added to the critic's loss.

        Args:
            score: The scoring function, (x, y) -> (N,).
            real: Real samples, (N, ...).
            fake: As many generated samples, (N, ...), without a graph to the generator.
            y: Labels, (N,), if the critic is conditional.
            generator: The source of random numbers, on the device of `real`.

        Returns:
            A scalar.
        """
        return 0.0

    def after_step(self, critic: nn.Module) -> None:
        """Change the critic's weights after each of its optimizer steps.

        Args:
            critic: The module in training; it is changed in place.
        """


@dataclass(frozen=True)
class Score:
    """The scoring function: a constraint's score of one critic, called as (x, y) -> (N,).

    Attributes:
        constraint: The constraint, whose hook computes the score.
        critic: The critic, (N, ...) -> (N,).
    """

    constraint: Constraint
    critic: nn.Module

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.constraint.score(self.critic, x, y)


class Composite(Constraint):
    """Several constraints at once: penalties add up, and at most one of them may define the score.

    Args:
        *parts: The constraints, in the order in which their hooks run.

    Raises:
        ValueError: Two of them define the score.
    """

    def __init__(self, *parts: Constraint) -> None:
        scoring = [part for part in parts if type(part).score is not Constraint.score]
        if len(scoring) > 1:
            names = " and ".join(type(part).__name__ for part in scoring)
            raise ValueError(f"{names} each define the critic's score: at most one constraint may")
        self.parts = parts
        self._scoring = scoring[0] if scoring else Constraint()

    def prepare(self, critic: nn.Module) -> None:
        for part in self.parts:
            part.prepare(critic)

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._scoring.score(critic, x, y)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor | float:
        return sum(part.penalty(score, real, fake, y=y, generator=generator) for part in self.parts)

    def after_step(self, critic: nn.Module) -> None:
        for part in self.parts:
            part.after_step(critic)
