"""Signals that wait until the step in progress is saved, where nobody watches the training."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gncompanion.experiment import Experiment
from gncompanion.training import Schedule, Training, checkpoint
from gncompanion.training.long_run import LongRun
from gncompanion.training.watch import SignalWatch
from tests.helpers.trainings import RING, players, weights

hangup = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
NUMBERS = [
    signal.SIGTERM,
    signal.SIGINT,
    pytest.param(getattr(signal, "SIGHUP", None), marks=hangup),
]
SCHEDULE = Schedule(steps=40, batch_critic=4, batch_generator=4, checkpoint_every=1000, log_every=1000)


class Handled(Exception):
    """What the handler before ours raises."""


@pytest.fixture(autouse=True)
def handled() -> Iterator[list[int]]:
    """Handlers that note a signal and raise, as KeyboardInterrupt does; returns what they note."""
    noted: list[int] = []

    def handler(number: int, _: Any) -> None:
        noted.append(number)
        raise Handled

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, handler) for number in numbers}
    yield noted
    for number, old in before.items():
        signal.signal(number, old)


class Struck(Training):
    """A training that a signal meets in the middle of a step."""

    def strike(self, number: int, step: int) -> None:
        improve = self._improve_generator

        def struck() -> torch.Tensor:
            if self.step == step:
                signal.raise_signal(number)
            return improve()

        self._improve_generator = struck


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_waits_for_a_checkpoint_and_the_run_goes_on_to_the_same_end(
    number: int, handled: list[int], tmp_path: Path
) -> None:
    training = Struck(players("gn"), RING, SCHEDULE, folder=tmp_path)
    training.strike(number, 12)
    with pytest.raises(Handled):
        training.run()
    assert handled == [number]
    state = checkpoint.newest(tmp_path)
    assert state["step"] == 13  # the step was done
    resumed, whole = (Training(players("gn"), RING, SCHEDULE) for _ in range(2))
    resumed.load(state)
    resumed.run()
    whole.run()
    assert torch.equal(weights(resumed.players.critic), weights(whole.players.critic))
    assert torch.equal(weights(resumed.players.generator), weights(whole.players.generator))
    assert resumed.log == whole.log


def test_a_second_interrupt_does_not_wait(handled: list[int]) -> None:
    with pytest.raises(Handled), SignalWatch() as watch:
        signal.raise_signal(signal.SIGINT)
        assert watch.stopping()
        assert not handled
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it waited")
    assert handled == [signal.SIGINT]


@hangup
@pytest.mark.parametrize("kind", [SignalWatch, LongRun])
def test_a_hangup_that_is_ignored_stays_ignored(kind: type, tmp_path: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with kind(*([tmp_path] if kind is LongRun else [])) as watch:
        watch.stopping()
        signal.raise_signal(signal.SIGHUP)
        assert not watch.stopping()


@hangup
def test_a_hangup_ends_a_long_run_like_a_termination(tmp_path: Path) -> None:
    with LongRun(tmp_path) as watch:
        assert not watch.stopping()
        signal.raise_signal(signal.SIGHUP)
        assert watch.stopping()
        assert watch.signal == signal.SIGHUP


@pytest.mark.parametrize("folder", [True, False])
def test_without_checkpoints_or_in_a_thread_no_signal_is_held(folder: bool, tmp_path: Path) -> None:
    handlers = []

    class Looking(Training):
        def _iterate(self) -> torch.Tensor:
            handlers.append(signal.getsignal(signal.SIGTERM))
            return super()._iterate()

    before = signal.getsignal(signal.SIGTERM)
    training = Looking(players(), RING, Schedule(steps=1, batch_critic=4, batch_generator=4))
    training.folder = tmp_path if folder else None
    if folder:
        thread = threading.Thread(target=training.run)
        thread.start()
        thread.join()
    else:
        training.run()
    assert handlers == [before]


def test_after_a_run_the_handlers_are_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    schedule = {"steps": 2, "batch_critic": 4, "batch_generator": 4}
    Experiment(network_options={"width": 2, "z_dim": 4}, schedule=schedule, device="cpu").run(tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before
