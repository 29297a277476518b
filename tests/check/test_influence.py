"""Who influences whom is found by looking, whatever the operations are called."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from benchmarks.critic_zoo import ZOO
from gncompanion.check import check_critic
from gncompanion.check.influence import influencing_groups

ALL = (tuple(range(8)),)


class Mixing(nn.Module):
    """A linear layer, and what makes of its results one value each."""

    def __init__(self, mix: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.mix = nn.Linear(3, 1), mix

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.layer(x))


MIXES = {
    "alone": (lambda h: h.tanh(), ()),
    "folded and back": (lambda h: h.T.tanh().T, ()),
    "the mean": (lambda h: h - h.mean(0), ALL),
    "the next one": (lambda h: h + h.roll(1, 0), ALL),
    "pairs": (lambda h: h.view(4, 2).cumsum(1).view(8, 1), ((0, 1), (2, 3), (4, 5), (6, 7))),
    "the first two": (lambda h: torch.cat([h[:2].flip(0) + h[:2], h[2:]]), ((0, 1),)),
    "a mean held constant": (lambda h: h - h.mean(0).detach(), ()),  # each g is its sample's own
}


@pytest.mark.parametrize("name", MIXES)
def test_groups(name: str) -> None:
    mix, groups = MIXES[name]
    assert check_critic(Mixing(mix), (3,)).groups == groups


def test_minibatch_statistics_of_four() -> None:
    entry = ZOO["StyleGAN2-like, minibatch stddev"]
    report = check_critic(entry.make(size=4), (3, 4, 4))
    assert report.groups == ((0, 2, 4, 6), (1, 3, 5, 7))
    assert report.coupling == "samples influence each other: 0 2 4 6 | 1 3 5 7"
    assert any("minibatch statistic" in remedy for remedy in report.remedies)


def test_batch_normalization_is_named_and_quiet_in_evaluation() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    report = check_critic(critic, (3,))
    assert report.groups == ALL
    assert report.coupling == "all samples influence each other"
    assert report.remedies[0] == (
        "batch normalization at '1': samples influence each other. Use GroupNorm, or none"
    )
    assert check_critic(critic.eval(), (3,)).groups == ()


def test_one_sample_is_alone() -> None:
    report = check_critic(Mixing(lambda h: h - 2 * h.mean(0)), (3,), batch=1)
    assert report.coupling == "none: there is one sample"


def test_groups_gather_along_chains() -> None:
    chain = torch.eye(5) + torch.diag(torch.full((2,), 0.1), 1).new_zeros(5, 5)
    chain[0, 2] = chain[4, 2] = 0.1
    assert influencing_groups(chain, 1e-6) == ((0, 2, 4),)
    assert influencing_groups(chain, 0.5) == ()
