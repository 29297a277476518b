"""A row of a table: one parameter file, the experiments that it stands for, and what the paper printed.

    methods: {GN-GAN: {constraint: gn, loss: bce}}      one experiment a method and seed, all else in common
    dataset: cifar10        network: dcgan        seeds: [0, 1, 2, 3, 4]        steps: 200000        …

The same file is notebook 09's (papermill -f) and the command line's (gncompanion train -f). The fields of a
`Schedule` and of a `Protocol` stand beside the others, so that `-p steps 20` reaches them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from gncompanion.experiment import Experiment
from gncompanion.papers.scoring import Protocol
from gncompanion.tools.names import require_known
from gncompanion.training import Schedule

__all__ = ["Row", "read", "row"]

METHOD = ("constraint", "constraint_options", "loss")
SCHEDULE, PROTOCOL = (tuple(f.name for f in fields(part)) for part in (Schedule, Protocol))


@dataclass(frozen=True)
class Row:
    """The settings of one row.

    Args:
        methods: by its printed name, each method's constraint and loss, and constraint_options if need be.
        seeds: one experiment each.
        dataset: as in `Experiment`.
        dataset_options: as in `Experiment`.
        network: as in `Experiment`.
        network_options: as in `Experiment`.
        schedule: as in `Experiment`.
        device: as in `Experiment`.
        protocol: how samples are judged.
        printed: what the paper prints, by metric, as text; empty = nothing.
        source: where it prints that.
        label: names the figures of a run of the notebook.

    Raises:
        ValueError: for an unknown or missing setting, or one of the wrong kind.
    """

    methods: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int]
    dataset: str = "digits"
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    network: str = "dcgan"
    network_options: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    device: str = "auto"
    protocol: Protocol = field(default_factory=Protocol)
    printed: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.methods, Mapping) or not self.methods:
            example = "{GN: {constraint: gn, loss: hinge}}"
            raise ValueError(f"methods={self.methods!r} must be a mapping such as {example}")
        for name, settings in self.methods.items():
            if not isinstance(settings, Mapping) or not {"constraint", "loss"} <= settings.keys():
                raise ValueError(f"method {name!r} needs a constraint and a loss, not {settings!r}")
            for setting in settings:
                require_known(f"method {name!r} has no setting", setting, METHOD)
        if not _are_seeds(self.seeds):
            raise ValueError(f"seeds={self.seeds!r} must be a list of different integers from 0 on")
        printed = self.printed
        if not isinstance(printed, Mapping) or not all(isinstance(value, str) for value in printed.values()):
            raise ValueError(f"printed={printed!r} must be a mapping of columns to text")
        if self.protocol.average and self.schedule.ema_decay is None:
            raise ValueError("average=True judges averaged weights, of which ema_decay=None makes none")

    def experiments(self) -> dict[tuple[str, int], Experiment]:
        """Make the experiments, by method and seed.

        Raises:
            ValueError: for a name, option or number that an experiment refuses.
            FileNotFoundError: for a data set that is not here.
        """
        common = {
            name: getattr(self, name)
            for name in ("dataset", "dataset_options", "network", "network_options", "schedule", "device")
        }
        return {
            (name, seed): Experiment(**common, **settings, seed=seed)
            for name, settings in self.methods.items()
            for seed in self.seeds
        }


def _are_seeds(value: Any) -> bool:
    if not isinstance(value, Sequence) or not all(type(seed) is int and seed >= 0 for seed in value):
        return False
    return 0 < len(value) == len(set(value))


def row(parameters: Mapping[str, Any]) -> Row:
    """Make a row of flat settings, those of its schedule and of its protocol among them.

    Args:
        parameters: by name.

    Returns:
        The row.

    Raises:
        ValueError: for an unknown name, a missing one, or a bad value.
    """
    own = tuple(f.name for f in fields(Row) if f.name not in ("schedule", "protocol"))
    for name in parameters:
        require_known("unknown setting of a row", name, (*own, *SCHEDULE, *PROTOCOL))
    if missing := [name for name in ("methods", "seeds") if name not in parameters]:
        raise ValueError(f"a row needs a value for {', '.join(missing)}")

    def given(names: Sequence[str]) -> dict[str, Any]:
        return {name: parameters[name] for name in names if name in parameters}

    return Row(schedule=Schedule(**given(SCHEDULE)), protocol=Protocol(**given(PROTOCOL)), **given(own))


def read(file: str | Path, parameters: Mapping[str, Any] | None = None) -> Row:
    """Read a row from its parameter file.

    Args:
        file: YAML, a mapping.
        parameters: values that replace the file's.

    Returns:
        The row.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a mapping, or `row` refuses it; names the file.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} must hold a mapping of names to values")
    try:
        return row({**content, **(parameters or {})})
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
