"""Trainings before their notebook: a row's experiments, each in a process of its own, one for each core.

    gncompanion reproduce --middle  →  gncompanion train -f ROW --method M --seed S, seed by seed
                                    →  the notebook, which finds its runs finished

Whenever all of it is killed, each training goes on from its last checkpoint the next time; a signal to this
process makes them write one first. Seed by seed, so that what is finished is one seed of every method.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gncompanion.notebook.plan import Job
from gncompanion.notebook.processes import ended_politely
from gncompanion.tools import paths
from gncompanion.tools.files import write

__all__ = ["train_first"]

NICENESS = 10
GRACE = 60.0  # seconds for a checkpoint


@dataclass
class _Training:
    """One experiment of a row, and the process that trains it."""

    name: str
    command: list[str]
    steps: int
    output: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start the process, its output in a file."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        own = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **own}
            )

    def done(self) -> int:
        """Count the steps that the newest checkpoint holds; the run's folder is the first line's end."""
        if self.process is None:
            return 0
        if self.process.poll() == 0:
            return self.steps
        found = re.match(r".*: (.+)\n", self.output.read_text(encoding="utf-8", errors="replace"))
        files = Path(found[1]).glob("step-*.pt") if found else ()
        return max((int(file.name.split("-")[1]) for file in files), default=0)


def train_first(jobs: Sequence[Job], *, workers: int | None = None) -> None:
    """Train all experiments of the jobs that are rows, or go on with them; nicely, with a bar.

    Args:
        jobs: From `plan`; those whose parameters are no row, with methods and seeds, train in their notebook.
        workers: Trainings at a time; None = one for each core.

    Raises:
        ValueError: Trainings have failed; names them, and where their output is.
    """
    waiting = [training for job in jobs for training in _trainings(job)]
    if not waiting:
        return
    if hasattr(os, "nice"):
        os.nice(NICENESS)  # the notebooks after them too
    with _ended_together(waiting) as end_if_asked:
        _run(waiting, workers or os.cpu_count() or 1, end_if_asked)
    if failed := [one for one in waiting if one.process and one.process.returncode]:
        listed = "; ".join(f"{one.name}: {_last_line(one.output)} (see {one.output})" for one in failed)
        raise ValueError(f"{len(failed)} of {len(waiting)} trainings failed: {listed}")


def _trainings(job: Job) -> Iterator[_Training]:
    row: dict[str, Any] = dict(job.parameters)
    if not {"methods", "seeds"} <= row.keys():
        return
    folder = paths.scratch() / "trainings" / job.name
    file = folder / "row.yml"
    write(file, json.dumps(row, indent=1).encode())  # YAML, too; with what -p has changed
    for seed in row["seeds"]:
        for method in row["methods"]:
            command = [sys.executable, "-m", "gncompanion", "train", "-f", str(file), "-p", "metrics", "none"]
            command += ["--method", method, "--seed", str(seed)]
            output = folder / f"{re.sub(r'[^a-zA-Z0-9]+', '-', method)}-{seed}.txt"
            yield _Training(f"{job.name}, {method}, seed {seed}", command, row.get("steps", 1), output)


def _run(trainings: Sequence[_Training], workers: int, end_if_asked: Callable[[], None]) -> None:
    from tqdm import tqdm

    queue, running = list(trainings), list[_Training]()
    total = sum(training.steps for training in trainings)
    with tqdm(total=total, unit="step", disable=None, leave=False, smoothing=0.05) as bar:
        while queue or running:
            while queue and len(running) < workers:
                running.append(queue.pop(0))
                running[-1].start()
            time.sleep(0.5)
            end_if_asked()
            running = [one for one in running if one.process and one.process.poll() is None]
            ended = sum(bool(one.process) for one in trainings) - len(running)
            bar.set_description(f"{ended} of {len(trainings)} trainings")
            bar.update(sum(one.done() for one in trainings) - bar.n)


@contextmanager
def _ended_together(trainings: Sequence[_Training]) -> Iterator[Callable[[], None]]:
    """End all trainings at a checkpoint where this process is told to end, or fails."""
    with ended_politely() as end_if_asked:
        try:
            yield end_if_asked
        finally:
            left = [one.process for one in trainings if one.process and one.process.poll() is None]
            for process in left:
                process.terminate()
            for process in left:
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()


def _last_line(file: Path) -> str:
    return (file.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
