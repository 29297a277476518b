"""Running what was planned, and gathering the figures and claims that it makes.

A notebook writes its figures and claims into build/figures/NAME; they move to figures/ together when it has
run to its end, so a failure or Ctrl-C leaves the old ones in place, and what a crash leaves half moved, the
next start moves to its end. The executed notebook lies in build/notebooks/. A figure that comes out as it was
leaves the old file, with the commit that made it. Whoever wants to run a notebook that another process is
running waits, since both would write to the same folders.

The small runs train anew each time, in build/runs/NAME, so that a figure shows what the code does today. The
middle and full ones take hours and go on where they stopped, in `paths.runs()`.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from gncompanion.notebook import figures
from gncompanion.notebook.copies import keep_copy
from gncompanion.notebook.execute import Outcome, execute
from gncompanion.notebook.plan import Job
from gncompanion.notebook.processes import processes
from gncompanion.notebook.progress import print_failures, watch
from gncompanion.tools import paths
from gncompanion.tools.extras import require_modules
from gncompanion.tools.files import locked, settle, write, write_together

__all__ = ["gather", "reproduce"]


def reproduce(
    jobs: Sequence[Job], *, workers: int = 1, output: Path | None = None, in_place: bool = False
) -> dict[Job, Outcome]:
    """Run notebooks, a line of progress each, and gather the figures and claims of those that succeed.

    Args:
        jobs: From `plan`.
        workers: Notebooks at a time; the processor's cores are shared out among them.
        output: Where figures and claims go; `paths.figures()` by default.
        in_place: Also put the new outputs into the committed notebooks, for their maintainers; those of the
            middle scale become copies beside their parameter files.

    Returns:
        How each job ended; failures are also listed on standard error.

    Raises:
        ValueError: Parameters that are not the committed ones and `in_place` together.
        ModuleNotFoundError: A package that runs notebooks is not installed.
    """
    if in_place and any(job.parameters for job in jobs if job.scale != "middle"):
        raise ValueError("in place only with the default parameters: these are what is committed")
    require_modules("papermill", "ipykernel", "nbformat", "matplotlib", "psutil")
    output = output or paths.figures()
    settle(output)
    threads = max(1, (os.cpu_count() or 1) // workers)
    with processes(workers) as (pool, end_if_asked):
        started = {pool.submit(_run_alone, job, threads, output, in_place): job for job in jobs}
        outcomes = dict(watch(started, end_if_asked))
    print_failures(outcomes)
    return outcomes


def _run_alone(job: Job, threads: int, output: Path, in_place: bool) -> Outcome:
    """Run a notebook and gather what it makes, while no other process does."""
    with locked(job.staging.parents[1] / "locks" / job.name, name=job.name):
        _clear(job)
        outcome = execute(job, threads)
        if outcome.error is None:
            gather(job.staging, output)
            if in_place:
                keep_copy(job) if job.scale == "middle" else _adopt_outputs(job)
    return outcome


def gather(staging: Path, output: Path) -> None:
    """Move what a run has left to where it belongs.

    Args:
        staging: The run's own folder, with figures and claims; it is removed.
        output: The folder of figures.
    """
    files = {file.name: file.read_bytes() for file in sorted(staging.glob("[!.]*"))}
    for sidecar in [name for name in files if name.endswith(".json")]:
        figure = {sidecar.removesuffix(".json") + ending for ending in (".json", ".svg", ".png")}
        if figure <= files.keys():
            own = {name: files.pop(name) for name in sorted(figure)}
            files |= figures.renewed(output, own)
    write_together(output, files)
    shutil.rmtree(staging)


def _clear(job: Job) -> None:
    if not job.lasts:
        shutil.rmtree(job.runs, ignore_errors=True)
    shutil.rmtree(job.staging, ignore_errors=True)
    job.staging.mkdir(parents=True)
    job.executed.parent.mkdir(parents=True, exist_ok=True)
    job.executed.unlink(missing_ok=True)


def _adopt_outputs(job: Job) -> None:
    """Put a run's outputs and counts into its notebook, and nothing of what papermill notes."""
    import nbformat

    committed, executed = (nbformat.read(file, as_version=4) for file in (job.notebook, job.executed))
    for cell, run in zip(committed.cells, executed.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = run.outputs, run.execution_count
    committed.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    write(job.notebook, (nbformat.writes(committed) + "\n").encode())
