"""Piecewise linear critics and segments through them, for the tests of scans."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gncompanion.models import DCGANCritic, MLPCritic
from tests.helpers.draws import seeded

# Values and slopes of size 1 through at most ten layers in float64: a few hundred roundings of 1e-16.
ROUNDING = 1e-12

Ends = tuple[Tensor, Tensor]


def lively(critic: nn.Module, seed: int) -> nn.Module:
    """The critic with weights of He's size, so that its values are about 1, and biases that are not 0."""
    generator = seeded(seed)
    for p in critic.double().parameters():
        scale = math.sqrt(2 / p[0].numel()) if p.ndim > 1 else 0.1
        p.data = scale * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return critic


def perceptron(seed: int, width: int = 16, depth: int = 3, dim: int = 2) -> nn.Module:
    return lively(MLPCritic(dim, width=width, depth=depth), seed)


def convolutional(seed: int) -> nn.Module:
    return lively(DCGANCritic(8, 1, width=2), seed)


def segment(seed: int, *shape: int) -> Ends:
    return tuple(4 * torch.rand(2, *shape, generator=seeded(seed), dtype=torch.float64) - 2)


def hinges(places: list[float], weights: list[float]) -> nn.Sequential:
    """Σ w_j relu(x − c_j)."""
    first, last = nn.Linear(1, len(places)), nn.Linear(len(places), 1, bias=False)
    first.weight.data = torch.ones(len(places), 1, dtype=torch.float64)
    first.bias.data = -torch.tensor(places, dtype=torch.float64)
    last.weight.data = torch.tensor([weights], dtype=torch.float64)
    return nn.Sequential(first, nn.ReLU(), last)


def point(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


CRITICS: dict[str, tuple[Callable[[int], nn.Module], tuple[int, ...]]] = {
    "wide": (lambda seed: perceptron(seed, 64, 1, 3), (3,)),
    "deep": (lambda seed: perceptron(seed, 16, 6, 3), (3,)),
    "many inputs": (lambda seed: perceptron(seed, 24, 3, 64), (64,)),
    "convolutional": (convolutional, (1, 8, 8)),
}
every_critic = pytest.mark.parametrize("kind", CRITICS)
