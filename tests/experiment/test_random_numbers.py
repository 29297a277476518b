"""A seed is a run: streams of random numbers of its own, whatever the global generators do."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gncompanion.experiment import Experiment
from gncompanion.training import checkpoint
from gncompanion.training.random_states import random_states
from tests.helpers.experiments import DIGITS, RING, SHORT, same, weights

pytestmark = pytest.mark.usefixtures("runs")


def global_states() -> list[Any]:
    return [value.tolist() if isinstance(value, Tensor) else value for value in random_states().values()]


class TestRandomNumbers:
    def test_a_seed_is_one_run_whatever_the_global_state(self, tmp_path: Path) -> None:
        found = []
        for name, state in (("a", 1), ("b", 2)):
            torch.manual_seed(state)
            np.random.seed(state)
            random.seed(state)
            found.append(weights(Experiment(**DIGITS, constraint="sn+cr").run(tmp_path / name)))
        assert same(*found)

    def test_another_seed_is_another_run(self, tmp_path: Path) -> None:
        one, other = (weights(Experiment(**DIGITS, seed=seed).run()) for seed in (0, 1))
        differ = [name for name in one if not torch.equal(one[name], other[name])]
        assert set(one) - set(differ) == {name for name in one if name.endswith("num_batches_tracked")}

    def test_a_seed_decides_the_start_and_the_way(self, tmp_path: Path) -> None:
        one, other = (Experiment(**RING, seed=seed)._training(tmp_path) for seed in (0, 1))
        starts = [training.players.generator.state_dict() for training in (one, other)]
        assert not any(torch.equal(a, b) for a, b in zip(*(start.values() for start in starts), strict=True))
        assert not torch.equal(one.random.get_state(), other.random.get_state())

    @pytest.mark.parametrize("constraint", ["gn", "gp", "sn", "sn-operator", "cr"])
    def test_the_global_states_are_left_alone(self, constraint: str) -> None:
        settings = {**DIGITS, "constraint": constraint, "schedule": {**SHORT, "checkpoint_every": 2}}
        before = global_states()
        experiment = Experiment(**settings)
        assert global_states() == before
        run = experiment.run()
        assert global_states() == before
        checkpoint.ordered(experiment.folder())[0].unlink()
        torch.rand(1)
        before = global_states()
        experiment.run()  # resumed: the saved states are for the training only
        run.sample(3, training_mode=True)
        run.real(3)
        assert global_states() == before

    def test_no_two_purposes_share_numbers(self) -> None:
        """One stream for all would make the first samples' noise the first layer's weights, times 0.02."""
        experiment = Experiment(**{**DIGITS, "network_options": {"width": 2, "z_dim": 64}})
        players = experiment._players()
        first = players.generator.layers[0].weight.detach()
        run = experiment.run()
        noise = []
        run._players.generator.register_forward_pre_hook(lambda _, args: noise.append(args[0]))
        run.sample(len(first))
        trained = torch.randn(len(first), 64, generator=experiment._training(Path()).random)
        rows = nn.functional.normalize(torch.stack([first, noise[0], trained]).flatten(1))
        # of 2048 independent normal numbers the correlation has standard deviation 1 / √2048 = 0.022
        assert (rows @ rows.T - torch.eye(3)).abs().max() < 0.11
