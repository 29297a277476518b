"""The soak's command: `python -m tests.soak [kind …]`."""

import argparse
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak import faults, gathering
from tests.soak.chain import PHASES, Chain, Strike
from tests.soak.processes import Started, command, forked, train
from tests.soak.runs import make_checkout, write_row
from tests.soak.tally import Tally

POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "gncompanion", "train", "-f"]


class Soak:
    """All kinds, with a folder and chance of their own.

    Args:
        folder: A folder for all of it.
        seed: Of all chance.
        minutes: How long to strike each kind at most.
    """

    def __init__(self, folder: Path, seed: int, minutes: float) -> None:
        self.minutes = minutes
        self.folder, self.chance = folder, random.Random(seed)
        self.row = write_row(folder)
        self.checkout = make_checkout(folder / "checkout")
        self.references: dict[str, Path] = {}

    def reference(self, kind: str, start: Callable[[Path, Path], Started]) -> Path:
        """Train once, undisturbed."""
        if kind not in self.references:
            runs = self.folder / f"reference-{kind}"
            started = start(runs, self.folder / f"reference-{kind}.txt")
            assert started.wait() == 0, started.said()
            self.references[kind] = runs
        return self.references[kind]

    def train(self, runs: Path, log: Path) -> Started:
        """Start `gncompanion train`."""
        return forked(train, str(self.row), log=log, GNCOMPANION_RUNS=str(runs))

    def torchrun(self, runs: Path, log: Path) -> Started:
        """Start torchrun with two processes."""
        return command([*TORCHRUN, str(self.row)], log, GNCOMPANION_RUNS=str(runs))

    def papermill(self, runs: Path, log: Path) -> Started:
        """Start papermill on the notebook."""
        notebook, out = self.checkout / "notebooks/90_train.ipynb", str(self.folder / "out.ipynb")
        own = {**gathering.environment(self.checkout), "GNCOMPANION_RUNS": str(runs)}
        own["GNCOMPANION_FIGURES"] = str(self.folder / "figures")
        given = [str(notebook), out, "-p", "row", str(self.row), "--no-progress-bar"]
        return command(["papermill", *given], log, folder=self.checkout, **own)

    def reproduce(self, runs: Path, log: Path) -> Started:
        """Start `gncompanion reproduce --full`, whose trainings go on where they stopped."""
        output = self.folder / "gathered"
        own = {**gathering.environment(self.checkout), "GNCOMPANION_RUNS": str(runs)}
        given = ["reproduce", "90", "--full", "--output", str(output)]
        return command(["gncompanion", *given], log, folder=self.checkout, **own)

    def chain(self, kind: str, strikes: list[Strike]) -> Tally:
        """Strike one kind of run, in an order of chance."""
        tally, start = Tally(kind), getattr(self, kind)
        alike = "torchrun" if kind == "torchrun" else "train"
        chain = Chain(
            tally, self.folder / kind, start, self.reference(alike, getattr(self, alike)), self.chance
        )
        self.chance.shuffle(strikes)
        for strike in strikes:
            if time.monotonic() - tally.start < 60 * self.minutes:
                chain.strike(strike)
        chain.end()
        return tally

    def gathering(self, trials: int) -> Tally:
        """Kill gatherings."""
        tally, folder = Tally("gathering"), self.folder / "gathering"
        folder.mkdir()
        gathering.kills_while_gathering(tally, folder, trials, self.chance)
        return tally

    def twice(self) -> Tally:
        """Run a notebook twice at once."""
        tally, folder = Tally("twice at once"), self.folder / "twice"
        folder.mkdir()
        gathering.twice_at_once(tally, self.checkout, folder, self.row)
        return tally

    def faults(self) -> list[Tally]:
        """Fill disks, and let folders be only read."""
        return faults.all_of_them(
            self.folder / "faults", self.row, self.reference("train", self.train), self.chance
        )


def strikes(kills: dict[str, int], signals: int, whom: str = "parent") -> list[Strike]:
    """So many kills to each of whom, and so many of each polite signal, over the three phases."""
    killed = [
        Strike(signal.SIGKILL, PHASES[number % 3], who)
        for who, count in kills.items()
        for number in range(count)
    ]
    return killed + [Strike(n, phase, whom) for n in POLITE for phase in PHASES for _ in range(signals)]


def main() -> None:
    """Run the kinds that are named, all by default, and print the table."""
    os.environ["PYTHONPATH"] = str(Path.cwd())
    for number in POLITE:  # what a shell starts with & or nohup would ignore some, and hand that on
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    kinds: dict[str, Callable[[Soak], list[Tally]]] = {
        "train": lambda soak: [soak.chain("train", strikes({"all": 45}, 3))],
        "gathering": lambda soak: [soak.gathering(30)],
        "twice": lambda soak: [soak.twice()],
        "torchrun": lambda soak: [soak.chain("torchrun", strikes({"all": 4, "parent": 3, "child": 2}, 1))],
        "papermill": lambda soak: [soak.chain("papermill", strikes({"all": 4, "parent": 3, "child": 2}, 1))],
        "reproduce": lambda soak: [soak.chain("reproduce", strikes({"all": 3, "parent": 4, "child": 2}, 1))],
        "faults": lambda soak: soak.faults(),
    }
    parser.add_argument("kinds", nargs="*", metavar="kind", help=", ".join(kinds), default=list(kinds))
    parser.add_argument("--seed", type=int, default=0, help="of all chance")
    parser.add_argument("--minutes", type=float, default=60, help="for each kind of run, at most")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(Path(folder), given.seed, given.minutes)
        rows = []
        for kind in given.kinds:
            rows += [tally.row() for tally in kinds[kind](soak)]
            print("\n".join([Tally.head(), *rows]), flush=True)


if __name__ == "__main__":
    main()
