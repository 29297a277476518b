"""The papers' tables beside what was measured: every row's printed numbers, and those of its judged runs.

    printed in the row's file      measured = mean ± standard deviation over the seeds whose runs were judged

A run belongs to a row if all its settings do, and how it was judged; "not yet run" is what nobody has judged.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gncompanion.experiment import plain
from gncompanion.papers.rows import Row, read
from gncompanion.papers.scoring import scores_file
from gncompanion.tools import paths
from gncompanion.tools.markup import read_json

__all__ = ["Entry", "entries", "markdown", "row_files", "spread"]

NOT_RUN = "not yet run"


@dataclass(frozen=True)
class Entry:
    """One method of one row.

    Attributes:
        row: The name of the row's file, without its ending.
        method: The method's printed name.
        printed: The paper's numbers by column, as text.
        measured: Our numbers by column, one per seed.
        source: The place where the paper prints its numbers.
    """

    row: str
    method: str
    printed: Mapping[str, str]
    measured: Mapping[str, Sequence[float]]
    source: str


def row_files() -> list[Path]:
    """List the rows of both papers' tables: `notebooks/full/09_*.yml` and `12_*.yml`."""
    folder = paths.notebooks() / "full"
    return sorted([*folder.glob("09_*.yml"), *folder.glob("12_*.yml")])


def entries(files: Sequence[Path]) -> list[Entry]:
    """Gather the rows and what was measured of them in `paths.runs()`.

    Args:
        files: Parameter files of rows.

    Returns:
        One entry per method and row, in the order given.

    Raises:
        ValueError: A file is no row.
    """
    files_of_scores = sorted(paths.runs().glob(str(scores_file(Path("*")))))
    judged = [read_json(file, remedy="judge its run again") for file in files_of_scores]
    rows = [(file.stem, read(file)) for file in files]
    return [
        Entry(name, method, row.printed, _measured(row, method, judged), row.source)
        for name, row in rows
        for method in row.methods
    ]


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
    lines = ["| row | method | metric | printed | measured here |", "|---|---|---|---|---|"]
    for entry in found:
        for column in dict.fromkeys([*entry.printed, *entry.measured]) or ("any",):
            cells = (entry.printed.get(column, "–"), spread(entry.measured.get(column, ())))
            lines.append(f"| {entry.row} | {entry.method} | {column} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(row: Row, method: str, judged: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The numbers of a method's runs by column; what depends on the machine or its data does not matter."""
    found: dict[str, list[float]] = {}
    protocol = plain(asdict(row.protocol))
    same_protocol = [run for run in judged if run["protocol"] == protocol]
    for (name, _), experiment in row.experiments().items():
        if name != method:
            continue
        wanted = experiment.portable_settings().items()
        own = (run["scores"] for run in same_protocol if wanted <= run["settings"].items())
        for column, value in next(own, {}).items():
            found.setdefault(column, []).append(value)
    return found
