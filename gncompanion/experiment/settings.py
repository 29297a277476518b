"""Plain values: what an experiment's settings may hold, and how two sets of them are compared."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from gncompanion.tools.digests import content_digest
from gncompanion.tools.names import require_known
from gncompanion.tools.nested_kinds import Options
from gncompanion.training import Schedule

__all__ = [
    "as_recorded",
    "differences",
    "digest_of_results",
    "own_options",
    "own_schedule",
    "plain",
    "what_counts",
    "with_whole_path",
]

HOW = ("device", "captured", "channels_last")  # settings that change no more than rounding
COUNTS_NOT = (*HOW, "accumulation", "log_every", "checkpoint_every", "precision")  # nor those, in tables
LATER = {"accumulation": 1}  # settings of the schedule that came later, and what runs before them did
RESERVED = ("name", "shape", "generator")  # arguments that the experiment itself gives to data and networks


def own_schedule(value: Any) -> Schedule:
    """Make a schedule of what a user gave.

    Args:
        value: A `Schedule`, or a mapping of its fields.

    Returns:
        The schedule.

    Raises:
        ValueError: The value is neither, or a field is unknown or out of range.
    """
    if isinstance(value, Schedule):
        return value
    settings = _copied("schedule", value)
    for name in settings:
        require_known("unknown setting of the schedule", name, Schedule.__dataclass_fields__)
    return Schedule(**settings)


def own_options(name: str, value: Any) -> dict[str, Any]:
    """Copy the options that a user gave.

    Args:
        name: What they are called, for messages.
        value: A mapping of names to plain values.

    Returns:
        A copy, tuples as lists and paths as text.

    Raises:
        ValueError: The value is no mapping, holds something that is not plain, or sets what is the
            experiment's.
    """
    options = _copied(name, value)
    if reserved := sorted(set(RESERVED) & options.keys()):
        raise ValueError(f"{name} cannot set {', '.join(reserved)}: the experiment does")
    return options


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Bring settings to the form in which they are compared: tuples are lists, and 1.0 is 1.

    >>> plain({"betas": (0.0, 0.9)})
    {'betas': [0, 0.9]}

    Args:
        settings: Plain values by name.

    Returns:
        A copy in that form.
    """
    form: dict[str, Any] = json.loads(json.dumps(settings), parse_float=_number)
    return form


def with_whole_path(options: Mapping[str, Any]) -> dict[str, Any]:
    """Make the folder of a data set a path that means the same from wherever it is read.

    >>> with_whole_path({"folder": "/faces", "size": 64})
    {'folder': '/faces', 'size': 64}

    Args:
        options: A data set's options.

    Returns:
        A copy; a relative `folder` goes on from the working directory where that has it. One from "~" on, or
        one that lies in the folder of data sets, stays as it is.
    """
    folder = options.get("folder")
    if isinstance(folder, str) and os.path.isdir(folder):
        return {**options, "folder": os.path.abspath(folder)}
    return dict(options)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the settings that differ.

    Args:
        old: The settings there.
        new: The settings here.
        prefix: What the names begin with, for settings inside settings.

    Returns:
        One "name is … there, … here" for each, in the names' order.
    """
    found: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        there, here = (repr(side[name]) if name in side else "not set" for side in (old, new))
        if isinstance(old.get(name), Mapping) and isinstance(new.get(name), Mapping):
            found += differences(old[name], new[name], f"{prefix}{name}.")
        elif there != here:
            found.append(f"{prefix}{name} is {there} there, {here} here")
    return found


def digest_of_results(settings: Mapping[str, Any]) -> int:
    """Compute the digest by which a run's checkpoints are known.

    Args:
        settings: The experiment's settings, as plain values.

    Returns:
        A number below 2⁶⁰, the same for settings that differ in how the same steps are computed alone.
    """
    schedule = {name: value for name, value in settings["schedule"].items() if name not in HOW}
    kept = {name: value for name, value in settings.items() if name not in HOW}
    return int(content_digest(json.dumps(kept | {"schedule": schedule}, sort_keys=True))[:15], 16)


def as_recorded(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a schedule to the form in which runs record it, so that a folder's name outlives new settings.

    >>> as_recorded({"steps": 7, "accumulation": 1, "captured": None})
    {'steps': 7, 'captured': False}

    Args:
        schedule: The schedule's fields by name.

    Returns:
        The fields without those that came later and say nothing new; what the device decides is False, as
        if it were switched off.
    """
    kept = {name: value for name, value in schedule.items() if name not in LATER or value != LATER[name]}
    return {name: False if value is None and name in HOW else value for name, value in kept.items()}


def what_counts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of an experiment's settings those by which runs are counted as a row's.

    Args:
        settings: The experiment's settings, as plain values.

    Returns:
        The settings without those that change no more than rounding, the precision (which tables show
        beside), and those of the log and of checkpoints.
    """
    schedule = {name: value for name, value in settings["schedule"].items() if name not in COUNTS_NOT}
    return {**{name: value for name, value in settings.items() if name not in HOW}, "schedule": schedule}


def _copied(name: str, value: Any) -> dict[str, Any]:
    options = Options()
    copy = options.read(value)
    options.check(name, copy)
    plain_copy: dict[str, Any] = json.loads(json.dumps(copy))
    return plain_copy


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value
