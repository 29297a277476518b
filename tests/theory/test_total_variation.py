"""The construction behind sup (E_P D̂ − E_Q D̂) = 2 TV(P, Q), run through the package's own wrapper."""

import math

import pytest
import torch
from torch import Tensor, nn

from gncompanion import GradientNorm
from gncompanion.lipschitz import input_gradient_norms
from gncompanion.models import MLPCritic
from gncompanion.theory.total_variation import CubeWalls, hahn_sets, staircase_direction, step_critic
from gncompanion.theory.wasserstein import exact_w1
from tests.helpers.draws import normal


def near(n: int, d: int) -> tuple[Tensor, Tensor]:
    """n random points, and each of them moved by 10⁻³."""
    x, v = normal(n, d, seed=1), normal(n, d, seed=2)
    return x, x + 1e-3 * v / v.norm(dim=1, keepdim=True)


def value(critic: nn.Module, real: Tensor, fake: Tensor) -> float:
    score = GradientNorm(critic)
    return (score(real).mean() - score(fake).mean()).item()


def slopes(critic: nn.Module, *points: Tensor) -> Tensor:
    return input_gradient_norms(GradientNorm(critic, method="autograd"), torch.cat(points))


def steps(real: Tensor, fake: Tensor) -> MLPCritic:
    u = staircase_direction(real, fake, generator=torch.Generator().manual_seed(0))
    return step_critic(real, fake, u)


def test_two_units_tell_two_points_a_thousandth_apart() -> None:
    real, fake = torch.tensor([[1e-3]]).double(), torch.zeros(1, 1).double()
    critic = step_critic(real, fake, torch.ones(1))
    assert critic.features[0].weight.shape == (2, 1)
    assert GradientNorm(critic)(torch.cat([real, fake])).tolist() == [1.0, -1.0]
    assert value(critic, real, fake) == 2.0 and exact_w1(real, fake) <= 0.01
    assert slopes(critic, real, fake).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("n", "d"), [(1, 1), (16, 2), (16, 8), (40, 64)])
@pytest.mark.parametrize("build", [CubeWalls, steps], ids=["cubes", "steps"])
def test_the_value_is_2_whatever_the_distance(build: type, n: int, d: int) -> None:
    real, fake = near(n, d)
    critic = build(real, fake)
    assert exact_w1(real, fake) <= 1e-3 + 1e-12
    assert value(critic, real, fake) == 2.0  # exactly: D̂ = D/|D| where n = 0
    assert slopes(critic, real, fake).max() == 0
    score = GradientNorm(critic)(real).sum()
    if parameters := list(critic.parameters()):  # no weight gradient either: backpropagation cannot leave
        assert all((g == 0).all() for g in torch.autograd.grad(score, parameters))


@pytest.mark.parametrize("build", [CubeWalls, steps], ids=["cubes", "steps"])
def test_points_in_common_are_left_out(build: type) -> None:
    real, fake = near(6, 2)
    real, fake = torch.cat([real, real[:2]]), torch.cat([fake, real[:2]])  # P has 4/8, Q 2/8 at these two
    sets = hahn_sets(real, fake)
    assert math.isclose(sets.total_variation, 0.75)
    assert len(sets.positive) == len(sets.negative) == 6
    assert math.isclose(value(build(sets.positive, sets.negative), real, fake), 1.5)


def test_equal_masses_are_in_neither_set() -> None:
    x = normal(3, 2, seed=0)
    sets = hahn_sets(x, x.repeat(2, 1))
    assert sets.total_variation == 0 and len(sets.positive) == len(sets.negative) == 0


def test_the_walls_are_piecewise_linear_and_1_on_the_cubes() -> None:
    real, fake = near(5, 2)
    walls = CubeWalls(real, fake)
    inside = real + 0.99 * walls.half_edge * (
        2 * torch.rand(5, 2, generator=torch.Generator().manual_seed(0)) - 1
    )
    assert GradientNorm(walls)(inside).tolist() == [1.0] * 5
    x = torch.lerp(real, fake, 0.37)
    hessian = torch.autograd.functional.hessian(lambda x: walls(x).sum(), x)
    assert hessian.abs().max() == 0


def test_a_critic_with_spare_units_is_the_same() -> None:
    real, fake = near(8, 2)
    u = staircase_direction(real, fake, generator=torch.Generator().manual_seed(0))
    wide = step_critic(real, fake, u, width=64)
    assert value(wide, real, fake) == 2.0 and slopes(wide, real, fake).max() == 0


def test_what_cannot_be_told_apart_is_refused() -> None:
    x = normal(3, 2, seed=0)
    with pytest.raises(ValueError, match="must be positive"):
        CubeWalls(x, x[:1])
    with pytest.raises(ValueError, match="take another direction"):
        step_critic(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="width=2 must be an integer from"):
        step_critic(x, x + 0.1, torch.tensor([1.0, 0.0]), width=2)
    with pytest.raises(ValueError, match="half="):
        CubeWalls(x, x + 0.1, half=0.2)
