"""Foot points and frozen gates, against the critic itself and the shortest way to its zeros."""

from functools import partial

import pytest
import torch

from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import value_and_input_gradient
from gncompanion.models import MLPCritic
from gncompanion.theory.affine_pieces import foot_point, frozen_gates, gate_pattern
from gncompanion.theory.gradient_terms import equivalent_point
from tests.helpers.critics_with_biases import CRITICS, close, every_critic
from tests.helpers.draws import normal

GRAN = partial(FORMULAS["gran"], eps=0.3)


@every_critic
def test_the_foot_point(kind: str) -> None:
    critic, x = CRITICS[kind]
    f, g = (t.detach() for t in value_and_input_gradient(critic, x, method="autograd"))
    foot = foot_point(x, f, g)
    assert close(foot, equivalent_point(x, f, g))
    assert close(foot, equivalent_point(x, f, g, formula=FORMULAS["gn-0"]))
    assert not torch.allclose(foot, equivalent_point(x, f, g, formula=GRAN))
    with frozen_gates(critic, x):
        assert (critic(foot).abs() <= 1e-12 * (f.abs() + g.flatten(1).norm(dim=1))).all()
    shortest = torch.linalg.pinv(g.flatten(1)[:, None]) @ -f[:, None, None]  # of all v with f + ⟨g, v⟩ = 0
    assert close((foot - x).flatten(1), shortest[..., 0])


@every_critic
def test_frozen_gates_are_those_of_x(kind: str) -> None:
    critic, x = CRITICS[kind]
    v, point = normal(*x.shape, seed=5), normal(*x.shape, seed=6)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    with frozen_gates(critic, x):
        assert close(critic(x), f)
        assert close(critic(point + v) - critic(point), (g * v).flatten(1).sum(1))
    assert not torch.allclose(critic(point), critic(x) + (g * (point - x)).flatten(1).sum(1))


def test_hooks_are_gone_afterwards_even_after_an_error() -> None:
    critic, x = CRITICS["mlp"]
    before = critic(x)
    with pytest.raises(ZeroDivisionError), frozen_gates(critic, x + 1):
        raise ZeroDivisionError
    assert torch.equal(critic(x), before)
    assert not any(module._forward_hooks for module in critic.modules())


@pytest.mark.parametrize("activation", ["elu", "softplus"])
def test_smooth_activations_have_no_gates(activation: str) -> None:
    critic = MLPCritic(2, width=4, activation=activation)
    with pytest.raises(ValueError, match="no gates"), frozen_gates(critic, torch.zeros(1, 2)):
        pass


def test_equal_gradients_on_two_pieces_have_two_patterns() -> None:
    """relu(x) − relu(x − 1) + relu(x − 2): slope 1, 0, 1."""
    critic = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)).double()
    critic[0].weight.data[:, 0], critic[0].bias.data = torch.ones(3), torch.tensor([0.0, -1.0, -2.0])
    critic[2].weight.data, critic[2].bias.data = torch.tensor([[1.0, -1.0, 1.0]]), torch.zeros(1)
    critic, x = critic.double(), torch.tensor([[0.25], [0.5], [1.5], [2.5]]).double()
    _, g = value_and_input_gradient(critic, x, method="autograd")
    assert g.flatten().tolist() == [1.0, 1.0, 0.0, 1.0]
    pattern = gate_pattern(critic, x)
    assert pattern.tolist() == [[True, False, False]] * 2 + [[True, True, False], [True, True, True]]


@every_critic
def test_the_pattern_is_that_of_the_gradients(kind: str) -> None:
    critic, x = CRITICS[kind]
    same = torch.cat([x, x + 1e-9])
    first, second = gate_pattern(critic, same).chunk(2)
    assert torch.equal(first, second)
    assert not torch.equal(first, gate_pattern(critic, -x))


def test_a_critic_without_gates_has_no_pattern() -> None:
    with pytest.raises(ValueError, match="one affine piece"):
        gate_pattern(torch.nn.Linear(2, 1), torch.zeros(1, 2))
