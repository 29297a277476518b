"""A GAN's training: n_dis critic steps, one generator step, over and over.

Every method runs through the same two functions (`steps`) with the same steps, batches and learning rates.
All random numbers come from one generator on the training device, saved with every checkpoint: a run that was
stopped goes on to the same weights, bit for bit, on the same machine with the same number of threads (on a
GPU as far as its kernels repeat themselves: some of cuDNN's do not). Several processes share a training as
`distributed` says.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from gncompanion.data import Dataset, Images, Prefetched, lies_on
from gncompanion.training import checkpoint
from gncompanion.training.agreement import Agreement
from gncompanion.training.averaging import Average
from gncompanion.training.cuda_graph import Captured, require_capturable
from gncompanion.training.distributed import current_share
from gncompanion.training.log import Log, remedy
from gncompanion.training.optimizers import RatedAdam
from gncompanion.training.random_states import random_states, restore_random_states
from gncompanion.training.schedule import Schedule
from gncompanion.training.sharing import share_out
from gncompanion.training.steps import Networks, improve_critic, improve_generator
from gncompanion.training.watch import SignalWatch, Watch

__all__ = ["Training"]


@dataclass
class Training:
    """A training in progress: everything that a checkpoint holds.

    Args:
        players: The networks, on their device.
        dataset: The real samples that the critic compares with.
        schedule: How long and how fast to train.
        seed: Seed of all random numbers.
        folder: The folder for checkpoints; None = none are written.
        settings_digest: Digest of all that decides how the run turns out, which its checkpoints bear; None =
            they bear none.
        keep_every: Checkpoints of multiples of this number of steps stay for good; None = the last two do.

    Attributes:
        step: Number of generator steps done.
        device: The device on which all of it happens.
        random: The source of all random numbers.
    """

    players: Networks
    dataset: Dataset
    schedule: Schedule
    seed: int = 0
    folder: Path | None = None
    settings_digest: int | None = None
    keep_every: int | None = None
    step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        players = self.players
        self.device = next(players.generator.parameters()).device
        self.share = current_share()
        schedule = self.schedule.decided(self.device, processes=self.share.world)
        self._turns = share_out(players, schedule, self.share)
        if schedule.channels_last:
            for module in (players.generator, players.critic):
                module.to(memory_format=torch.channels_last)  # activations follow the weights
        self.random = torch.Generator(self.device).manual_seed(self.seed)
        self._optimizers = {
            "critic": RatedAdam(players.critic, schedule.lr_critic, schedule),
            "generator": RatedAdam(players.generator, schedule.lr_generator, schedule),
        }
        self._average: Average | None = None
        if schedule.ema_decay is not None:
            self._average = Average(players.generator, decay=schedule.ema_decay, start=schedule.ema_start)
        self._log = Log(schedule.steps, self.folder, partial(remedy, self.dataset, device=self.device))
        self._agreement = Agreement(self.share, self.device)
        self._play = self._take_steps
        self._prefetched: Prefetched | None = None
        self._prefetched_state: dict[str, Any] | None = None

    @property
    def average(self) -> nn.Module | None:
        """The generator with averaged weights; None = there is no average."""
        return None if self._average is None else self._average.module

    @property
    def log(self) -> list[dict[str, float]]:
        """Rows of step and the means of `COLUMNS` over all steps since the row before."""
        return self._log.rows

    def run(self, *, progress: bool | None = None, watch: Watch | None = None) -> None:
        """Train from the present step to the last, with a checkpoint now and then and at the end.

        Args:
            progress: Whether to show a bar; None = only in a terminal.
            watch: The one that is told of each row of the log, and asked after each step whether to stop;
                then `step` is short of the schedule's, and the run can be resumed. None = a `SignalWatch`
                where there are checkpoints: SIGTERM, SIGHUP and SIGINT wait for one.

        Raises:
            NonFiniteLoss: A loss or a weight is not finite; at the first row of the log or checkpoint after
                it, before anything is saved.
            ValueError: An iteration is to be captured where that cannot be.
        """
        schedule = self.schedule
        if self.step >= schedule.steps:
            return
        self._prefetch()
        captured, required = self._captured(), bool(schedule.captured)
        if required:
            require_capturable(self.device, processes=self.share.world)
        hidden = True if self.share.rank else None if progress is None else not progress
        watched = nullcontext(watch or Watch()) if watch or not self.folder else SignalWatch()
        self.players.generator.train()
        self.players.critic.train()
        if captured:
            self._play = Captured(self._take_steps, self.random, required=required)
        else:
            self._play = self._take_steps
        show = tqdm(total=schedule.steps, initial=self.step, disable=hidden, leave=False, unit="step")
        with watched as watch, schedule.arithmetic(), show as bar:
            while self.step < schedule.steps:
                self._log.recent.append(self._iterate())
                self.step += 1
                bar.update()
                if self._report(watch):
                    return

    def _captured(self) -> bool:
        """Tell whether to capture iterations: as the schedule says, or where it leaves that open, can be."""
        if self.schedule.captured is not None:
            return self.schedule.captured
        decided = self.schedule.decided(self.device, processes=self.share.world).captured
        return bool(decided) and lies_on(self.dataset, self.device)

    def _prefetch(self) -> None:
        """Have batches gathered on the way, where the data do not lie on the device."""
        images = self.dataset
        if self._prefetched is None and isinstance(images, Images) and not lies_on(images, self.device):
            batch, state = self.schedule.batch_critic, self._prefetched_state
            self._prefetched = Prefetched(images, batch, self.random, state)

    def _batch(self) -> tuple[Tensor, Tensor | None]:
        if self._prefetched is not None:
            return self._prefetched.sample()
        return self.dataset.sample(self.schedule.batch_critic, self.random)

    def _report(self, watch: Watch) -> bool:
        """Write a row and a checkpoint where they are due; returns whether to stop."""
        step, schedule = self.step, self.schedule
        checkpoint_due = step == schedule.steps or step % schedule.checkpoint_every == 0
        row_due = checkpoint_due or step % schedule.log_every == 0
        if row_due:
            watch.row(self._log.write_row(step, self._modules(), self.share.mean))
        stop = self._agreement.stop(watch.stopping())
        if checkpoint_due or stop:
            self._save()
        return stop

    def _save(self) -> None:
        self._log.checked(self.step, self._modules())
        recent = self._recent()
        if self.folder and self.share.rank == 0:
            known = {} if self.settings_digest is None else {checkpoint.SETTINGS_DIGEST: self.settings_digest}
            content = {**self.state(), **recent, **known}
            checkpoint.save(self.folder, self.step, content, keep_every=self.keep_every)
        self.share.wait()

    def _recent(self) -> dict[str, Any]:
        """Gather what each process has noted since the last row; alone, `state` has all of it."""
        if self.share.world == 1 or not self._log.recent:
            return {}
        each = torch.stack(self.share.each(torch.stack(self._log.recent)))
        return {"recent": each.mean(0).tolist(), "recent_of_each": each.tolist()}

    def _iterate(self) -> Tensor:
        """Do an iteration, and wait for nothing; returns the values of `COLUMNS`, on the device."""
        values = self._play()
        if self._average:
            self._average.update(self.step)
        for optimizer in self._optimizers.values():
            optimizer.rates.step()
        return values

    def _take_steps(self) -> Tensor:
        """Do the critic steps and the generator step."""
        critic_values = torch.stack([self._improve_critic() for _ in range(self.schedule.n_dis)]).mean(0)
        return torch.cat([critic_values, self._improve_generator()])

    def _improve_critic(self) -> Tensor:
        players, adam = self._turns.critic, self._optimizers["critic"].adam
        real, y = self._batch()
        y = None if players.n_classes is None else y
        precision = self.schedule.autocast(self.device)
        parts = self.schedule.accumulation
        values = improve_critic(players, adam, real, self.random, y, precision=precision, parts=parts)
        return torch.stack([value.float() for value in values])

    def _improve_generator(self) -> Tensor:
        players, adam = self._turns.generator, self._optimizers["generator"].adam
        n, precision = self.schedule.batch_generator, self.schedule.autocast(self.device)
        parts = self.schedule.accumulation
        loss = improve_generator(players, adam, n, self.random, precision=precision, parts=parts)
        return loss.float().reshape(1)

    def _modules(self) -> dict[str, nn.Module]:
        players = {"generator": self.players.generator, "critic": self.players.critic}
        return players if self.average is None else {**players, "average": self.average}

    def state(self) -> dict[str, Any]:
        """Gather everything that the rest of the run depends on, for `load`; tensors are not copied.

        Returns:
            Tensors and plain values, nested in dicts and lists.
        """
        optimizers = self._optimizers.items()
        return {
            "step": self.step,
            "modules": {name: module.state_dict() for name, module in self._modules().items()},
            "optimizers": {name: optimizer.adam.state_dict() for name, optimizer in optimizers},
            "schedulers": {name: optimizer.rates.state_dict() for name, optimizer in optimizers},
            "random": self.random.get_state(),
            "global_random": random_states(),
            **({} if self._prefetched is None else {"prefetched": self._prefetched.state()}),
            **self._log.state(),
        }

    def load_networks(self, state: dict[str, Any]) -> None:
        """Go back to the networks and the log of what `state` returned, from where no training goes on.

        Args:
            state: A checkpoint's content; the optimizers' states may be missing.

        Raises:
            ValueError: It is of a step after the last.
        """
        if state["step"] > self.schedule.steps:
            raise ValueError(f"step {state['step']} comes after the last, {self.schedule.steps}")
        for name, module in self._modules().items():
            module.load_state_dict(state["modules"][name])
        self._log.rows, self.step = list(state["log"]), state["step"]

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned.

        Args:
            state: A checkpoint's content; one of the last step may come from another kind of device.

        Raises:
            ValueError: It is of a step after the last.
        """
        self.load_networks(state)
        if self.step >= self.schedule.steps:
            return
        for name, optimizer in self._optimizers.items():
            optimizer.adam.load_state_dict(state["optimizers"][name])
            optimizer.rates.load_state_dict(state["schedulers"][name])
        self.random.set_state(state["random"].cpu())
        self._prefetched, self._prefetched_state = None, state.get("prefetched")
        restore_random_states(state["global_random"])
        recent, each = state.get("recent", []), state.get("recent_of_each", [])
        own = each[self.share.rank] if len(each) == self.share.world else recent
        self._log.recent = [torch.tensor(values, device=self.device) for values in own]
