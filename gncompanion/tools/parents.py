"""Processes that do not outlive the one that started them: they notice that it has died, and end in order.

The number of the parent is asked for again and again, since it changes when the parent dies. Linux could send
a signal by itself (PR_SET_PDEATHSIG), but it does so at the end of the thread that started the child, not of
the process. On Windows the number stays, and nothing is noticed.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["is_kernel", "noticing_orphaned", "poller_held"]

_PERIOD = 0.5  # seconds; Jupyter's own poller takes a second


@contextmanager
def noticing_orphaned(act: Callable[[], object]) -> Iterator[None]:
    """Do something, once, when the process that started this one has died.

    Args:
        act: What to do, in a thread of its own.
    """
    parent, over = os.getppid(), threading.Event()

    def watch() -> None:
        while not over.wait(_PERIOD):
            if os.getppid() != parent:
                act()
                return

    watcher = threading.Thread(target=watch, name="parent", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def is_kernel() -> bool:
    """Tell whether this process is a notebook's kernel, and what started it still runs."""
    return os.environ.get("JPY_PARENT_PID") == str(os.getppid())


@contextmanager
def poller_held() -> Iterator[None]:
    """Keep ipykernel from ending an orphaned kernel at once, for as long as it takes to save something.

    Its poller leaves within a second, without a word to anything that runs in the kernel.
    """
    application = sys.modules.get("ipykernel.kernelapp")
    poller: Any = application.IPKernelApp.instance().poller if application and is_kernel() else None
    if not hasattr(poller, "parent_pid"):
        yield
        return
    known, poller.parent_pid = poller.parent_pid, _AnyParent(1)
    try:
        yield
    finally:
        poller.parent_pid = known


class _AnyParent(int):
    """A process number that none differs from."""

    def __ne__(self, _: object) -> bool:
        return False

    __eq__, __hash__ = int.__eq__, int.__hash__
