"""An experiment is a value: bad ones are refused, by itself what needs no data, by validate() the rest."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gncompanion import data, models
from gncompanion.experiment import Experiment
from gncompanion.input_gradient import Unsupported
from tests.helpers.experiments import RING

pytestmark = pytest.mark.usefixtures("runs")

BAD_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"dataset": "digit"}, "data set 'digit', did you mean 'digits'? (valid: ring, grid, digits, "),
    ({"network": "dcgn"}, "unknown network 'dcgn', did you mean 'dcgan'? (valid: mlp, dcgan, "),
    ({"constraint": "gnn"}, "'gnn', did you mean 'gn'?"),
    ({"constraint": "gn+cr+"}, "''"),
    ({"loss": "hing"}, "unknown loss 'hing', did you mean 'hinge'? (valid: non_saturating, bce, "),
    ({"device": "gpu"}, "device='gpu' cannot be used here, take auto or cpu: "),
    ({"schedule": {"stepz": 3}}, "unknown setting of the schedule 'stepz', did you mean 'steps'? "),
    ({"schedule": {"steps": 0}}, "steps=0 must be an integer from 1 on"),
    ({"schedule": 100}, "schedule=100 must be a mapping of names to values"),
    ({"seed": -1}, "seed=-1 must be an integer from 0 on"),
    ({"seed": 1.0}, "seed=1.0 must be an integer from 0 on"),
    ({"seed": "1"}, "seed='1' must be an integer from 0 on"),
    (
        {"network_options": ["width"]},
        "network_options=['width'] must be a mapping of names to values",
    ),
    (
        {"network_options": {"width": np.int64(2)}},
        "width=np.int64(2) must be a number, text, a tru",
    ),
    (
        {"dataset_options": {"x": float("nan")}},
        "dataset_options: x=nan must be finite, such as 1.0",
    ),
    ({"network_options": {"generator": 1}}, "network_options cannot set generator: the experiment "),
    ({"constraint_options": {"shape": [2]}}, "constraint_options cannot set shape: the experiment "),
    ({"dataset_options": {"name": "x"}}, "dataset_options cannot set name: the experiment "),
]
PARTS_THAT_DO_NOT_FIT: list[tuple[dict[str, Any], str]] = [
    ({"device": "cuda:99"}, "device='cuda:99' cannot be used here, take auto or cpu: "),
    ({"device": "meta"}, "device='meta' cannot be used here, take auto or cpu: "),
    ({"dataset_options": {"size": 3}}, "'size'"),
    ({"dataset": "folder"}, "data set 'folder' needs a value for folder"),
    ({"dataset": "ring"}, "network 'dcgan' has no form for data of shape (2,)"),
    ({"network": "mlp"}, "network 'mlp' has no form for data of shape (1, 8, 8)"),
    ({"network": "stage"}, "network 'stage' needs a value for n_layers"),
    ({"network": "stage", "network_options": {"n_layers": 0}}, "n_layers=0 must be an integer from 1 "),
    (
        {"network_options": {"widht": 2}},
        "network 'dcgan' has no option 'widht', did you mean 'width'? (valid: ",
    ),
    ({"network_options": {"width": 0}}, "width=0 must be an integer from 1 on"),
    ({"constraint_options": {"lambda": 2}}, "'lambda'"),
    ({"constraint": "gp", "constraint_options": {"weight": -2}}, "weight=-2"),
    ({"constraint": "gn+cr", "constraint_options": {"weight": 2}}, "'weight'"),
    ({"constraint": "gran"}, "eps"),
    ({"constraint": "gn+pgn"}, "at most one"),
    ({**RING, "constraint": "cr"}, "needs images"),
    ({**RING, "constraint": "gn+cr"}, "needs images"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_VALUES, ids=str)
def test_a_bad_value_is_refused_by_the_experiment_itself(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Experiment(**settings)


@pytest.mark.parametrize("name", ["dataset", "network", "constraint", "loss", "device"])
def test_names_are_text(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}=None must be a name$"):
        Experiment(**{name: None})


@pytest.mark.parametrize(("settings", "message"), PARTS_THAT_DO_NOT_FIT, ids=str)
def test_parts_that_do_not_fit_are_refused_before_any_work(
    settings: dict[str, Any], message: str, runs: Path, tmp_path: Path
) -> None:
    experiment = Experiment(**settings)
    with pytest.raises(ValueError, match=re.escape(message)):
        experiment.validate()
    with pytest.raises(ValueError, match=re.escape(message)):
        experiment.run(tmp_path / "here")
    assert not runs.exists()
    assert not (tmp_path / "here").exists()


def test_the_fast_method_needs_a_piecewise_linear_critic() -> None:
    curved = {"network_options": {"activation": "softplus"}, "constraint_options": {"method": "linear"}}
    experiment = Experiment(**{**RING, **curved})
    for refused in (experiment.validate, experiment.run):
        with pytest.raises(Unsupported, match="softplus"):
            refused()


def test_making_one_opens_and_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("work")

    for module, name in ((data, "load"), (models, "build"), (torch, "empty"), (torch, "Generator")):
        monkeypatch.setattr(module, name, fail)
    experiment = Experiment(**RING)
    assert experiment == Experiment(**RING)
    assert experiment.portable_settings()["network"] == "mlp"
    with pytest.raises(KeyError, match="work"):
        experiment.validate()


def test_what_fits_is_valid() -> None:
    Experiment(**RING).validate()


def test_data_that_are_not_finite_are_refused_before_training() -> None:
    experiment = Experiment(**RING, dataset_options={"radius": 1e39})  # beyond float32
    with pytest.raises(
        ValueError, match="the samples of data set 'ring' are not finite: check dataset_options"
    ):
        experiment.validate()
