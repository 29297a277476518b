"""The two steps of a GAN, and the players that take them.

    critic step       minimise  loss.critic(score(real), score(G(z))) + penalty    both kinds in one batch
    generator step    minimise  loss.generator(score(G(z)))                        with the critic frozen

`score` is the constraint's, so that every method runs through the same functions: `critic_step` and
`generator_step` compute what is minimised, `improve_critic` and `improve_generator` go on to change the
weights. Networks that know labels get them: a critic's generated samples those of the real ones beside them,
a generator's step ones drawn uniformly. Several processes share a step as `distributed` says.

In `parts`, for less memory: the critic sees the batch in so many parts one after the other, and gradients add
up. The generator makes the whole batch at once, since batch normalization couples its samples. A score is a
sample's own, gradient normalization's too, so that the step is that of the whole batch but for rounding; what
a penalty draws (interpolates, shifts) is drawn part by part, the same in distribution only. Spectral
normalization takes a step of its power iteration with each part.

Source: Goodfellow et al. (arXiv 1406.2661).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gncompanion.constraints import Constraint, Score
from gncompanion.training.distributed import Share, bare
from gncompanion.training.losses import Loss

__all__ = [
    "Networks",
    "critic_step",
    "descend",
    "generator_step",
    "improve_critic",
    "improve_generator",
    "update_critic",
]


@dataclass(frozen=True)
class Networks:
    """The players, and the rules of the game.

    Attributes:
        generator: The generator, z (N, z_dim) -> x (N, ...).
        critic: The critic, x (N, ...) -> (N,), already prepared by the constraint.
        constraint: The constraint, which says what the critic's score is, and what its loss adds.
        loss: The adversarial loss.
        share: The part of every batch that is this process's.
    """

    generator: nn.Module
    critic: nn.Module
    constraint: Constraint
    loss: Loss
    share: Share = field(default_factory=Share)

    @property
    def n_classes(self) -> int | None:
        """Number of labels of a conditional generator; None = unconditional."""
        known: int | None = self._of_generator("n_classes", None)
        return known

    @property
    def z_dim(self) -> int:
        """Dimension of the generator's noise."""
        dimension: int = self._of_generator("z_dim")
        return dimension

    @property
    def score(self) -> Score:
        """The constrained critic's value, as a function of x (N, ...) and labels (N,)."""
        return Score(self.constraint, self.critic)

    def generate(self, n: int, random: torch.Generator, y: Tensor | None = None) -> Tensor:
        """Draw this process's part of n samples from the generator in its present mode, with labels y."""
        z = torch.randn(n, self.z_dim, generator=random, device=random.device)
        z = self.share.part(z)
        x: Tensor = self.generator(z) if y is None else self.generator(z, y)
        return x

    def _of_generator(self, name: str, *default: Any) -> Any:
        return getattr(bare(self.generator), name, *default)


