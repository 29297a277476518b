"""Running one notebook, in a process of its own whose kernel inherits where its figures and runs go."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children, get_context

from gncompanion.notebook.plan import Job

__all__ = ["Outcome", "execute", "processes"]


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        seconds: Wall-clock time.
        peak_bytes: The most memory that its kernel held; None where the system does not tell.
        error: The error's last line; None after success.
    """

    seconds: float
    peak_bytes: int | None
    error: str | None = None


def execute(job: Job, threads: int) -> Outcome:
    """Run a notebook. To be called in a process of its own: it changes the environment.

    Args:
        job: From `plan`.
        threads: Threads of the kernel's arithmetic, unless OMP_NUM_THREADS says otherwise.

    Returns:
        How it ended; whatever goes wrong is told there.
    """
    import papermill

    os.environ |= {"GNCOMPANION_FIGURES": str(job.staging), "GNCOMPANION_RUNS": str(job.runs)}
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    start, error = time.monotonic(), None
    try:
        papermill.execute_notebook(
            job.notebook,
            job.executed,
            parameters=dict(job.parameters),
            cwd=job.notebook.parent,
            progress_bar=False,
            extra_arguments=["--log-level=CRITICAL"],  # without the kernel's own chatter at each start
        )
    except papermill.PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except Exception as failure:  # a dead kernel, a full disk: reported as an error in a cell is
        error = f"{type(failure).__name__}: {failure}"
    return Outcome(time.monotonic() - start, _peak_of_children(), error and " ".join(error.split()))


@contextmanager
def processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Offer a fresh process for each job; an exception, Ctrl-C too, ends all of them and their kernels.

    Args:
        workers: Processes at a time.

    Yields:
        The pool to submit `execute` to.
    """
    pool = ProcessPoolExecutor(
        workers,
        get_context("spawn"),
        initializer=signal.signal,  # a terminal sends Ctrl-C to every process; the parent decides
        initargs=(signal.SIGINT, signal.SIG_IGN),
        max_tasks_per_child=1,
    )
    try:
        yield pool
    except BaseException:
        _end_workers()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_workers() -> None:
    import psutil

    for worker in active_children():
        with suppress(psutil.NoSuchProcess):
            for kernel in psutil.Process(worker.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    kernel.kill()
        worker.kill()


def _peak_of_children() -> int | None:
    """The most bytes that one of the processes held that this one has started and seen end."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
