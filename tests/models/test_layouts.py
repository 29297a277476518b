"""Layouts of every size: published numbers of parameters, shapes, and sizes that do not exist."""

import pytest
import torch
from torch import nn

from gncompanion.models import (
    NETWORKS,
    DCGANCritic,
    DCGANGenerator,
    ResNetCritic,
    ResNetGenerator,
    build,
)
from tests.helpers.draws import seeded
from tests.helpers.small_networks import n_parameters

IMAGES = [("dcgan", s) for s in (8, 32, 48)] + [("resnet", s) for s in (8, 32, 48, 128, 256)]


@pytest.mark.parametrize(
    ("make", "size", "published"),
    [
        (DCGANGenerator, 32, "3.81"),
        (DCGANCritic, 32, "5.86"),
        (ResNetGenerator, 32, "4.28"),
        (ResNetCritic, 32, "1.053825"),
        (ResNetGenerator, 48, "4.88"),
        (ResNetCritic, 48, "4.86"),
        (ResNetGenerator, 256, "37.1"),
        (ResNetCritic, 256, "43.4"),
    ],
)
def test_parameters_in_millions(make: type[nn.Module], size: int, published: str) -> None:
    decimals = len(published.split(".")[1])
    assert f"{n_parameters(lambda: make(size)) / 1e6:.{decimals}f}" == published


@pytest.mark.parametrize(("name", "size"), IMAGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_size(name: str, size: int, channels: int) -> None:
    G, D = build(name, (channels, size, size), generator=seeded(), width=1, z_dim=5)
    with torch.no_grad():
        x = G(torch.randn(3, G.z_dim, generator=seeded()))
        assert x.shape == (3, channels, size, size)
        assert x.abs().max() <= 1
        assert D(x).shape == (3,)


@pytest.mark.parametrize("make", [DCGANGenerator, DCGANCritic, ResNetGenerator, ResNetCritic])
def test_networks_refuse_other_sizes(make: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"unknown \w+ image size 64.* \(valid: 8, 32, 48"):
        make(64)


def test_every_size_is_tested() -> None:
    sizes = {(name, size) for name, family in NETWORKS.items() for size in family.sizes}
    assert {(name, size) for name, size in sizes if name in {"dcgan", "resnet"}} == set(IMAGES)
