"""What sidecars and ledgers have in common: whose records they are, and how they are written."""

import json
from textwrap import indent
from typing import Any, Protocol

__all__ = ["Book", "to_json"]


class Book(Protocol):
    """What a record needs to know of its notebook; `notebook.Notebook` offers it."""

    @property
    def name(self) -> str:
        """The notebook's file name without its ending, "04_theorem5"."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters' values in this run, by name."""

    @property
    def suffix(self) -> str:
        """What sets this run's files apart from those of the default parameters; "" for these."""


def to_json(content: Any, *, levels: int) -> str:
    """Write JSON with a line for each entry of the outer levels: an array further in stays on its line.

    Args:
        content: Plain values; what has `tolist`, as arrays have, becomes a list.
        levels: Number of outer levels that are spread over lines.

    Returns:
        The text, with sorted keys.

    Raises:
        ValueError: A number is not finite.
    """
    match content:
        case dict() if content and levels:
            lines = [
                f"{json.dumps(key)}: {to_json(content[key], levels=levels - 1)}" for key in sorted(content)
            ]
            opening, closing = "{}"
        case [dict(), *_] if levels:
            lines = [to_json(entry, levels=levels - 1) for entry in content]
            opening, closing = "[]"
        case _:
            return json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False, default=_as_list)
    return opening + "\n" + indent(",\n".join(lines), " ") + "\n" + closing


def _as_list(value: Any) -> Any:
    return value.tolist()
