"""Two processes that share a training end where one would: torchrun and gloo on a CPU."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml

from gncompanion import checkpoint
from gncompanion.distributed import Share
from gncompanion.rows import read

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
}


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("row") / "row.yml"
    file.write_text(yaml.safe_dump(ROW))
    return file


def command(row: Path, runs: Path, *, processes: int, **options: object) -> subprocess.Popen[str]:
    start = TORCHRUN if processes == 2 else [sys.executable]
    parameters = [word for name, value in options.items() for word in ("-p", name, str(value))]
    return subprocess.Popen(
        [*start, *TRAIN, str(row), *parameters],
        env={**os.environ, "GNCOMPANION_RUNS": str(runs), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def runs(row: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The row's runs, trained by one process and by two."""
    folders = {processes: tmp_path_factory.mktemp("runs") for processes in (1, 2)}
    for processes, folder in folders.items():
        finish(command(row, folder, processes=processes))
    return folders


def states(row: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict]:
    monkeypatch.setenv("GNCOMPANION_RUNS", str(runs))
    found = {name: checkpoint.newest(e.folder()) for (name, _), e in read(row).experiments().items()}
    assert all(state["step"] == ROW["steps"] for state in found.values())
    return found


def test_two_processes_take_the_steps_of_one(
    row: Path, runs: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (states(row, folder, monkeypatch) for folder in runs.values())
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


def test_a_shared_training_that_is_killed_goes_on_to_the_same_end(
    row: Path, runs: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = command(row, tmp_path, processes=2)
    while process.poll() is None and not list(tmp_path.glob("*/step-*.pt")):
        time.sleep(0.01)
    everyone = psutil.Process(process.pid).children(recursive=True)
    for one in (process, *everyone):
        one.kill()
    process.wait(timeout=60)
    assert not list(tmp_path.glob("*-sn-*/log.csv")), "it was too late to kill it"
    finish(command(row, tmp_path, processes=2))
    whole, killed = (states(row, folder, monkeypatch) for folder in (runs[2], tmp_path))
    for name in whole:
        torch.testing.assert_close(killed[name]["modules"], whole[name]["modules"], rtol=0, atol=0)
        assert killed[name]["log"] == whole[name]["log"]


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_critic=9 cannot be shared out evenly over 2 processes"):
        Share(0, 2).require_divisible(batch_generator=8, batch_critic=9)


def test_alone_nothing_is_shared() -> None:
    x, random = torch.arange(6.0), torch.Generator()
    alone = Share()
    assert alone.part(x) is x
    assert alone.own(random) is random
    assert alone.mean(x) is x
    assert alone.any(True)
    assert not alone.any(False)


def test_parts_make_up_the_batch() -> None:
    x = torch.arange(6)
    assert sorted(torch.cat([Share(rank, 3).part(x) for rank in range(3)]).tolist()) == x.tolist()
