"""The Snakefile plans a row's jobs, and once they are done, none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gncompanion.tools import paths

pytest.importorskip("snakemake")

SNAKEFILE = paths.root() / "Snakefile"


def plan(folder: Path, *options: str) -> str:
    """What a dry run says in a checkout of one row."""
    command = [sys.executable, "-m", "snakemake", "-n", "-c1", "-s", str(SNAKEFILE), *options]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "GNCOMPANION_RUNS": str(folder / "runs")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "notebooks" / "full").mkdir(parents=True)
    (tmp_path / "notebooks" / "09_image_generation.ipynb").touch()
    (tmp_path / "notebooks" / "full" / "09_row.yml").write_text("seeds: [0, 2]\n")
    return tmp_path


@pytest.mark.slow
def test_a_rows_jobs_are_planned_and_what_is_done_is_not_redone(checkout: Path) -> None:
    planned = plan(checkout, "-p", "--config", "set=-p steps 20").splitlines()
    told = dict(line.split() for line in planned if line.startswith(("train ", "judge ", "notebook ")))
    assert told == {"train": "2", "judge": "2", "notebook": "1"}
    commands = {line.split(": ")[1] for line in planned if "Shell command: " in line} - {"None"}
    row = "-f notebooks/full/09_row.yml"
    assert commands == {
        *(f"gncompanion {do} {row} --seed {n} -p steps 20" for do in ("train", "evaluate") for n in (0, 2)),
        f"papermill notebooks/09_image_generation.ipynb build/workflow/09_row.ipynb {row} -p steps 20",
    }
    done = checkout / "runs" / "workflow" / "09_row"
    done.mkdir(parents=True)
    for flag in ("seed-0.trained", "seed-2.trained", "seed-0.judged", "seed-2.judged", "notebook.done"):
        (done / flag).touch()
    assert "Nothing to be done" in plan(checkout)


@pytest.mark.slow
def test_a_rows_twins_are_trained_before_its_notebook_by_jobs_of_their_own(checkout: Path) -> None:
    full = checkout / "notebooks" / "full"
    (full / "09_row_twin-other.yml").write_text("seeds: [1]\n")
    row = "notebooks/full/09_row.yml"
    planned = plan(checkout, "-p", "--config", f"rows={row}").splitlines()
    told = dict(line.split() for line in planned if line.startswith(("train ", "judge ", "notebook ")))
    assert told == {"train": "3", "judge": "3", "notebook": "1"}
    twin = "gncompanion train -f notebooks/full/09_row_twin-other.yml --seed 1"
    assert any(line.rstrip().endswith(twin) for line in planned)
    done = checkout / "runs" / "workflow" / "09_row"
    done.mkdir(parents=True)
    for flag in ("seed-0.trained", "seed-2.trained", "seed-0.judged", "seed-2.judged"):
        (done / flag).touch()
    assert "notebook" in plan(checkout, "--config", f"rows={row}", "--until", "notebook")
