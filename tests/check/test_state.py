"""What a forward moves is named, brought back, and moved by the package as a plain step moves it."""

import random

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gncompanion.check import check_critic
from gncompanion.check.state import State


class Restless(nn.Module):
    """Moves a buffer in place and by a new tensor, a number, a plain tensor, a weight, and generators."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls, self.plain = nn.Linear(3, 1), 0, torch.zeros(2)
        self.register_buffer("moved", torch.zeros(1))
        self.register_buffer("replaced", torch.tensor(float("nan")))
        self.register_buffer("still", torch.tensor(float("nan")))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.moved += 1
        self.plain += 1
        self.replaced = torch.zeros(())
        self.layer.bias.data += 1
        return self.layer(x) + random.random() + torch.rand(())


def test_all_that_moves_is_named_and_brought_back() -> None:
    critic = Restless()
    before, buffer = State(critic), critic.moved
    critic(torch.ones(2, 3))
    after = State(critic)
    assert set(before.moved(after)) == {"calls", "moved", "plain", "replaced", "layer.bias", "random numbers"}
    before.restore()
    assert before.moved(State(critic)) == ()
    assert critic.moved is buffer


BATCH_NORM = ("1.running_mean", "1.running_var", "1.num_batches_tracked")
MOVING = {
    "nothing": (nn.Sequential(nn.Linear(3, 1)), ()),
    "dropout": (nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1)), ("random numbers",)),
    "batch normalization": (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), BATCH_NORM),
    "spectral normalization": (
        nn.Sequential(spectral_norm(nn.Linear(3, 4)), nn.Linear(4, 1)),
        ("0.parametrizations.weight.0._u", "0.parametrizations.weight.0._v"),
    ),
}


@pytest.mark.parametrize("name", MOVING)
def test_it_moves_as_in_a_plain_step(name: str) -> None:
    critic, names = MOVING[name]
    report = check_critic(critic, (3,))
    assert set(report.moved) == set(names)
    assert report.astray == ()
    assert report.right


def test_what_moves_with_every_backward_goes_astray() -> None:
    """Double backpropagation runs back three times where a plain step does once."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)
            self.register_buffer("backwards", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            h = self.first(x).tanh()
            h.register_hook(lambda grad: self.backwards.add_(1) and None)
            return self.last(h)

    report = check_critic(Counting(), (3,))
    assert report.astray == ("backwards",)
    assert report.right
    assert any(remedy.startswith("backwards moves otherwise") for remedy in report.remedies)
    assert "moves otherwise than in a plain step: backwards" in str(report)
