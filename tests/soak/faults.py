"""Disks that are full, and folders that can only be read: an error and an end, and nothing old is harmed.

The disk is a tmpfs of some megabytes that is filled at the moment in question, and remounted to be only read;
both take the superuser's rights.
"""

import os
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from gncompanion.tools import files
from tests.soak import gathering
from tests.soak.processes import Started, forked, train
from tests.soak.runs import EVERY, STEPS, damages, differs, leftovers, make_checkout, step_in
from tests.soak.tally import Tally

SIZE = 8  # MB
FILLER = "filler"


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """Offer a small disk, mounted at a folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def only_read(folder: Path) -> Iterator[None]:
    """Let nobody write to a disk, the superuser neither."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def fill(folder: Path, *, spare: int = 0) -> None:
    """Leave no byte free on a disk, or so many."""
    with (folder / FILLER).open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
        file.truncate(file.tell() - spare)


def train_and_fill(row: str, place: str, name: str, occasion: int) -> None:
    """Train, and fill the disk before the n-th time that a file of some name is written."""
    times, whole = iter(range(occasion)), files._write

    def filling(path: Path, content: bytes | memoryview) -> None:
        if path.name.startswith(name) and next(times, None) is None:
            fill(Path(place))
        whole(path, content)

    files._write = filling
    train(row)


def save_to(place: str, what: str, full: bool) -> None:
    """Save a figure, claims, a gathered set or a prepared store, perhaps to a full disk."""
    folder, book = Path(place), SimpleNamespace(name="90_train", suffix="", parameters={})
    if full:
        fill(folder, spare=2**17 if what == "prepared store" else 0)  # its head still has room
    _SAVES[what](folder, book)


def save_old(folder: Path, book: SimpleNamespace, value: float = 0.0) -> None:
    """Save a figure."""
    import matplotlib.pyplot as plt

    from gncompanion.notebook import figures

    os.environ["GNCOMPANION_FIGURES"] = str(folder)
    figure, ax = plt.subplots()
    ax.plot([0, value])
    figures.save(figure, "90_line", book=book, arrays={"y": [0, value]})  # type: ignore[arg-type]


def save_claims(folder: Path, book: SimpleNamespace) -> None:
    """Save claims."""
    from gncompanion.notebook.claims import Ledger

    os.environ["GNCOMPANION_FIGURES"] = str(folder)
    ledger = Ledger(book)  # type: ignore[arg-type]
    ledger.record("id", "It is so.", source="001", verdict="holds", evidence={"numbers": [0.5] * 100})
    ledger.save()


def gather_here(folder: Path, _: SimpleNamespace) -> None:
    """Gather a set of figures."""
    from gncompanion.notebook.reproduce import gather

    staging = Path(tempfile.mkdtemp()) / "staging"
    gathering.stage(staging, "new")
    gather(staging, folder)


def prepare(folder: Path, _: SimpleNamespace) -> None:
    """Prepare a store of images."""
    from gncompanion.data import image_folder
    from tests.helpers.pictures import save_random_picture

    os.environ["GNCOMPANION_DATA"] = str(folder)
    pictures = Path(tempfile.mkdtemp())
    for number in range(SIZE):
        save_random_picture(
            pictures / f"{number}.png", height=600, width=600, seed=number
        )  # 1 MB each, decoded
    image_folder(pictures)


_SAVES: dict[str, Callable[[Path, SimpleNamespace], None]] = {
    "figure": lambda folder, book: save_old(folder, book, 1.0),
    "claims": save_claims,
    "gathered set": gather_here,
    "prepared store": prepare,
}


def _refused(tally: Tally, what: str, started: Started) -> None:
    tally.tried(what)
    code = started.wait()
    tally.check(code is not None, "hung", f"{what}: {started.said()[-1000:]}")
    tally.check(code not in (0, None), "lost", f"{what}: it says that all is well")
    tally.check(
        code is None or code >= 0, "damaged", f"{what}: ended by signal {code}: {started.said()[-300:]}"
    )
    tally.check(started.gone(), "orphaned", what)


