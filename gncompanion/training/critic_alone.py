"""A critic alone, trained on a fixed pair of distributions: what it learns when nobody answers it.

    minimise over f    loss.critic(score(real), score(fake)) + penalty

by the very critic step, Adam and batches of a GAN's training, with the pair's second distribution in the
generator's place. With the Wasserstein loss the trained critic reports

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
from torch import Tensor
from torch.optim import Adam

from gncompanion import constraints, models
from gncompanion.data import Dataset, Pair
from gncompanion.tools.names import pick
from gncompanion.training.loop import NonFiniteLoss
from gncompanion.training.losses import LOSSES
from gncompanion.training.schedule import Schedule
from gncompanion.training.steps import Networks, critic_step

__all__ = ["TrainedCritic", "train_critic"]


@dataclass(frozen=True, kw_only=True)
class _Fixed(Networks):
    """A game in which the generator's samples come from a data set."""

    fake: Dataset

    def generate(self, n: int, random: torch.Generator, y: Tensor | None = None) -> Tensor:
        return self.fake.sample(n, random)[0]


@dataclass(frozen=True)
class TrainedCritic:
    """A critic and the pair that it was trained on.

    Attributes:
        pair: what it tells apart.
        losses: the critic's loss, penalty included, at each step.
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
            n: fresh samples of either.
            seed: of their draw.
        """
        real, fake, _ = self._fresh(n, seed)
        with torch.no_grad():
            return (self.score(real).mean() - self.score(fake).mean()).item()

    def objective(self, n: int = 4096, *, seed: int = 0) -> float:
        """Compute the estimate less the penalty at the same samples.

        Args:
            n: fresh samples of either.
            seed: of their draw.
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
        pair: real and fake distribution.
        constraint: a name of `constraints.CONSTRAINTS`, or several joined by "+".
        loss: a name of `LOSSES`.
        network: a name of `models.NETWORKS`; its critic is used.
        schedule: steps, batch_critic, lr_critic, betas and lr_decay count; the rest is for GANs.
        network_options: the network's own arguments.
        constraint_options: the constraint's own arguments.
        seed: of the weights and of all samples.

    Returns:
        The critic, in evaluation mode.

    Raises:
        ValueError: for an unknown name or option.
        NonFiniteLoss: if the loss is not finite at some step.
    """
    schedule = schedule or Schedule()
    random, shape = torch.Generator().manual_seed(seed), pair.real.shape
    rule = constraints.build(constraint, shape=shape, **(constraint_options or {}))
    _, critic = models.build(network, shape, generator=random, **(network_options or {}))
    rule.prepare(critic)
    players = _Fixed(None, critic, rule, pick("loss", loss, LOSSES), fake=pair.fake)
    optimizer = Adam(critic.parameters(), lr=schedule.lr_critic, betas=schedule.betas, fused=True)
    losses = torch.empty(schedule.steps)
    for step in range(schedule.steps):
        optimizer.param_groups[0]["lr"] = schedule.lr_critic * schedule.lr_factor(step)
        losses[step] = _improve(players, pair.real, optimizer, schedule.batch_critic, random)
    _require_finite(losses)
    critic.eval()
    return TrainedCritic(pair, losses.tolist(), players)


def _improve(
    players: Networks, real: Dataset, optimizer: Adam, batch: int, random: torch.Generator
) -> Tensor:
    loss, *_ = critic_step(players, real.sample(batch, random)[0], random)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    players.constraint.after_step(players.critic)
    return loss.detach()


def _require_finite(losses: Tensor) -> None:
    if len(wrong := (~losses.isfinite()).nonzero()):
        step = int(wrong[0])
        raise NonFiniteLoss(
            f"step {step + 1} of {len(losses)}: the critic's loss is {losses[step]:.4g}. "
            "Lower the learning rate."
        )
