"""One small network per family, and what several tests of networks ask of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, relu

from gncompanion.models import Critic, build
from tests.helpers.draws import seeded

FAMILIES = [
    ("mlp", (2,), {}),
    ("dcgan", (1, 8, 8), {}),
    ("resnet", (1, 8, 8), {}),
    ("stage", (1, 8, 8), {"n_layers": 5}),
    ("autogan", (1, 8, 8), {}),
    ("e2gan", (1, 8, 8), {}),
    ("sngan", (1, 8, 8), {}),
]


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Equal up to the rounding of float64, some hundred operations deep and with values of order one."""
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)


def n_parameters(make: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):  # shapes without storage
        return sum(parameter.numel() for parameter in make().parameters())


def small_critics(activation: str | None = None) -> list[tuple[Critic, tuple[int, ...]]]:
    """One small float64 critic a family, with the shape of a sample; None = the family's own activation."""
    options = {"width": 8} if activation is None else {"width": 8, "activation": activation}
    return [
        (build(name, shape, generator=seeded(), **needed, **options)[1].double(), shape)
        for name, shape, needed in FAMILIES
    ]


def convolutions(critic: Critic) -> list[tuple[int, int, int, int]]:
    kernels = [layer for layer in critic.features if isinstance(layer, nn.Conv2d)]
    return [(k.in_channels, k.out_channels, k.kernel_size[0], k.stride[0]) for k in kernels]


def rectified(h: Tensor) -> Tensor:
    return relu(batch_norm(h, None, None, training=True))
