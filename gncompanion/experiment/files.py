"""The two files that say whose a run's folder is: its settings, and the log that a finished run leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gncompanion.experiment.settings import differences, with_whole_path
from gncompanion.tools.files import write, write_json
from gncompanion.tools.markup import read_json
from gncompanion.training import COLUMNS

__all__ = ["LOG", "SETTINGS", "claim", "keep_log", "read_settings"]

SETTINGS = "settings.json"
LOG = "log.csv"
_REMEDY = "restore it, or delete the run's folder and train again"


def read_settings(folder: Path) -> dict[str, Any]:
    """Read a run's settings.

    Args:
        folder: The run's folder.

    Returns:
        Plain values by name.

    Raises:
        FileNotFoundError: There is no run.
        ValueError: The file is damaged.
    """
    file = folder / SETTINGS
    if not file.exists():
        raise FileNotFoundError(f"no run in {folder}: there is no {SETTINGS}")
    return read_json(file, remedy=_REMEDY)


def claim(folder: Path, own: Mapping[str, Any], *, finished: bool) -> None:
    """Mark a folder as a run's, or refuse one that is another's.

    Args:
        folder: The folder.
        own: The run's settings, as plain values.
        finished: Whether the run is finished: then it can be opened on any device.

    Raises:
        ValueError: The folder holds a run with other settings, which are listed.
    """
    file = folder / SETTINGS
    if not file.exists():
        write_json(file, own)
        return
    there = read_settings(folder)
    there["dataset_options"] = with_whole_path(there.get("dataset_options", {}))
    if finished:
        there["device"] = own["device"]
    if found := differences(there, own):
        listed = "; ".join(found)
        raise ValueError(f"{folder} holds a run with other settings: {listed}. Use another folder.")


def keep_log(folder: Path, log: Sequence[Mapping[str, float]]) -> None:
    """Leave the log of a finished run, unless it is there.

    Args:
        folder: The run's folder.
        log: The log's rows.
    """
    if (folder / LOG).exists():
        return
    columns = ("step", *COLUMNS)
    rows = [columns, *([repr(row[column]) for column in columns] for row in log)]
    write(folder / LOG, "".join(",".join(row) + "\n" for row in rows).encode())
