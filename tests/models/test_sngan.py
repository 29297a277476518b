"""SN-GAN's ResNets: sizes counted by hand, the sum against the mean, and the law that weights start from."""

from math import sqrt

import pytest
import torch

from gncompanion.models import build
from gncompanion.models.resnet import ResNetCritic
from gncompanion.models.sngan import SNGANCritic, SNGANGenerator
from tests.helpers.draws import seeded


def convolution(before: int, after: int, kernel: int, *, bias: bool = True) -> int:
    return before * after * kernel**2 + bias * after


def block(before: int, hidden: int, after: int, *, shortcut: bool = True) -> int:
    return (
        convolution(before, hidden, 3)
        + convolution(hidden, after, 3)
        + shortcut * convolution(before, after, 1)
    )


SIZES = {  # the critic: blocks (in, hidden, out, whether there is a 1x1), then the last layer
    ("mimicry", 32): ([(3, 128, 128, True), (128, 128, 128, True), *[(128, 128, 128, False)] * 2], 129),
    ("authors", 32): ([(3, 128, 128, True), (128, 128, 128, True), *[(128, 128, 128, False)] * 2], 128),
    ("authors", 48): (
        [(3, 64, 64, True), (64, 128, 128, True), (128, 256, 256, True), (256, 512, 512, True)],
        512,
    ),
    ("mimicry", 48): (
        [
            *[(3, 64, 64, True), (64, 64, 128, True), (128, 128, 256, True)],
            *[(256, 256, 512, True), (512, 512, 1024, True)],
        ],
        1025,
    ),
}


@pytest.mark.parametrize(("variant", "size"), SIZES)
def test_the_critics_sizes(variant: str, size: int) -> None:
    blocks, last = SIZES[variant, size]
    expected = sum(block(*c[:3], shortcut=c[3]) for c in blocks) + last
    critic = SNGANCritic(size, variant=variant, generator=seeded())
    assert sum(p.numel() for p in critic.parameters()) == expected


def test_a_sum_is_so_many_means() -> None:
    x = torch.rand(2, 3, 32, 32, generator=seeded(1))
    by_sum, by_mean = (
        SNGANCritic(32, width=4, pooling=p, generator=seeded()).double() for p in ("sum", "mean")
    )
    bias = by_sum.head[-1].bias
    torch.testing.assert_close(by_sum(x.double()) - bias, 64 * (by_mean(x.double()) - bias))


def test_the_authors_critic_is_the_resnet_but_for_pooling_bias_and_start() -> None:
    critic, resnet = SNGANCritic(48, variant="authors", width=4), ResNetCritic(48, width=4)
    own, other = critic.state_dict(), resnet.state_dict()
    names = dict(zip(own, (name for name in other if name != "head.3.bias"), strict=True))
    resnet.load_state_dict(
        {other: own[one] for one, other in names.items()} | {"head.3.bias": torch.zeros(1)}
    )
    x = torch.rand(2, 3, 48, 48, generator=seeded(1))
    torch.testing.assert_close(critic(x), 9 * resnet(x))


@pytest.mark.parametrize("variant", ["mimicry", "authors"])
def test_weights_start_from_xaviers_law_with_more_in_the_branches(variant: str) -> None:
    critic = SNGANCritic(32, variant=variant, width=32, generator=seeded())
    inner, shortcut = critic.features[1].residual[1], critic.features[1].shortcut[-1]
    for layer, gain in ((inner, sqrt(2)), (shortcut, 1.0)):
        fan = layer.weight[0].numel() + layer.weight[:, 0].numel()
        bound = gain * sqrt(6 / fan)
        assert 0.98 * bound < layer.weight.abs().max() <= bound
    assert bool(inner.bias.any()) is (variant == "mimicry")


def test_mimicry_upsamples_bilinearly_and_the_authors_take_the_nearest() -> None:
    modes = {
        variant: {
            m.mode for m in SNGANGenerator(32, variant=variant, width=2).modules() if hasattr(m, "mode")
        }
        for variant in ("mimicry", "authors")
    }
    assert modes == {"mimicry": {"bilinear"}, "authors": {"nearest"}}


def test_bad_options_are_refused() -> None:
    for options, message in (({"variant": "ours"}, "variant"), ({"pooling": "max"}, "unknown pooling 'max'")):
        with pytest.raises(ValueError, match=message):
            build("sngan", (3, 32, 32), generator=seeded(), **options)
