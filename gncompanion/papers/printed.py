"""The printed numbers as arithmetic: who is ahead, by how many standard errors, and who is first.

    lead = (ours − theirs) / √(s² / k + s'² / k)      positive = better; s: standard deviation over k seeds

A standard deviation says how far one run lies from the next, a standard error how well the mean over k runs
is known: two means are compared by the latter. Where a paper prints no deviation for a rival, its mean is
taken as exact, and the lead is too large by that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

__all__ = ["PrintedNumber", "lead", "printed_number", "ranking"]

MORE_IS_BETTER = ("IS",)


class PrintedNumber(NamedTuple):
    """A number of a table.

    Attributes:
        mean: The mean over the paper's runs, or its only number.
        deviation: The standard deviation over them; None = none is printed.
    """

    mean: float
    deviation: float | None = None


def printed_number(text: str) -> PrintedNumber:
    """Read a printed number.

    >>> printed_number("7.71±.14"), printed_number("25.50")
    (PrintedNumber(mean=7.71, deviation=0.14), PrintedNumber(mean=25.5, deviation=None))

    Args:
        text: The number, with ± and the standard deviation where there is one.

    Returns:
        The number.

    Raises:
        ValueError: It is no such text.
    """
    if not (match := re.fullmatch(r"\s*(\d*\.?\d+)\s*(?:±\s*(\d*\.?\d+))?\s*", text)):
        raise ValueError(f"{text!r} is no printed number such as '7.71±.14'")
    return PrintedNumber(float(match[1]), None if match[2] is None else float(match[2]))


def lead(column: str, ours: PrintedNumber, theirs: PrintedNumber, *, seeds: int = 5) -> float:
    """Compute by how many standard errors one mean is better than another.

    >>> round(lead("FID", PrintedNumber(19.31, 0.76), PrintedNumber(18.52)), 1)
    -2.3

    Args:
        column: The metric; more is better for IS, less for all others.
        ours: The one mean, with its deviation.
        theirs: The other, with or without.
        seeds: Number of runs behind each mean.

    Returns:
        The lead; positive = ours is better.

    Raises:
        ValueError: No deviation is printed for ours.
    """
    if ours.deviation is None:
        raise ValueError(f"{ours.mean} has no deviation: there is no scale for a lead")
    error = sqrt((ours.deviation**2 + (theirs.deviation or 0.0) ** 2) / seeds)
    gap = ours.mean - theirs.mean
    return (gap if column in MORE_IS_BETTER else -gap) / error


def ranking(column: str, numbers: Mapping[str, str]) -> list[str]:
    """Order methods by a column, best first.

    >>> ranking("FID", {"a": "20.1±.3", "b": "19.0"}), ranking("IS", {"a": "8.1", "b": "7.9"})
    (['b', 'a'], ['a', 'b'])

    Args:
        column: The metric.
        numbers: What is printed, by method.

    Returns:
        The methods' names.
    """
    sign = -1 if column in MORE_IS_BETTER else 1
    return sorted(numbers, key=lambda name: sign * printed_number(numbers[name]).mean)
