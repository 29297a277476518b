"""Running one notebook, in a process of its own whose kernel inherits where its figures and runs go."""

import os
import sys
import time
from dataclasses import dataclass

from gncompanion.notebook.plan import Job

__all__ = ["Outcome", "execute"]


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
            start_timeout=600,  # seconds: on a busy machine a kernel takes longer than the usual minute
            extra_arguments=["--log-level=CRITICAL"],  # without the kernel's own chatter at each start
        )
    except papermill.PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except Exception as failure:  # a dead kernel, a full disk: reported as an error in a cell is
        error = f"{type(failure).__name__}: {failure}"
    return Outcome(time.monotonic() - start, _peak_of_children(), error and " ".join(error.split()))


def _peak_of_children() -> int | None:
    """The most bytes that one of the processes held that this one has started and seen end."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
