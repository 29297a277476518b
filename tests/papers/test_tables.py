"""Tables: what is printed beside what was measured here, of the row's own runs and nobody else's."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from gncompanion import data
from gncompanion.experiment import Run
from gncompanion.papers import tables
from gncompanion.papers.rows import read
from gncompanion.papers.scoring import keep
from gncompanion.training import Training

pytestmark = pytest.mark.usefixtures("runs")

ROW = """
methods: {GN: {constraint: gn, loss: bce}, SN: {constraint: sn, loss: hinge}}
seeds: [0, 1, 2]
network_options: {width: 2, z_dim: 4}
steps: 5
metrics: classifier
n_samples: 20
references: {FID: {}}
printed: {IS: "7.71±.14", FID: "19.31"}
source: Table 3
device: cpu
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "09_row.yml"
    path.write_text(ROW)
    return path


def judged(file: Path, method: str, seed: int, found: dict[str, float], **change: Any) -> Path:
    """Keep scores as if a run of the row, or of one with a changed setting, had been trained and judged."""
    row = read(file, change)
    experiment = row.experiments()[method, seed]
    players = experiment.players()
    run = Run(experiment.settings(), Training(players, experiment._data, experiment.schedule))
    return keep(run, experiment.folder(), row.protocol, found)


def lines(file: Path) -> list[str]:
    return tables.markdown(tables.entries([file])).splitlines()


def test_where_nobody_ran_it_says_so(file: Path) -> None:
    assert lines(file) == [
        "| row | method | metric | printed | measured here |",
        "|---|---|---|---|---|",
        "| 09_row | GN | IS | 7.71±.14 | not yet run |",
        "| 09_row | GN | FID | 19.31 | not yet run |",
        "| 09_row | SN | IS | 7.71±.14 | not yet run |",
        "| 09_row | SN | FID | 19.31 | not yet run |",
    ]


def test_a_row_of_which_nothing_is_printed_is_there_too(file: Path) -> None:
    file.write_text(ROW.replace('printed: {IS: "7.71±.14", FID: "19.31"}', ""))
    assert lines(file)[2] == "| 09_row | GN | any | – | not yet run |"


def test_measured_stands_beside_printed_with_its_spread_over_seeds(file: Path) -> None:
    values = [18.0, 19.0, 21.5]
    for seed, value in enumerate(values):
        judged(file, "GN", seed, {"FID": value, "KID × 1000": 3.0})
    judged(file, "SN", 1, {"FID": 30.0})
    mean, sd = statistics.mean(values), statistics.stdev(values)
    assert lines(file)[2:] == [
        "| 09_row | GN | IS | 7.71±.14 | not yet run |",
        f"| 09_row | GN | FID | 19.31 | {mean:.2f} ± {sd:.2f} (3 seeds) |",
        "| 09_row | GN | KID × 1000 | – | 3.00 ± 0.00 (3 seeds) |",
        "| 09_row | SN | IS | 7.71±.14 | not yet run |",
        "| 09_row | SN | FID | 19.31 | 30.00 (1 seed) |",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"steps": 6},
        {"n_dis": 2},
        {"lr_critic": 1e-4},
        {"seeds": [0, 7]},
        {"network_options": {"width": 4, "z_dim": 4}},
        {"methods": {"GN": {"constraint": "gn", "loss": "hinge"}}},
        {"methods": {"GN": {"constraint": "gn", "loss": "bce", "constraint_options": {"method": "linear"}}}},
        {"n_samples": 10},
        {"training_mode": True},
        {"references": {"FID": {"n_samples": 10}}},
        {"metrics": "none"},
    ],
    ids=str,
)
def test_a_run_with_other_settings_or_judged_otherwise_is_not_counted(
    change: dict[str, Any], file: Path
) -> None:
    judged(file, "GN", 7 if "seeds" in change else 0, {"FID": 1.0}, **change)
    assert not any(entry.measured for entry in tables.entries([file]))


def test_what_decides_nothing_does_not_matter(file: Path) -> None:
    judged(file, "GN", 0, {"FID": 1.0}, label="other", source="elsewhere", printed={})
    assert tables.entries([file])[0].measured == {"FID": [1.0]}


def test_a_seed_counts_once(file: Path, runs: Path) -> None:
    kept = judged(file, "GN", 0, {"FID": 1.0})
    (runs / "copy").mkdir()
    (runs / "copy" / kept.name).write_bytes(kept.read_bytes())
    assert tables.entries([file])[0].measured == {"FID": [1.0]}


def test_a_run_of_an_older_format_is_not_counted(file: Path) -> None:
    kept = judged(file, "GN", 0, {"FID": 1.0})
    content = json.loads(kept.read_text())
    content["settings"]["format"] -= 1
    kept.write_text(json.dumps(content))
    assert not tables.entries([file])[0].measured


def test_a_file_that_is_no_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("steps: 3")
    with pytest.raises(ValueError, match=re.escape("x.yml: a row needs a value for methods, seeds")):
        tables.entries([tmp_path / "x.yml"])


def test_rows_are_those_of_both_notebooks() -> None:
    numbers = [file.stem[:3] for file in tables.row_files()]
    assert numbers == sorted(numbers)
    assert "09_" in numbers
    assert {*numbers} <= {"09_", "12_"}


def test_the_table_needs_no_data(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(file, "GN", 0, {"FID": 1.0})
    monkeypatch.setitem(data.DATASETS, "digits", None)
    assert tables.entries([file])[0].measured == {"FID": [1.0]}
