"""When processes ask each other whether to stop: by the time that steps take, and all at the same steps."""

import threading

import pytest
import torch
from torch import Tensor

from gncompanion.training import Share, agreement
from gncompanion.training.agreement import PERIOD, Agreement

CPU = torch.device("cpu")


class Meeting(Share):
    """One of two threads that find the largest values together, as two processes do."""

    def __init__(self, rank: int, barrier: threading.Barrier, table: list[Tensor]) -> None:
        super().__init__(rank, 2)
        object.__setattr__(self, "_meet", (barrier, table))

    def largest(self, values: Tensor) -> Tensor:
        barrier, table = self._meet
        table[self.rank] = values
        barrier.wait(10)
        result = torch.maximum(*table)
        barrier.wait(10)
        return result


class Clock(threading.local):
    """Each thread's own time in seconds."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def stops_at(seconds: list[list[float]], wanted: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> list:
    """Run two threads with steps of so many seconds; returns where each stops, and the steps of questions."""
    clock, barrier, table = Clock(), threading.Barrier(2), [torch.zeros(2), torch.zeros(2)]
    monkeypatch.setattr(agreement, "time", clock)
    found: list = [None, None]

    def train(rank: int) -> None:
        ours, asked, stopped = Agreement(Meeting(rank, barrier, table), CPU), [], None
        for step, duration in enumerate(seconds[rank], 1):
            clock.now += duration
            asks = ours._left == 1
            stop = ours.stop(wanted[rank] <= step)
            asked += [step] if asks else []
            if stop:
                stopped = step
                break
        found[rank] = (stopped, asked, clock.now)

    threads = [threading.Thread(target=train, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("step", [0.001, 0.02, 0.3, 5.0])
def test_a_signal_in_one_process_stops_both_at_the_same_step_and_soon(
    step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, n, wanted = torch.Generator().manual_seed(0), 6000, 3000
    ways = [(step * (0.5 + torch.rand(n, generator=chance, dtype=torch.float64))).tolist() for _ in range(2)]
    (one, asked, time), (two, also_asked, _) = stops_at(ways, (n + 1, wanted), monkeypatch)
    assert one == two
    assert one is not None
    assert asked == also_asked
    assert 0 <= (one - wanted) * step <= 2 * PERIOD  # twice, since the steps' seconds vary
    # The interval doubles to begin with; then it is a period, or a step where that is longer.
    assert len(asked) <= time / max(PERIOD, step) * 2 + 15


def test_steps_that_become_slow_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [[0.01] * 1000 + [0.1] * 1000] * 2
    (one, asked, _), (two, *_) = stops_at(seconds, (1001, 2001), monkeypatch)
    assert one == two
    assert (one - 1001) * 0.1 <= 10 * PERIOD  # as many steps as there were in a period before
    assert len(asked) > 5


def test_alone_the_answer_is_ones_own() -> None:
    alone = Agreement(Share(), CPU)
    assert [alone.stop(wanted) for wanted in (False, True, False)] == [False, True, False]
