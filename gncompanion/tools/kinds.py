"""What a value may be, declared once: how it is read where it came as text, how it is checked, what is said.

    Whole(1, 32, such_as=3).take("n_layers", "8")     8
    Whole(1, 32, such_as=3).take("n_layers", "x")     n_layers='x' must be an integer from 1 to 32, such as 3

Text comes from command lines and papermill's -p, where everything is text. A value that is no text is never
changed, but that a number is text where text is due.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from gncompanion.tools import checks
from gncompanion.tools.names import require_known

__all__ = ["Flag", "Kind", "Maybe", "Name", "Real", "Text", "Whole"]

LONGEST_TEXT = 1000
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Kind(ABC):
    """A kind of value.

    Attributes:
        such_as: A valid value, the example in messages.
    """

    such_as: Any

    def take(self, name: str, value: Any) -> Any:
        """Read a value and check it.

        Args:
            name: What the value is called where it was given.
            value: The value, of any type.

        Returns:
            The value, read.

        Raises:
            ValueError: It is of another kind, or out of range; names it, what is valid, and an example.
        """
        value = self.read(value)
        self.check(name, value)
        return value

    def read(self, value: Any) -> Any:
        """Read text as what is due; what cannot be read, and what is no text, comes back as it is."""
        return value

    def check(self, name: str, value: Any) -> None:
        """Refuse a value, already read, as `take` does."""
        checks.require(name, value, self.allows(value), f"{self}, such as {checks.shown(self.such_as)}")

    @abstractmethod
    def allows(self, value: Any) -> bool:
        """Tell whether a value, already read, is valid."""

    @abstractmethod
    def __str__(self) -> str:
        """What is valid, as it goes on after "must be"."""

    @property
    @abstractmethod
    def plural(self) -> str:
        """What is valid, as it goes on after "a list of"."""


@dataclass(frozen=True)
class Whole(Kind):
    """An integer.

    Attributes:
        low: The least valid one.
        high: The greatest valid one.
        such_as: An example.
    """

    low: int
    high: int
    such_as: int

    def read(self, value: Any) -> Any:
        # 010 is refused: it is 10 to a person, 8 to Python's forebears and to YAML 1.1
        is_one = isinstance(value, str) and re.fullmatch(r"\s*[-+]?(0|[1-9][0-9]{0,99})\s*", value)
        return int(value) if is_one else value

    def allows(self, value: Any) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"an integer from {self.low} to {self.high}"

    @property
    def plural(self) -> str:
        return f"integers from {self.low} to {self.high}"


@dataclass(frozen=True)
class Real(Kind):
    """A finite number.

    Attributes:
        low: The lower end of the valid interval.
        high: Its upper end.
        such_as: An example.
        above: Whether the lower end is left out.
        below: Whether the upper end is left out.
    """

    low: float
    high: float
    such_as: float
    above: bool = False
    below: bool = False

    def read(self, value: Any) -> Any:
        is_one = isinstance(value, str) and re.fullmatch(
            r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*", value
        )
        return float(value) if is_one else value

    def allows(self, value: Any) -> bool:
        if not checks.is_number(value) or not (isinstance(value, int) or math.isfinite(value)):
            return False
        ends = {self.low} if self.above else set()
        ends |= {self.high} if self.below else set()
        return bool(self.low <= value <= self.high) and value not in ends

    def __str__(self) -> str:
        return f"a number {self._range}"

    @property
    def plural(self) -> str:
        return f"numbers {self._range}"

    @property
    def _range(self) -> str:
        low, high = (f"{end:.0f}" if 1e5 <= end <= 1e9 else f"{end:g}" for end in (self.low, self.high))
        start = f"above {low}, up" if self.above else f"from {low}"
        return f"{start} to {'below ' if self.below else ''}{high}"


@dataclass(frozen=True)
class Flag(Kind):
    """A truth value."""

    such_as: bool = True

    def read(self, value: Any) -> Any:
        return _TRUTH.get(value.strip().lower(), value) if isinstance(value, str) else value

    def allows(self, value: Any) -> bool:
        return type(value) is bool

    def __str__(self) -> str:
        return "True or False"

    @property
    def plural(self) -> str:
        return "truth values"


@dataclass(frozen=True)
class Text(Kind):
    """A line of printable text.

    Attributes:
        such_as: An example.
        numbers: Whether a number is taken, as the text that it is printed as: `-p label 8` comes as one.
        least: The least number of characters.
    """

    such_as: str = "small"
    numbers: bool = True
    least: int = 0

    def read(self, value: Any) -> Any:
        small = checks.is_number(value) and abs(value) < 1e300
        return str(value) if self.numbers and small else value

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and value.isprintable() and self.least <= len(value) <= LONGEST_TEXT

    def __str__(self) -> str:
        return f"{'a line of' if not self.least else 'a name, a line of'} text"

    @property
    def plural(self) -> str:
        return "lines of text"


@dataclass(frozen=True)
class Name(Kind):
    """One of some names.

    Attributes:
        such_as: An example.
        known: The valid names, or a function that lists them.
        joined: Whether several may be joined by this text, such as "+"; "" = one alone.
    """

    such_as: str
    known: Collection[str] | Callable[[], Collection[str]]
    joined: str = ""

    @property
    def valid(self) -> list[str]:
        """The valid names."""
        return list(self.known() if callable(self.known) else self.known)

    def check(self, name: str, value: Any) -> None:
        place, colon, own = name.rpartition(": ")
        for part in self._parts(value):
            require_known(f"{place}{colon}unknown {own}", part, self.valid)

    def allows(self, value: Any) -> bool:
        return all(isinstance(part, str) and part in self.valid for part in self._parts(value))

    def _parts(self, value: Any) -> list[Any]:
        return value.split(self.joined) if self.joined and isinstance(value, str) else [value]

    def __str__(self) -> str:
        return f"one of {', '.join(self.valid)}"

    @property
    def plural(self) -> str:
        return f"names out of {', '.join(self.valid)}"


@dataclass(frozen=True)
class Maybe(Kind):
    """A value of some kind, or None.

    Attributes:
        kind: The kind.
    """

    kind: Kind

    @property
    def such_as(self) -> Any:
        return self.kind.such_as

    def read(self, value: Any) -> Any:
        nothing = isinstance(value, str) and value.strip() in ("None", "none", "null", "~", "")
        return None if nothing else self.kind.read(value)

    def allows(self, value: Any) -> bool:
        return value is None or self.kind.allows(value)

    def __str__(self) -> str:
        return f"{self.kind}, or None"

    @property
    def plural(self) -> str:
        return f"{self.kind.plural}, or None"
