"""The ResNet's blocks against second implementations."""

import pytest
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu

from gncompanion.models import ResNetCritic
from gncompanion.models.resnet import CriticBlock, GeneratorBlock
from tests.helpers.draws import normal, seeded
from tests.helpers.small_networks import assert_equal, rectified


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("halve", [True, False])
@pytest.mark.parametrize("channels", [(3, 5), (4, 4)])
def test_critic_block(first: bool, halve: bool, channels: tuple[int, int]) -> None:
    block = CriticBlock(*channels, first=first, halve=halve, activation="relu").double()
    x = normal(2, channels[0], 6, 6)
    w1, b1, w2, b2, *shortcut = block.parameters()
    h = conv2d(relu(conv2d(x if first else relu(x), w1, b1, padding=1)), w2, b2, padding=1)
    assert bool(shortcut) == (halve or channels[0] != channels[1])
    h = h + (conv2d(x, *shortcut) if shortcut else x)
    assert_equal(block(x), avg_pool2d(h, 2) if halve else h)


def test_generator_block() -> None:
    block, x = GeneratorBlock(3, 5).double(), normal(4, 3, 6, 6)
    _, _, w1, b1, _, _, w2, b2, w3, b3 = block.parameters()

    def up(h: Tensor) -> Tensor:
        return interpolate(h, scale_factor=2, mode="nearest")

    h = conv2d(up(rectified(x)), w1, b1, padding=1)
    h = conv2d(rectified(h), w2, b2, padding=1) + conv2d(up(x), w3, b3)
    assert_equal(block(x), h)


def test_resnet_critic_takes_the_mean_over_space() -> None:
    D, x = ResNetCritic(32, width=2, generator=seeded()).double(), normal(2, 3, 32, 32)
    *_, weight, bias = D.parameters()
    h = D.features(x)
    assert h.shape == (2, 4, 8, 8)
    assert_equal(D(x), relu(h).mean((2, 3)) @ weight[0] + bias)
