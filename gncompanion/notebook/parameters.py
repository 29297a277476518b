"""A notebook's parameters as they are written: the assignments in its cell tagged `parameters`."""

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["declared_parameters", "injected_names"]


def declared_parameters(notebook: Path) -> dict[str, Any]:
    """Read a notebook's parameters and their committed values.

    Args:
        notebook: The .ipynb file.

    Returns:
        The defaults by name, in the cell's order.

    Raises:
        ValueError: Not exactly one cell has the tag, or it holds more than assignments of literals.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    if len(tagged) != 1:
        raise ValueError(f"{notebook.name} has {len(tagged)} cells tagged 'parameters' instead of one")
    try:
        return {name: ast.literal_eval(value) for name, value in _assignments(tagged[0])}
    except ValueError:
        raise ValueError(f"{notebook.name}: the parameters cell may only assign literals to names") from None


def injected_names(history: Iterable[str]) -> list[str]:
    """Tell which parameters papermill has set.

    Args:
        history: The text of the cells that have run, as IPython's `In` holds it.

    Returns:
        The names that papermill's own cell assigns; it begins with the comment "# Parameters".
    """
    cells = [cell for cell in history if cell.startswith("# Parameters\n")]
    return [name for cell in cells for name, _ in _assignments(cell)]


def _assignments(source: str) -> Iterator[tuple[str, ast.expr]]:
    for statement in ast.parse(source).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                yield name, value
            case _:
                raise ValueError(ast.unparse(statement))
