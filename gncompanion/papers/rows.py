"""A row of a table: one parameter file, the experiments that it stands for, and what the paper printed.

    methods: {GN-GAN: {constraint: gn, loss: bce}}      one experiment a method and seed, all else in common
    dataset: cifar10        network: dcgan        seeds: [0, 1, 2, 3, 4]        steps: 200000        …

The same file is notebook 09's (papermill -f) and the command line's (gncompanion train -f). The fields of a
`Schedule` and of an `EvaluationProtocol` stand beside the others, so that `-p steps 20` reaches them.

`row_fields.FIELDS` declares what each may be; text, as from `-p`, is read by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gncompanion.experiment import Experiment
from gncompanion.papers.row_fields import FIELDS
from gncompanion.papers.scoring import EvaluationProtocol
from gncompanion.tools import checks
from gncompanion.tools.markup import read_yaml
from gncompanion.tools.names import require_known
from gncompanion.training import Schedule

__all__ = ["Row", "read", "row"]

SCHEDULE, PROTOCOL = (tuple(f.name for f in fields(part)) for part in (Schedule, EvaluationProtocol))


@dataclass(frozen=True)
class Row:
    """The settings of one row.

    Attributes:
        methods: The methods by their printed names: each one's constraint and loss, and constraint_options if
            need be.
        seeds: Different integers from 0 on, one experiment for each.
        dataset: The data set's name, as in `Experiment`.
        dataset_options: The data set's own arguments.
        network: The networks' name, as in `Experiment`.
        network_options: The networks' own arguments.
        schedule: How long and how fast to train.
        device: The device's name, as in `Experiment`.
        protocol: How samples are judged.
        printed: The numbers that the paper prints, by metric, as text; empty = none.
        source: The place where it prints them.
        label: The name of the figures of a run of the notebook.
        data_title: What figures call the data set; "" = its name.

    Raises:
        ValueError: A setting is unknown or missing, or one of the wrong kind.
    """

    methods: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int]
    dataset: str = "digits"
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    network: str = "dcgan"
    network_options: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    device: str = "auto"
    protocol: EvaluationProtocol = field(default_factory=EvaluationProtocol)
    printed: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    label: str = ""
    data_title: str = ""

    def __post_init__(self) -> None:
        for name in OWN:
            FIELDS[name].check(name, getattr(self, name))
        if self.protocol.average and self.schedule.ema_decay is None:
            raise ValueError("average=True judges averaged weights, of which ema_decay=None makes none")
        if (every := self.protocol.judged_every) is not None:
            saved, steps = self.schedule.checkpoint_every, self.schedule.steps
            fits = every % saved == 0 and steps % every == 0
            checks.require(
                "judged_every",
                every,
                fits,
                f"a multiple of checkpoint_every={saved} that divides steps={steps}",
            )

    def experiments(self) -> dict[tuple[str, int], Experiment]:
        """Make the experiments; nothing is opened or built for that.

        Returns:
            Experiments by method and seed.

        Raises:
            ValueError: There is a name or number that an experiment refuses.
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


OWN = tuple(f.name for f in fields(Row) if f.name not in ("schedule", "protocol"))


def row(parameters: Mapping[str, Any]) -> Row:
    """Make a row of flat settings, those of its schedule and of its protocol among them.

    Args:
        parameters: The settings by name.

    Returns:
        The row.

    Raises:
        ValueError: A name is unknown or missing, or a value is bad.
    """
    for name in parameters:
        require_known("unknown setting of a row", name, FIELDS)
    if missing := [name for name in ("methods", "seeds") if name not in parameters]:
        raise ValueError(f"a row needs a value for {', '.join(missing)}")

    values = {name: FIELDS[name].take(name, value) for name, value in parameters.items()}

    def given(names: Sequence[str]) -> dict[str, Any]:
        return {name: values[name] for name in names if name in values}

    return Row(
        schedule=Schedule(**given(SCHEDULE)), protocol=EvaluationProtocol(**given(PROTOCOL)), **given(OWN)
    )


def read(file: str | Path, parameters: Mapping[str, Any] | None = None) -> Row:
    """Read a row from its parameter file.

    Args:
        file: A YAML file that holds a mapping.
        parameters: Values that replace the file's.

    Returns:
        The row.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no YAML, gives a name twice or holds no mapping, or `row` refuses it.
    """
    file = Path(file)
    content = read_yaml(file)
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} must hold a mapping of names to values")
    try:
        return row({**content, **(parameters or {})})
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