def critic_step(
    players: Networks, real: Tensor, random: torch.Generator, y: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the critic's loss.

    Args:
        players: The networks.
        real: Real samples (N, ...), of all processes.
        random: The source of random numbers.
        y: Labels (N,), which generated samples get too; for conditional networks.

    Returns:
        The loss, and the mean scores of real and of generated samples; three scalars.
    """
    real, fake, y = _batch(players, real, random, y)
    return _critic_loss(players, real, fake, y, players.share.own(random))


def _batch(
    players: Networks, real: Tensor, random: torch.Generator, y: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """This process's part of the real samples and labels, and as many generated samples."""
    n, real, y = len(real), players.share.part(real), None if y is None else players.share.part(y)
    with torch.no_grad():
        fake = players.generate(n, random, y)
    return real, fake, y


def _critic_loss(
    players: Networks, real: Tensor, fake: Tensor, y: Tensor | None, own: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    score_real, score_fake, score = players.score.both(real, fake, y)
    loss = players.loss.critic(score_real, score_fake)
    loss = loss + players.constraint.penalty(score, real, fake, y=y, generator=own)
    return loss, score_real.detach().mean(), score_fake.detach().mean()


def generator_step(players: Networks, n: int, random: torch.Generator) -> Tensor:
    """Compute the generator's loss.

    Args:
        players: The networks; the critic is left without gradients.
        n: Number of samples to draw, of all processes.
        random: The source of random numbers.

    Returns:
        The loss, a scalar.
    """
    with _frozen(players.critic):
        x, y = _generated(players, n, random)
        return players.loss.generator(players.score(x, y))


def _generated(players: Networks, n: int, random: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """This process's part of n generated samples, with a graph, and of their labels."""
    y = None
    if players.n_classes is not None:
        y = torch.randint(players.n_classes, (n,), generator=random, device=random.device)
        y = players.share.part(y)
    return players.generate(n, random, y), y


def improve_critic(
    players: Networks,
    optimizer: Optimizer,
    real: Tensor,
    random: torch.Generator,
    y: Tensor | None = None,
    *,
    precision: AbstractContextManager[None] | None = None,
    parts: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take one critic step: loss, gradients, the optimizer's step, and the constraint's turn after it.

    Args:
        players: The networks; the critic's weights are changed.
        optimizer: The optimizer of the critic's parameters.
        real: Real samples (N, ...), of all processes.
        random: The source of random numbers.
        y: Labels (N,), which generated samples get too; for conditional networks.
        precision: The context of the forward, such as `Schedule.autocast`; None = as torch is set.
        parts: Number of equal parts in which the critic sees the batch.

    Returns:
        What `critic_step` returns, without a graph.
    """
    if parts == 1:
        with precision or nullcontext():
            loss, score_real, score_fake = critic_step(players, real, random, y)
        update_critic(players, optimizer, loss)
        return loss.detach(), score_real, score_fake
    with precision or nullcontext():
        real, fake, y = _batch(players, real, random, y)
    own, found = players.share.own(random), []
    optimizer.zero_grad(set_to_none=True)
    labels = [None] * parts if y is None else y.chunk(parts)
    for one_real, one_fake, one_y in zip(real.chunk(parts), fake.chunk(parts), labels, strict=True):
        with precision or nullcontext():
            loss, *scores = _critic_loss(players, one_real, one_fake, one_y, own)
        (loss / parts).backward()
        found.append(torch.stack([loss.detach(), *scores]))
    optimizer.step()
    players.constraint.after_step(bare(players.critic))
    loss, score_real, score_fake = torch.stack(found).mean(0)
    return loss, score_real, score_fake


def update_critic(players: Networks, optimizer: Optimizer, loss: Tensor) -> None:
    """Do the second half of a critic step: gradients, the optimizer's step, and the constraint's turn.

    Args:
        players: The networks; the critic's weights are changed.
        optimizer: The optimizer of the critic's parameters.
        loss: The loss that `critic_step` returned.
    """
    descend(optimizer, loss)
    players.constraint.after_step(bare(players.critic))


def improve_generator(
    players: Networks,
    optimizer: Optimizer,
    n: int,
    random: torch.Generator,
    *,
    precision: AbstractContextManager[None] | None = None,
    parts: int = 1,
) -> Tensor:
    """Take one generator step: loss, gradients, the optimizer's step.

    Args:
        players: The networks; the generator's weights are changed.
        optimizer: The optimizer of the generator's parameters.
        n: Number of samples to draw, of all processes.
        random: The source of random numbers.
        precision: The context of the forward, such as `Schedule.autocast`; None = as torch is set.
        parts: Number of equal parts in which the critic sees the batch.

    Returns:
        The loss, a scalar without a graph.
    """
    if parts == 1:
        with precision or nullcontext():
            loss = generator_step(players, n, random)
        descend(optimizer, loss)
        return loss.detach()
    optimizer.zero_grad(set_to_none=True)
    with precision or nullcontext():
        x, y = _generated(players, n, random)
    seen, losses = x.detach().requires_grad_(), []
    labels = [None] * parts if y is None else y.chunk(parts)
    with _frozen(players.critic):
        for one, one_y in zip(seen.chunk(parts), labels, strict=True):
            with precision or nullcontext():
                loss = players.loss.generator(players.score(one, one_y))
            (loss / parts).backward()
            losses.append(loss.detach())
    x.backward(seen.grad)
    optimizer.step()
    return torch.stack(losses).mean()


def descend(optimizer: Optimizer, loss: Tensor) -> None:
    """Let an optimizer take one step down a loss.

    Args:
        optimizer: The optimizer; its parameters' old gradients are dropped first.
        loss: A scalar.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
