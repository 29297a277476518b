"""Which experiments of which rows: chosen by file, method and seed, and refused before any work.

select([Path("notebooks/full/09_….yml")], {"steps": 20}, seeds=[0]) -> [Selected(…), …]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gncompanion.experiment import Experiment
from gncompanion.papers import rows
from gncompanion.papers.row_fields import FIELDS
from gncompanion.papers.scoring import EvaluationProtocol, require_metrics
from gncompanion.tools.names import require_known

__all__ = ["Selected", "open_runs", "select"]


@dataclass(frozen=True)
class Selected:
    """One experiment, where its run lies, and how that is judged.

    Attributes:
        name: A name to print.
        folder: The run's folder.
        experiment: The experiment.
        protocol: How its samples are judged.
    """

    name: str
    folder: Path
    experiment: Experiment
    protocol: EvaluationProtocol


def select(
    files: Sequence[Path],
    parameters: Mapping[str, Any] | None = None,
    *,
    seeds: Sequence[int] = (),
    methods: Sequence[str] = (),
) -> list[Selected]:
    """Choose experiments of rows; all of them can be run here.

    Args:
        files: Parameter files of rows.
        parameters: Values that replace the files'.
        seeds: The seeds to choose, which each row must have; empty = all.
        methods: The methods to choose, which each row must have; empty = all.

    Returns:
        The experiments, row by row, method by method.

    Raises:
        ValueError: A file is no row, has no such seed or method, or an experiment is refused.
        FileNotFoundError: A file, a data set or the Inception weights are not here.
        ModuleNotFoundError: A package that the metrics need is missing.
    """
    found = []
    for file in files:
        row = rows.read(file, parameters)
        for seed in seeds:
            require_known(f"{file} has no seed", seed, row.seeds)
        for method in methods:
            require_known(f"{file} has no method", method, row.methods)
        chosen = {
            (method, seed): experiment
            for (method, seed), experiment in row.experiments().items()
            if method in (methods or row.methods) and seed in (seeds or row.seeds)
        }
        try:
            require_metrics(row.protocol, row.dataset, row.dataset_options)
            for experiment in chosen.values():
                experiment.validate()
                experiment.require_startable(experiment.folder())
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        for (method, seed), experiment in chosen.items():
            name = f"{file.stem}, {method}, seed {seed}"
            found.append(Selected(name, experiment.folder(), experiment, row.protocol))
    return found


def open_runs(
    folders: Sequence[Path], parameters: Mapping[str, Any], *, device: str | None = None
) -> list[Selected]:
    """Find the experiments of runs by their folders.

    Args:
        folders: Folders of runs.
        parameters: The fields of an `EvaluationProtocol`.
        device: The device on which to open them; None = where each was trained.

    Returns:
        The experiments, in the folders' order.

    Raises:
        ValueError: A parameter is unknown or its value is bad, or an experiment is refused.
        FileNotFoundError: There is no run in a folder, or the Inception weights or a data set are not here.
        ModuleNotFoundError: A package that the metrics need is missing.
    """
    for name in parameters:
        require_known("unknown setting of a protocol", name, EvaluationProtocol.__dataclass_fields__)
    protocol = EvaluationProtocol(**{name: FIELDS[name].take(name, parameters[name]) for name in parameters})
    require_metrics(protocol)
    found = []
    for folder in folders:
        experiment = Experiment.of(folder, device=device)
        experiment.validate()
        require_metrics(protocol, experiment.dataset, experiment.dataset_options)
        found.append(Selected(str(folder), folder, experiment, protocol))
    return found
