"""A critic alone, trained on a fixed pair of distributions: what it learns when nobody answers it.

    minimise over f    loss.critic(score(real), score(fake)) + penalty

by the very critic step, Adam and batches of a GAN's training, with the pair's second distribution in the
generator's place. With the Wasserstein loss (arXiv 1701.07875) the trained critic reports

    estimate     mean score(real) − mean score(fake)          on fresh samples
    objective    the estimate less the penalty there

and a 1-Lipschitz score can report the pair's exact W1 at most, but for what fresh samples scatter. Which of
the two numbers estimates what is the constraint's affair: the Wasserstein divergence is the objective's
maximum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gncompanion import constraints, models
from gncompanion.data import Dataset, Pair
from gncompanion.tools.names import pick
from gncompanion.training.log import NonFiniteLoss, remedy
from gncompanion.training.losses import LOSSES
from gncompanion.training.optimizers import RatedAdam
from gncompanion.training.schedule import Schedule
from gncompanion.training.steps import Networks, improve_critic

__all__ = ["TrainedCritic", "train_critic"]


@dataclass(frozen=True, kw_only=True)
class _Fixed(Networks):
    """A game in which the generator's samples come from a data set.

    Attributes:
        fake: The data set.
    """

    fake: Dataset

    def generate(self, n: int, random: torch.Generator, y: Tensor | None = None) -> Tensor:
        return self.fake.sample(n, random)[0]


@dataclass(frozen=True)
class TrainedCritic:
    """A critic and the pair that it was trained on.

    Attributes:
        pair: The pair of distributions that it tells apart.
        losses: The critic's loss, penalty included, at each step.
    """

    pair: Pair
    losses: list[float]
    _players: Networks

    def score(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the constrained critic's value, the one that was trained: x (N, ...) -> (N,)."""
        return self._players.score(x, y)

    def estimate(self, n: int = 4096, *, seed: int = 0) -> float:
        """Compute mean score(real) − mean score(fake).

        Args:
            n: Number of fresh samples of either distribution.
            seed: Seed of the draw.

        Returns:
            The difference, in the units of W1 where the score is 1-Lipschitz.
        """
        real, fake, _ = self._fresh(n, seed)
        with torch.no_grad():
            return (self.score(real).mean() - self.score(fake).mean()).item()

    def objective(self, n: int = 4096, *, seed: int = 0) -> float:
        """Compute the estimate less the penalty at the same samples.

        Args:
            n: Number of fresh samples of either distribution.
            seed: Seed of the draw.

        Returns:
            The difference.
        """
        real, fake, random = self._fresh(n, seed)
        penalty = self._players.constraint.penalty(self._players.score, real, fake, generator=random)
        return self.estimate(n, seed=seed) - torch.as_tensor(penalty).item()

    def _fresh(self, n: int, seed: int) -> tuple[Tensor, Tensor, torch.Generator]:
        random = torch.Generator().manual_seed(seed)
        return self.pair.real.sample(n, random)[0], self.pair.fake.sample(n, random)[0], random


def train_critic(
    pair: Pair,
    constraint: str,
    *,
    loss: str = "wasserstein",
    network: str = "mlp",
    schedule: Schedule | None = None,
    network_options: Mapping[str, Any] | None = None,
    constraint_options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> TrainedCritic:
    """Train a critic on a pair, on the CPU.

    Args:
        pair: The real and the fake distribution.
        constraint: A name of `constraints.CONSTRAINTS`, or several joined by "+".
        loss: A name of `LOSSES`.
        network: A name of `models.NETWORKS`; its critic is used.
        schedule: How long and how fast to train; steps, batch_critic, lr_critic, betas and lr_decay count,
            the rest is for GANs.
        network_options: The network's own arguments.
        constraint_options: The constraint's own arguments.
        seed: Seed of the weights and of all samples.

    Returns:
        The critic, in evaluation mode.

    Raises:
        ValueError: A name or an option is unknown.
        NonFiniteLoss: The loss is not finite at some step.
    """
    schedule = schedule or Schedule()
    random, shape = torch.Generator().manual_seed(seed), pair.real.shape
    rule = constraints.build(constraint, shape=shape, **(constraint_options or {}))
    _, critic = models.build(network, shape, generator=random, **(network_options or {}))
    rule.prepare(critic)
    players = _Fixed(nn.Identity(), critic, rule, pick("loss", loss, LOSSES), fake=pair.fake)
    optimizer = RatedAdam(critic, schedule.lr_critic, schedule)
    losses = torch.empty(schedule.steps)
    for step in range(schedule.steps):
        real, _ = pair.real.sample(schedule.batch_critic, random)
        losses[step], *_ = improve_critic(players, optimizer.adam, real, random)
        optimizer.rates.step()
    _require_finite(losses, pair)
    critic.eval()
    return TrainedCritic(pair, losses.tolist(), players)


def _require_finite(losses: Tensor, pair: Pair) -> None:
    if len(wrong := (~losses.isfinite()).nonzero()):
        step = int(wrong[0])
        raise NonFiniteLoss(
            f"step {step + 1} of {len(losses)}: the critic's loss is {losses[step]:.4g}. "
            f"{remedy(pair.real, pair.fake)}"
        )
