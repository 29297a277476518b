"""The papers' tables beside what was measured: every row's printed numbers, and those of its judged runs.

    printed in the row's file      measured = mean ± standard deviation over the seeds whose runs were judged

A run belongs to a row if all its settings do that change more than rounding, and how it was judged; what the
precision was stands beside. "Not yet run" is what nobody has judged. Where a run was judged on its way, the
checkpoint with the best first score is reported besides the last, as the papers' authors chose theirs: it is
chosen by the metric that it is then reported in.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gncompanion.experiment import plain, what_counts
from gncompanion.papers.rows import Row, read
from gncompanion.papers.scoring import scores_file
from gncompanion.tools import paths
from gncompanion.tools.markup import read_json

__all__ = ["Entry", "entries", "markdown", "row_files", "spread"]

NOT_RUN = "not yet run"


@dataclass(frozen=True)
class Entry:
    """One method of one row, at one precision.

    Attributes:
        row: The name of the row's file, without its ending.
        method: The method's printed name.
        printed: The paper's numbers by column, as text.
        measured: Our numbers by column, one per seed, of the last checkpoint.
        source: The place where the paper prints its numbers.
        best: Those of the checkpoint that was best in the first column, of runs judged on their way.
        precision: The arithmetic of the runs; "" = there are none.
    """

    row: str
    method: str
    printed: Mapping[str, str]
    measured: Mapping[str, Sequence[float]]
    source: str
    best: Mapping[str, Sequence[float]] = field(default_factory=dict)
    precision: str = ""


def row_files() -> list[Path]:
    """List the rows of both papers' tables: `notebooks/full/09_*.yml` and `12_*.yml`."""
    folder = paths.notebooks() / "full"
    return sorted([*folder.glob("09_*.yml"), *folder.glob("12_*.yml")])


def entries(files: Sequence[Path], parameters: Mapping[str, Any] | None = None) -> list[Entry]:
    """Gather the rows and what was measured of them in `paths.runs()`.

    Args:
        files: Parameter files of rows.
        parameters: Values that replace the files'.

    Returns:
        One entry per row, method and precision that was run, in the order given.

    Raises:
        ValueError: A file is no row.
    """
    files_of_scores = sorted(paths.runs().glob(str(scores_file(Path("*")))))
    judged = [read_json(file, remedy="judge its run again") for file in files_of_scores]
    rows = [(file.stem, read(file, parameters)) for file in files]
    return [entry for name, row in rows for method in row.methods for entry in _of(name, row, method, judged)]


def spread(values: Sequence[float]) -> str:
    """Write measured values as the papers do.

    >>> spread([7.6, 7.8])
    '7.70 ± 0.14 (2 seeds)'

    Args:
        values: One number per seed.

    Returns:
        Mean, standard deviation and number of seeds; "not yet run" where there is no number.
    """
    if not values:
        return NOT_RUN
    if len(values) == 1:
        return f"{values[0]:.2f} (1 seed)"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} ({len(values)} seeds)"


def markdown(found: Sequence[Entry]) -> str:
    """Lay entries out as a Markdown table.

    Args:
        found: The entries.

    Returns:
        The table, one line per entry and column.
    """
    lines = [
        "| row | method | metric | printed | measured, last checkpoint | best on the way | precision |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in found:
        for column in dict.fromkeys([*entry.printed, *entry.measured]) or ("any",):
            best = spread(entry.best[column]) if column in entry.best else "–"
            cells = [entry.printed.get(column, "–"), spread(entry.measured.get(column, ())), best]
            line = [entry.row, entry.method, column, *cells, entry.precision or "–"]
            lines.append(f"| {' | '.join(line)} |")
    return "\n".join(lines)


def _of(name: str, row: Row, method: str, judged: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """A method's entries, one a precision; what depends on the machine or its data does not matter."""
    protocol = _as_judged(asdict(row.protocol))
    same = [run for run in judged if _as_judged(run["protocol"]) == protocol]
    by_precision: dict[str, list[Mapping[str, Any]]] = {}
    for (other, _), experiment in row.experiments().items():
        wanted = what_counts(experiment.portable_settings()).items()
        own = [run for run in same if other == method and wanted <= what_counts(run["settings"]).items()]
        for precision, run in {run["settings"]["schedule"]["precision"]: run for run in own[::-1]}.items():
            by_precision.setdefault(precision, []).append(run)
    return [
        Entry(
            name,
            method,
            row.printed,
            _columns([run["scores"] for run in runs]),
            row.source,
            _columns([run["best"]["scores"] for run in runs if run.get("best")]),
            precision,
        )
        for precision, runs in sorted(by_precision.items()) or [("", [])]
    ]


def _as_judged(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """How the last checkpoint was judged, which the others change nothing of."""
    return plain({**protocol, "judged_every": None})


def _columns(scores: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Gather scores by column, one number a run."""
    found: dict[str, list[float]] = {}
    for column, value in ((column, value) for run in scores for column, value in run.items()):
        found.setdefault(column, []).append(value)
    return found
