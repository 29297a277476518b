"""A signal ends a process at a safe place, wherever it comes; and what it is told by nohup stays so."""

import os
import signal
import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress

import pytest

from gncompanion.notebook.processes import ended_politely

NUMBERS = [signal.SIGTERM, signal.SIGINT] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])


class Unlucky:
    """Its destructor is where the signal comes: what is raised there, Python drops."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_in_a_destructor_ends_at_the_next_safe_place(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reached = []
    expected = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    with pytest.raises(expected) as ended, ended_politely() as end_if_asked:
        Unlucky(number)
        reached.append("after it")
        end_if_asked()
        reached.append("too far")
    assert reached == ["after it"]
    assert number == signal.SIGINT or ended.value.code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_lock_that_is_taken_when_the_signal_comes_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting takes each future's lock; the pool's thread needs it to say that a process has died."""
    future, free = Future[None](), threading.Event()
    taken = future._condition.acquire

    def acquire() -> bool:
        found = taken()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # the handler runs here
        return found

    monkeypatch.setattr(future._condition, "acquire", acquire)
    with pytest.raises(SystemExit), ended_politely() as end_if_asked:
        wait([future], timeout=0.01)
        end_if_asked()

    def fail() -> None:
        future.set_exception(RuntimeError("its process ended"))
        free.set()

    threading.Thread(target=fail, daemon=True).start()
    assert free.wait(60)


@pytest.mark.parametrize("number", NUMBERS)
def test_one_that_comes_with_the_end_is_not_forgotten(number: signal.Signals) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)), ended_politely():
        signal.raise_signal(number)


def test_a_further_ctrl_c_does_not_wait() -> None:
    for first in (signal.SIGTERM, signal.SIGINT):
        with pytest.raises(KeyboardInterrupt), ended_politely():
            with suppress(SystemExit):
                signal.raise_signal(first)
            signal.raise_signal(signal.SIGINT)
            time.sleep(60)


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with ended_politely() as end_if_asked:
            signal.raise_signal(signal.SIGTERM)
            end_if_asked()
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
