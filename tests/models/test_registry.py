"""Networks by name: every option goes to whom it concerns, and what does not exist is refused."""

import re

import pytest

from gncompanion.models import NETWORKS, build
from tests.helpers.draws import seeded
from tests.helpers.small_networks import FAMILIES, convolutions

CONDITIONAL = {"biggan"}  # has a file of its own, as have the sizes of the searched ones


def test_a_family_without_the_option_refuses_it() -> None:
    with pytest.raises(ValueError, match="network 'resnet' has no option 'bias'"):
        build("resnet", (1, 8, 8), generator=seeded(), bias=False)


def test_build_gives_each_option_to_whom_it_concerns() -> None:
    G, D = build("stage", (1, 8, 8), generator=seeded(), n_layers=2, width=3, z_dim=4, activation="relu")
    assert G.z_dim == 4
    assert convolutions(D) == [(1, 6, 4, 2), (6, 12, 4, 2)]
    assert G.layers[-2].in_channels == 3


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "dcgn",
            (2,),
            "unknown network 'dcgn', did you mean 'dcgan'? (valid: mlp, dcgan, resnet, stage, biggan",
        ),
        ("mlp", (1, 8, 8), "'mlp' has no form for data of shape (1, 8, 8): there are 'mlp' for points (d,);"),
        ("dcgan", (2,), "'dcgan' for (channels, s, s) with s in (8, 32, 48);"),
        ("dcgan", (3, 128, 128), "'resnet' for (channels, s, s) with s in (8, 32, 48, 128, 256);"),
        ("resnet", (3, 32, 48), "network 'resnet' has no form for data of shape (3, 32, 48)"),
    ],
)
def test_build_refuses_what_does_not_exist(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(name, shape, generator=seeded())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"widht": 4},
            "option 'widht', did you mean 'width'? (valid: width, z_dim, n_layers, activation)",
        ),
        ({"size": 32}, "network 'stage' has no option 'size'"),
        (
            {"activation": "gelu"},
            "unknown activation 'gelu', did you mean 'elu'? (valid: relu, leaky_relu, elu, softplus",
        ),
        ({"width": 0}, "width=0 must be an integer from 1 on"),
        ({"z_dim": 1.5}, "network 'stage': z_dim=1.5 must be an integer"),
        ({"n_layers": 40}, "n_layers=40 must be an integer from 1 to 32"),
    ],
)
def test_build_refuses_options(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build("stage", (1, 8, 8), generator=seeded(), **{"n_layers": 2, **option})


def test_every_network_is_tested() -> None:
    assert {name for name, *_ in FAMILIES} == set(NETWORKS) - CONDITIONAL
