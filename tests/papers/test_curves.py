"""A run judged on its way: the same numbers as if it had ended there, and each measured once."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from gncompanion.cli import app
from gncompanion.experiment import Experiment
from gncompanion.papers import curves, scoring
from gncompanion.papers.curves import judged_steps, scores_over_steps
from gncompanion.papers.scoring import EvaluationProtocol, judge
from tests.helpers.pictures import Moments

SCHEDULE = {"steps": 6, "batch_critic": 4, "batch_generator": 4, "checkpoint_every": 1}
PROTOCOL = EvaluationProtocol("classifier", 20, references={"all": {}}, judged_every=2)


def experiment(**changes: Any) -> Experiment:
    options = {"network_options": {"width": 2, "z_dim": 4}, "device": "cpu"}
    return Experiment(**options, schedule={**SCHEDULE, **changes})


@pytest.fixture(autouse=True)
def quick_features(monkeypatch: pytest.MonkeyPatch, runs: Path, tmp_path: Path) -> None:
    """Channel means in place of a trained classifier's features: what is judged is the matter here."""
    monkeypatch.setenv("GNCOMPANION_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(scoring, "_feature_map", lambda *_: Moments())


def test_a_run_on_its_way_is_the_shorter_run() -> None:
    whole, shorter = experiment(), experiment(steps=4)
    whole.run(keep_every=2)
    expected = judge(shorter.run(), PROTOCOL)
    state = torch.get_rng_state()
    found = scores_over_steps(whole, PROTOCOL)
    assert torch.equal(torch.get_rng_state(), state)
    assert list(found) == judged_steps(whole, PROTOCOL) == [2, 4, 6]
    assert found[4] == expected  # bit for bit
    assert found[6] == judge(whole.run(), PROTOCOL)
    assert len(whole.at(4).history["step"]) == 4


def test_each_is_measured_once_and_anew_by_another_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    one = experiment()
    one.run(keep_every=2)
    found = scores_over_steps(one, PROTOCOL)
    with monkeypatch.context() as patch:
        patch.setattr(curves, "judge", lambda *_: pytest.fail("measured twice"))
        assert scores_over_steps(one, PROTOCOL) == found
    fewer = EvaluationProtocol("classifier", 10, references={"all": {}}, judged_every=6)
    assert list(scores_over_steps(one, fewer)) == [6]
    kept = json.loads((one.folder() / "scores-000006.json").read_text())
    assert kept["protocol"]["n_samples"] == 10


def test_what_is_kept_to_be_judged_has_no_optimizers_but_the_last_two() -> None:
    one = experiment()
    one.run(keep_every=2)
    has = {
        int(file.name[5:11]): "optimizers" in torch.load(file, weights_only=True)
        for file in one.folder().glob("step-*.pt")
    }
    assert has == {2: False, 4: False, 5: True, 6: True}


def test_what_was_not_kept_is_named() -> None:
    one = experiment()
    one.run()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 2 in .* \(there: 5, 6\)"):
        scores_over_steps(one, PROTOCOL)


def test_without_steps_on_the_way_the_end_is_judged() -> None:
    assert judged_steps(experiment(), EvaluationProtocol("none")) == [6]


def test_the_command_keeps_what_the_row_judges(tmp_path: Path, runs: Path) -> None:
    row = tmp_path / "09_row.yml"
    row.write_text(
        "methods: {GN: {constraint: gn, loss: bce}}\nseeds: [0]\nnetwork_options: {width: 2, z_dim: 4}\n"
        "steps: 6\ncheckpoint_every: 1\njudged_every: 2\nmetrics: none\ndevice: cpu\n"
        "batch_critic: 4\nbatch_generator: 4\n"
    )
    done = CliRunner().invoke(app, ["train", "-f", str(row)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    kept = sorted(file.name[:11] for file in runs.rglob("step-*.pt"))
    assert kept == ["step-000002", "step-000004", "step-000005", "step-000006"]


def test_evaluating_keeps_the_last_and_the_best(tmp_path: Path, runs: Path) -> None:
    row = tmp_path / "09_row.yml"
    row.write_text(
        "methods: {GN: {constraint: gn, loss: bce}}\nseeds: [0]\nnetwork_options: {width: 2, z_dim: 4}\n"
        "steps: 6\ncheckpoint_every: 1\njudged_every: 2\nmetrics: classifier\nn_samples: 20\ndevice: cpu\n"
        "references: {all: {}}\nbatch_critic: 4\nbatch_generator: 4\n"
    )
    for command in ("train", "evaluate"):
        done = CliRunner().invoke(app, [command, "-f", str(row)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    (file,) = runs.rglob("scores.json")
    kept = json.loads(file.read_text())
    way = {step: json.loads((file.parent / f"scores-{step:06d}.json").read_text()) for step in (2, 4, 6)}
    assert kept["scores"] == way[6]["scores"]
    (column, *_) = (name for name in kept["scores"] if name == kept["best"]["chosen_by"])
    least = min(way, key=lambda step: way[step]["scores"][column])
    assert kept["best"] == {"step": least, "chosen_by": column, "of": 3, "scores": way[least]["scores"]}
    assert f"best by {column}, after {least} steps" in done.output
