"""A constraint on a critic: at most four hooks, each of which does nothing here.

    prepare(critic)                       once, before training
    score(critic, x, y)                   wherever the critic's value is needed
    penalty(score, real, fake, y, ...)    added to the critic's loss
    after_step(critic)                    after the critic's optimizer step

`penalty` gets the scoring function, not the critic, so that a normalization and a penalty compose: what is
penalised, and what is measured later, is what was trained.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Composite", "Constraint", "Score"]

Score = Callable[[Tensor, Tensor | None], Tensor]


class Constraint:
    """No constraint at all."""

    def prepare(self, critic: nn.Module) -> None:
        """Change the critic once, before training.

        Args:
            critic: the module to be trained; changed in place.
        """

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the value that losses, penalties and measurements see.

        Args:
            critic: (N, ...) -> (N,).
            x: inputs (N, ...).
            y: labels (N,), if the critic is conditional.

        Returns:
            Scores (N,).
        """
        return critic(x) if y is None else critic(x, y)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor | float:
        """Compute what is added to the critic's loss.

        Args:
            score: the scoring function (x, y) -> (N,).
            real: real samples (N, ...).
            fake: as many generated samples (N, ...), without a graph to the generator.
            y: labels (N,), if the critic is conditional.
            generator: the source of random numbers, on the device of `real`.

        Returns:
            A scalar.
        """
        return 0.0

    def after_step(self, critic: nn.Module) -> None:
        """Change the critic's weights after each of its optimizer steps.

        Args:
            critic: the module in training; changed in place.
        """


class Composite(Constraint):
    """Several constraints at once: penalties add up, and at most one of them may define the score.

    Args:
        parts: the constraints, in the order in which their hooks run.

    Raises:
        ValueError: if two of them define the score.
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
