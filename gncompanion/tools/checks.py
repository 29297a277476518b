"""Values refused before any work: one way to check a number, one form of the message.

    whole("steps", 0)      ValueError: steps=0 must be an integer from 1 on
    share("decay", 1.0)    ValueError: decay=1.0 must be a number from 0 to below 1

Truth values are no numbers here, and neither is text; NaN lies in no range.
"""

import math
from typing import Any

__all__ = ["flag", "is_number", "non_negative", "positive", "require", "share", "shown", "whole"]

_LONGEST = 100


def require(name: str, value: Any, valid: bool, what: str) -> None:
    """Refuse a value unless a condition holds.

    Args:
        name: What the value is called where it was given.
        value: The value, of any type.
        valid: The condition.
        what: What would be valid, as it goes on after "must be".

    Raises:
        ValueError: The condition is false; the message names the value and what would be valid.
    """
    if not valid:
        raise ValueError(f"{name}={shown(value)} must be {what}")


def shown(value: Any) -> str:
    """Show a value in a message: as Python writes it, in one line, and a long one without its middle.

    >>> shown("a" * 200)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa … aaaaaaaaaaaaaaaaaaa'"

    Args:
        value: The value, of any type.

    Returns:
        At most 93 characters where the value's own text has more than 100.
    """
    try:
        text = " ".join(repr(value).split("\n"))
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list inside itself
        text = f"a value of type {type(value).__name__}, too long to be shown,"
    return text if len(text) <= _LONGEST else f"{text[:70]} … {text[-20:]}"


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number: an integer or a float, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(name: str, value: Any, *, low: int = 1, high: int | None = None) -> int:
    """Check a whole number, such as a count.

    Args:
        name: What the value is called where it was given.
        value: The value, of any type.
        low: The least valid number.
        high: The greatest valid number; None = there is none.

    Returns:
        The value.

    Raises:
        ValueError: The value is no integer, or out of range.
    """
    valid = type(value) is int and low <= value and (high is None or value <= high)
    require(name, value, valid, f"an integer from {low} {'on' if high is None else f'to {high}'}")
    return int(value)


def positive(name: str, value: Any, *, such_as: float = 1.0) -> float:
    """Check a positive, finite number.

    Args:
        name: What the value is called where it was given.
        value: The value, of any type.
        such_as: An example for the message.

    Returns:
        The value.

    Raises:
        ValueError: The value is no number, not positive, or not finite.
    """
    number: float = value
    valid = is_number(value) and 0 < value < math.inf
    require(name, value, valid, f"a positive, finite number, such as {such_as}")
    return number


def non_negative(name: str, value: Any) -> float:
    """Check a finite number of at least 0, such as a penalty's weight.

    Args:
        name: What the value is called where it was given.
        value: The value, of any type.

    Returns:
        The value.

    Raises:
        ValueError: The value is no number, negative, or not finite.
    """
    number: float = value
    require(name, value, is_number(value) and 0 <= value < math.inf, "a finite number from 0 on")
    return number


def share(name: str, value: Any) -> float:
    """Check a number in [0, 1), such as a decay or a momentum.

    Args:
        name: What the value is called where it was given.
        value: The value, of any type.

    Returns:
        The value.

    Raises:
        ValueError: The value is no number, or outside [0, 1).
    """
    number: float = value
    require(name, value, is_number(value) and 0 <= value < 1, "a number from 0 to below 1")
    return number


def flag(name: str, value: Any) -> bool:
    """Check a truth value.

    Args:
        name: What the value is called where it was given.
        value: The value, of any type.

    Returns:
        The value.

    Raises:
        ValueError: The value is neither True nor False.
    """
    require(name, value, type(value) is bool, "True or False")
    return bool(value)
