"""A constraint on a critic: at most four hooks, each of which does nothing here.

    prepare(critic)                       once, before training
    score(critic, x, y)                   wherever the critic's value is needed
    penalty(score, real, fake, y, ...)    added to the critic's loss
    after_step(critic)                    after the critic's optimizer step

`penalty` gets the scoring function, not the critic, so that a normalization and a penalty compose: what is
penalised, and what is measured later, is what was trained. The scoring function is a `Score`, a constraint
bound to a critic. A penalty on weights, which are no function of samples, finds the critic in it; one on the
gradient at the very batch that was scored finds value and gradient in it, so that nothing is paid twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import nan

import torch
from torch import Tensor, nn

from gncompanion.input_gradient import value_and_input_gradient

__all__ = ["PLACES", "Composite", "Constraint", "Score"]

PLACES = ("real", "fake", "both")  # the parts of a batch, as `SAMPLINGS` calls them


class Constraint:
    """No constraint at all.

    Attributes:
        gradient_method: How the score's input gradient is to be found at the batch that is scored, since the
            penalty asks for it there; None = it does not.
        asks_scores: Whether the penalty asks for the scores of the batch that is scored.
    """

    gradient_method: str | None = None
    asks_scores: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the score is the critic's own value."""
        return type(self).score is Constraint.score

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
class _Scored:
    """A batch, real samples before generated ones, with the score's value, and gradient if one was found."""

    uses: list[tuple[Tensor, float]]
    method: str | None
    f: Tensor
    g: Tensor | None


@dataclass(frozen=True)
class Score:
    """The scoring function: a constraint's score of one critic, called as (x, y) -> (N,).

    Attributes:
        constraint: The constraint, whose hook computes the score.
        critic: The critic, (N, ...) -> (N,).
    """

    constraint: Constraint
    critic: nn.Module
    _scored: _Scored | None = field(default=None, repr=False, compare=False)

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.constraint.score(self.critic, x, y)

    @property
    def function(self) -> Callable[..., Tensor]:
        """The same function; the critic itself where that is its own value: messages can name its parts."""
        return self.critic if self.constraint.is_plain else self

    def both(self, real: Tensor, fake: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor, Score]:
        """Score a batch in one pass, and keep its gradient where the constraint's penalty asks for it.

        Args:
            real: Real samples, (N, ...).
            fake: As many generated samples, (N, ...).
            y: Labels, (N,), of real and generated samples alike.

        Returns:
            The scores of the real and of the generated samples, (N,) each, and the scoring function that the
            penalty is to be given.
        """
        x, labels = torch.cat([real, fake]), () if y is None else (torch.cat([y, y]),)
        method = self.constraint.gradient_method
        if method is None and not self.constraint.asks_scores:
            score_real, score_fake = self(x, *labels).split(len(real))
            return score_real, score_fake, self
        uses, g = self._uses(real, fake, y), None
        if method is None:
            f = self(x, *labels)
        else:
            f, g = value_and_input_gradient(self.function, x, *labels, method=method)
        score_real, score_fake = f.split(len(real))
        return score_real, score_fake, replace(self, _scored=_Scored(uses, method, f, g))

    def remembered(
        self, at: str, real: Tensor, fake: Tensor, *, y: Tensor | None, method: str
    ) -> tuple[Tensor, Tensor] | None:
        """Look up value and gradient at a part of the batch that `both` has scored.

        Args:
            at: The part of the batch, one of `PLACES`, or another place.
            real: The real samples, (N, ...): the very tensor that was scored.
            fake: The generated ones, (N, ...), likewise.
            y: The labels, (N,), likewise.
            method: How the gradient is to be found.

        Returns:
            The values f, (M,), and the gradients g (M, ...); None where no pass has found them, or samples or
            weights have changed since.
        """
        known, n = self._unchanged(real, fake, y), len(real)
        if known is None or known.g is None or at not in PLACES or known.method != method:
            return None
        part = {"real": slice(n), "fake": slice(n, None), "both": slice(None)}[at]
        return known.f[part], known.g[part]

    def known(self, real: Tensor, fake: Tensor, *, y: Tensor | None) -> Tensor | None:
        """Look up the real samples' scores in the batch that `both` has scored.

        Args:
            real: The real samples, (N, ...): the very tensor that was scored.
            fake: The generated ones, (N, ...), likewise.
            y: The labels, (N,), likewise.

        Returns:
            The scores (N,), with their graph; None where no pass has found them, or samples or weights have
            changed since.
        """
        known = self._unchanged(real, fake, y)
        return None if known is None else known.f[: len(real)]

    def _unchanged(self, real: Tensor, fake: Tensor, y: Tensor | None) -> _Scored | None:
        """What `both` has found of these samples, if they and the weights are what they were."""
        if (known := self._scored) is None:
            return None
        uses = self._uses(real, fake, y)
        if len(uses) != len(known.uses):
            return None
        if any(a is not b or v != w for (a, v), (b, w) in zip(uses, known.uses, strict=True)):
            return None
        return known

    def _uses(self, *samples: Tensor | None) -> list[tuple[Tensor, float]]:
        """The samples and weights that the score is made of, and how often each was changed in place."""
        used = [*(x for x in samples if x is not None), *self.critic.parameters()]
        return [(x, nan if x.is_inference() else x._version) for x in used]  # not counted: never the same


class Composite(Constraint):
    """Several constraints at once: penalties add up, and at most one of them may define the score.

    Args:
        *parts: The constraints, in the order in which their hooks run.

    Raises:
        ValueError: Two of them define the score.
    """

    def __init__(self, *parts: Constraint) -> None:
        scoring = [part for part in parts if not part.is_plain]
        if len(scoring) > 1:
            names = " and ".join(type(part).__name__ for part in scoring)
            raise ValueError(f"{names} each define the critic's score: at most one constraint may")
        self.parts = parts
        self._scoring = scoring[0] if scoring else Constraint()
        methods = (part.gradient_method for part in parts if part.gradient_method is not None)
        self.gradient_method = next(methods, None)
        self.asks_scores = any(part.asks_scores for part in parts)

    @property
    def is_plain(self) -> bool:
        return self._scoring.is_plain

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
