"""Executed copies: made beside their parameter file by a real run, refused once one of them has changed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.middle import (
    assert_belongs_to_its_commit,
    assert_belongs_to_its_parameters,
    assert_was_run,
)

CELLS = [
    ("n: int = 3  # how many\nlabel: str = ''  # marks figures", {"tags": ["parameters"]}),
    "from gncompanion.notebook import Notebook\nbook = Notebook('90_one', globals())",
    "book.claims.record('id', 'It is so.', source='001', verdict='holds', evidence={'n': n})\n"
    "book.claims.save()\nprint('n is', n)",
]


@pytest.fixture(scope="module")
def copy(make_checkout: Callable[..., Path]) -> Path:
    """The copy of a run in a checkout with one commit."""
    checkout = make_checkout(nb90_one=CELLS)
    (checkout / "notebooks/middle").mkdir()
    (checkout / "notebooks/middle/90_some.yml").write_text("n: 5  # more\nlabel: some\n")
    (checkout / ".gitignore").write_text("build/\n__pycache__/\nfigures/\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GNCOMPANION_")}
    environment |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from gncompanion.cli import app; app()", "reproduce"]
    done = subprocess.run(
        [*command, "--middle", "--in-place"], cwd=checkout, env=environment, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return checkout / "notebooks/middle/90_some.ipynb"


@pytest.mark.slow
def test_a_copy_is_what_its_file_and_its_commit_say(copy: Path) -> None:
    checkout = copy.parents[2]
    assert_was_run(copy)
    assert_belongs_to_its_parameters(copy)
    assert_belongs_to_its_commit(copy, checkout)
    assert "n is 5" in copy.read_text()
    assert (checkout / "figures/90_one-some.claims.json").exists()
    assert json.loads((checkout / "notebooks/90_one.ipynb").read_text())["cells"][2]["outputs"] == []


@pytest.mark.slow
@pytest.mark.parametrize("change", ["parameters", "cell", "commit", "order"])
def test_a_copy_that_belongs_to_something_else_is_told(change: str, copy: Path, tmp_path: Path) -> None:
    other, content = tmp_path / copy.name, json.loads(copy.read_text())
    parameters = copy.with_suffix(".yml").read_text()
    if change == "parameters":
        parameters = parameters.replace("5", "6")
    elif change == "cell":
        content["cells"][-1]["source"] += "\nprint()"
    elif change == "commit":
        content["metadata"]["gncompanion"]["dirty"] = True
    else:
        content["cells"][-1]["execution_count"] = 9
    other.write_text(json.dumps(content))
    other.with_suffix(".yml").write_text(parameters)
    with pytest.raises(AssertionError):
        assert_was_run(other)
        assert_belongs_to_its_parameters(other)
        assert_belongs_to_its_commit(other, copy.parents[2])


@pytest.mark.slow
def test_in_place_goes_with_the_files_own_parameters_alone(copy: Path) -> None:
    command = [sys.executable, "-c", "from gncompanion.cli import app; app()", "reproduce", "--middle"]
    environment = {**os.environ, "PYTHONPATH": str(copy.parents[2])}
    done = subprocess.run(
        [*command, "--in-place", "-p", "n", "4"], cwd=copy.parents[2], env=environment, capture_output=True,
        text=True, timeout=200,
    )  # fmt: skip
    assert (done.returncode, "in place only without -p" in done.stderr) == (2, True)
