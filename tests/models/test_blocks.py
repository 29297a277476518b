"""Activations against their formulas, and what every critic promises: straight pieces, samples kept apart."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gncompanion.models import (
    ACTIVATIONS,
    Critic,
    DCGANCritic,
    MLPCritic,
    MLPGenerator,
    ResNetCritic,
    StageCritic,
)
from tests.helpers.draws import normal, seeded
from tests.helpers.small_networks import assert_equal, small_critics


def test_labels_are_ignored() -> None:
    y = torch.tensor([0, 1, 2])
    for D, shape in small_critics():
        x = normal(3, *shape)
        assert torch.equal(D(x, y), D(x))
    G = MLPGenerator(2, 2, width=3, generator=seeded()).double()
    assert torch.equal(G(normal(3, 2), y), G(normal(3, 2)))


def curvature(critic: Critic, shape: tuple[int, ...], *, step: float = 1e-4) -> float:
    """Median over 64 points of |f(x + v) − 2 f(x) + f(x − v)| / |f(x + v) − f(x − v)| with ‖v‖ = step."""
    x, v = normal(64, *shape), normal(64, *shape, seed=1)
    v = v * step / v.flatten(1).norm(dim=1).reshape(-1, *[1] * len(shape))
    with torch.no_grad():
        up, middle, down = critic(x + v), critic(x), critic(x - v)
    return ((up - 2 * middle + down) / (up - down)).abs().median().item()


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
def test_critics_are_piecewise_linear(activation: str | None) -> None:
    # On one linear piece only rounding is left, some 1e-15 |f| over a difference of 1e-5 |f| (seen: 1e-10);
    # the median, because a few of the 64 segments cross a kink.
    for D, shape in small_critics(activation):
        assert curvature(D, shape) < 1e-9


@pytest.mark.parametrize("activation", ["elu", "softplus", "softplus-20"])
def test_smooth_activations_are_seen_to_be_curved(activation: str) -> None:
    for D, shape in small_critics(activation):
        assert curvature(D, shape) > 1e-7  # a hundred times what passes for straight


def test_critics_do_not_couple_samples() -> None:
    for D, shape in small_critics():
        x = normal(4, *shape)
        alone = torch.cat([D(row[None]) for row in x])
        assert_equal(D(x), alone)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda x: x.clamp(min=0)),
        ("leaky_relu", lambda x: torch.where(x > 0, x, 0.1 * x)),
        ("elu", lambda x: torch.where(x > 0, x, x.exp() - 1)),
        ("softplus", lambda x: (1 + x.exp()).log()),
        ("softplus-20", lambda x: (1 + (20 * x).exp()).log() / 20),
    ],
)
def test_activation(name: str, formula: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    # PyTorch's softplus is x itself beyond x = 20 / β, which is off by exp(-20) / β = 2e-9 / β
    torch.testing.assert_close(ACTIVATIONS[name]()(x), formula(x), rtol=0, atol=2.1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_critic_takes_every_activation(name: str) -> None:
    with torch.device("meta"):
        kind = type(ACTIVATIONS[name]())
        for make in (MLPCritic, DCGANCritic, ResNetCritic, lambda **more: StageCritic(4, **more)):
            assert any(isinstance(layer, kind) for layer in make(width=2, activation=name).modules())
