"""Every name that an experiment may hold makes a run."""

from typing import Any

import numpy as np
import pytest
from torch import nn
from torch.nn.utils import parametrize

from gncompanion.constraints import CONSTRAINTS
from gncompanion.data import DATASETS
from gncompanion.experiment import Experiment
from gncompanion.models import NETWORKS
from gncompanion.training import LOSSES
from tests.helpers.experiments import DIGITS, RING

pytestmark = pytest.mark.usefixtures("runs")


@pytest.mark.parametrize("settings", [DIGITS, RING], ids=["digits", "ring"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_every_constraint_trains(constraint: str, settings: dict[str, Any]) -> None:
    if constraint == "cr" and settings is RING:
        return  # refused: see above
    options = {"gran": {"eps": 1e-2}, "gran-eps": {"eps": 1e-2}, "scale": {"K": 2.0}}.get(constraint, {})
    run = Experiment(**settings, constraint=constraint, constraint_options=options).run()
    assert run.history["step"] == [3]
    assert all(np.isfinite(run.history[name]).all() for name in run.history)


def test_the_constraint_prepares_the_critic() -> None:
    run = Experiment(**DIGITS, constraint="sn").run()
    layers = [layer for layer in run.critic.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(layers) > 1
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(loss: str) -> None:
    assert Experiment(**RING, loss=loss).run().history["step"] == [3]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_trains(network: str) -> None:
    options = {
        "stage": {"n_layers": 2, "width": 2},
        "mlp": {"width": 8},
        "biggan": {"n_classes": 10, "width": 2},
    }
    needed = options.get(network, {"width": 2})
    shape = RING if network == "mlp" else DIGITS
    assert Experiment(**{**shape, "network": network, "network_options": needed}).run().history["step"] == [3]


@pytest.mark.parametrize("dataset", ["ring", "grid"])
def test_every_toy_trains(dataset: str) -> None:
    assert Experiment(**{**RING, "dataset": dataset}).run().history["step"] == [3]


@pytest.mark.parametrize("dataset", sorted(set(DATASETS) - {"ring", "grid", "digits", "folder"}))
def test_a_set_that_is_not_here_is_refused_before_any_work(dataset: str) -> None:
    experiment = Experiment(**{**DIGITS, "dataset": dataset})
    for refused in (experiment.validate, experiment.run):
        with pytest.raises(FileNotFoundError, match=r"put .* there"):
            refused()
