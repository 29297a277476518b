"""Runs of notebooks that meet each other, or their end: nothing is lost, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import notebook_json

TAG = {"tags": ["parameters"]}
COMMAND = [sys.executable, "-m", "gncompanion", "reproduce"]
MANY = """import os, time
from pathlib import Path
folder = Path(os.environ["GNCOMPANION_FIGURES"])
for number in range(n):
    (folder / f"90_{number}.txt").write_text(f"{number}")
    time.sleep(0.3)"""
SAVES = """import os, signal, time
from pathlib import Path

def save(*_):  # as a training in progress does
    time.sleep(2)
    Path("saved").write_text("all of it")
    os._exit(0)

signal.signal(signal.SIGTERM, save)
Path("started").touch()
time.sleep(100)"""


@pytest.fixture
def checkout(make_checkout: Callable[..., Path]) -> Path:
    folder = make_checkout()
    package = Path(sys.modules["gncompanion"].__file__).parent
    (folder / "gncompanion/__main__.py").write_bytes((package / "__main__.py").read_bytes())
    for name, *cells in (("90_many", ("n: int = 8", TAG), MANY), ("91_saves", ("n: int = 1", TAG), SAVES)):
        (folder / f"notebooks/{name}.ipynb").write_text(notebook_json(*cells))
    return folder


def start(checkout: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run in a session of its own, as a terminal has one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GNCOMPANION_")}
    environment |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_two_runs_of_one_notebook_both_deliver_all_of_it(checkout: Path) -> None:
    for left in ("out0/.together-0a1b2c3d/left", "out0/.together-3d2c1b0a.unfinished/half"):  # by a crash
        (checkout / left).parent.mkdir(parents=True)
        (checkout / left).write_text("by an earlier run")
    runs = [start(checkout, "90", "--output", str(checkout / f"out{number}")) for number in range(2)]
    said = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert (checkout / "out0/left").read_text() == "by an earlier run"
    (checkout / "out0/left").unlink()
    for number in range(2):
        files = {file.name: file.read_text() for file in (checkout / f"out{number}").iterdir()}
        assert files == {f"90_{i}.txt": str(i) for i in range(8)}
    assert sum("90_many waits for process" in each for each in said) == 1
    assert all(f"{'90_many':<28} ok" in each for each in said)


@contextmanager
def in_mid_run(checkout: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A run whose kernel is busy, and all processes that it has started."""
    process, family = start(checkout, "91"), []
    try:
        deadline = time.monotonic() + 300  # on a busy machine; what is tested comes after it
        while not (checkout / "notebooks/started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2  # the job's process and its kernel
        yield process, family
    finally:
        for member in [process, *family]:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGKILL"])
def test_all_end_with_the_run_and_what_is_in_progress_is_saved(name: str, checkout: Path) -> None:
    number = getattr(signal, name)
    with in_mid_run(checkout) as (process, family):
        if name == "SIGHUP":  # a closed terminal says it to all its processes, and more than once
            os.killpg(process.pid, number)
            time.sleep(0.2)
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=40)
        assert not alive
        code = process.wait(timeout=40)
    assert code == (-number if name == "SIGKILL" else 128 + number)
    assert (checkout / "notebooks/saved").read_text() == "all of it"
