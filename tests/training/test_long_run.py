"""Long runs: a signal ends one at a checkpoint, it goes on to the same end, and TensorBoard shows its log."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from gncompanion.cli import app
from gncompanion.experiment import Experiment
from gncompanion.papers.rows import read
from gncompanion.training import COLUMNS, checkpoint
from gncompanion.training.long_run import LongRun

pytestmark = pytest.mark.usefixtures("runs")

ROW = {
    "methods": {"GN": {"constraint": "gn", "loss": "bce"}},
    "seeds": [0, 1],
    "network_options": {"width": 4, "z_dim": 4},
    "steps": 200,
    "batch_critic": 8,
    "batch_generator": 8,
    "ema_decay": 0.9,
    "log_every": 7,
    "checkpoint_every": 20,
    "metrics": "none",
    "device": "cpu",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "row.yml"
    path.write_text(yaml.safe_dump(ROW))
    return path


def end_at_first_checkpoint(file: Path, folder: Path) -> str:
    """Train in a process of its own and send it SIGTERM; returns what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gncompanion", "train", "-f", str(file), "--seed", "0"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not checkpoint.ordered(folder):
        time.sleep(0.005)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    return said


def shown(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows: step and value by name."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def assert_shows_the_log(folder: Path) -> None:
    log, curves = checkpoint.newest(folder)["log"], shown(folder)
    assert curves.keys() == {*COLUMNS}
    for name, points in curves.items():
        assert [step for step, _ in points] == [row["step"] for row in log]
        values = [value for _, value in points]
        assert values == pytest.approx([row[name] for row in log], rel=1e-7)  # TensorBoard's are float32


@pytest.mark.slow
def test_a_signal_ends_at_a_checkpoint_and_training_goes_on_to_the_same_end(
    file: Path, tmp_path: Path
) -> None:
    experiment = read(file).experiments()["GN", 0]
    folder = experiment.folder()
    said = end_at_first_checkpoint(file, folder)
    stopped_at = checkpoint.newest(folder)["step"]
    assert 0 < stopped_at < ROW["steps"], "it was too late to end it"
    assert said.splitlines()[-1] == f"stopped after step {stopped_at} of {ROW['steps']}: {folder}"
    result = CliRunner().invoke(app, ["train", "-f", str(file), "--seed", "0"])
    assert result.exit_code == 0, result.output
    experiment.run(tmp_path / "whole")
    killed, whole = (checkpoint.newest(each) for each in (folder, tmp_path / "whole"))
    for state in (killed, whole):
        del state["global_random"]  # of the process, which no part of the package draws from
    torch.testing.assert_close(killed, whole, rtol=0, atol=0)
    assert (folder / "log.csv").read_bytes() == (tmp_path / "whole" / "log.csv").read_bytes()
    assert_shows_the_log(folder)


def test_rows_written_after_the_last_checkpoint_are_not_shown_twice(tmp_path: Path) -> None:
    class Crash(LongRun):
        def row(self, row: dict[str, float]) -> None:
            super().row(row)
            assert row["step"] < 30, "a crash"

    schedule = {"steps": 40, "batch_critic": 4, "batch_generator": 4, "log_every": 5, "checkpoint_every": 12}
    experiment = Experiment(network_options={"width": 2, "z_dim": 4}, schedule=schedule, device="cpu")
    with pytest.raises(AssertionError, match="a crash"), Crash(tmp_path) as watch:
        experiment.run(tmp_path, watch=watch)
    assert checkpoint.newest(tmp_path)["step"] == 24
    with LongRun(tmp_path) as watch:
        experiment.run(tmp_path, watch=watch)
    assert [step for step, _ in shown(tmp_path)["critic_loss"]] == [5, 10, 12, 15, 20, 24, 25, 30, 35, 36, 40]
    assert_shows_the_log(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_what_is_under_way_and_ends_what_is_not(
    number: signal.Signals, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    with LongRun(tmp_path) as watch:
        assert not watch.stopping()  # a first step has been done
        signal.raise_signal(number)
        assert watch.stopping()
        assert watch.signal == number
    with pytest.raises(SystemExit) as ended, LongRun(tmp_path):
        signal.raise_signal(number)
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is before


DROPPED = """
import os, signal, sys, time
from pathlib import Path
from gncompanion.training.long_run import LongRun

class Unlucky:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # the handler runs here, where what it raises is dropped

with LongRun(Path(sys.argv[1]), quiet=True):
    Unlucky()
    time.sleep(40)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no alarm")
def test_a_signal_whose_exception_is_dropped_is_not_forgotten(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", DROPPED, tmp_path], capture_output=True, text=True)
    assert "Exception ignored" in ended.stderr
    assert ended.returncode == 128 + signal.SIGTERM


def test_a_signal_in_the_last_step_is_not_forgotten(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def run(self: Experiment, folder: Path, *, watch: LongRun, keep_every: int | None) -> None:
        watch.stopping()
        trained.append(self.seed)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Experiment, "run", run)
    assert CliRunner().invoke(app, ["train", "-f", str(file)]).exit_code == 128 + signal.SIGTERM
    assert trained == [0]


def test_only_the_first_of_several_processes_writes(tmp_path: Path) -> None:
    with LongRun(tmp_path, quiet=True) as watch:
        watch.row({"step": 1, "critic_loss": 2.0})
    assert not list(tmp_path.iterdir())


def test_without_tensorboard_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gncompanion.training.long_run.find_spec", lambda _: None)
    with pytest.warns(UserWarning, match="no log for TensorBoard: pip install"), LongRun(tmp_path) as watch:
        watch.row({"step": 1, "critic_loss": 2.0})
    assert not list(tmp_path.iterdir())
