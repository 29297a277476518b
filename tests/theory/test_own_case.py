"""The settings of the counter-experiment on images are experiments, and what is measured of a run."""

import pytest
import torch

from gncompanion.experiment import Experiment
from gncompanion.theory.own_case import measured_run, own_case

SCHEDULE = {"steps": 1, "batch_critic": 2, "batch_generator": 2}
WORLD = {"dataset": "digits", "network": "dcgan"}


def test_all_are_experiments_and_differ() -> None:
    settings = own_case(WORLD, {"width": 2}, SCHEDULE, bias_std=0.1)
    experiments = [Experiment(**values) for values in settings.values()]
    assert len({str(experiment.portable_settings()) for experiment in experiments}) == len(settings) == 10
    experiments[-1].validate()
    for (_, kind, _, _), values in settings.items():
        assert ("bias_std" in values["network_options"]) == (kind == "random")


def test_distances_are_the_datas_own_and_norms_the_critics() -> None:
    real, fake = torch.tensor([[1.0, -1.0], [1.0, 1.0]]), torch.tensor([[-1.0, -1.0], [-1.0, -1.0]])
    found = measured_run(real, fake, scale=0.5, shift=0.5)  # pixels in [0, 1]: all black
    assert found["norm"] == 0
    assert found["w1"] == pytest.approx(1 + 2**0.5) == found["origin"]
    assert measured_run(real, real, scale=0.5, shift=0.5)["norm"] == 1
    assert measured_run(real, fake)["norm"] == 1  # in [-1, 1] black is not the origin


def test_a_run_that_broke_down_is_told_apart() -> None:
    assert measured_run(torch.zeros(2, 2), torch.tensor([[0.0, float("nan")], [0.0, 0.0]])) == {"w1": None}
