"""Runs killed at any moment, and wanted by two processes at once, against one that was left alone.

More trials: GNCOMPANION_KILLS=10 pytest tests/test_resume.py
"""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from tqdm import tqdm

from gncompanion.experiment import Experiment
from gncompanion.training import Training, checkpoint

TRIALS = int(os.environ.get("GNCOMPANION_KILLS", "3"))
STEPS, EVERY = 40, 3
SECONDS = 60  # for what takes two, the first one's imports apart


def train(folder: Path, *, pause: float = 0.0, die_writing: str = "") -> None:
    """Run the experiment, slowed down by `pause` seconds a step for whoever wants to interrupt it."""
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # not a semaphore of the system's, which a kill would leave behind
    iterate, replace = Training._iterate, os.replace

    def slow(self: Training) -> Tensor:
        time.sleep(pause)
        with (folder / f"steps of {os.getpid()}").open("a") as file:
            file.write(f"{self.step + 1}\n")
        return iterate(self)

    def last(source: Path, target: Path) -> None:
        if die_writing and target.name.startswith(die_writing):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    Training._iterate, os.replace = slow, last
    schedule = {
        "steps": STEPS,
        "n_dis": 2,
        "batch_critic": 8,
        "batch_generator": 8,
        "checkpoint_every": EVERY,
    }
    more = {"log_every": 5, "lr_decay": "linear", "ema_decay": 0.9, "ema_start": 10}
    small = {"network_options": {"width": 2, "z_dim": 4}, "schedule": {**schedule, **more}, "device": "cpu"}
    Experiment(**small, constraint="gn+cr").run(folder)


Start = Callable[..., BaseProcess]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Start `train` in a process of its own, quickly: forked from one that has imported all it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["gncompanion.experiment.experiment", "sklearn.datasets", "torch._dynamo", "pytest"]
    )
    processes = []

    def start(folder: Path, **options: Any) -> BaseProcess:
        folder.mkdir(exist_ok=True)
        processes.append(context.Process(target=train, args=(folder,), kwargs=options))
        processes[-1].start()
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()


def end(process: BaseProcess) -> int:
    process.join(SECONDS)
    assert process.exitcode is not None, f"still running after {SECONDS} s"
    return process.exitcode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in an interpreter of its own, where hashes of strings are others."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = multiprocessing.get_context("spawn").Process(target=train, args=(folder,))
    process.start()
    assert end(process) == 0
    return folder


def assert_same_run(folder: Path, other: Path) -> None:
    """Weights, averaged weights, optimizers' state, random state and log, bit for bit."""
    states = [checkpoint.newest(each) for each in (folder, other)]
    for state in states:
        assert state["step"] == STEPS
        assert state["modules"].keys() == {"generator", "critic", "average"}
        del state["global_random"]  # of the process, which no part of the package draws from
    torch.testing.assert_close(*states, rtol=0, atol=0)
    assert (folder / "log.csv").read_bytes() == (other / "log.csv").read_bytes()


def step_in(folder: Path) -> int:
    saved = checkpoint.ordered(folder)
    return int(saved[0].name.split("-")[1]) if saved else 0


def kill_in_mid_run(start: Start, folder: Path, chance: random.Random) -> bool:
    """Kill a run some milliseconds after some checkpoint; False if it was faster."""
    process = start(folder, pause=0.01)
    wanted, deadline = chance.randint(1, STEPS - 15), time.monotonic() + SECONDS
    while step_in(folder) < wanted and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.1))
    process.kill()
    return end(process) == -signal.SIGKILL and step_in(folder) < STEPS and not (folder / "log.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_killed_run_ends_like_one_left_alone(
    trial: int, start: Start, undisturbed: Path, tmp_path: Path
) -> None:
    chance = random.Random(trial)
    folders = (tmp_path / str(attempt) for attempt in range(5))
    folder = next((folder for folder in folders if kill_in_mid_run(start, folder, chance)), None)
    assert folder, "no attempt hit the run before its end"
    killed_at = step_in(folder)
    kill_in_mid_run(start, folder, chance)  # once more, perhaps
    assert end(start(folder)) == 0
    assert_same_run(folder, undisturbed)
    done = [len(file.read_text().splitlines()) for file in folder.glob("steps of *")]
    assert len(done) >= 2
    print(f"killed after {killed_at} of {STEPS} steps; {sorted(done)} steps by each process")


@pytest.mark.slow
def test_a_kill_in_mid_write_leaves_what_was_there(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for file, step in (("settings.json", 0), ("step-000003", 0), ("step-000012", 9), ("log.csv", STEPS)):
        assert end(start(folder, die_writing=file)) == -signal.SIGKILL
        assert len(list(folder.glob(f".{file}*"))) == 1  # written, but not under its name
        state = checkpoint.newest(folder)
        assert (state["step"] if state else 0) == step
    assert end(start(folder)) == 0
    assert_same_run(folder, undisturbed)
    assert not list(folder.glob(".step*"))


@pytest.mark.slow
def test_two_processes_train_one_run_once(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    both = [start(folder, pause=0.01) for _ in range(2)]
    assert [end(process) for process in both] == [0, 0]
    assert_same_run(folder, undisturbed)
    (steps,) = (file.read_text().split() for file in folder.glob("steps of *"))
    assert [int(step) for step in steps] == list(range(1, STEPS + 1))
