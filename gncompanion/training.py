"""A GAN's training: n_dis critic steps, one generator step, over and over.

    critic step       minimise  loss.critic(score(real), score(G(z))) + penalty    both kinds in one batch
    generator step    minimise  loss.generator(score(G(z)))                        with the critic frozen

`score` is the constraint's, so that every method runs through the same three functions with the same steps,
batches and learning rates. All random numbers come from one generator on the training device, saved with
every checkpoint: a run that was stopped goes on to the same weights, bit for bit, on the same machine with
the same number of threads (on a GPU as far as its kernels repeat themselves: some of cuDNN's do not).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from gncompanion import checkpoint
from gncompanion.constraints import Constraint
from gncompanion.data import Dataset
from gncompanion.losses import Loss
from gncompanion.schedule import Schedule

__all__ = ["COLUMNS", "Networks", "NonFiniteLoss", "Schedule", "Training", "critic_step", "generator_step"]

COLUMNS = ("critic_loss", "score_real", "score_fake", "generator_loss")


class NonFiniteLoss(RuntimeError):
    """A loss or weight is NaN or infinite; says at which step, the values and the last good checkpoint."""


@dataclass(frozen=True)
class Networks:
    """The players, and the rules of the game.

    Attributes:
        generator: z (N, z_dim) -> x.
        critic: x -> (N,), already prepared by the constraint.
        constraint: says what the critic's score is, and what its loss adds.
        loss: the adversarial loss.
    """

    generator: nn.Module
    critic: nn.Module
    constraint: Constraint
    loss: Loss

    def score(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the constrained critic's value: x (N, ...) -> (N,)."""
        return self.constraint.score(self.critic, x, y)

    def generate(self, n: int, random: torch.Generator) -> Tensor:
        """Draw n samples from the generator in its present mode."""
        z = torch.randn(n, self.generator.z_dim, generator=random, device=random.device)
        return self.generator(z)


