"""Names to objects: one way to look one up, one message where there is none."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

__all__ = ["pick", "require_known"]

T = TypeVar("T")


def pick(kind: str, key: Any, table: Mapping[Any, T]) -> T:
    """Return `table[key]`, or say what there is.

    Args:
        kind: what the table holds, for the message.
        key: the name, or the size, asked for.
        table: all there are.

    Raises:
        ValueError: if the table has no such key; names it, the one probably meant, and all there are.
    """
    require_known(f"unknown {kind}", key, table)
    return table[key]


def require_known(complaint: str, key: Any, valid: Collection[Any]) -> None:
    """Refuse a key that is not among the valid ones.

    Args:
        complaint: how the message begins: "unknown network".
        key: anything, also what cannot be hashed; only a valid one passes.
        valid: all there are.

    Raises:
        ValueError: with the complaint, the key, the one that was probably meant and the valid ones.
    """
    if key not in list(valid):
        names = [str(name) for name in valid]
        close = get_close_matches(str(key), names, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{complaint} {key!r}{hint} (valid: {', '.join(names)})")
