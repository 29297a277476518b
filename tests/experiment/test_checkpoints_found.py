"""What a run finds in its folder: checkpoints of others, of former versions, of other shapes, or none."""

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from gncompanion.cli import app
from gncompanion.experiment import Experiment
from gncompanion.training import checkpoint
from tests.helpers.experiments import DIGITS, RING, SHORT, same, weights

pytestmark = pytest.mark.usefixtures("runs")

LONG = {**RING, "schedule": {**SHORT, "steps": 7, "checkpoint_every": 3}}


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"constraint": "none"}, {"schedule": {**LONG["schedule"], "lr_critic": 1e-3}}],
    ids=str,
)
def test_a_checkpoint_of_another_run_is_refused(other: dict, tmp_path: Path, steps_done: list[int]) -> None:
    Experiment(**LONG).run(tmp_path / "ours")
    Experiment(**{**LONG, **other}).run(tmp_path / "theirs")
    for file in checkpoint.ordered(tmp_path / "ours"):
        file.unlink()
    [last, _] = checkpoint.ordered(tmp_path / "theirs")
    taken = last.rename(tmp_path / "ours" / last.name)
    steps_done.clear()
    with pytest.raises(ValueError, match=re.escape(f"{taken} is a checkpoint of another run: ")):
        Experiment(**LONG).run(tmp_path / "ours")
    assert steps_done == []


def without_digest(folder: Path) -> None:
    """Leave a run's checkpoints as former versions wrote them."""
    files = checkpoint.ordered(folder)
    states = [torch.load(file, weights_only=True) for file in files]
    for file in files:
        file.unlink()
    for state in reversed(states):
        del state[checkpoint.SETTINGS_DIGEST]
        checkpoint.save(folder, state.pop("step"), state)


def test_checkpoints_of_former_versions_are_used(tmp_path: Path, steps_done: list[int]) -> None:
    whole = Experiment(**LONG).run(tmp_path / "whole")
    Experiment(**LONG).run(tmp_path / "part")
    without_digest(tmp_path / "part")
    steps_done.clear()
    assert same(weights(whole), weights(Experiment(**LONG).run(tmp_path / "part")))
    assert steps_done == []
    checkpoint.ordered(tmp_path / "part")[0].unlink()
    (tmp_path / "part" / "log.csv").unlink()
    assert same(weights(whole), weights(Experiment(**LONG).run(tmp_path / "part")))
    assert steps_done == [7]


@pytest.mark.parametrize(
    "other",
    [{"network_options": {"width": 16, "depth": 2}}, {"schedule": {**SHORT, "steps": 9}}],
    ids=["of other shapes", "of a step after the last"],
)
def test_one_that_does_not_fit_costs_its_steps_only(
    other: dict, tmp_path: Path, steps_done: list[int]
) -> None:
    whole = Experiment(**LONG).run(tmp_path / "ours")
    Experiment(**{**LONG, **other}).run(tmp_path / "theirs")
    without_digest(tmp_path / "theirs")
    checkpoint.ordered(tmp_path / "ours")[0].unlink()
    wrong = checkpoint.ordered(tmp_path / "theirs")[0]
    wrong.rename(tmp_path / "ours" / wrong.name)
    steps_done.clear()
    with pytest.warns(UserWarning, match=rf"^damaged: {wrong.name} \(.*\); using step-000006-"):
        again = Experiment(**LONG).run(tmp_path / "ours")
    assert steps_done == [7]
    assert same(weights(whole), weights(again))


@pytest.mark.parametrize("left", [0, 1], ids=["none left", "the last gone"])
def test_a_finished_run_without_its_checkpoint_is_not_trained_unasked(
    left: int, tmp_path: Path, steps_done: list[int]
) -> None:
    settings = {**DIGITS, "schedule": {**SHORT, "checkpoint_every": 2}}
    trained = Experiment(**settings).run(tmp_path / "run")
    for file in checkpoint.ordered(tmp_path / "run")[: 2 - left]:
        file.unlink()
    steps_done.clear()
    judging = ["evaluate", str(tmp_path / "run"), "-p", "metrics", "classifier", "-p", "n_samples", "20"]
    result = CliRunner().invoke(app, judging)
    assert result.exit_code == 2
    reason = (
        f"has no sound checkpoint of its last step, 3, any more (the newest is of step {2 * left}): train"
    )
    assert f"{tmp_path / 'run'} was trained, but {reason} it again" in result.stderr
    assert steps_done == []
    assert same(weights(trained), weights(Experiment(**settings).run(tmp_path / "run")))
    assert steps_done == [1, 2, 3][2 * left :]