def critic_step(players: Networks, real: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the critic's loss.

    Args:
        players: the networks.
        real: real samples (N, ...).
        random: the source of random numbers.

    Returns:
        The loss, and the mean scores of real and of generated samples; three scalars.
    """
    with torch.no_grad():
        fake = players.generate(len(real), random)
    score_real, score_fake = players.score(torch.cat([real, fake])).split(len(real))
    loss = players.loss.critic(score_real, score_fake)
    loss = loss + players.constraint.penalty(players.score, real, fake, generator=random)
    return loss, score_real.detach().mean(), score_fake.detach().mean()


def generator_step(players: Networks, n: int, random: torch.Generator) -> Tensor:
    """Compute the generator's loss.

    Args:
        players: the networks; the critic is left without gradients.
        n: samples to draw.
        random: the source of random numbers.

    Returns:
        The loss, a scalar.
    """
    with _frozen(players.critic):
        return players.loss.generator(players.score(players.generate(n, random)))


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


@dataclass
class Training:
    """A training in progress: everything that a checkpoint holds.

    Args:
        players: the networks, on their device.
        dataset: what the critic compares with.
        schedule: how long and how fast.
        seed: of all random numbers.
        folder: where checkpoints go; None = nowhere.

    Attributes:
        step: generator steps done.
        average: the generator with averaged weights, or None.
        log: rows of step and the means of `COLUMNS` over all steps since the row before.
        device: where all of it happens.
    """

    players: Networks
    dataset: Dataset
    schedule: Schedule
    seed: int = 0
    folder: Path | None = None
    step: int = field(default=0, init=False)
    log: list[dict[str, float]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        schedule, players = self.schedule, self.players
        self.device = next(players.generator.parameters()).device
        self.random = torch.Generator(self.device).manual_seed(self.seed)
        adam = partial(Adam, betas=schedule.betas, fused=True)
        self.optimizers = {
            "critic": adam(players.critic.parameters(), lr=schedule.lr_critic),
            "generator": adam(players.generator.parameters(), lr=schedule.lr_generator),
        }
        self.schedulers = {
            name: LambdaLR(optimizer, schedule.lr_factor) for name, optimizer in self.optimizers.items()
        }
        averaging = schedule.ema_decay is not None
        self.average = copy.deepcopy(players.generator).requires_grad_(False) if averaging else None
        self._recent: list[Tensor] = []

    def run(self, *, progress: bool | None = None) -> None:
        """Train from the present step to the last, with a checkpoint now and then and at the end.

        Args:
            progress: show a bar; None = only in a terminal.

        Raises:
            NonFiniteLoss: at the first log row or checkpoint after one, before anything is saved.
        """
        schedule = self.schedule
        hidden = None if progress is None else not progress
        self.players.generator.train()
        self.players.critic.train()
        with tqdm(total=schedule.steps, initial=self.step, disable=hidden, leave=False, unit="step") as bar:
            while self.step < schedule.steps:
                self._recent.append(self._iterate())
                self.step += 1
                bar.update()
                due = self.step == schedule.steps or self.step % schedule.checkpoint_every == 0
                if due or self.step % schedule.log_every == 0:
                    self._write_row()
                if due and self.folder:
                    checkpoint.save(self.folder, self.step, self.state())

    def _iterate(self) -> Tensor:
        """Do the critic steps and the generator step; returns the values of `COLUMNS`, on the device."""
        critic_values = torch.stack([self._improve_critic() for _ in range(self.schedule.n_dis)]).mean(0)
        generator_loss = self._improve_generator()
        self._update_average()
        for scheduler in self.schedulers.values():
            scheduler.step()
        return torch.cat([critic_values, generator_loss])

    def _improve_critic(self) -> Tensor:
        real, _ = self.dataset.sample(self.schedule.batch_critic, self.random)
        with self.schedule.autocast(self.device):
            loss, *scores = critic_step(self.players, real, self.random)
        self._descend("critic", loss)
        self.players.constraint.after_step(self.players.critic)
        return torch.stack([value.detach().float() for value in (loss, *scores)])

    def _improve_generator(self) -> Tensor:
        with self.schedule.autocast(self.device):
            loss = generator_step(self.players, self.schedule.batch_generator, self.random)
        self._descend("generator", loss)
        return loss.detach().float().reshape(1)

    def _descend(self, name: str, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is None:
            return
        decay = self.schedule.ema_decay if self.step >= self.schedule.ema_start else 0.0
        parameters = [list(module.parameters()) for module in (self.average, self.players.generator)]
        get_ema_multi_avg_fn(decay)(*parameters, None)
        for kept, new in zip(self.average.buffers(), self.players.generator.buffers(), strict=True):
            kept.copy_(new)

    def _write_row(self) -> None:
        """Look at the values since the last row, all at once: the only time that the host waits."""
        values = torch.stack(self._recent).cpu()
        wrong = (~values.isfinite()).any(dim=1).nonzero()
        if len(wrong):
            row = int(wrong[0])
            shown = zip(COLUMNS, values[row].tolist(), strict=True)
            what = f"a loss is not finite ({', '.join(f'{name} {value:.4g}' for name, value in shown)})"
            raise self._broken(self.step - len(values) + row + 1, what)
        for name, module in self._modules().items():  # a finite loss can have a gradient that is not
            numbers = [t.detach() for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
            if not (largest := get_total_norm(numbers, math.inf)).isfinite():
                raise self._broken(self.step, f"a weight of the {name} is {largest:.4g}")
        self.log.append({"step": self.step, **dict(zip(COLUMNS, values.mean(0).tolist(), strict=True))})
        self._recent.clear()

    def _broken(self, step: int, what: str) -> NonFiniteLoss:
        saved = checkpoint.ordered(self.folder) if self.folder else []
        good = f"the last good checkpoint is {saved[0]}" if saved else "there is no checkpoint yet"
        return NonFiniteLoss(
            f"step {step} of {self.schedule.steps}: {what}; {good}. Lower the learning rate."
        )

    def _modules(self) -> dict[str, nn.Module]:
        players = {"generator": self.players.generator, "critic": self.players.critic}
        return players if self.average is None else {**players, "average": self.average}

    def state(self) -> dict[str, Any]:
        """Gather everything that the rest of the run depends on, for `load`; tensors are not copied."""
        return {
            "step": self.step,
            "modules": {name: module.state_dict() for name, module in self._modules().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "schedulers": {name: scheduler.state_dict() for name, scheduler in self.schedulers.items()},
            "random": self.random.get_state(),
            "global_random": checkpoint.random_states(),
            "log": self.log,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned.

        Args:
            state: a checkpoint's content.
        """
        for name, module in self._modules().items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state["schedulers"][name])
        self.random.set_state(state["random"].cpu())
        checkpoint.restore_random_states(state["global_random"])
        self.log, self.step = list(state["log"]), state["step"]
        self._recent.clear()
