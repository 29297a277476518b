"""The global generators' states: read, kept in a file, and set back, also on another machine."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gncompanion.training import checkpoint
from gncompanion.training.random_states import kept_random_states, random_states, restore_random_states


def drawn() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), *torch.rand(2).tolist()]


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


@pytest.fixture(autouse=True)
def states_of_other_tests() -> Any:
    with kept_random_states():
        yield


def test_random_states_come_back_from_a_file(tmp_path: Path) -> None:
    seed_all(1)
    random.gauss(0, 1), np.random.randn()  # each keeps a second number for the next call
    checkpoint.save(tmp_path, 1, {"random": random_states()})
    expected = drawn()
    seed_all(2)
    assert drawn() != expected
    restore_random_states(checkpoint.newest(tmp_path)["random"])
    assert drawn() == expected


def test_states_of_more_devices_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    set_on = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: set_on.append(device))
    restore_random_states({**random_states(), "cuda": [torch.zeros(16), torch.ones(16)]})
    assert set_on == [0]


def test_states_of_a_gpu_on_a_machine_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    restore_random_states({**random_states(), "cuda": [torch.zeros(16)]})


def test_states_are_kept_whatever_happens() -> None:
    seed_all(3)
    expected = drawn()
    seed_all(3)
    with kept_random_states():
        seed_all(4)
    with pytest.raises(KeyError), kept_random_states():
        drawn()
        raise KeyError
    assert drawn() == expected
