"""Where the tests' data lie."""

from pathlib import Path

import pytest


@pytest.fixture
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, not `tmp_path`, that `paths.data()` gives for the length of a test."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("GNCOMPANION_DATA", str(folder))
    return folder
