"""Seconds of several functions, taken in turns: one call of each per round.

    clock = "wall"         what a user waits for, until the device is done; other programs can stretch it
    clock = "processor"    what the CPU worked, its threads added up; other programs take nothing of it

Wall-clock time is what "seconds" means here unless another clock is named. On a machine that has other things
to do, processor time on one thread is the steadier measure, and on one thread of an idle machine the two are
the same. Since every function has its call in every round, a busy machine is busy for all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch

from gncompanion.tools.checks import require, whole
from gncompanion.tools.names import pick

__all__ = ["CLOCKS", "Spread", "now", "seconds"]

Name = TypeVar("Name")

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def seconds(
    work: Mapping[Name, Callable[[], object]], *, rounds: int, device: str = "cpu", clock: str = "wall"
) -> dict[Name, list[float]]:
    """Time several functions in turns, after one round to warm up.

    Args:
        work: Functions to time, by name.
        rounds: Calls of each, from 1 on.
        device: Device on which they work. A GPU is waited for after each call.
        clock: Name of the clock, one of `CLOCKS`: "wall", or "processor" for work on a CPU.

    Returns:
        Seconds of each call, by name.

    Raises:
        ValueError: rounds is no positive integer, the clock is unknown, or it is a processor's and the work
            is a GPU's.

    Example:
        >>> times = seconds({"sum": lambda: sum(range(1000))}, rounds=3, clock="processor")
        >>> len(times["sum"])
        3
    """
    whole("rounds", rounds)
    pick("clock", clock, CLOCKS)
    on_cpu = torch.device(device).type == "cpu"
    require("clock", clock, on_cpu or clock != "processor", f"'wall' for work on {device!r}")
    times: dict[Name, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, do in work.items():
            start = now(device, clock=clock)
            do()
            times[name].append(now(device, clock=clock) - start)
    return {name: found[1:] for name, found in times.items()}


def now(device: str = "cpu", *, clock: str = "wall") -> float:
    """Read a clock, once the device has done all it was given.

    Args:
        device: Device to wait for.
        clock: Name of the clock, one of `CLOCKS`.

    Returns:
        Seconds since some moment: only differences mean something.

    Raises:
        ValueError: The clock is unknown.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return pick("clock", clock, CLOCKS)()


class Spread(NamedTuple):
    """Several measurements of one thing.

    Attributes:
        median: Median of all.
        low: Least of all.
        high: Largest of all.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up several measurements.

        Args:
            values: Measurements, one or more, such as those that `seconds` found of one function.

        Returns:
            Their median and their ends.

        Example:
            >>> Spread.of([3.0, 1.0, 2.0])
            Spread(median=2.0, low=1.0, high=3.0)
        """
        return cls(statistics.median(values), min(values), max(values))
