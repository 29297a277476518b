"""The warning that samples are coupled comes when that is true, and only then, whatever was refused first."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gncompanion.input_gradient import value_and_input_gradient
from tests.helpers.draws import normal, seeded

N = 6


class Body(nn.Module):
    """Two linear layers with something between."""

    def __init__(self, function: Callable[..., Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(4, 6), nn.ModuleList(modules), nn.Linear(6, 1)
        self.function = function
        for p in self.double().parameters():
            nn.init.normal_(p, generator=seeded(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x), *self.middle))


def minibatch_deviation(h: Tensor) -> Tensor:
    groups = h.reshape(2, N // 2, -1)
    spread = (groups - groups.mean(0)).square().mean(0).sqrt().mean(1)
    return torch.cat([h[:, 1:], spread.repeat(2)[:, None]], 1)


COUPLED = {
    "batch normalization": (lambda h, m: m(h), nn.BatchNorm1d(6)),
    "after a tanh": (lambda h, t, m: m(t(h)), nn.Tanh(), nn.BatchNorm1d(6)),
    "after a softmax": (lambda h: (s := h.softmax(1)) - s.mean(0),),
    "a variance over the batch": (lambda h: h / h.var(0).sqrt(),),
    "softmax over the batch": (lambda h: h.softmax(0),),
    "minibatch deviation": (minibatch_deviation,),
    "the next sample": (lambda h: h + 0.1 * h.roll(1, 0),),
}
SEPARATE = {
    "a tanh": (lambda h, t: t(h), nn.Tanh()),
    "the batch folded": (lambda h: h.reshape(-1, 3).relu().reshape(-1, 6),),
    "the batch transposed": (lambda h: h.T.relu().T,),
    "the batch in channels": (lambda h: h.reshape(1, -1).tanh().reshape(N, 6),),
    "layer normalization": (lambda h, m: m(h), nn.LayerNorm(6)),
    "batch normalization in evaluation": (lambda h, t, m: m(t(h)), nn.Tanh(), nn.BatchNorm1d(6).eval()),
    "rows by number": (lambda h: h[torch.arange(N)].tanh(),),
}


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_samples_are_warned_of(name: str) -> None:
    critic = Body(*COUPLED[name])
    for _ in range(2):  # the second time from memory
        with pytest.warns(UserWarning, match="gradient of the batch's summed values"):
            value_and_input_gradient(critic, normal(N, 4, seed=2))


@pytest.mark.parametrize("name", SEPARATE)
def test_separate_samples_are_not(name: str) -> None:
    critic = Body(*SEPARATE[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            f, _ = value_and_input_gradient(critic, normal(N, 4, seed=2))
            f.sum().backward()


def test_a_mode_is_remembered_for_itself() -> None:
    critic = Body(lambda h, t, m: m(t(h)), nn.Tanh(), nn.BatchNorm1d(6))
    with pytest.warns(UserWarning, match="influence each other"):
        value_and_input_gradient(critic, normal(N, 4, seed=2))
    value_and_input_gradient(critic.eval(), normal(N, 4, seed=2))


def test_one_sample_has_nobody_to_be_coupled_with() -> None:
    value_and_input_gradient(Body(lambda h: (h - h.mean(0)).tanh()), normal(1, 4, seed=2))


def test_without_autograd_it_is_said_too() -> None:
    with torch.no_grad(), pytest.warns(UserWarning, match="influence each other"):
        value_and_input_gradient(Body(lambda h: h.softmax(0)), normal(N, 4, seed=2))
