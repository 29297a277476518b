"""The middle scale: its files are rows or parameters, its copies were run from them and from a commit."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gncompanion.notebook.parameters import declared_parameters
from gncompanion.notebook.plan import plan
from gncompanion.papers.rows import read
from gncompanion.tools import paths
from tests.helpers.middle import (
    assert_belongs_to_its_commit,
    assert_belongs_to_its_parameters,
    assert_was_run,
)

FOLDER = paths.root() / "notebooks" / "middle"
FILES, COPIES = sorted(FOLDER.glob("*.yml")), sorted(FOLDER.glob("*.ipynb"))

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
every_copy = pytest.mark.parametrize("copy", COPIES, ids=lambda file: file.stem)


def test_every_file_is_planned() -> None:
    assert [job.name for job in plan(middle=True)] == [file.stem for file in FILES]


@every_file
def test_figures_bear_a_label_of_their_own(file: Path) -> None:
    labels = [yaml.safe_load(other.read_text(encoding="utf-8"))["label"] for other in FILES]
    assert labels.count(yaml.safe_load(file.read_text(encoding="utf-8"))["label"]) == 1


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem[:2] == "09"], ids=lambda file: file.stem
)
def test_rows_are_judged_on_their_way_with_equal_rates(file: Path) -> None:
    row = read(file)
    assert row.protocol.judged_every and row.protocol.metrics == "efficientnet"
    assert row.schedule.lr_critic == row.schedule.lr_generator
    assert row.data_title == "CIFAR-10, JPEG copies"
    (notebook,) = paths.notebooks().glob("09_*.ipynb")
    assert yaml.safe_load(file.read_text(encoding="utf-8")).keys() <= declared_parameters(notebook).keys()


@every_copy
def test_a_copy_was_run_from_its_parameters(copy: Path) -> None:
    assert_was_run(copy)
    assert_belongs_to_its_parameters(copy)
    assert copy.stat().st_size <= 4_000_000


@every_copy
def test_a_copy_belongs_to_a_commit(copy: Path) -> None:
    if shutil.which("git") is None or not (paths.root() / ".git").exists():
        pytest.skip("no git, or no checkout: nothing to compare with")
    try:
        assert_belongs_to_its_commit(copy, paths.root())
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{copy.name}: no such commit here: {error.stderr}")
