"""A row's trainings: each in its own process, all ended at a checkpoint by a signal, and gone on with.

The processes are real ones of the command line.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from gncompanion.notebook import trainings
from gncompanion.notebook.plan import Job
from gncompanion.papers import rows
from gncompanion.tools import paths
from gncompanion.training import checkpoint

WAIT = 400  # seconds, on a machine that is busy with other things
ROW: dict[str, Any] = {
    "methods": {"GN †": {"constraint": "gn", "loss": "bce"}},
    "seeds": [0],
    "network_options": {"width": 2, "z_dim": 4},
    "steps": 600,
    "batch_critic": 8,
    "batch_generator": 8,
    "checkpoint_every": 50,
    "judged_every": 200,
    "metrics": "inception",  # never needed here: the trainings go without
    "device": "cpu",
}
PROGRAM = """import sys, json
from pathlib import Path
from gncompanion.notebook.plan import Job
from gncompanion.notebook import trainings
trainings.NICENESS = 0  # a busy machine would let the test wait
trainings.train_first([Job("09_tiny", Path("09.ipynb"), json.loads(sys.argv[1]), "middle")], workers=2)"""


def job(**changes: Any) -> Job:
    return Job("09_tiny", Path("09.ipynb"), ROW | changes, "middle")


def start(runs: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "GNCOMPANION_RUNS": str(runs), "PYTHONPATH": str(paths.root())}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps(ROW)], env=environment)


def saved(content: Any) -> bytes:
    """What torch writes of it: the same bytes for the same bits."""
    torch.save(content, buffer := io.BytesIO())
    return buffer.getvalue()


def checkpoints(runs: Path) -> list[str]:
    """The names of all of them, which bear digests of their contents."""
    return sorted(str(file.relative_to(runs)) for file in runs.rglob("step-*.pt"))


@pytest.mark.slow
def test_what_a_signal_ends_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = tmp_path / "stopped"
    process = start(stopped)
    deadline = time.monotonic() + WAIT
    while not checkpoints(stopped):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT) == 128 + signal.SIGTERM
    halfway = checkpoints(stopped)
    assert not list(stopped.rglob("log.csv"))  # it was on its way
    time.sleep(0.5)
    assert checkpoints(stopped) == halfway  # nothing goes on
    assert start(stopped).wait(WAIT) == 0
    monkeypatch.setenv("GNCOMPANION_RUNS", str(tmp_path / "alone"))
    (chosen,) = rows.row(ROW).experiments().values()
    chosen.run(keep_every=ROW["judged_every"])
    (one,), (other,) = (list((tmp_path / place).rglob("log.csv")) for place in ("stopped", "alone"))
    assert one.read_bytes() == other.read_bytes()
    for step in (200, 400, 600):  # those that are judged
        here, there = (checkpoint.at(log.parent, step) for log in (one, other))
        assert here.keys() == there.keys() >= {"modules", "random"}  # some have no optimizers
        for part in here.keys() & {"modules", "optimizers", "random"}:
            assert saved(here[part]) == saved(there[part])


@pytest.mark.slow
def test_a_training_that_fails_is_named_with_its_reason(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "NICENESS", 0)
    with pytest.raises(ValueError, match=r"1 of 1 trainings failed: 09_tiny, GN †, seed 0: .*no folder"):
        trainings.train_first([job(dataset="folder", dataset_options={"folder": "nowhere"})])


def test_seed_by_seed_so_that_each_method_has_as_many() -> None:
    methods = {name: ROW["methods"]["GN †"] for name in ("GN", "SN")}
    names = [one.name for one in trainings._trainings(job(methods=methods, seeds=[3, 5]))]
    assert names == [f"09_tiny, {method}, seed {seed}" for seed in (3, 5) for method in ("GN", "SN")]


def test_a_notebook_that_is_no_row_trains_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    trainings.train_first([Job("04_some", Path("04.ipynb"), {"steps": 3}, "middle")])
