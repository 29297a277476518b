"""What an executed copy of the middle scale must be; told of the committed ones and of one made in a test."""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from gncompanion.notebook.copies import file_digest


def assert_belongs_to_its_parameters(copy: Path) -> None:
    """The file beside it says what was injected, and has not changed since."""
    content = json.loads(copy.read_text(encoding="utf-8"))
    origin, file = content["metadata"]["gncompanion"], copy.with_suffix(".yml")
    assert origin["parameters"] == file.name
    assert origin["parameters_digest"] == file_digest(file.read_bytes()), (
        f"{file.name} has changed: run it again"
    )
    (injected,) = (
        cell for cell in content["cells"] if "injected-parameters" in cell["metadata"].get("tags", ())
    )
    assert _assigned("".join(injected["source"])) == yaml.safe_load(file.read_text(encoding="utf-8"))


def assert_belongs_to_its_commit(copy: Path, checkout: Path) -> None:
    """The notebook of that commit has the same cells."""
    content = json.loads(copy.read_text(encoding="utf-8"))
    origin = content["metadata"]["gncompanion"]
    assert origin["dirty"] is False, "what made it was not committed"
    shown = subprocess.run(
        ["git", "show", f"{origin['commit']}:notebooks/{origin['notebook']}"],
        cwd=checkout, capture_output=True, text=True, check=True,
    )  # fmt: skip
    own = [cell for cell in content["cells"] if "injected-parameters" not in cell["metadata"].get("tags", ())]
    assert _sources(own) == _sources(json.loads(shown.stdout)["cells"])


def assert_was_run(copy: Path) -> None:
    """From top to bottom, without an error, and without a trace of the machine."""
    content = json.loads(copy.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert "papermill" not in json.dumps(
        [content["metadata"], *(cell["metadata"] for cell in content["cells"])]
    )
    for output in [output for cell in cells for output in cell["outputs"]]:
        assert output["output_type"] != "error" and output.get("name") != "stderr"
        text = json.dumps([output.get("text"), output.get("data", {}).get("text/plain")])
        assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users|opt|usr|var|mnt|private)/", text)


def _assigned(source: str) -> dict[str, Any]:
    return {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value)
        for line in ast.parse(source).body
        if isinstance(line, ast.Assign)
    }


def _sources(cells: list[dict[str, Any]]) -> list[str]:
    return ["".join(cell["source"]) for cell in cells]
