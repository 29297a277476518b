"""Names of the package that notebooks and documents mention: each exists, or a move has left it behind."""

import importlib
import json
import re
from pathlib import Path

import pytest

from gncompanion.tools import paths

ROOT = paths.root()
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("notebooks/*.ipynb")),
]
DOTTED = re.compile(r"\bgncompanion(?:\.[A-Za-z_]\w*)+")
FILES = {"gncompanion.mplstyle"}  # a file's name, not a module's


def text(file: Path) -> str:
    content = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return content
    return "\n".join("".join(cell["source"]) for cell in json.loads(content)["cells"])


def exists(dotted: str) -> bool:
    """Whether a dotted name leads to a module of the package, or to something in one."""
    first, *rest = dotted.split(".")
    found, path = importlib.import_module(first), first
    for part in rest:
        path = f"{path}.{part}"
        if not hasattr(found, part):
            try:
                importlib.import_module(path)
            except ModuleNotFoundError:
                return False
        found = getattr(found, part)
    return True


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_dotted_names_exist(file: Path) -> None:
    missing = sorted(name for name in set(DOTTED.findall(text(file))) - FILES if not exists(name))
    assert not missing, f"{file.name} names {', '.join(missing)}"


def test_a_name_left_behind_is_seen() -> None:
    assert not exists("gncompanion.transport") and exists("gncompanion.theory.wasserstein.exact_w1")
