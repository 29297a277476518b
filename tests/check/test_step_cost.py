"""FLOPs of the steps: by hand for a perceptron, and as the package's own count says for its networks."""

import pytest
import torch
from torch import nn

from gncompanion.check import StepCost, check_critic
from gncompanion.cost import count
from gncompanion.models import build
from tests.helpers.draws import seeded


def test_a_perceptron_by_hand() -> None:
    """2 FLOPs a product: two forwards, weight gradients, and the input gradient of the second layer."""
    flops = check_critic(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)), (2,)).flops
    first, second = 2 * 8 * 16, 2 * 8 * 8
    assert flops.plain == 2 * (2 * (first + second) + second)
    assert flops.ratio(flops.plain) == 1


def test_the_packages_own_count_agrees() -> None:
    _, critic = build("dcgan", (1, 8, 8), width=4, generator=seeded())
    flops = check_critic(critic, (1, 8, 8), batch=4).flops
    names = ("unconstrained", "GN, double backpropagation", "GN, primitive")
    expected = [count(name, "dcgan", (1, 8, 8), width=4, batch=4, only=["critic"]) for name in names]
    assert [flops.plain, flops.twice, flops.auto] == [cost["critic"].flops for cost in expected]


@pytest.mark.parametrize("groups", [1, 4])
def test_convolutions_in_groups_by_hand(groups: int) -> None:
    """Of 4 positions each: forward and weight gradient twice, and the last one's input gradient twice."""
    first, last = nn.Conv2d(4, 8, 3), nn.Conv2d(8, 1, 2)
    middle = nn.Conv2d(8, 8, 1, groups=groups)
    flops = check_critic(nn.Sequential(first, middle, last, nn.Flatten()), (4, 4, 4), batch=3).flops
    of_middle, of_last = 2 * 3 * 4 * 8 * 8 // groups, 2 * 3 * 8 * 4
    assert flops.plain == 2 * (2 * (2 * 3 * 4 * 8 * 4 * 9) + 3 * of_middle + 3 * of_last)


def test_a_critic_without_products_has_no_ratio() -> None:
    flops = check_critic(lambda x: x.relu().sum(1), (2,)).flops
    assert flops == StepCost(0, 0, 0)
    assert flops.ratio(0) is None


@pytest.mark.parametrize("n", [64, 512])
def test_seconds_are_those_of_the_critics_own_type(n: int) -> None:
    report = check_critic(nn.Sequential(nn.Linear(2, n), nn.ReLU(), nn.Linear(n, 1)), (2,), seconds=True)
    assert report.seconds is not None
    assert all(
        0 < seconds < 60 for seconds in (report.seconds.plain, report.seconds.twice, report.seconds.auto)
    )
    assert "seconds   plain" in str(report)
    assert torch.get_default_dtype() == torch.float32
