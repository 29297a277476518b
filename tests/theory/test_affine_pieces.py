"""Foot points and frozen gates, against the critic itself and the shortest way to its zeros."""

from functools import partial

import pytest
import torch

from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import value_and_input_gradient
from gncompanion.models import MLPCritic
from gncompanion.theory.affine_pieces import foot_point, frozen_gates
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
