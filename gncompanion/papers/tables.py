"""The papers' tables beside what was measured: every row's printed numbers, and those of its judged runs.

    printed in the row's file      measured = mean ± standard deviation over the seeds whose runs were judged

A run belongs to a row if all its settings do, and how it was judged; "not yet run" is what nobody has judged.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gncompanion.experiment import FORMAT, plain
from gncompanion.papers.rows import Row, read
from gncompanion.papers.scoring import scores_file
from gncompanion.tools import paths

__all__ = ["Entry", "entries", "markdown", "row_files", "spread"]

NOT_RUN = "not yet run"


@dataclass(frozen=True)
class Entry:
    """One method of one row.

    Args:
        row: the file's name without its ending.
        method: its printed name.
        printed: the paper's numbers by column, as text.
        measured: ours by column, one a seed.
        source: where the paper prints its.
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
        files: parameter files of rows.

    Returns:
        One entry a method and row, in the order given.

    Raises:
        ValueError: a file is no row.
    """
    files_of_scores = sorted(paths.runs().glob(str(scores_file(Path("*")))))
    judged = [json.loads(file.read_text(encoding="utf-8")) for file in files_of_scores]
    rows = [(file.stem, read(file)) for file in files]
    return [
        Entry(name, method, row.printed, _measured(row, method, judged), row.source)
        for name, row in rows
        for method in row.methods
    ]


def spread(values: Sequence[float]) -> str:
    """Write measured values as the papers do: "7.71 ± 0.14 (5 seeds)"."""
    if not values:
        return NOT_RUN
    if len(values) == 1:
        return f"{values[0]:.2f} (1 seed)"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} ({len(values)} seeds)"


def markdown(found: Sequence[Entry]) -> str:
    """Lay entries out as a Markdown table, one line a column of each."""
    lines = ["| row | method | metric | printed | measured here |", "|---|---|---|---|---|"]
    for entry in found:
        for column in dict.fromkeys([*entry.printed, *entry.measured]) or ("any",):
            cells = (entry.printed.get(column, "–"), spread(entry.measured.get(column, ())))
            lines.append(f"| {entry.row} | {entry.method} | {column} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(row: Row, method: str, judged: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    protocol = plain(asdict(row.protocol))
    same_protocol = [run for run in judged if run["protocol"] == protocol]
    for seed in row.seeds:
        wanted = _settings(row, method, seed).items()
        run = next((run for run in same_protocol if wanted <= run["settings"].items()), {"scores": {}})
        for column, value in run["scores"].items():
            found.setdefault(column, []).append(value)
    return found


def _settings(row: Row, method: str, seed: int) -> dict[str, Any]:
    """What an experiment's settings would say, without its data, which need not be here."""
    names = ("dataset", "dataset_options", "network", "network_options")
    settings = {"constraint_options": {}, **row.methods[method], "seed": seed, "format": FORMAT}
    settings |= {name: getattr(row, name) for name in names}
    return plain({**settings, "schedule": asdict(row.schedule)})
