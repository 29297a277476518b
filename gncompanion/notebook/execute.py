"""Running the notebooks without a browser, each in a process of its own, and gathering what they make.

Before anything runs, every parameter's name is compared with those that the notebooks declare. A notebook
writes its figures and claims into build/figures/NAME; they move to figures/ together when it has run to its
end, so a failure or Ctrl-C leaves the old ones in place. The executed notebook lies in build/notebooks/.

The small runs train anew each time, in build/runs/NAME, so that a figure shows what the code does today. The
full ones take hours and go on where they stopped, in `paths.runs()`.
"""

import ast
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from gncompanion.notebook.parameters import declared_parameters
from gncompanion.tools import paths
from gncompanion.tools.files import write
from gncompanion.tools.names import require_known

__all__ = ["Job", "Outcome", "parse_value", "plan", "reproduce"]


@dataclass(frozen=True)
class Job:
    """One notebook to run with one set of parameters.

    Args:
        name: Of the run: the notebook's name, or that of its parameter file.
        notebook: The .ipynb file.
        parameters: What papermill injects; empty for the committed defaults.
        full: Whether the parameters are those of a file in notebooks/full/.
    """

    name: str
    notebook: Path
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    full: bool = False

    @property
    def executed(self) -> Path:
        """Where the executed notebook goes."""
        return paths.root() / "build" / "notebooks" / f"{self.name}.ipynb"

    @property
    def staging(self) -> Path:
        """Where its figures and claims wait until it has succeeded."""
        return paths.root() / "build" / "figures" / self.name

    @property
    def runs(self) -> Path:
        """Where its training runs go."""
        return paths.runs() if self.full else paths.root() / "build" / "runs" / self.name


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        seconds: Wall-clock time.
        peak_bytes: The most memory that its kernel held.
        error: The error's last line; None after success.
    """

    seconds: float
    peak_bytes: int
    error: str | None = None


def plan(
    only: Sequence[str] = (), *, parameters: Mapping[str, Any] | None = None, full: bool = False
) -> list[Job]:
    """Choose what to run, and refuse every unknown notebook or parameter.

    Args:
        only: Notebooks by number or name, "04" or "04_theorem5"; all of them by default.
        parameters: Values by name, each for the notebooks that declare it.
        full: Run each notebook once for each of its parameter files notebooks/full/NN_*.yml, not once with
            its defaults.

    Returns:
        The jobs, in the notebooks' order.

    Raises:
        ValueError: A notebook or a parameter does not exist, or there is nothing to run.
    """
    declared = {notebook: declared_parameters(notebook) for notebook in _chosen(only)}
    for name in parameters or {}:
        valid = sorted(set().union(*declared.values()))
        require_known("none of the notebooks has a parameter", name, valid)
    jobs = []
    for notebook, valid in declared.items():
        shared = {name: value for name, value in (parameters or {}).items() if name in valid}
        for run, settings in _runs(notebook, full=full):
            for name in settings:
                require_known(f"{run}: {notebook.stem} has no parameter", name, valid)
            jobs.append(Job(run, notebook, settings | shared, full))
    if not jobs:
        raise ValueError(f"no notebooks/full/NN_*.yml for {', '.join(file.stem for file in declared)}")
    return jobs


def reproduce(
    jobs: Sequence[Job], *, workers: int = 1, output: Path | None = None, in_place: bool = False
) -> dict[Job, Outcome]:
    """Run notebooks, a line of progress each, and gather the figures and claims of those that succeed.

    Args:
        jobs: From `plan`.
        workers: How many run at a time; the processor's cores are shared out among them.
        output: Where figures and claims go; `paths.figures()` by default.
        in_place: Also put the new outputs into the committed notebooks, for their maintainers.

    Returns:
        How each job ended; failures are also listed on standard error.

    Raises:
        ValueError: Parameters that are not the committed ones and `in_place` together.
    """
    if in_place and any(job.parameters for job in jobs):
        raise ValueError("in place only with the default parameters: these are what is committed")
    for job in jobs:
        if not job.full:
            shutil.rmtree(job.runs, ignore_errors=True)
        shutil.rmtree(job.staging, ignore_errors=True)
        job.staging.mkdir(parents=True)
        job.executed.parent.mkdir(parents=True, exist_ok=True)
        job.executed.unlink(missing_ok=True)
    threads = max(1, (os.cpu_count() or 1) // workers)
    outcomes = {}
    with _processes(workers) as pool:
        for job, outcome in _watch({pool.submit(_execute, job, threads): job for job in jobs}):
            outcomes[job] = outcome
            if outcome.error is None:
                _gather(job, output or paths.figures())
                if in_place:
                    _adopt_outputs(job)
    failures = {job: outcome.error for job, outcome in outcomes.items() if outcome.error is not None}
    for job, error in failures.items():
        print(f"{job.name} failed: {error}\n    see {job.executed}", file=sys.stderr)
    return outcomes


def parse_value(text: str) -> Any:
    """Read a parameter's value as given on the command line.

    Args:
        text: A Python literal ("8", "1e-3", "None", "['sn']"), YAML ("true", "[sn, gn]") or plain text.

    Returns:
        The value.
    """
    import yaml

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return yaml.safe_load(text)


def _chosen(only: Sequence[str]) -> list[Path]:
    notebooks = sorted(paths.notebooks().glob("[0-9][0-9]_*.ipynb"))
    by_name = {key: file for file in notebooks for key in (file.stem[:2], file.stem)}
    for name in only:
        require_known("no notebook", name, by_name)
    chosen = {by_name[name] for name in only} if only else set(notebooks)
    if not chosen:
        raise ValueError("there are no notebooks yet")
    return sorted(chosen)


def _runs(notebook: Path, *, full: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    if not full:
        yield notebook.stem, {}
        return
    import yaml

    for file in sorted((notebook.parent / "full").glob(f"{notebook.stem[:2]}_*.yml")):
        yield file.stem, yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def _execute(job: Job, threads: int) -> Outcome:
    """Run a notebook; called in a process of its own, whose environment the notebook's kernel inherits."""
    import resource

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
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return Outcome(time.monotonic() - start, peak, error and " ".join(error.split()))


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A fresh process for each job; an exception, Ctrl-C too, ends all of them and their kernels."""
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


def _watch(futures: Mapping[Future[Outcome], Job]) -> Iterator[tuple[Job, Outcome]]:
    """Yield jobs as they end, and keep a line for each on the terminal until then."""
    from tqdm import tqdm

    look = {"bar_format": "{desc:<28} {bar:24} {n_fmt}/{total_fmt} cells", "leave": False, "disable": None}
    bars = {
        job: tqdm(total=_cells(job), desc=job.name, position=line, **look)
        for line, job in enumerate(futures.values())
    }
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
        for job, bar in bars.items():
            bar.n = _cells_done(job)
            bar.refresh()
        for future in finished:
            job, failure = futures[future], future.exception()
            outcome = future.result() if failure is None else Outcome(0, 0, f"its process ended: {failure}")
            bars.pop(job).close()
            verdict, gibibytes = "FAILED" if outcome.error else "ok", outcome.peak_bytes / 2**30
            tqdm.write(f"{job.name:<28} {verdict:<6} {outcome.seconds:6.0f} s {gibibytes:6.1f} GiB")
            yield job, outcome


def _cells(job: Job) -> int:
    import nbformat

    return len(nbformat.read(job.notebook, as_version=4).cells) + bool(job.parameters)


def _cells_done(job: Job) -> int:
    """How many cells papermill has noted as completed in the file that it writes after each."""
    return job.executed.read_bytes().count(b'"status": "completed"') if job.executed.exists() else 0


def _gather(job: Job, output: Path) -> None:
    for file in sorted(job.staging.iterdir()):
        write(output / file.name, file.read_bytes())
    shutil.rmtree(job.staging)


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