def full_while_training(
    tally: Tally, folder: Path, row: Path, reference: Path, chance: random.Random
) -> None:
    """The disk is full at a checkpoint, at the settings, at the log; with room again, training goes on."""
    for name in ["settings.json", "log.csv", *["step-"] * 4]:
        what = f"disk full at {name.rstrip('-')}"
        occasion = chance.randint(1, STEPS // EVERY - 5) if name == "step-" else 0
        with disk(folder / f"{tally.tries.total()}") as place:
            runs, said = place / "runs", folder / "said.txt"
            own = {"GNCOMPANION_RUNS": str(runs)}
            _refused(
                tally, what, forked(train_and_fill, str(row), str(place), name, occasion, log=said, **own)
            )
            for file in damages(runs):
                tally.wrong("damaged", f"{what}: {file}")
            tally.check(name != "step-" or step_in(runs) > 0, "lost", f"{what}: the checkpoints before it")
            (place / FILLER).unlink()
            again = forked(train, str(row), log=said, **own)
            tally.check(again.wait() == 0, "damaged", f"{what}: then {again.said()[-1000:]}")
            tally.check(not (found := differs(runs, reference)), "damaged", f"{what}: {found}")
            for left in leftovers(runs):
                tally.wrong("left", f"{what}: {left}")


def full_while_saving(tally: Tally, folder: Path) -> None:
    """The disk is full at a figure, claims, a gathered set, a prepared store: the old files stay."""
    for what in _SAVES:
        with disk(folder / what / "disk") as place:
            save_old(place, SimpleNamespace(name="90_train", suffix="", parameters={}))
            before = {path.name: path.read_bytes() for path in place.glob("[!.]*")}
            started = forked(save_to, str(place), what, True, log=folder / "said.txt")
            _refused(tally, f"disk full at a {what}", started)
            (place / FILLER).unlink(missing_ok=True)
            after = {path.name: path.read_bytes() for path in place.glob("[!.]*") if path.is_file()}
            tally.check(after == before, "damaged", f"disk full at a {what}: old files")
            left = [file for file in leftovers(place) if not file.endswith("/.lock")]
            left += [str(file) for file in place.rglob("*.unfinished")]
            for file in left:
                tally.wrong("left", f"disk full at a {what}: {file}")


def read_only(tally: Tally, folder: Path, row: Path) -> None:
    """Runs, figures, or a whole checkout that can only be read: refused; a finished run can be opened."""
    with disk(folder / "disk") as place:
        checkout, runs = make_checkout(place / "checkout"), place / "runs"
        own = {"GNCOMPANION_RUNS": str(runs)}
        first = forked(train, str(row), log=folder / "said.txt", **own)
        tally.check(first.wait() == 0, "lost", first.said()[-1000:])
        (place / "empty").mkdir()
        with only_read(place):
            again = forked(train, str(row), log=folder / "said.txt", **own)
            tally.tried("a finished run in a folder only read")
            tally.check(again.wait() == 0, "lost", f"a finished run: {again.said()[-1000:]}")
            empty = {"GNCOMPANION_RUNS": str(place / "empty")}
            _refused(tally, "runs only read", forked(train, str(row), log=folder / "said.txt", **empty))
            started = gathering.reproduce(
                checkout, place / "figures", folder / "said.txt", "-p", "row", str(row)
            )
            _refused(tally, "checkout and figures only read", started)
            for what in ("figure", "claims", "gathered set", "prepared store"):
                started = forked(save_to, str(place / "empty"), what, False, log=folder / "said.txt")
                _refused(tally, f"{what} only read", started)


def all_of_them(folder: Path, row: Path, reference: Path, chance: random.Random) -> list[Tally]:
    """Try all faults."""
    tallies = [Tally("full disk"), Tally("read-only")]
    full_while_training(tallies[0], folder, row, reference, chance)
    full_while_saving(tallies[0], folder)
    read_only(tallies[1], folder / "read", row)
    return tallies
