"""What a training in progress tells, and is told; and signals that wait until its step is saved.

    with SignalWatch() as watch:      SIGTERM, SIGHUP or SIGINT → a checkpoint after the step in progress,
        …                             and then what the signal would have done at once

A SIGHUP that is ignored, as by `nohup`, stays ignored. A second SIGINT does not wait.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Any

from gncompanion.tools.parents import is_kernel, noticing_orphaned, poller_held

__all__ = ["SignalWatch", "Watch", "handle"]


class Watch:
    """What a training in progress tells, and is told; by default nothing."""

    def row(self, row: dict[str, float]) -> None:
        """Take note of a new row of the log.

        Args:
            row: The step, and the means of `COLUMNS`.
        """

    def stopping(self) -> bool:
        """Tell whether to stop after this step, with a checkpoint."""
        return False


def handle(handler: Any) -> dict[int, Any]:
    """Make a function the handler of the signals that end a run, but for a SIGHUP that is ignored.

    Args:
        handler: The function, of the signal's number and the frame.

    Returns:
        The handlers before, by number, to be put back.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return {number: signal.signal(number, handler) for number in numbers}


class SignalWatch(Watch):
    """Lets signals wait for a checkpoint, and has a notebook's kernel stop with one when it is orphaned.

    Only in the main thread, the only one that signals reach.

    Attributes:
        signal: The number of the signal that waits; None = there is none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}
        self._held = ExitStack()

    def __enter__(self) -> SignalWatch:
        if threading.current_thread() is threading.main_thread():
            self._before = handle(self._note)
            if is_kernel():
                self._held.enter_context(poller_held())
                self._held.enter_context(noticing_orphaned(_terminate))
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        if self.signal is not None:
            signal.raise_signal(self.signal)

    def stopping(self) -> bool:
        return self.signal is not None

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal == number == signal.SIGINT:
            self.signal = None
            self._restore()
            signal.raise_signal(number)
            return
        self.signal = number

    def _restore(self) -> None:
        self._held.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
