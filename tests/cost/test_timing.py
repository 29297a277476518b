"""Both clocks against work of known length, and the order of the calls."""

import time
from collections.abc import Callable

import pytest

from gncompanion.cost import Spread, now, seconds


def busy() -> None:
    """Work of 0.02 seconds of processor time."""
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass


def asleep() -> None:
    time.sleep(0.02)


def test_each_has_its_turn_in_every_round() -> None:
    calls: list[str] = []
    times = seconds({name: lambda name=name: calls.append(name) for name in ("one", "two")}, rounds=3)
    assert calls == ["one", "two"] * 4  # one round to warm up
    assert [len(found) for found in times.values()] == [3, 3]


def test_processor_time_is_that_of_work_and_not_of_waiting() -> None:
    times = seconds({"busy": busy, "asleep": asleep}, rounds=3, clock="processor")
    assert min(times["busy"]) >= 0.02 > max(times["asleep"])


def test_wall_clock_time_is_that_of_both() -> None:
    times = seconds({"busy": busy, "asleep": asleep, "nothing": lambda: None}, rounds=3)
    # A busy machine stretches all of them; the shortest of three moments of nothing stays far below.
    assert min(times["busy"]) >= 0.02 and min(times["asleep"]) >= 0.02 > min(times["nothing"])


def test_the_clock_goes_forward() -> None:
    start = now()
    asleep()
    assert now() - start >= 0.02


def test_a_spread_by_hand() -> None:
    assert Spread.of([4.0, 1.0, 3.0, 2.0]) == (2.5, 1.0, 4.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seconds({}, rounds=0), "rounds=0 must be an integer from 1 on"),
        (lambda: seconds({}, rounds=1, clock="wal"), "unknown clock 'wal', did you mean 'wall'"),
        (lambda: seconds({}, rounds=1, device="cuda", clock="processor"), "clock='processor' must be 'wall'"),
        (lambda: now(clock="sun"), "unknown clock 'sun'"),
    ],
)
def test_refusals(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
