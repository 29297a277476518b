"""What a committed notebook looks like: run from top to bottom, short cells, and no trace of the machine.

nbval does not hold this: it passes a notebook that was never run, since there is then nothing to compare.
"""

import ast
import io
import json
import re
import statistics
import tokenize
from pathlib import Path

import pytest

from gncompanion.notebook.parameters import declared_parameters
from gncompanion.tools import paths

NOTEBOOKS = sorted(paths.notebooks().glob("*.ipynb"))
FIGURES = paths.root() / "figures"  # the committed ones, wherever a session draws

every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def cells(file: Path, kind: str = "code") -> list[dict]:
    """A notebook's cells of a kind, each with its text in one piece."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return [
        cell | {"source": "".join(cell["source"])} for cell in content["cells"] if cell["cell_type"] == kind
    ]


def tagged(file: Path, tag: str) -> list[dict]:
    return [cell for cell in cells(file) if tag in cell["metadata"].get("tags", ())]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@every_notebook
def test_name(file: Path) -> None:
    assert re.fullmatch(r"\d\d_[a-z0-9_]+", file.stem)
    assert file.parent == paths.notebooks()


@every_notebook
def test_executed_from_top_to_bottom(file: Path) -> None:
    counts = [cell["execution_count"] for cell in cells(file)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_kernel_is_python3(file: Path) -> None:
    assert json.loads(file.read_text())["metadata"]["kernelspec"]["name"] == "python3"


@every_notebook
def test_parameters_are_annotated_and_commented(file: Path) -> None:
    assert declared_parameters(file)  # one cell of literals, or it raises
    (cell,) = tagged(file, "parameters")
    tokens = tokenize.generate_tokens(io.StringIO(cell["source"]).readline)
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    for statement in ast.parse(cell["source"]).body:
        assert isinstance(statement, ast.AnnAssign), f"{ast.unparse(statement)} has no annotation"
        assert commented & set(range(statement.lineno, statement.end_lineno + 1)), ast.unparse(statement)


@every_notebook
def test_is_no_output_of_papermill(file: Path) -> None:
    assert not tagged(file, "injected-parameters")
    content = json.loads(file.read_text())
    assert not [part for part in (content, *content["cells"]) if "papermill" in part["metadata"]]


@every_notebook
def test_outputs_show_no_trouble_and_no_machine(file: Path) -> None:
    for output in [output for cell in cells(file) for output in cell["outputs"]]:
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"
        shown = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
        text = json.dumps([output.get("text"), shown])
        assert not re.search(
            r"(?<![\w.])/(work|home|root|tmp|Users|opt|usr|var|mnt|private)/|[A-Z]:\\\\", text
        )


@every_notebook
def test_size(file: Path) -> None:
    assert file.stat().st_size <= 400_000


@every_notebook
def test_cells_are_short(file: Path) -> None:
    parameters = tagged(file, "parameters")  # one a line, however many
    lines = [len(cell["source"].splitlines()) for cell in cells(file) if cell not in parameters]
    assert max(lines) <= 25
    assert statistics.median(lines) <= 8


@every_notebook
def test_logic_lives_in_the_package(file: Path) -> None:
    nodes = [node for cell in cells(file) for node in ast.walk(ast.parse(cell["source"]))]
    assert not [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    assert len([node.name for node in nodes if isinstance(node, ast.FunctionDef)]) <= 1


@every_notebook
def test_ends_in_a_cell_that_asserts(file: Path) -> None:
    last = ast.parse(cells(file)[-1]["source"])
    assert [node for node in ast.walk(last) if isinstance(node, ast.Assert)]


@every_notebook
def test_has_its_claims_and_figures(file: Path) -> None:
    assert (FIGURES / f"{file.stem}.claims.json").exists()
    pictures = {figure.stem for figure in FIGURES.glob(f"{file.stem[:2]}_*.png")}
    assert pictures
    for ending in (".svg", ".json"):
        assert pictures <= {figure.stem for figure in FIGURES.glob(f"*{ending}")}


def test_every_figure_has_its_notebook() -> None:
    numbers = {file.stem[:2] for file in NOTEBOOKS}
    assert {file.name[:2] for file in FIGURES.glob("[0-9]*")} == numbers
