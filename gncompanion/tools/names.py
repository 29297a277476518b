"""Names to objects: one way to look one up, one message where there is none."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from gncompanion.tools.checks import shown

__all__ = ["pick", "require_known"]

T = TypeVar("T")


def pick(kind: str, key: Any, table: Mapping[Any, T]) -> T:
    """Return `table[key]`, or say what there is.

    Args:
        kind: What the table holds, for the message: "data set".
        key: The name, or the size, that was asked for.
        table: The objects by their names.

    Returns:
        The object that bears the name.

    Raises:
        ValueError: The table has no such key; the message names it, the one that was probably meant, and all
            valid ones.
    """
    require_known(f"unknown {kind}", key, table)
    return table[key]


def require_known(complaint: str, key: Any, valid: Collection[Any]) -> None:
    """Refuse a key that is not among the valid ones.

    Args:
        complaint: How the message begins: "unknown network".
        key: The key that was given; it may be anything, also what cannot be hashed.
        valid: The valid keys.

    Raises:
        ValueError: The key is not valid; the message names it, the one that was probably meant, and all
            valid ones.
    """
    if key not in list(valid):
        names = [str(name) for name in valid]
        close = get_close_matches(key[:100] if isinstance(key, str) else shown(key), names, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{complaint} {shown(key)}{hint} (valid: {', '.join(names)})")
