"""One training struck down again and again, each time by the next start, until it is left to end."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.soak.processes import PATIENCE, Started
from tests.soak.runs import EVERY, STEPS, damages, differs, leftovers, run_folder, step_in
from tests.soak.tally import Tally

PHASES = ("at the start", "in a step", "while saving")
LAST = STEPS - 3 * 3 * EVERY  # a strike after this step may come too late


@dataclass(frozen=True)
class Strike:
    """A signal, when it comes, and to whom.

    Args:
        number: The signal.
        phase: One of `PHASES`.
        whom: "all", "parent", or "child": the process that was started last.
    """

    number: int
    phase: str
    whom: str = "parent"

    def __str__(self) -> str:
        return f"{signal.Signals(self.number).name} {self.phase} to {self.whom}"


@dataclass
class Chain:
    """A training, and how it is started.

    Args:
        tally: Where to count.
        folder: A folder for it.
        start: Starts it, with runs in the folder that it is given.
        reference: The runs of one that was left alone.
        chance: Of when a strike comes.
    """

    tally: Tally
    folder: Path
    start: Callable[[Path, Path], Started]
    reference: Path
    chance: random.Random
    count: int = 0

    def __post_init__(self) -> None:
        self.runs = self.folder / "0"
        self.runs.mkdir(parents=True)

    def strike(self, strike: Strike) -> None:
        """Start it, strike, and look at what is left."""
        if step_in(self.runs) >= LAST:
            self.end()
        started = self.start(self.runs, self.folder / "said.txt")
        if not self._await(strike.phase, started):
            self.tally.check(started.code() == 0, "hung", f"before a strike: {started.said()[-1000:]}")
            self.end()
            return
        seen = step_in(self.runs)
        _send(strike, started)
        self.tally.tried(str(strike))
        if started.wait(300) is None and strike.whom != "child":
            self.tally.wrong("hung", f"{strike}: {started.said()[-1000:]}")
        self.tally.check(started.gone(), "orphaned", str(strike))
        self._look(strike, seen)

    def _look(self, strike: Strike, seen: int) -> None:
        saved = step_in(self.runs)
        print(f"{self.tally.kind}: {strike}: {seen}, then {saved}", flush=True)
        polite = strike.number != signal.SIGKILL or strike.whom == "parent"
        due = seen + 1 if polite and strike.phase != "at the start" and seen < STEPS else seen
        self.tally.check(saved >= due, "lost", f"{strike}: step {saved} where {due} is due")
        for file in damages(self.runs):
            self.tally.wrong("damaged", f"{strike}: {file}")

    def _await(self, phase: str, started: Started) -> bool:
        """Wait for the moment; False if the run ended or never came so far."""
        before, deadline = step_in(self.runs), time.monotonic() + PATIENCE
        if phase == "at the start":
            time.sleep(self.chance.uniform(0, 10 if started.executed else 1))  # seconds: while it imports
            return started.code() is None
        wanted = before + self.chance.randint(1, 3 * EVERY)
        while step_in(self.runs) < wanted:
            if started.code() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        if phase == "in a step":
            time.sleep(self.chance.uniform(0, 0.1))
            return started.code() is None
        folder = run_folder(self.runs)
        assert folder is not None
        while not any(folder.glob(".step-*")):
            if started.code() is not None or time.monotonic() > deadline:
                return False
        return True

    def end(self) -> None:
        """Leave it alone to its end, which must be that of one that was never struck; then begin anew."""
        for _ in range(2):  # the second finds a finished run
            started = self.start(self.runs, self.folder / "said.txt")
            code = started.wait()
            self.tally.check(code is not None, "hung", "when left alone")
            self.tally.check(started.gone(), "orphaned", "when left alone")
            self.tally.check(code == 0, "damaged", f"exit {code}: {started.said()[-1500:]}")
            if step_in(self.runs) < STEPS:
                break
            if not leftovers(self.runs):
                break
        difference = differs(self.runs, self.reference)
        self.tally.check(not difference, "damaged", f"another end: {difference}")
        for file in leftovers(self.runs):
            self.tally.wrong("left", file)
        shutil.rmtree(self.runs)
        self.count += 1
        self.runs = self.folder / str(self.count)
        self.runs.mkdir()


def _send(strike: Strike, started: Started) -> None:
    for pid in list(_targets(strike.whom, started)):
        with suppress(ProcessLookupError):
            os.kill(pid, strike.number)


def _targets(whom: str, started: Started) -> Iterator[int]:
    if whom == "parent":
        yield started.pid
        return
    family = started.family()
    if whom == "all":
        yield from (process.pid for process in family)
        return
    yield max(family, key=_started_at, default=psutil.Process(started.pid)).pid


def _started_at(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return process.create_time()
    return 0.0
