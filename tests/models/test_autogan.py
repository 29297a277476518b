"""The searched generators against published sizes and their official code's sequence of operations."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, relu

from gncompanion.input_gradient import unsupported_reason
from gncompanion.models import AutoGANCritic, AutoGANGenerator, E2GANGenerator, build
from gncompanion.models.autogan import LAYOUTS, AutoGANCell
from gncompanion.models.e2gan import E2GANCell
from tests.helpers.draws import normal, seeded

GENERATORS = [AutoGANGenerator, E2GANGenerator]


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Equal up to the rounding of float64, some hundred operations deep and with values of order one."""
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "size", "exact"),
    [
        (AutoGANGenerator, 32, 4_405_251),  # published
        (AutoGANCritic, 32, 1_053_824),  # published
        (AutoGANCritic, 48, 1_053_824),  # the same layers
        (AutoGANGenerator, 48, 5_065_731),  # counted here, as those below
        (E2GANGenerator, 32, 4_867_331),
        (E2GANGenerator, 48, 5_527_811),
    ],
)
def test_parameters(make: type[nn.Module], size: int, exact: int) -> None:
    with torch.device("meta"):  # shapes without storage
        assert sum(parameter.numel() for parameter in make(size).parameters()) == exact


@pytest.mark.parametrize("name", ["autogan", "e2gan"])
@pytest.mark.parametrize("size", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_size(name: str, size: int, channels: int) -> None:
    G, D = build(name, (channels, size, size), generator=seeded(), width=1, z_dim=5)
    with torch.no_grad():
        x = G(torch.randn(3, 5, generator=seeded()))
        assert x.shape == (3, channels, size, size)
        assert x.abs().max() <= 1
        assert D(x).shape == (3,)


def convolved(x: Tensor, layer: nn.Conv2d) -> Tensor:
    return conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[2] // 2)


def autogan_cell(
    cell: AutoGANCell, x: Tensor, skips: list[Tensor], *, up: str, shortcut: bool
) -> tuple[Tensor, Tensor]:
    """The official order, with upsampling before each 1x1 convolution and the sum in place."""
    h = convolved(interpolate(relu(x), scale_factor=2, mode=up), cell.first)
    skip_out = h
    for layer, skip in zip(cell.skips, skips, strict=True):
        h += convolved(interpolate(skip, size=h.shape[2:], mode=up), layer)
    out = convolved(relu(h), cell.second)
    if shortcut:
        out += convolved(interpolate(x, scale_factor=2, mode=up), cell.shortcut)
    return skip_out, out


def test_autogan_generator_is_the_official_sequence() -> None:
    G, z = AutoGANGenerator(32, width=2, z_dim=5, generator=seeded()).double().eval(), normal(3, 5)
    dense, unflatten, cells, *image = G.layers
    first, second, third = cells.cells
    with torch.no_grad():
        skip_1, h = autogan_cell(first, unflatten(dense(z)), [], up="nearest", shortcut=True)
        skip_2, h = autogan_cell(second, h, [skip_1], up="bilinear", shortcut=True)
        _, h = autogan_cell(third, h, [skip_1, skip_2], up="nearest", shortcut=False)
        assert_equal(G(z), nn.Sequential(*image)(h))
        assert h.shape == (3, 8, 32, 32)
    assert third.shortcut is None


def e2gan_unit(x: Tensor, unit: nn.Sequential) -> Tensor:
    return relu(unit[1](convolved(x, unit[0])))


def test_e2gan_generator_is_the_official_sequence() -> None:
    G, z = E2GANGenerator(32, width=2, z_dim=5, generator=seeded()).double().eval(), normal(3, 5)
    dense, unflatten, cells, *image = G.layers
    first, second, third = cells.cells

    def bilinear(x: Tensor, factor: int = 2) -> Tensor:
        return interpolate(x, scale_factor=factor, mode="bilinear")

    def learned(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
        return conv_transpose2d(x, layer.weight, layer.bias, stride=2)

    with torch.no_grad():
        x = unflatten(dense(z))
        skip = e2gan_unit(bilinear(x), first.first)
        h = e2gan_unit(skip, first.second) + convolved(bilinear(x), first.shortcut)
        x, h = h, e2gan_unit(learned(h, second.up), second.first)
        h = e2gan_unit(h, second.second) + convolved(learned(x, second.shortcut_up), second.shortcut)
        x, h = h, e2gan_unit(bilinear(h), third.first) + convolved(bilinear(skip, 4), third.skips[0])
        h = e2gan_unit(h, third.second) + convolved(bilinear(x), third.shortcut)
        assert_equal(G(z), nn.Sequential(*image)(h))
    assert [len(cell.skips) for cell in cells.cells] == [0, 0, 1]
    assert second.up is not second.shortcut_up


def test_tail_of_both_generators() -> None:
    for make in GENERATORS:
        kinds = [type(layer) for layer in make(8, width=1).layers[3:]]
        assert kinds == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.Tanh]


@pytest.mark.parametrize("make", [AutoGANCell, E2GANCell])
def test_cells_leave_their_inputs_alone(make: type[nn.Module]) -> None:
    options = {"up": "nearest", "n_skips": 1, "shortcut": True} if make is AutoGANCell else {"takes": [0]}
    cell, x, skip = make(4, **options), torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    before = x.clone(), skip.clone()
    cell(x, [skip])
    assert torch.equal(x, before[0])
    assert torch.equal(skip, before[1])


def test_critic_sums_over_space_without_a_last_bias() -> None:
    D, x = AutoGANCritic(32, width=2, generator=seeded()).double(), normal(2, 3, 32, 32)
    h = D.features(x)
    assert h.shape == (2, 4, 8, 8)
    assert_equal(D(x), relu(h).sum((2, 3)) @ D.head[-1].weight[0])
    assert D.head[-1].bias is None


def test_critic_is_one_that_the_fast_method_takes() -> None:
    D = AutoGANCritic(8, 1, generator=seeded()).double()
    assert unsupported_reason(D, normal(2, 1, 8, 8)) is None


def test_weights_start_as_in_autogans_training() -> None:
    for network in (*build("autogan", (3, 32, 32), generator=seeded()), E2GANGenerator(generator=seeded())):
        for name, layer in network.named_modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.25), name  # of 256: 5 errors
                assert layer.weight.mean().item() == pytest.approx(1, abs=0.01), name
                assert not layer.bias.any()
            elif isinstance(layer, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
                space = layer.weight[0, 0].numel()
                default = (1 / layer.weight[0].numel()) ** 0.5  # PyTorch's, which biases follow everywhere
                xavier = (6 / (space * (layer.weight.shape[0] + layer.weight.shape[1]))) ** 0.5
                bound = xavier if isinstance(layer, nn.Conv2d) else default
                # A uniform law's maximum, and its deviation of bound / √3, of at least 128 weights.
                assert layer.weight.abs().max() <= bound * (1 + 1e-6), name
                assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.2), name
                if layer.bias is not None:
                    assert 0 < layer.bias.abs().max() <= default * (1 + 1e-6), name


def test_weights_are_a_function_of_the_generator_alone() -> None:
    for name in ("autogan", "e2gan"):
        state = torch.get_rng_state()
        first, same, other = (build(name, (1, 8, 8), generator=seeded(seed), width=2) for seed in (0, 0, 1))
        assert torch.equal(torch.get_rng_state(), state)
        for a, b, c in zip(first, same, other, strict=True):
            pairs = zip(a.parameters(), b.parameters(), c.parameters(), strict=True)
            for one, again, another in pairs:
                assert torch.equal(one, again)
                assert one.ndim < 2 or not torch.equal(one, another)


@pytest.mark.parametrize("make", [*GENERATORS, AutoGANCritic])
def test_other_sizes_are_refused(make: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=re.escape("unknown AutoGAN image size 64 (valid: 8, 32, 48)")):
        make(64)
    with pytest.raises(ValueError, match="width=0 must be an integer from 1 on"):
        make(32, width=0)
