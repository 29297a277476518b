"""Kinds of values with others inside: lists, and mappings with known or with any names.

    Several(Whole(0, 99, such_as=0), such_as=[0, 1]).take("seeds", "0, 1")      [0, 1]

Text is read as YAML, "[0, 1]" or "{width: 8}"; a list may come without brackets, or as its one entry.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any

from gncompanion.tools import checks
from gncompanion.tools.kinds import Kind, Name
from gncompanion.tools.markup import parse_yaml
from gncompanion.tools.names import require_known

__all__ = ["Options", "Record", "Several", "Table"]

_DEEPEST = 20
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")  # a number that YAML 1.1, papermill's, takes for text


@dataclass(frozen=True)
class Several(Kind):
    """A list of at least one entry.

    Attributes:
        entry: The kind of an entry.
        such_as: An example.
        repeats: Whether an entry may come twice.
        count: The number of entries; None = any.
        lone: Whether a value that is no list is taken as a list of one.
    """

    entry: Kind
    such_as: Sequence[Any]
    repeats: bool = False
    count: int | None = None
    lone: bool = True

    def read(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._read_text(value)
        if isinstance(value, list | tuple):
            return [self.entry.read(one) for one in value]
        return [self.entry.read(value)] if self.lone and not isinstance(value, Mapping) else value

    def _read_text(self, text: str) -> Any:
        """A list where there is a valid one, or one of names; else the text, for the message."""
        try:
            values = parse_yaml(text if text.lstrip().startswith("[") else f"[{text}]")
        except ValueError:
            values = [text]
        values = [self.entry.read(one) for one in values]
        return values if isinstance(self.entry, Name) or self.allows(values) else text

    def check(self, name: str, value: Any) -> None:
        place, colon, own = name.rpartition(": ")
        if isinstance(self.entry, Name) and isinstance(value, list):
            for one in value:
                self.entry.check(f"{place}{colon}entry of {own}", one)
        super().check(name, value)

    def allows(self, value: Any) -> bool:
        if not isinstance(value, list | tuple) or not value or self.count not in (None, len(value)):
            return False
        if not all(map(self.entry.allows, value)):
            return False
        return self.repeats or all(one not in value[:index] for index, one in enumerate(value))

    def __str__(self) -> str:
        count = "" if self.count is None else f"{self.count} "
        return f"a list of {count}{'' if self.repeats else 'different '}{self.entry.plural}"

    @property
    def plural(self) -> str:
        return f"lists of {self.entry.plural}"


class _Mapped(Kind):
    """A mapping of names, which text is read as if it is YAML's."""

    def read(self, value: Any) -> Any:
        found = value
        if isinstance(value, str):
            with suppress(ValueError):  # what cannot be read stays text, and is no mapping
                found = parse_yaml(value)
        if not isinstance(found, Mapping):
            return value
        return {key: self._read_entry(key, one) for key, one in found.items()}

    def allows(self, value: Any) -> bool:
        try:
            self.check("value", value)
        except ValueError:
            return False
        return True

    def _read_entry(self, key: Any, value: Any) -> Any:
        return value

    def _require_mapping(self, name: str, value: Any) -> None:
        is_one = isinstance(value, Mapping)
        checks.require(name, value, is_one, f"{self}, such as {checks.shown(self.such_as)}")
        for key in value:
            named = isinstance(key, str) and key.isprintable() and 0 < len(key) <= 100
            checks.require(f"{name}: the name", key, named, "text: put it into quotation marks")


@dataclass(frozen=True)
class Options(_Mapped):
    """A mapping of names to plain values: numbers, text, truth values, None, lists and mappings of them."""

    such_as: Mapping[str, Any] = field(default_factory=lambda: {"width": 8})

    def _read_entry(self, key: Any, value: Any) -> Any:
        return _numbers(value)

    def check(self, name: str, value: Any) -> None:
        self._require_mapping(name, value)
        for trouble in _not_plain(value):
            raise ValueError(f"{name}: {trouble}")

    def __str__(self) -> str:
        return "a mapping of names to values"

    @property
    def plural(self) -> str:
        return "mappings of names to values"


@dataclass(frozen=True)
class Record(_Mapped):
    """A mapping whose names are known, each with a kind of its own.

    Attributes:
        such_as: An example.
        kinds: The kinds by name.
        optional: The names that may be missing.
    """

    such_as: Mapping[str, Any]
    kinds: Mapping[str, Kind]
    optional: Sequence[str] = ()

    def _read_entry(self, key: Any, value: Any) -> Any:
        return self.kinds[key].read(value) if key in self.kinds else value

    def check(self, name: str, value: Any) -> None:
        self._require_mapping(name, value)
        for key, one in value.items():
            require_known(f"{name} has no setting", key, self.kinds)
            self.kinds[key].check(f"{name}: {key}", one)
        if missing := [key for key in self.kinds if key not in value and key not in self.optional]:
            raise ValueError(
                f"{name}={checks.shown(value)} needs a value for {', '.join(missing)}, "
                f"such as {checks.shown(self.such_as)}"
            )

    def __str__(self) -> str:
        return f"a mapping of {', '.join(self.kinds)}"

    @property
    def plural(self) -> str:
        return f"mappings of {', '.join(self.kinds)}"


@dataclass(frozen=True)
class Table(_Mapped):
    """A mapping of names of the user's own to entries of one kind.

    Attributes:
        such_as: An example.
        entry: The kind of an entry.
        names: The kind of the names; None = any text.
        least: The least number of entries.
    """

    such_as: Mapping[str, Any]
    entry: Kind
    names: Kind | None = None
    least: int = 1

    def _read_entry(self, key: Any, value: Any) -> Any:
        return self.entry.read(value)

    def check(self, name: str, value: Any) -> None:
        self._require_mapping(name, value)
        some = f"{self}, such as {checks.shown(self.such_as)}"
        checks.require(name, value, len(value) >= self.least, some)
        for key, one in value.items():
            if self.names is not None:
                self.names.check(f"{name}: the name", key)
            self.entry.check(f"{name}: {key}", one)

    def __str__(self) -> str:
        return f"a mapping of names to {self.entry.plural}{', not empty' if self.least else ''}"

    @property
    def plural(self) -> str:
        return f"mappings of names to {self.entry.plural}"


def _numbers(value: Any) -> Any:
    """Read exponents without a point, which YAML 1.1 takes for text, as the numbers that they are."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _numbers(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(one) for one in value]
    return fspath(value) if isinstance(value, PathLike) else value


def _not_plain(value: Any, place: str = "", depth: int = 0) -> Iterator[str]:
    """Say what is not plain inside a value, and where."""
    if depth > _DEEPEST:
        yield f"{place} must not be nested more than {_DEEPEST} times"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                yield f"{place}: the name {checks.shown(key)} must be text: put it into quotation marks"
            yield from _not_plain(one, f"{place}.{key}" if place else str(key), depth + 1)
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _not_plain(one, f"{place}[{index}]", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{place}={value!r} must be finite, such as 1.0"
    elif isinstance(value, int) and abs(value) >= 2**63:
        yield f"{place}={checks.shown(value)} must be an integer of less than 64 bits, such as 8"
    elif isinstance(value, str) and not value.isprintable():
        yield f"{place}={checks.shown(value)} must be a line of printable text"
    elif not isinstance(value, str | int | float | None):
        yield f"{place}={checks.shown(value)} must be a number, text, a truth value, None, or a list of them"
