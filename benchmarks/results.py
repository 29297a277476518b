"""A script's numbers, kept beside it as JSON with what made them, which a notebook reads."""

import json
from pathlib import Path
from typing import Any

from gncompanion.notebook.provenance import provenance
from gncompanion.tools.files import write

FOLDER = Path(__file__).parent


def keep(name: str, notebook: str, content: dict[str, Any]) -> None:
    """Write benchmarks/<name>.json, floats to five digits, with the commit and the versions.

    Args:
        name: The script's name.
        notebook: The notebook that reads the file.
        content: Plain values by name.
    """
    text = json.dumps(content | provenance(notebook), default=float)
    short = json.loads(text, parse_float=lambda number: float(f"{float(number):.5g}"))
    lines = ",\n".join(
        f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in short.items()
    )
    write(FOLDER / f"{name}.json", f"{{\n{lines}\n}}\n".encode())
