"""Rules of the initial weights against the laws they name."""

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from gncompanion.models import build
from gncompanion.models.initialisation import initialise, kaiming, uniform
from tests.helpers.draws import seeded
from tests.helpers.small_networks import FAMILIES


@pytest.mark.parametrize(("name", "shape", "options"), FAMILIES)
def test_weights_are_a_function_of_the_generator_alone(
    name: str, shape: tuple[int, ...], options: dict
) -> None:
    def weights(seed: int, global_seed: int) -> list[Tensor]:
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        networks = build(name, shape, generator=seeded(seed), **options)
        assert torch.equal(torch.get_rng_state(), before)
        return [tensor for network in networks for tensor in network.state_dict().values()]

    first = weights(0, 0)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(0, 1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, weights(1, 0), strict=True) if a.ndim > 1)


@pytest.mark.parametrize(
    ("name", "width", "std"),
    [
        ("dcgan", 64, lambda fan_in: 0.02),
        ("dcgan", 16, lambda fan_in: 0.04),
        ("resnet", 16, lambda fan_in: sqrt(2 / fan_in)),
    ],
)
def test_deviation_of_weights(name: str, width: int, std: Callable[[int], float]) -> None:
    for layer in nn.ModuleList(build(name, (3, 32, 32), generator=seeded(), width=width)).modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            expected = std(layer.weight[0].numel())
            five_errors = 5 * expected / sqrt(2 * layer.weight.numel())  # standard errors of a deviation
            assert layer.weight.std().item() == pytest.approx(expected, abs=five_errors)
            assert not layer.bias.any()


def test_uniform_is_torchs_default() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 4)
    default = [parameter.clone() for parameter in layer.parameters()]
    initialise(layer, uniform, seeded(0))
    # the same seed and the same distributions in the same order; rounding of the bound
    for ours, theirs in zip(layer.parameters(), default, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_initialise_refuses_what_no_rule_covers() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2))
    with pytest.raises(TypeError, match="no rule initialises layer '1', a Embedding"):
        initialise(network, kaiming, seeded())
