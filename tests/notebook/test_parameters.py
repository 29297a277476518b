"""A notebook's parameters cell: read as papermill reads it; it may only assign literals."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gncompanion.notebook.parameters import declared_parameters, injected_names
from gncompanion.tools import paths

TAG = {"tags": ["parameters"]}


@pytest.mark.parametrize("file", sorted(paths.notebooks().glob("*.ipynb")), ids=lambda file: file.stem)
def test_finds_the_parameters_that_papermill_finds(file: Path) -> None:
    import papermill

    assert list(declared_parameters(file)) == list(papermill.inspect_notebook(file))


@pytest.mark.parametrize(
    "cell", ["x = print()", "x = y", "import os", "x, y = 1, 2", "x = 1\nx += 1", "x: int"]
)
def test_parameters_are_literals(cell: str, make_checkout: Callable[..., Path]) -> None:
    folder = make_checkout(nb04_theorem5=[(cell, TAG)])
    with pytest.raises(ValueError, match=r"04_theorem5\.ipynb: the parameters cell may only assign literals"):
        declared_parameters(folder / "notebooks/04_theorem5.ipynb")


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_one_parameters_cell(count: int, make_checkout: Callable[..., Path]) -> None:
    folder = make_checkout(nb04_theorem5=[("x = 1", TAG)] * count)
    with pytest.raises(ValueError, match=f"has {count} cells tagged 'parameters' instead of one"):
        declared_parameters(folder / "notebooks/04_theorem5.ipynb")


def test_only_papermills_own_cell_injects() -> None:
    history = ["", "n = 1\n", "# Parameters\nn = 8\nrate: float = 0.5\n", "# Parametersn = 2"]
    assert injected_names(history) == ["n", "rate"]
