"""The averaged generator against a slow loop."""

import pytest
import torch
from torch import Tensor

from gncompanion import data
from gncompanion.training import Schedule, Training
from tests.helpers.trainings import RING, SHORT, players, weights


@pytest.mark.parametrize(("decay", "start"), [(0.9999, 0), (0.5, 0), (0.0, 0), (0.9, 4)])
def test_the_average_is_that_of_a_slow_loop(
    decay: float, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(
        players(shape=(1, 8, 8)), data.load("digits"), Schedule(**SHORT, ema_decay=decay, ema_start=start)
    )
    slow = {name: value.double() for name, value in training.players.generator.state_dict().items()}
    parameters = dict(training.players.generator.named_parameters())
    iterate = Training._iterate

    def followed(self: Training) -> Tensor:
        values = iterate(self)
        for name, new in self.players.generator.state_dict().items():
            share = (
                1 - decay if name in parameters and self.step >= start else 1
            )  # of buffers there is no average
            slow[name] = slow[name] + share * (new.double() - slow[name])
        return values

    monkeypatch.setattr(Training, "_iterate", followed)
    training.run()
    for name, value in training.average.state_dict().items():
        # six roundings of float32 at 6e-8 each
        torch.testing.assert_close(value.double(), slow[name], rtol=6e-7, atol=1e-9)
    assert not torch.equal(weights(training.average), weights(training.players.generator)) or decay == 0
    assert not any(parameter.requires_grad for parameter in training.average.parameters())


def test_no_average() -> None:
    training = Training(players(), RING, Schedule(**SHORT, ema_decay=None))
    training.run()
    assert training.average is None
    assert training.state()["modules"].keys() == {"generator", "critic"}
