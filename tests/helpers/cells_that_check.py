"""A notebook's cells from that of parameters to the one that checks them, run without a kernel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["run_checks"]


def run_checks(file: Path) -> Callable[[str, Any], dict[str, Any]]:
    """Make a function that runs a notebook's checks with one parameter injected, as papermill does.

    Args:
        file: The .ipynb file.

    Returns:
        A function of a name and a value; it returns the notebook's names after the checks, or raises.
    """
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    (first,) = (i for i, cell in enumerate(code) if "parameters" in cell["metadata"].get("tags", ()))
    (last,) = (i for i, cell in enumerate(code) if 'Notebook("' in "".join(cell["source"]))
    sources = ["".join(cell["source"]) for cell in code[first : last + 1]]
    if file.stem[:2] in ("09", "12"):  # the next line of these reads them as a row
        sources.append("row = rows.row(book.parameters)")
    compiled = [compile(source, file.name, "exec") for source in sources]

    def run(name: str, value: Any) -> dict[str, Any]:
        namespace: dict[str, Any] = {}
        exec(compiled[0], namespace)
        namespace[name] = value
        for cell in compiled[1:]:
            exec(cell, namespace)
        return namespace

    return run
