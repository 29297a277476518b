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
from gncompanion.papers.curves import best
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


def judged(
    file: Path,
    method: str,
    seed: int,
    found: dict[str, float],
    *,
    best: dict[str, Any] | None = None,
    **change: Any,
) -> Path:
    """Keep scores as if a run of the row, or of one with a changed setting, had been trained and judged."""
    row = read(file, change)
    experiment = row.experiments()[method, seed]
    players = experiment.players()
    run = Run(experiment.settings(), Training(players, experiment._data, experiment.schedule))
    return keep(run, experiment.folder(), row.protocol, found, best=best)


def lines(file: Path) -> list[str]:
    return tables.markdown(tables.entries([file])).splitlines()


def test_where_nobody_ran_it_says_so(file: Path) -> None:
    assert lines(file) == [
        "| row | method | metric | printed | measured, last checkpoint | best on the way | precision |",
        "|---|---|---|---|---|---|---|",
        "| 09_row | GN | IS | 7.71±.14 | not yet run | – | – |",
        "| 09_row | GN | FID | 19.31 | not yet run | – | – |",
        "| 09_row | SN | IS | 7.71±.14 | not yet run | – | – |",
        "| 09_row | SN | FID | 19.31 | not yet run | – | – |",
    ]


def test_a_row_of_which_nothing_is_printed_is_there_too(file: Path) -> None:
    file.write_text(ROW.replace('printed: {IS: "7.71±.14", FID: "19.31"}', ""))
    assert lines(file)[2] == "| 09_row | GN | any | – | not yet run | – | – |"


def test_measured_stands_beside_printed_with_its_spread_over_seeds(file: Path) -> None:
    values = [18.0, 19.0, 21.5]
    for seed, value in enumerate(values):
        judged(file, "GN", seed, {"FID": value, "KID × 1000": 3.0})
    judged(file, "SN", 1, {"FID": 30.0})
    mean, sd = statistics.mean(values), statistics.stdev(values)
    assert lines(file)[2:] == [
        "| 09_row | GN | IS | 7.71±.14 | not yet run | – | float32 |",
        f"| 09_row | GN | FID | 19.31 | {mean:.2f} ± {sd:.2f} (3 seeds) | – | float32 |",
        "| 09_row | GN | KID × 1000 | – | 3.00 ± 0.00 (3 seeds) | – | float32 |",
        "| 09_row | SN | IS | 7.71±.14 | not yet run | – | float32 |",
        "| 09_row | SN | FID | 19.31 | 30.00 (1 seed) | – | float32 |",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"captured": True},
        {"channels_last": True},
        {"accumulation": 2},
        {"log_every": 3},
        {"checkpoint_every": 1},
        {"checkpoint_every": 1, "judged_every": 1},
    ],
    ids=str,
)
def test_a_run_with_another_switch_for_speed_is_counted(change: dict[str, Any], file: Path) -> None:
    judged(file, "GN", 0, {"FID": 1.0}, **change)
    assert tables.entries([file])[0].measured == {"FID": [1.0]}


def test_runs_of_another_precision_have_a_line_of_their_own(file: Path) -> None:
    judged(file, "GN", 0, {"FID": 1.0})
    judged(file, "GN", 0, {"FID": 2.0}, precision="bfloat16")
    judged(file, "GN", 1, {"FID": 3.0}, precision="bfloat16")
    found = [entry for entry in tables.entries([file]) if entry.method == "GN"]
    assert [(entry.precision, entry.measured) for entry in found] == [
        ("bfloat16", {"FID": [2.0, 3.0]}),
        ("float32", {"FID": [1.0]}),
    ]


def test_parameters_choose_the_runs_of_a_changed_row(file: Path) -> None:
    judged(file, "GN", 0, {"FID": 1.0}, steps=6)
    assert tables.entries([file])[0].measured == {}
    assert tables.entries([file], {"steps": 6})[0].measured == {"FID": [1.0]}


def test_the_best_on_the_way_stands_beside_the_last(file: Path) -> None:
    way = {2: {"FID": 9.0, "IS": 2.0}, 4: {"FID": 5.0, "IS": 3.0}, 5: {"FID": 6.0, "IS": 4.0}}
    judged(file, "GN", 0, way[5], best=best(way))
    assert lines(file)[2:4] == [
        "| 09_row | GN | IS | 7.71±.14 | 4.00 (1 seed) | 3.00 (1 seed) | float32 |",
        "| 09_row | GN | FID | 19.31 | 6.00 (1 seed) | 5.00 (1 seed) | float32 |",
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
