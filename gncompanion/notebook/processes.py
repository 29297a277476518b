"""Processes that run notebooks, and how they end: with the one that started them, and politely.

closed terminal, SIGTERM, Ctrl-C    →  the parent sends the kernels SIGTERM: trainings save a checkpoint
the parent is killed                →  each process notices it, and tells its kernel the same
a process is killed                 →  its kernel notices it, as Jupyter has it

A signal only leaves a note, and the exception comes at a safe place. Raised by the handler itself it may come
in a destructor or a weak reference's callback, where Python drops it, or between the taking of a lock and the
block that frees it, for which others then wait for ever.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import active_children, connection, get_context, parent_process
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

__all__ = ["GRACE", "ended_politely", "processes"]

GRACE = 30.0  # seconds that a kernel has for its checkpoint, as torchrun's processes have
_POLITE = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def processes(workers: int) -> Iterator[tuple[ProcessPoolExecutor, Callable[[], None]]]:
    """Offer a fresh process for each job; an exception ends all of them and their kernels.

    So do SIGTERM, SIGHUP and Ctrl-C, and then this process, as `ended_politely` has it.

    Args:
        workers: Processes at a time.

    Yields:
        The pool to submit work to, and what is to be called again and again, while that works.
    """
    with ended_politely() as end_if_asked:
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, max_tasks_per_child=1)
        try:
            yield pool, end_if_asked
        except BaseException:
            _end_workers()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def ended_politely() -> Iterator[Callable[[], None]]:
    """Let SIGTERM, SIGHUP and Ctrl-C wait for a safe place; a signal that is ignored, as by nohup, stays so.

    A further Ctrl-C does not wait.

    Yields:
        What is to be called at safe places: where one of them has come it raises SystemExit with 128 + the
        signal's number, and KeyboardInterrupt for Ctrl-C.
    """
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        asked.append(number)
        if signal.SIGINT in before:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    def end_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt if asked[0] == signal.SIGINT else SystemExit(128 + asked[0])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_POLITE)}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, note)
    try:
        yield end_if_asked
        end_if_asked()  # it came with the end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) == signal.SIG_IGN  # by nohup


def _begin() -> None:
    """Leave it to the parent what a signal to all processes of a terminal means, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in set(_POLITE) - {signal.SIGTERM}:
        if not _is_ignored(number):
            signal.signal(number, _leave_to_the_parent)
    Thread(target=_end_with_the_parent, name="parent", daemon=True).start()


def _leave_to_the_parent(*_: object) -> None:
    """Do nothing; unlike SIG_IGN, it is not handed on to the kernel."""


def _end_with_the_parent() -> None:
    import psutil

    if parent := parent_process():
        connection.wait([parent.sentinel])
        _end(psutil.Process().children(recursive=True))
        os._exit(1)


def _end_workers() -> None:
    import psutil

    workers, kernels = active_children(), []
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(worker.pid)
            process.suspend()  # it starts no kernel now
            own = process.children(recursive=True)
            kernels += own
            (process.resume if own else process.kill)()
    try:
        _end(kernels)
    finally:
        for worker in workers:
            worker.kill()


def _end(kernels: "list[Process]") -> None:
    """Ask kernels to end, and end those that do not."""
    import psutil

    try:
        for kernel in kernels:
            with suppress(psutil.NoSuchProcess):
                kernel.terminate()
        _, left = psutil.wait_procs(kernels, timeout=1)
        if left:
            with suppress(OSError):  # the terminal may be gone
                print("a training in progress saves its checkpoint; Ctrl-C does not wait", file=sys.stderr)
            psutil.wait_procs(left, timeout=GRACE - 1)
    finally:
        for kernel in kernels:
            with suppress(psutil.NoSuchProcess):
                kernel.kill()
