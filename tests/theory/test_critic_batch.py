"""Critics in one batch, against the package's own wrapper and double backpropagation."""

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from gncompanion import GradientNorm
from gncompanion.lipschitz import input_gradient_norms
from gncompanion.theory.critic_batch import Contest, Shape, fresh_critics, values_and_gradients
from gncompanion.theory.total_variation import staircase_direction, step_critic
from tests.helpers.draws import normal

SHAPES = [Shape(2, 16, 1), Shape(2, 8, 3), Shape(5, 7, 2)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def contest(shape: Shape, runs: int = 3) -> Contest:
    return Contest(shape, *(normal(runs, 6, shape.in_dim, seed=seed) for seed in (1, 2)))


def by_wrapper(pair: Contest, theta: Tensor, run: int) -> Tensor:
    """The value that `GradientNorm` gives, and its weight gradient by double backpropagation."""
    critic = pair.shape.critic(theta)
    score = GradientNorm(critic, method="autograd")
    value = score(pair.real[run]).mean() - score(pair.fake[run]).mean()
    return torch.cat([value[None], parameters_to_vector(torch.autograd.grad(value, critic.parameters()))])


@every_shape
def test_values_and_their_gradients_are_those_of_the_wrapper(shape: Shape) -> None:
    pair, theta = contest(shape), fresh_critics(shape, [0, 1, 2]).requires_grad_()
    values = pair.value(theta)
    (gradient,) = torch.autograd.grad(values.sum(), theta)
    for run in range(3):
        expected = by_wrapper(pair, theta[run], run)
        assert torch.allclose(torch.cat([values[run, None], gradient[run]]), expected, rtol=1e-12, atol=1e-14)
    assert values.abs().min() > 1e-4  # far above the tolerance


@every_shape
def test_a_population_is_every_critic_on_its_own_run(shape: Shape) -> None:
    pair, theta = contest(shape), fresh_critics(shape, range(12)).view(3, 4, -1)
    together = pair.value(theta)
    apart = torch.stack([pair.value(theta[:, k]) for k in range(4)], dim=1)
    assert together.shape == (3, 4) and torch.allclose(together, apart, rtol=1e-12, atol=0)


@every_shape
def test_pushes_are_the_gradients_of_the_normalized_critic(shape: Shape) -> None:
    pair, theta = contest(shape), fresh_critics(shape, [0, 1, 2])
    for run in range(3):
        score = GradientNorm(shape.critic(theta[run]), method="autograd")
        x = pair.fake[run].clone().requires_grad_()
        (expected,) = torch.autograd.grad(score(x).sum(), x)
        assert torch.allclose(pair.pushes(theta)[run], expected, rtol=1e-10, atol=1e-14)
        assert torch.allclose(pair.slopes(theta)[run], input_gradient_norms(score, pair.fake[run]))


def test_the_theorems_critic_has_value_2_and_no_gradient_at_all() -> None:
    pair = contest(Shape(2, 32, 1), runs=1)
    u = staircase_direction(pair.real[0], pair.fake[0], generator=torch.Generator().manual_seed(0))
    critic = step_critic(pair.real[0], pair.fake[0], u, width=32)
    theta = parameters_to_vector(critic.parameters()).detach()[None].requires_grad_()
    value = pair.value(theta)
    assert value.tolist() == [2.0] and pair.slopes(theta).max() == 0
    assert (torch.autograd.grad(value.sum(), theta)[0] == 0).all()


def test_a_critic_that_is_0_everywhere_scores_0() -> None:
    shape = Shape(2, 4, 1)
    pair, theta = contest(shape, runs=1), torch.zeros(1, 17).double()
    assert pair.value(theta).tolist() == [0.0] and pair.slopes(theta).max() == 0
    f, g = values_and_gradients(shape, theta, pair.real)
    assert f.shape == (1, 6) and g.shape == (1, 6, 2)


def test_numbers_of_another_critic_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers of a perceptron=16 must be 17 for layers of"):
        contest(Shape(2, 4, 1), runs=1).value(torch.zeros(1, 16).double())
