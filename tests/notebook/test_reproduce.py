"""Running notebooks: only what succeeded reaches figures/, and nothing is left running.

The runs are real ones, in a small checkout and with real kernels.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from gncompanion.notebook.reproduce import gather
from gncompanion.tools.files import write

TAG = {"tags": ["parameters"]}
PARAMETERS = ("n: int = 3  # how many", TAG)
BOOK = "from gncompanion.notebook import Notebook\nbook = Notebook('{}', globals())\nn = book.parameters['n']"
RECORD = """import os, sys
print("n is", n)
book.claims.record("id", "It is so.", source="001", verdict="holds",
                   evidence={"threads": os.environ["OMP_NUM_THREADS"], "torch": "torch" in sys.modules,
                             "runs": os.environ["GNCOMPANION_RUNS"].endswith("/build/runs/" + book.name)})
assert n != 5, "five\\nis bad"
_ = book.claims.save()"""
LARGE = "large = b'x' * 300_000_000"
STUCK = """import re
open("started", "w").close()
re.match("(a+)+$", 40 * "a" + "b")  # holds the interpreter's lock: the kernel cannot end by itself"""
APP = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts with & would ignore it
from gncompanion.cli import app
app()"""
COMMAND = [sys.executable, "-c", APP, "reproduce"]


@pytest.fixture(scope="module")
def checkout(make_checkout: Callable[..., Path]) -> Path:
    return make_checkout(
        nb90_one=[PARAMETERS, BOOK.format("90_one"), LARGE, RECORD],
        nb91_two=[PARAMETERS, BOOK.format("91_two"), RECORD, "raise RuntimeError('late\\n  and loud')"],
        nb92_stuck=[("y: int = 1  # another", TAG), STUCK],
    )


def run(checkout: Path, *arguments: str) -> SimpleNamespace:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GNCOMPANION_")}
    environment |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=checkout.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,  # on a busy machine
    )


@pytest.fixture(scope="module")
def both(checkout: Path) -> SimpleNamespace:
    """What came of a notebook that succeeds and, at the same time, one that fails in its last cell."""
    (checkout / "figures").mkdir()
    (checkout / "figures/91_two.claims.json").write_text("old")
    return run(checkout, "--only", "90", "91", "--jobs", "2")


@pytest.mark.slow
def test_a_notebook_that_succeeds_leaves_its_files(both: SimpleNamespace, checkout: Path) -> None:
    claims = json.loads((checkout / "figures/90_one.claims.json").read_text())
    assert claims["parameters"] == {"n": 3}
    assert claims["claims"][0]["evidence"] == {"threads": "1", "torch": False, "runs": True}
    assert "n is 3" in (checkout / "build/notebooks/90_one.ipynb").read_text()
    assert '"outputs": []' in (checkout / "notebooks/90_one.ipynb").read_text()


@pytest.mark.slow
def test_a_notebook_that_fails_leaves_the_old_files(both: SimpleNamespace, checkout: Path) -> None:
    assert both.returncode == 1
    assert (checkout / "figures/91_two.claims.json").read_text() == "old"
    assert sorted(file.name for file in (checkout / "figures").iterdir()) == [
        "90_one.claims.json",
        "91_two.claims.json",
    ]


@pytest.mark.slow
def test_says_how_long_and_how_large_and_lists_failures(both: SimpleNamespace, checkout: Path) -> None:
    lines = sorted(both.stdout.splitlines())
    assert [line.split()[:2] for line in lines] == [["90_one", "ok"], ["91_two", "FAILED"]]
    columns = [line.split()[2:] for line in lines]
    assert [(second, unit) for _, second, _, unit in columns] == 2 * [("s", "GiB")]
    assert all(0 < float(seconds) < 60 for seconds, *_ in columns)
    large, small = (float(size) for _, _, size, _ in columns)
    assert 0.05 <= small < 0.25  # a kernel is 0.1 GiB
    assert 0.25 <= large - small < 0.4  # 300 MB are 0.28 GiB, rounded
    assert both.stderr.splitlines() == [
        "91_two failed: RuntimeError: late and loud",
        f"    see {checkout / 'build/notebooks/91_two.ipynb'}",
    ]


@pytest.mark.slow
def test_in_place_renews_outputs_and_nothing_else(checkout: Path) -> None:
    file = checkout / "notebooks/90_one.ipynb"
    before = json.loads(file.read_text())
    outcome = run(checkout, "90_one", "--in-place", "--output", str(checkout / "elsewhere"))
    assert outcome.returncode == 0, outcome.stderr
    after = json.loads(file.read_text())
    assert [cell.pop("execution_count") for cell in after["cells"]] == [1, 2, 3, 4]
    outputs = [cell.pop("outputs") for cell in after["cells"]]
    assert outputs == [[], [], [], [{"name": "stdout", "output_type": "stream", "text": ["n is 3\n"]}]]
    for cell in before["cells"]:
        del cell["execution_count"], cell["outputs"]
    for cell in after["cells"]:
        cell["source"] = "".join(cell["source"])
    assert after["cells"] == before["cells"]
    assert after["metadata"]["kernelspec"]["name"] == "python3"
    assert "papermill" not in file.read_text()
    assert (checkout / "elsewhere/90_one.claims.json").exists()


def test_gathering_leaves_what_came_out_as_it_was(tmp_path: Path) -> None:
    def stage(commit: str, **arrays: float) -> Path:
        for name, array in arrays.items():
            sidecar = {"commit": commit, "dirty": False, "arrays": array}
            picture = {".json": json.dumps(sidecar), ".svg": f"<svg {array}>", ".png": f"PNG {array}"}
            for ending, text in picture.items():
                write(tmp_path / "staging" / f"{name}{ending}", text.encode())
        write(tmp_path / "staging/04_x.claims.json", commit.encode())
        return tmp_path / "staging"

    figures = tmp_path / "figures"
    gather(stage("first", **{"04_a-rate=0.5": 1.0, "04_b": 1.0}), figures)
    first = {file.name: file.read_text() for file in figures.iterdir()}
    assert len(first) == 7
    gather(stage("second", **{"04_a-rate=0.5": 1.0, "04_b": 2.0}), figures)
    changed = {file.name for file in figures.iterdir() if file.read_text() != first[file.name]}
    assert changed == {"04_b.json", "04_b.svg", "04_b.png", "04_x.claims.json"}
    assert json.loads((figures / "04_a-rate=0.5.json").read_text())["commit"] == "first"
    assert json.loads((figures / "04_b.json").read_text())["commit"] == "second"
    assert not (tmp_path / "staging").exists()


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["the process", "its group"])  # kill -INT; Ctrl-C in a terminal
def test_an_interrupt_ends_kernels_and_leaves_the_old_files(whom: str, checkout: Path) -> None:
    started, old = checkout / "notebooks/started", checkout / "figures/92_old.png"
    started.unlink(missing_ok=True)
    old.parent.mkdir(exist_ok=True)
    old.write_text("old")
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.Popen([*COMMAND, "92"], cwd=checkout, env=environment, start_new_session=True)
    family = []
    try:
        wait_for(started.exists)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2  # the job's process and its kernel
        (os.kill if whom == "the process" else os.killpg)(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 1
        wait_for(lambda: not any(member.is_running() for member in family))
    finally:
        for member in [process, *family]:
            with suppress(psutil.NoSuchProcess):
                member.kill()
    assert old.read_text() == "old"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300  # on a busy machine
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
