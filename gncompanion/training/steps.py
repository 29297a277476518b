"""The two steps of a GAN, and the players that take them.

    critic step       minimise  loss.critic(score(real), score(G(z))) + penalty    both kinds in one batch
    generator step    minimise  loss.generator(score(G(z)))                        with the critic frozen

`score` is the constraint's, so that every method runs through the same two functions. Networks that know
labels get them: a critic's generated samples those of the real ones beside them, a generator's step ones
drawn uniformly. Several processes share a step as `distributed` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gncompanion.constraints import Constraint, Score
from gncompanion.training.distributed import Share
from gncompanion.training.losses import Loss

__all__ = ["Networks", "critic_step", "generator_step"]


@dataclass(frozen=True)
class Networks:
    """The players, and the rules of the game.

    Attributes:
        generator: z (N, z_dim) -> x.
        critic: x -> (N,), already prepared by the constraint.
        constraint: says what the critic's score is, and what its loss adds.
        loss: the adversarial loss.
        share: which part of every batch is this process's.
    """

    generator: nn.Module
    critic: nn.Module
    constraint: Constraint
    loss: Loss
    share: Share = field(default_factory=Share)

    @property
    def n_classes(self) -> int | None:
        """Number of labels of a conditional generator; None = unconditional."""
        return getattr(_bare(self.generator), "n_classes", None)

    @property
    def score(self) -> Score:
        """The constrained critic's value, as a function of x (N, ...) and labels (N,)."""
        return Score(self.constraint, self.critic)

    def generate(self, n: int, random: torch.Generator, y: Tensor | None = None) -> Tensor:
        """Draw this process's part of n samples from the generator in its present mode, with labels y."""
        z = torch.randn(n, _bare(self.generator).z_dim, generator=random, device=random.device)
        z = self.share.part(z)
        return self.generator(z) if y is None else self.generator(z, y)


def critic_step(
    players: Networks, real: Tensor, random: torch.Generator, y: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the critic's loss.

    Args:
        players: the networks.
        real: real samples (N, ...), of all processes.
        random: the source of random numbers.
        y: labels (N,), which generated samples get too; for conditional networks.

    Returns:
        The loss, and the mean scores of real and of generated samples; three scalars.
    """
    n, real, y = len(real), players.share.part(real), None if y is None else players.share.part(y)
    with torch.no_grad():
        fake = players.generate(n, random, y)
    labels = None if y is None else torch.cat([y, y])
    score_real, score_fake = players.score(torch.cat([real, fake]), labels).split(len(real))
    loss = players.loss.critic(score_real, score_fake)
    own = players.share.own(random)
    loss = loss + players.constraint.penalty(players.score, real, fake, y=y, generator=own)
    return loss, score_real.detach().mean(), score_fake.detach().mean()


def generator_step(players: Networks, n: int, random: torch.Generator) -> Tensor:
    """Compute the generator's loss.

    Args:
        players: the networks; the critic is left without gradients.
        n: samples to draw, of all processes.
        random: the source of random numbers.

    Returns:
        The loss, a scalar.
    """
    y = None
    if players.n_classes is not None:
        y = torch.randint(players.n_classes, (n,), generator=random, device=random.device)
        y = players.share.part(y)
    with _frozen(players.critic):
        return players.loss.generator(players.score(players.generate(n, random, y), y))


def _bare(module: nn.Module) -> nn.Module:
    return module.module if isinstance(module, DistributedDataParallel) else module


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
