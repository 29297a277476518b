"""Two processes that share a training end where one would: torchrun and gloo on a CPU."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
import yaml

from gncompanion.papers.rows import read
from gncompanion.training import Share, checkpoint

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
TRAIN = ["-m", "gncompanion", "train", "-f"]
ROW = {
    "methods": {"GN": {"constraint": "gn", "loss": "hinge"}, "SN": {"constraint": "sn", "loss": "bce"}},
    "seeds": [0],
    "network_options": {"width": 4},
    "steps": 12,
    "n_dis": 2,
    "batch_critic": 8,
    "batch_generator": 8,
    "ema_decay": 0.9,
    "log_every": 4,
    "checkpoint_every": 6,
    "metrics": "none",
}


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("row") / "row.yml"
    file.write_text(yaml.safe_dump(ROW))
    return file


def start(row: Path, runs: Path) -> subprocess.Popen[str]:
    """Train the row in two processes."""
    return subprocess.Popen(
        [*TORCHRUN, *TRAIN, str(row)],
        env={**os.environ, "GNCOMPANION_RUNS": str(runs), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def kill_in_mid_run(row: Path, runs: Path) -> bool:
    """Kill a training and its processes after its first checkpoint; False if it was faster."""
    process = start(row, runs)
    while process.poll() is None and not list(runs.glob("*/step-*.pt")):
        time.sleep(0.01)
    if process.returncode is None:
        for one in (*psutil.Process(process.pid).children(recursive=True), process):
            one.kill()
    process.communicate(timeout=60)
    return len(list(runs.glob("*/log.csv"))) < len(ROW["methods"])


@pytest.fixture(scope="module")
def shared(row: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The row's runs, trained by two processes."""
    folder = tmp_path_factory.mktemp("shared")
    finish(start(row, folder))
    return folder


def states(row: Path, runs: Path) -> dict[str, dict]:
    folders = {name: runs / e.folder().name for (name, _), e in read(row).experiments().items()}
    found = {name: checkpoint.newest(folder) for name, folder in folders.items()}
    assert all(state["step"] == ROW["steps"] for state in found.values())
    return found


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(row: Path, shared: Path, tmp_path: Path) -> None:
    for experiment in read(row).experiments().values():
        experiment.run(tmp_path / experiment.folder().name)
    one, two = states(row, tmp_path), states(row, shared)
    for name in one:
        for module in ("critic", "generator", "average"):
            tensors, expected = two[name]["modules"][module], one[name]["modules"][module]
            # A bias before batch normalization cancels: its gradient is rounding, its Adam steps are noise.
            kept = [n for n in tensors if module == "critic" or n.endswith((".weight", ".running_var"))]
            for key in kept:
                torch.testing.assert_close(tensors[key], expected[key], rtol=1e-5, atol=1e-6)  # float32
        for row_two, row_one in zip(two[name]["log"], one[name]["log"], strict=True):
            assert row_two == pytest.approx(row_one, rel=1e-5, abs=1e-6)
        assert torch.equal(two[name]["random"], one[name]["random"])


@pytest.mark.slow
def test_a_shared_training_that_is_killed_goes_on_to_the_same_end(
    row: Path, shared: Path, tmp_path: Path
) -> None:
    folders = (tmp_path / str(attempt) for attempt in range(3))
    folder = next((folder for folder in folders if kill_in_mid_run(row, folder)), None)
    assert folder, "no attempt hit the training before its end"
    finish(start(row, folder))
    whole, killed = states(row, shared), states(row, folder)
    for name in whole:
        torch.testing.assert_close(killed[name]["modules"], whole[name]["modules"], rtol=0, atol=0)
        assert killed[name]["log"] == whole[name]["log"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_torchruns_end_is_a_checkpoint_however_far_rows_are_apart(
    number: signal.Signals, tmp_path: Path
) -> None:
    """torchrun hands SIGTERM on and kills 30 seconds later; killed itself, it leaves orphans."""
    file, runs = tmp_path / "row.yml", tmp_path / "runs"
    far = {"steps": 10**6, "log_every": 10**6, "checkpoint_every": 10**6}
    file.write_text(yaml.safe_dump({**ROW, **far, "methods": {"GN": ROW["methods"]["GN"]}}))
    process = start(file, runs)
    workers = []
    try:
        while process.poll() is None and not list(runs.glob("*/settings.json")):
            time.sleep(0.05)
        workers = psutil.Process(process.pid).children(recursive=True)
        busy = 5 + max(worker.cpu_times().user for worker in workers)  # seconds; the first step is at 2.3
        while min(worker.cpu_times().user for worker in workers) < busy:
            time.sleep(0.05)
        process.send_signal(number)
        _, alive = psutil.wait_procs(workers, timeout=25)
        assert not alive
    finally:
        for one in (*workers, process):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.communicate(timeout=60)
    (saved,) = runs.glob("*/step-*.pt")
    assert 0 < checkpoint.newest(saved.parent)["step"] < 10**6


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_critic=9 cannot be shared out evenly over 2 processes"):
        Share(0, 2).require_divisible(batch_generator=8, batch_critic=9)


def test_alone_nothing_is_shared() -> None:
    x, random = torch.arange(6.0), torch.Generator()
    alone = Share()
    assert alone.part(x) is x
    assert alone.own(random) is random
    assert alone.mean(x) is x
    assert alone.largest(x) is x


def test_parts_make_up_the_batch() -> None:
    x = torch.arange(6)
    assert sorted(torch.cat([Share(rank, 3).part(x) for rank in range(3)]).tolist()) == x.tolist()
