"""What one sees of a run: a line for each notebook while it runs, and one that stays when it has ended."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress

from gncompanion.notebook.execute import Outcome
from gncompanion.notebook.plan import Job

__all__ = ["print_failures", "watch"]


def watch(
    futures: Mapping[Future[Outcome], Job], end_if_asked: Callable[[], None]
) -> Iterator[tuple[Job, Outcome]]:
    """Yield jobs as they end, and keep a line for each on the terminal until then.

    Args:
        futures: What is running, and which job it is.
        end_if_asked: Called twice a second; raises where a signal has asked for the end.

    Yields:
        Each job and how it ended, the first to end first.
    """
    from tqdm import tqdm

    bars = {
        job: tqdm(
            total=_cells(job),
            desc=job.name,
            position=line,
            bar_format="{desc:<28} {bar:24} {n_fmt}/{total_fmt} cells",
            leave=False,
            disable=None,
        )
        for line, job in enumerate(futures.values())
    }
    pending, start = set(futures), time.time()
    while pending:
        end_if_asked()
        finished, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
        for job, bar in bars.items():
            bar.n = _cells_done(job, since=start)
            bar.refresh()
        for future in finished:
            job, failure = futures[future], future.exception()
            outcome = future.result() if failure is None else Outcome(0, 0, f"its process ended: {failure}")
            bars.pop(job).close()
            tqdm.write(_line(job, outcome))
            yield job, outcome


def print_failures(outcomes: Mapping[Job, Outcome]) -> None:
    """List on standard error what failed, why, and where to look.

    Args:
        outcomes: How each job ended.
    """
    for job, outcome in outcomes.items():
        if outcome.error is not None:
            print(f"{job.name} failed: {outcome.error}\n    see {job.executed}", file=sys.stderr)


def _line(job: Job, outcome: Outcome) -> str:
    verdict = "FAILED" if outcome.error else "ok"
    size = "  – GiB" if outcome.peak_bytes is None else f"{outcome.peak_bytes / 2**30:6.1f} GiB"
    return f"{job.name:<28} {verdict:<6} {outcome.seconds:6.0f} s {size}"


def _cells(job: Job) -> int:
    import nbformat

    return len(nbformat.read(job.notebook, as_version=4).cells) + bool(job.parameters)


def _cells_done(job: Job, *, since: float) -> int:
    """How many cells papermill has noted as completed in the file that it writes after each."""
    with suppress(FileNotFoundError):
        if job.executed.stat().st_mtime >= since:  # not that of an earlier run
            return job.executed.read_bytes().count(b'"status": "completed"')
    return 0
