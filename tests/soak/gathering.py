"""Figures of a notebook on their way to where they belong: killed, and wanted twice at once."""

import os
import random
import shutil
import time
from pathlib import Path

from gncompanion.notebook.reproduce import gather
from gncompanion.tools.files import settle
from tests.soak.processes import Started, command, forked
from tests.soak.runs import FIGURES, leftovers
from tests.soak.tally import Tally

FILES = 39  # thirteen figures


def gather_forever(staging: str, output: str, first: int) -> None:
    """Gather one set after another, as many runs of a notebook do, slowly for whoever wants to kill it."""
    replace = os.replace

    def slowly(source: Path, target: Path) -> None:
        time.sleep(0.003)
        replace(source, target)

    os.replace = slowly  # type: ignore[assignment]
    for number in range(first, first + 1000):
        stage(Path(staging), str(number))
        gather(Path(staging), Path(output))


def stage(staging: Path, stamp: str) -> None:
    """Leave what a run leaves: figures of three files each, all of one stamp."""
    staging.mkdir(parents=True, exist_ok=True)
    for number in range(FILES // 3):
        (staging / f"90_{number}.json").write_text(f'{{"commit": "{stamp}", "arrays": "{stamp}"}}')
        for ending in ("svg", "png"):
            (staging / f"90_{number}.{ending}").write_text(stamp * 2000)


def stamps(output: Path) -> list[set[str]]:
    """What marks each of the figures' files: one and the same, unless runs were mixed."""
    files = [path for path in output.iterdir() if not path.name.startswith(".")]
    texts = {path.name: path.read_text() for path in files}
    found = {
        text.split('"')[3] if name.endswith("json") else text[: len(text) // 2000]
        for name, text in texts.items()
    }
    return [found, set(texts)]


def kills_while_gathering(tally: Tally, folder: Path, trials: int, chance: random.Random) -> None:
    """Kill a process that gathers one set after another, and let the next start end what it has begun."""
    output, mixed = folder / "figures", 0
    stage(folder / "staging", "first")
    gather(folder / "staging", output)
    for trial in range(trials):
        # Before the set is as good as written, and after
        moment = (".together-*.unfinished", ".together-????????")[trial % 2]
        started = forked(
            gather_forever, str(folder / "staging"), str(output), 1000 * (trial + 1), log=folder / "said.txt"
        )
        deadline = time.monotonic() + 60
        while not any(output.glob(moment)) and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.1))
        started.process.kill()
        tally.check(started.wait(60) is not None, "hung", "a killed process")
        mixed += len(stamps(output)[0]) > 1
        settle(output)
        found, names = stamps(output)
        tally.tried("SIGKILL while " + ("writing", "moving")[trial % 2])
        tally.check(len(found) == 1, "damaged", f"figures of {sorted(found)}")
        tally.check(len(names) == FILES, "lost", f"{FILES - len(names)} files")
        for file in leftovers(output):
            tally.wrong("left", file)
        shutil.rmtree(folder / "staging", ignore_errors=True)
    print(f"{tally.kind}: {mixed} of {trials} kills came between two files", flush=True)


def reproduce(checkout: Path, output: Path, log: Path, *arguments: str) -> Started:
    """Start a run of the notebook."""
    given = ["--output", str(output), *arguments]
    return command(["gncompanion", "reproduce", "90", *given], log, folder=checkout, **environment(checkout))


def environment(checkout: Path) -> dict[str, str]:
    """What makes the checkout the one that is used."""
    return {"PYTHONPATH": str(checkout)}


def delivered(output: Path, stamp: str) -> bool:
    """Whether all files of the notebook are there, and of one run."""
    figures = [output / f"90_{number}.txt" for number in range(FIGURES)]
    claims = list(output.glob("90_train*.claims.json"))
    return bool(claims) and all(file.exists() and file.read_text() == stamp * 10_000 for file in figures)


def twice_at_once(tally: Tally, checkout: Path, folder: Path, row: Path) -> None:
    """Two runs of one notebook, with stamps of their own, must both deliver all of their files."""
    outputs = [folder / f"twice-{number}" for number in range(2)]
    both = [
        reproduce(
            checkout,
            output,
            folder / f"{output.name}.txt",
            "-p",
            "row",
            str(row),
            "-p",
            "stamp",
            f"s{number}",
        )
        for number, output in enumerate(outputs)
    ]
    for number, (started, output) in enumerate(zip(both, outputs, strict=True)):
        tally.tried("at once with another")
        code = started.wait()
        tally.check(code is not None, "hung", started.said()[-1000:])
        tally.check(code == 0, "lost", f"exit {code}: {started.said()[-1000:]}")
        tally.check(code != 0 or delivered(output, f"s{number}"), "lost", f"files in {output}")
        tally.check(started.gone(), "orphaned", "two runs at once")
        for file in leftovers(output):
            tally.wrong("left", file)
