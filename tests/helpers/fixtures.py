"""Fixtures that several rooms need: a room's conftest imports those that it wants."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Several only wait for each other in networks this small; and sums are the same in all processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for the runs of one test."""
    monkeypatch.setenv("GNCOMPANION_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"
