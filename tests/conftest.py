"""Fixtures of several rooms: one thread, a figures folder of the test's own, and a small checkout."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from gncompanion.tools import paths

with suppress(ModuleNotFoundError):  # where the front door alone is tested
    import matplotlib

    matplotlib.use("agg")  # no window, also where there is a screen

Cell = str | tuple[str, dict[str, Any]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads of small networks wait for each other; and only one gives the same sums in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `paths.runs()` gives for the length of a test."""
    monkeypatch.setenv("GNCOMPANION_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def figures_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `paths.figures()` gives for the length of a test."""
    monkeypatch.setenv("GNCOMPANION_FIGURES", str(tmp_path / "figures"))
    return tmp_path / "figures"


@pytest.fixture(scope="session")
def make_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a checkout of the given notebooks and the rooms that need no torch, which they thereby show."""

    def make(**notebooks: list[Cell]) -> Path:
        folder = tmp_path_factory.mktemp("checkout")
        (folder / "notebooks/full").mkdir(parents=True)
        for room in ("tools", "notebook"):
            shutil.copytree(paths.root() / "gncompanion" / room, folder / "gncompanion" / room)
        shutil.copy(paths.root() / "gncompanion" / "cli.py", folder / "gncompanion")
        shutil.copy(paths.root() / "pyproject.toml", folder)
        (folder / "gncompanion" / "__init__.py").touch()
        for name, cells in notebooks.items():
            (folder / "notebooks" / f"{name.removeprefix('nb')}.ipynb").write_text(notebook_json(*cells))
        return folder

    return make


def notebook_json(*cells: Cell) -> str:
    """A notebook never run, of code cells: their text, or their text and metadata."""
    texts = [cell if isinstance(cell, tuple) else (cell, {}) for cell in cells]
    content = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "metadata": metadata,
                "outputs": [],
                "source": text,
            }
            for text, metadata in texts
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    return json.dumps(content)
