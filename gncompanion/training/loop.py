"""A GAN's training: n_dis critic steps, one generator step, over and over.

Every method runs through the same two functions (`steps`) with the same steps, batches and learning rates.
All random numbers come from one generator on the training device, saved with every checkpoint: a run that was
stopped goes on to the same weights, bit for bit, on the same machine with the same number of threads (on a
GPU as far as its kernels repeat themselves: some of cuDNN's do not). Several processes share a training as
`distributed` says.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from gncompanion.data import Dataset
from gncompanion.training import checkpoint
from gncompanion.training.cuda_graph import Captured, require_capturable
from gncompanion.training.distributed import Share, share, shared_statistics
from gncompanion.training.schedule import Schedule
from gncompanion.training.steps import Networks, critic_step, generator_step

__all__ = ["COLUMNS", "NonFiniteLoss", "Training", "Watch"]

COLUMNS = ("critic_loss", "score_real", "score_fake", "generator_loss")


class NonFiniteLoss(RuntimeError):
    """A loss or weight is NaN or infinite; says at which step, the values and the last good checkpoint."""


class Watch:
    """What a training in progress tells, and is told; by default nothing."""

    def row(self, row: dict[str, float]) -> None:
        """Take note of a new row of the log.

        Args:
            row: step and the means of `COLUMNS`.
        """

    def stopping(self) -> bool:
        """Say whether to stop after this step, with a checkpoint."""
        return False


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
        self._share_out(share())
        if schedule.channels_last:
            for module in (players.generator, players.critic):
                module.to(memory_format=torch.channels_last)  # activations follow the weights
        self.random = torch.Generator(self.device).manual_seed(self.seed)
        self.optimizers = {
            "critic": self._adam(players.critic, schedule.lr_critic),
            "generator": self._adam(players.generator, schedule.lr_generator),
        }
        self.schedulers = {
            name: LambdaLR(optimizer, schedule.lr_factor) for name, optimizer in self.optimizers.items()
        }
        averaging = schedule.ema_decay is not None
        self.average = copy.deepcopy(players.generator).requires_grad_(False) if averaging else None
        pair = (self.average, players.generator) if averaging else ()
        self._weights = [list(module.parameters()) for module in pair]
        self._buffers = [list(module.buffers()) for module in pair]
        self._recent: list[Tensor] = []
        self._play = self._take_steps

    def _adam(self, module: nn.Module, lr: float) -> Adam:
        on_gpu = self.device.type == "cuda"  # there the rate lies beside the weights, as a graph needs it
        rate = torch.tensor(lr, device=self.device) if on_gpu else lr
        return Adam(module.parameters(), rate, self.schedule.betas, fused=True, capturable=on_gpu)

    def _share_out(self, among: Share) -> None:
        """Make the players as each of the two steps needs them: what learns there averages its gradients."""
        self.share = among
        self._critic_players = self._generator_players = self.players
        if among.world == 1:
            return
        schedule = self.schedule
        among.require_divisible(batch_critic=schedule.batch_critic, batch_generator=schedule.batch_generator)
        shared_statistics(self.players.generator, self.device)
        players = replace(self.players, share=among)
        self._critic_players = replace(players, critic=among.averaging(players.critic))
        self._generator_players = replace(players, generator=among.averaging(players.generator))

    def run(self, *, progress: bool | None = None, watch: Watch | None = None) -> None:
        """Train from the present step to the last, with a checkpoint now and then and at the end.

        Args:
            progress: show a bar; None = only in a terminal.
            watch: told of each row of the log, and asked after each step whether to stop; then `step` is
                short of the schedule's, and the run can be resumed.

        Raises:
            NonFiniteLoss: at the first log row or checkpoint after one, before anything is saved.
            ValueError: if an iteration is to be captured where that cannot be.
        """
        schedule = self.schedule
        if self.step >= schedule.steps:
            return
        if schedule.captured:
            require_capturable(self.device, processes=self.share.world)
        hidden = True if self.share.rank else None if progress is None else not progress
        watch = watch or Watch()
        self.players.generator.train()
        self.players.critic.train()
        self._play = Captured(self._take_steps, self.random) if schedule.captured else self._take_steps
        show = tqdm(total=schedule.steps, initial=self.step, disable=hidden, leave=False, unit="step")
        with schedule.arithmetic(), show as bar:
            while self.step < schedule.steps:
                self._recent.append(self._iterate())
                self.step += 1
                bar.update()
                due = self.step == schedule.steps or self.step % schedule.checkpoint_every == 0
                if row := due or self.step % schedule.log_every == 0:
                    self._write_row()
                    watch.row(self.log[-1])
                stop = self._agree_to_stop(watch, row)
                if due or stop:
                    self._save()
                if stop:
                    return

    def _agree_to_stop(self, watch: Watch, row: bool) -> bool:
        """Ask each process, but several ones only where they wait for each other anyway."""
        return (row or self.share.world == 1) and self.share.any(watch.stopping())

    def _save(self) -> None:
        self._values()
        if self.folder and self.share.rank == 0:
            checkpoint.save(self.folder, self.step, self.state())
        self.share.wait()

    def _iterate(self) -> Tensor:
        """Do an iteration, and wait for nothing; returns the values of `COLUMNS`, on the device."""
        values = self._play()
        self._update_average()
        for scheduler in self.schedulers.values():
            scheduler.step()
        return values

    def _take_steps(self) -> Tensor:
        """Do the critic steps and the generator step."""
        critic_values = torch.stack([self._improve_critic() for _ in range(self.schedule.n_dis)]).mean(0)
        return torch.cat([critic_values, self._improve_generator()])

    def _improve_critic(self) -> Tensor:
        players = self._critic_players
        real, y = self.dataset.sample(self.schedule.batch_critic, self.random)
        with self.schedule.autocast(self.device):
            y = None if players.n_classes is None else y
            loss, *scores = critic_step(players, real, self.random, y)
        self._descend("critic", loss)
        self.players.constraint.after_step(self.players.critic)
        return torch.stack([value.detach().float() for value in (loss, *scores)])

    def _improve_generator(self) -> Tensor:
        with self.schedule.autocast(self.device):
            loss = generator_step(self._generator_players, self.schedule.batch_generator, self.random)
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
        get_ema_multi_avg_fn(decay)(*self._weights, None)
        if self._buffers[0]:
            torch._foreach_copy_(*self._buffers)

    def _write_row(self) -> None:
        values = self.share.mean(self._values().to(self.device).mean(0)).tolist()
        self.log.append({"step": self.step, **dict(zip(COLUMNS, values, strict=True))})
        self._recent.clear()

    def _values(self) -> Tensor:
        """Look at the values since the last row, all at once: the only time that the host waits."""
        if not self._recent:
            return torch.zeros(0, len(COLUMNS))
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
        return values

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
            "recent": [values.tolist() for values in self._recent],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned.

        Args:
            state: a checkpoint's content; one of the last step may come from another kind of device.
        """
        for name, module in self._modules().items():
            module.load_state_dict(state["modules"][name])
        self.log, self.step = list(state["log"]), state["step"]
        if self.step >= self.schedule.steps:
            return
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state["schedulers"][name])
        self.random.set_state(state["random"].cpu())
        checkpoint.restore_random_states(state["global_random"])
        self._recent = [torch.tensor(values, device=self.device) for values in state.get("recent", [])]
