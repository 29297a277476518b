"""An experiment: plain values in, a finished run out.

    Experiment(dataset="digits", network="dcgan", constraint="gn", loss="hinge", seed=0).run() -> Run

It is the only place where names become objects. A finished run is a resumed run with no steps left: `run()`
opens `runs()/<slug>-<digest of all settings>`, and loads, resumes or trains as it finds it. There is no other
cache.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gncompanion import constraints, data, models
from gncompanion.data import Dataset
from gncompanion.experiment.run import Run, stream
from gncompanion.tools import paths
from gncompanion.tools.files import locked, write
from gncompanion.tools.names import pick
from gncompanion.training import (
    COLUMNS,
    LOSSES,
    Networks,
    Schedule,
    Training,
    Watch,
    checkpoint,
    critic_step,
    share,
)

__all__ = ["FORMAT", "Experiment", "Stopped", "plain"]

FORMAT = 1  # raised when a change of the code makes the same settings train to something else
SETTINGS = "settings.json"
LOG = "log.csv"


class Stopped(RuntimeError):
    """A training was told to stop before its end; says where it can go on."""


@dataclass(frozen=True)
class Experiment:
    """Everything that decides how a run turns out.

    Attributes:
        dataset: a name of `data.DATASETS`.
        network: a name of `models.NETWORKS`.
        constraint: a name of `constraints.CONSTRAINTS`, or several joined by "+".
        loss: a name of `LOSSES`.
        schedule: how long and how fast, a `Schedule` or a mapping of its fields.
        dataset_options: the data set's own arguments.
        network_options: the networks' own arguments.
        constraint_options: the constraint's own arguments.
        seed: of the weights and of everything drawn in training.
        device: "auto" (CUDA where there is one), or torch's name for one.

    Raises:
        ValueError: for an unknown name or option, a value out of range, or parts that do not fit together;
            before any work, but for one step on two samples that shows it.
        Unsupported: for a critic that is not piecewise linear, where a constraint's method is "linear".
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
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name}={getattr(self, name)!r} must be a name")
        for name in ("dataset_options", "network_options", "constraint_options"):
            object.__setattr__(self, name, _options(name, getattr(self, name)))
        object.__setattr__(self, "schedule", _schedule(self.schedule))
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"seed={self.seed!r} must be a non-negative integer")
        self._device()
        players, random = self._players(), torch.Generator().manual_seed(0)
        if players.n_classes not in (None, known := self._data.n_classes):
            raise ValueError(
                f"n_classes={players.n_classes}, but {self.dataset!r} has {known or 'no'} labels"
            )
        real, y = self._data.sample(2, random)
        critic_step(players, real, random, None if players.n_classes is None else y)

    @classmethod
    def of(cls, folder: str | Path, *, device: str | None = None) -> Experiment:
        """Read a run's experiment back from its folder.

        Args:
            folder: where the run lies.
            device: where to open the run, if it is finished; None = where it was trained.

        Returns:
            The experiment; its `run(folder)` loads, or goes on.

        Raises:
            FileNotFoundError: there is no run.
            ValueError: its settings are not what this version makes of them.
        """
        file = Path(folder) / SETTINGS
        if not file.exists():
            raise FileNotFoundError(f"no run in {folder}: there is no {SETTINGS}")
        settings = json.loads(file.read_text(encoding="utf-8"))
        known = {name: value for name, value in settings.items() if name in cls.__dataclass_fields__}
        return cls(**(known if device is None else {**known, "device": device}))

    def settings(self) -> dict[str, Any]:
        """Gather everything that the digest covers, as plain values, 1.0 and 1 alike."""
        derived = {"device": self._device().type, "data_digest": self._data.digest, "format": FORMAT}
        return plain({**asdict(self), **derived})

    def folder(self) -> Path:
        """Name the run's place: `runs()/<data set>-<network>-<constraint>-<seed>-<digest>`."""
        text = json.dumps(self.settings(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return paths.runs() / f"{self.dataset}-{self.network}-{self.constraint}-{self.seed}-{digest}"

    def is_finished(self, folder: str | Path | None = None) -> bool:
        """Say whether the run in a folder, None = `folder()`, has been trained to its end."""
        return ((self.folder() if folder is None else Path(folder)) / LOG).exists()

    def run(
        self, folder: str | Path | None = None, *, progress: bool | None = None, watch: Watch | None = None
    ) -> Run:
        """Train, resume or load; a second process that wants the same run waits for the first.

        Args:
            folder: the run's folder; None = `folder()`.
            progress: show a bar; None = only in a terminal.
            watch: told of the progress, and asked whether to stop.

        Returns:
            The finished run.

        Raises:
            Stopped: if the watch said so; there is a checkpoint to go on from.
            ValueError: if the folder holds a run with other settings; lists the differences.
            RuntimeError: if all of its checkpoints are damaged.
            NonFiniteLoss: if the training breaks down.
        """
        folder, among = self.folder() if folder is None else Path(folder), share()
        alone = locked(folder) if among.rank == 0 else nullcontext()
        with alone, checkpoint.kept_random_states():
            if among.rank == 0:
                self._claim(folder)
            among.wait()
            training = self._training(folder)
            if state := checkpoint.newest(folder, device=training.device):
                training.load(state)
            training.run(progress=progress, watch=watch)
            if training.step < self.schedule.steps:
                raise Stopped(f"stopped after step {training.step} of {self.schedule.steps}: {folder}")
            if among.rank == 0 and not (folder / LOG).exists():
                write(folder / LOG, _csv(training.log))
        return Run(self, training)

    def _claim(self, folder: Path) -> None:
        """Mark the folder as this run's, or refuse one that is another's."""
        file, settings = folder / SETTINGS, self.settings()
        if not file.exists():
            write(file, (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode())
            return
        there = json.loads(file.read_text(encoding="utf-8"))
        if self.is_finished(folder):  # it can be opened on any device
            there["device"] = settings["device"]
        if differences := _differences(there, settings):
            listed = "; ".join(differences)
            raise ValueError(f"{folder} holds a run with other settings: {listed}. Use another folder.")

    def _device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.Generator(device)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:  # the latter from a torch built without CUDA
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"device={self.device!r} cannot be used here, take auto or cpu: {reason}"
            ) from None
        return device

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
        return Networks(generator, critic, constraint, pick("loss", self.loss, LOSSES))

    def _training(self, folder: Path) -> Training:
        players, device = self.players(), self._device()
        players.generator.to(device)
        players.critic.to(device)
        return Training(players, self._data, self.schedule, stream("training", self.seed), folder)


def _schedule(value: Any) -> Schedule:
    if isinstance(value, Schedule):
        return value
    for name in (settings := _plain("schedule", value)):
        pick("setting of the schedule", name, Schedule.__dataclass_fields__)
    return Schedule(**settings)


def _options(name: str, value: Any) -> dict[str, Any]:
    options = _plain(name, value)
    if reserved := {"name", "shape", "generator"} & options.keys():  # arguments of load and build
        raise ValueError(f"{name} cannot set {', '.join(sorted(reserved))}: the experiment does")
    return options


def _plain(name: str, value: Any) -> dict[str, Any]:
    """Copy a mapping of plain values, tuples as lists and paths as text."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}={value!r} must be a mapping of names to values")
    try:
        return json.loads(json.dumps(dict(value), allow_nan=False, default=os.fspath))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={value!r} must hold nothing but numbers, text and lists: {error}") from None


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Bring settings to the form in which they are compared: tuples are lists, and 1.0 is 1."""
    return json.loads(json.dumps(settings), parse_float=_number)


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _csv(log: list[dict[str, float]]) -> bytes:
    columns = ("step", *COLUMNS)
    rows = [columns, *([repr(row[column]) for column in columns] for row in log)]
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the settings that differ, one "name is … there, … here" each."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        there, here = (repr(side[name]) if name in side else "not set" for side in (old, new))
        if isinstance(old.get(name), Mapping) and isinstance(new.get(name), Mapping):
            found += _differences(old[name], new[name], f"{prefix}{name}.")
        elif there != here:
            found.append(f"{prefix}{name} is {there} there, {here} here")
    return found
