"""An experiment: plain values in, a finished run out.

    Experiment(dataset="digits", network="dcgan", constraint="gn", loss="hinge", seed=0).run() -> Run

An experiment is a value: making one checks names and numbers, and opens, builds and computes nothing. It is
the only place where names become objects: `validate()` tries whether they fit together, and `run()` begins
with that. A finished run is a resumed run with no steps left: `run()` opens the folder
`runs()/<slug>-<digest of all settings>`, and loads, resumes or trains as it finds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gncompanion import constraints, data, models
from gncompanion.data import Dataset
from gncompanion.experiment import files
from gncompanion.experiment.run import Run, Stopped, stream
from gncompanion.experiment.settings import (
    as_recorded,
    digest_of_results,
    own_options,
    own_schedule,
    plain,
    with_whole_path,
)
from gncompanion.tools import checks, paths
from gncompanion.tools.files import locked
from gncompanion.tools.names import require_known
from gncompanion.training import (
    LOSSES,
    Networks,
    Schedule,
    Training,
    Watch,
    checkpoint,
    critic_step,
    current_share,
    require_capturable,
)
from gncompanion.training.devices import device_named, require_usable
from gncompanion.training.random_states import kept_random_states

__all__ = ["FORMAT", "Experiment"]

FORMAT = 1  # raised when a change of the code makes the same settings train to something else


@dataclass(frozen=True)
class Experiment:
    """Everything that decides how a run turns out.

    >>> Experiment(constraint="gn+cr", seed=7).portable_settings()["constraint"]
    'gn+cr'

    Attributes:
        dataset: A name of `data.DATASETS`.
        network: A name of `models.NETWORKS`.
        constraint: A name of `constraints.CONSTRAINTS`, or several joined by "+".
        loss: A name of `LOSSES`.
        schedule: How long and how fast to train, a `Schedule` or a mapping of its fields.
        dataset_options: The data set's own arguments.
        network_options: The networks' own arguments.
        constraint_options: The constraint's own arguments.
        seed: Seed of the weights and of everything drawn in training, from 0 on.
        device: "auto" (CUDA where there is a GPU), or torch's name for a device.

    Raises:
        ValueError: A name is unknown, or a value is out of range or not plain; what only data, networks or a
            device can show is refused by `validate`.
    """

    dataset: str = "digits"
    network: str = "dcgan"
    constraint: str = "gn"
    loss: str = "hinge"
    schedule: Schedule = field(default_factory=Schedule)
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    network_options: Mapping[str, Any] = field(default_factory=dict)
    constraint_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("dataset", "network", "constraint", "loss", "device"):
            value = getattr(self, name)
            checks.require(name, value, isinstance(value, str), "a name")
        require_known("unknown data set", self.dataset, data.DATASETS)
        require_known("unknown network", self.network, models.NETWORKS)
        for part in self.constraint.split("+"):
            require_known("unknown constraint", part, constraints.CONSTRAINTS)
        require_known("unknown loss", self.loss, LOSSES)
        device_named(self.device)
        for name in ("dataset_options", "network_options", "constraint_options"):
            object.__setattr__(self, name, own_options(name, getattr(self, name)))
        object.__setattr__(self, "dataset_options", with_whole_path(self.dataset_options))
        object.__setattr__(self, "schedule", own_schedule(self.schedule))
        checks.whole("seed", self.seed, low=0)

    @classmethod
    def of(cls, folder: str | Path, *, device: str | None = None) -> Experiment:
        """Read a run's experiment back from its folder.

        Args:
            folder: The run's folder.
            device: The device on which to open the run, if it is finished; None = where it was trained.

        Returns:
            The experiment; its `run(folder)` loads, or goes on.

        Raises:
            FileNotFoundError: There is no run.
            ValueError: Its settings are none of this version's.
        """
        settings = files.read_settings(Path(folder))
        known = {name: value for name, value in settings.items() if name in cls.__dataclass_fields__}
        return cls(**(known if device is None else {**known, "device": device}))

    def validate(self) -> None:
        """Show that all parts are here and fit together, by one critic step on two samples, on the CPU.

        Raises:
            ValueError: An option is unknown or out of range, parts do not fit together, or the device cannot
                be used.
            FileNotFoundError: The data set is not here.
            Unsupported: The critic is not piecewise linear, and a constraint's method is "linear".
        """
        require_usable(self.device)
        players, random = self._players(), torch.Generator().manual_seed(0)
        if players.n_classes not in (None, known := self._data.n_classes):
            raise ValueError(
                f"n_classes={players.n_classes}, but {self.dataset!r} has {known or 'no'} labels"
            )
        real, y = self._data.sample(2, random)
        if not real.isfinite().all():
            raise ValueError(
                f"the samples of data set {self.dataset!r} are not finite: check dataset_options"
            )
        critic_step(players, real, random, None if players.n_classes is None else y)

    def portable_settings(self) -> dict[str, Any]:
        """Gather the settings that are the same on every machine, as plain values, 1.0 and 1 alike.

        Returns:
            All settings but the kind of device and the digest of the data, which need not be here.
        """
        own = plain({**asdict(self), "schedule": as_recorded(asdict(self.schedule)), "format": FORMAT})
        del own["device"]
        return own

    def settings(self) -> dict[str, Any]:
        """Gather everything that the folder's digest covers, as plain values, 1.0 and 1 alike.

        Returns:
            The portable settings, the kind of device, and the digest of the data, which is opened for it.
        """
        here = {"device": self._device().type, "data_digest": self._data.digest}
        return self.portable_settings() | here

    def folder(self) -> Path:
        """Name the run's place: `runs()/<data set>-<network>-<constraint>-<seed>-<digest>`."""
        text = json.dumps(self.settings(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return paths.runs() / f"{self.dataset}-{self.network}-{self.constraint}-{self.seed}-{digest}"

    def is_finished(self, folder: str | Path | None = None) -> bool:
        """Tell whether the run in a folder, None = `folder()`, has been trained to its end."""
        return ((self.folder() if folder is None else Path(folder)) / files.LOG).exists()

    def require_startable(self, folder: Path) -> None:
        """Refuse to begin what cannot run on this device; a run that is there may be finished.

        Args:
            folder: The run's folder.

        Raises:
            ValueError: The schedule captures a CUDA graph, and the device is no GPU, or several processes
                share the training.
        """
        if self.schedule.captured and not (folder / files.SETTINGS).exists():
            require_capturable(self._device(), processes=current_share().world)

    def run(
        self,
        folder: str | Path | None = None,
        *,
        progress: bool | None = None,
        watch: Watch | None = None,
        train: bool = True,
        keep_every: int | None = None,
    ) -> Run:
        """Train, resume or load; a second process that wants the same run waits for the first.

        Args:
            folder: The run's folder; None = `folder()`.
            progress: Whether to show a bar; None = only in a terminal.
            watch: The one that is told of the progress, and asked whether to stop.
            train: Whether to train what is missing; otherwise a run that is not finished is refused.
            keep_every: Checkpoints of multiples of this number of steps stay, for `at`; None = none do.

        Returns:
            The finished run.

        Raises:
            Stopped: The watch said so; there is a checkpoint to go on from.
            ValueError: `validate` refuses the experiment, the folder holds a run with other settings, whose
                differences are listed, or another run's checkpoint; or its last one is gone, without `train`.
            FileNotFoundError: The data set is not here.
            Unsupported: As in `validate`.
            RuntimeError: All of its checkpoints are damaged.
            NonFiniteLoss: The training breaks down.
        """
        self.validate()
        folder, among = self.folder() if folder is None else Path(folder), current_share()
        self.require_startable(folder)
        alone = locked(folder) if among.rank == 0 else nullcontext()
        with alone, kept_random_states():
            if among.rank == 0:
                files.claim(folder, self.settings(), finished=self.is_finished(folder))
            among.wait()
            training = self._training(folder, keep_every)
            checkpoint.newest(
                folder,
                device=training.device,
                settings_digest=training.settings_digest,
                use=training.load,
            )
            if not train and training.step < self.schedule.steps:
                raise ValueError(
                    f"{folder} was trained, but has no sound checkpoint of its last step, "
                    f"{self.schedule.steps}, any more (the newest is of step {training.step}): train it again"
                )
            training.run(progress=progress, watch=watch)
            if training.step < self.schedule.steps:
                raise Stopped(f"stopped after step {training.step} of {self.schedule.steps}: {folder}")
            if among.rank == 0:
                files.keep_log(folder, training.log)
        return Run(self.settings(), training)

    def at(self, step: int, folder: str | Path | None = None) -> Run:
        """Open the run as it was after a step that is no longer its last.

        Args:
            step: Number of generator steps done; the run's `keep_every` has kept it.
            folder: The run's folder; None = `folder()`.

        Returns:
            The run, with the log up to there.

        Raises:
            FileNotFoundError: The step's checkpoint was not kept, or the data set is not here.
            ValueError: The checkpoint is another run's.
            Refusal: The checkpoint is damaged.
        """
        folder = self.folder() if folder is None else Path(folder)
        with kept_random_states():
            training = self._training(folder)
            checkpoint.at(
                folder,
                step,
                device=training.device,
                settings_digest=training.settings_digest,
                use=training.load_networks,
            )
        return Run(self.settings(), training)

    def _device(self) -> torch.device:
        return device_named(self.device)

    @cached_property
    def _data(self) -> Dataset:
        return data.load(self.dataset, **self.dataset_options)

    def players(self) -> Networks:
        """Make the networks as they are before training, on the CPU, the critic prepared."""
        players = self._players()
        players.constraint.prepare(players.critic)
        return players

    def _players(self) -> Networks:
        """Turn names into objects."""
        shape, weights = self._data.shape, torch.Generator().manual_seed(stream("weights", self.seed))
        constraint = constraints.build(self.constraint, shape=shape, **self.constraint_options)
        generator, critic = models.build(self.network, shape, generator=weights, **self.network_options)
        return Networks(generator, critic, constraint, LOSSES[self.loss])

    def _training(self, folder: Path, keep_every: int | None = None) -> Training:
        players, device = self.players(), self._device()
        players.generator.to(device)
        players.critic.to(device)
        seed, digest = stream("training", self.seed), digest_of_results(self.settings())
        return Training(players, self._data, self.schedule, seed, folder, digest, keep_every)
