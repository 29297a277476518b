"""Which experiments of which rows: those asked for, and only if all of them can be run here."""

import re
from pathlib import Path
from typing import Any

import pytest

from gncompanion.experiment import Experiment
from gncompanion.papers.rows import read
from gncompanion.papers.scoring import EvaluationProtocol
from gncompanion.papers.selection import open_runs, select

pytestmark = pytest.mark.usefixtures("runs")

ROW = """
methods: {GN: {constraint: gn, loss: bce}, SN: {constraint: sn, loss: hinge}}
seeds: [0, 1, 2]
network_options: {width: 2, z_dim: 4}
steps: 2
metrics: none
device: cpu
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "09_row.yml"
    path.write_text(ROW)
    return path


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [("GN", 0), ("GN", 1), ("GN", 2), ("SN", 0), ("SN", 1), ("SN", 2)]),
        ({"seeds": [2, 0]}, [("GN", 0), ("GN", 2), ("SN", 0), ("SN", 2)]),
        ({"methods": ["SN"]}, [("SN", 0), ("SN", 1), ("SN", 2)]),
        ({"methods": ["SN"], "seeds": [1]}, [("SN", 1)]),
    ],
    ids=str,
)
def test_what_is_asked_for_is_chosen(
    choice: dict[str, Any], expected: list[tuple[str, int]], file: Path
) -> None:
    row, chosen = read(file), select([file], **choice)
    assert [one.experiment for one in chosen] == [row.experiments()[key] for key in expected]
    assert [one.name for one in chosen] == [f"09_row, {name}, seed {seed}" for name, seed in expected]
    assert all(one.folder == one.experiment.folder() for one in chosen)
    assert all(one.protocol == row.protocol for one in chosen)


def test_parameters_replace_the_files(file: Path) -> None:
    chosen = select([file, file], {"steps": 5}, seeds=[0], methods=["GN"])
    assert [one.experiment.schedule.steps for one in chosen] == [5, 5]


@pytest.mark.parametrize(
    ("parameters", "choice", "message"),
    [
        ({}, {"seeds": [7]}, "09_row.yml has no seed 7 (valid: 0, 1, 2)"),
        ({}, {"methods": ["GM"]}, "09_row.yml has no method 'GM' (valid: GN, SN)"),
        ({"network": "dcgn"}, {}, "unknown network 'dcgn'"),
        ({"network": "mlp"}, {}, "network 'mlp' has no form for data of shape (1, 8, 8)"),
        ({"device": "meta"}, {}, "device='meta' cannot be used here"),
    ],
    ids=str,
)
def test_what_cannot_be_run_is_refused(
    parameters: dict[str, Any], choice: dict[str, Any], message: str, file: Path
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        select([file], parameters, **choice)


def test_only_what_is_chosen_must_fit(file: Path) -> None:
    methods = {"GN": {"constraint": "gn", "loss": "bce"}, "both": {"constraint": "gn+pgn", "loss": "bce"}}
    assert len(select([file], {"methods": methods}, methods=["GN"])) == 3
    with pytest.raises(ValueError, match="at most one"):
        select([file], {"methods": methods})


def test_runs_are_opened_by_their_folders(file: Path, tmp_path: Path) -> None:
    experiment = read(file).experiments()["GN", 0]
    experiment.run(tmp_path / "run")
    (opened,) = open_runs([tmp_path / "run"], {"metrics": "none", "n_samples": 20}, device="cpu")
    assert opened.folder == tmp_path / "run"
    assert opened.protocol == EvaluationProtocol("none", 20)
    assert opened.experiment.portable_settings() == experiment.portable_settings()
    assert isinstance(opened.experiment, Experiment)


def test_a_parameter_that_is_no_protocols_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown setting of a protocol 'metric', did you mean 'metrics'"):
        open_runs([tmp_path], {"metric": "none"})
    with pytest.raises(FileNotFoundError, match="no run in "):
        open_runs([tmp_path], {"metrics": "none"})
