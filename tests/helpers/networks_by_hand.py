"""Sequential networks in float64, for the tests of Lipschitz constants."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import nn

from gncompanion.lipschitz import exact_operator_norm
from tests.helpers.draws import seeded

# Norms of products of up to ten matrices in float64: a few hundred roundings of 1e-16.
ROUNDING = 1e-12


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 with normal weights of about the size that keeps norms near 1."""
    generator = seeded(seed)
    for p in module.double().parameters():
        scale = 1 / math.sqrt(p[0].numel()) if p.ndim > 1 else 0.5
        p.data = scale * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return module


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    """A perceptron of these widths, its last layer linear."""
    found = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), activation())]
    return filled(nn.Sequential(*found[:-1]), seed)


def linear(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    weight = torch.tensor(weight, dtype=torch.float64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=torch.float64)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float64)
    return layer


def convolutional(activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    return filled(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            activation(),
            nn.Conv2d(4, 6, 4, stride=2, padding=1),
            activation(),
            nn.Flatten(),
            nn.Linear(6 * 9, 1),
        ),
        seed,
    )


def normalised(critic: nn.Sequential, input_shape: tuple[int, ...]) -> nn.Sequential:
    """The critic with every layer's operator norm 1, by the dense matrices."""
    h = torch.zeros(1, *input_shape, dtype=torch.float64)
    for layer in critic:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.data /= exact_operator_norm(layer, tuple(h.shape[1:]))
        h = layer(h)
    return critic
