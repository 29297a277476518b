"""What a step may and may not touch, and what a critic step consists of."""

import copy

import pytest
import torch
from torch import Tensor

from gncompanion.training import LOSSES, Loss, critic_step, generator_step, improve_critic
from tests.helpers.draws import seeded
from tests.helpers.trainings import RING, players, weights


@pytest.mark.parametrize("constraint", ["none", "gn", "sn", "inner-product"])
@pytest.mark.parametrize("options", [{}, {"method": "autograd"}], ids=str)
def test_the_critic_is_frozen_in_the_generators_step(constraint: str, options: dict[str, str]) -> None:
    if options and constraint in ("none", "sn"):
        return
    net = players(constraint, **options)
    first = next(net.critic.parameters()).requires_grad_(False)  # as a user would who tunes the rest
    generator_step(net, 5, seeded()).backward()
    assert all(parameter.grad is None for parameter in net.critic.parameters())
    assert all(parameter.grad.any() for parameter in list(net.generator.parameters())[:-1])
    assert [p.requires_grad for p in net.critic.parameters()] == [
        p is not first for p in net.critic.parameters()
    ]


def test_the_critic_is_free_again_when_the_step_raises() -> None:
    def fail(fake: Tensor) -> Tensor:
        assert not any(parameter.requires_grad for parameter in net.critic.parameters())
        raise KeyError

    net = players(loss=Loss(critic=LOSSES["hinge"].critic, generator=fail))
    with pytest.raises(KeyError):
        generator_step(net, 5, seeded())
    assert all(parameter.requires_grad for parameter in net.critic.parameters())


@pytest.mark.parametrize("constraint", ["gn", "gp", "clipping"])
def test_a_critic_step_is_loss_gradients_optimizer_and_the_constraints_turn(constraint: str) -> None:
    net = players(constraint)
    by_hand = copy.deepcopy(net)
    real, _ = RING.sample(6, seeded(1))
    found = improve_critic(net, torch.optim.SGD(net.critic.parameters(), lr=0.1), real, seeded(2))
    loss, *scores = critic_step(by_hand, real, seeded(2))
    gradients = torch.autograd.grad(loss, list(by_hand.critic.parameters()), allow_unused=True)
    with torch.no_grad():
        for parameter, gradient in zip(by_hand.critic.parameters(), gradients, strict=True):
            if gradient is not None:  # none reaches the last bias under a penalty alone
                parameter.add_(gradient, alpha=-0.1)
    by_hand.constraint.after_step(by_hand.critic)
    assert torch.equal(torch.stack(found), torch.stack([loss.detach(), *scores]))
    assert torch.equal(weights(net.critic), weights(by_hand.critic))
    assert not any(value.requires_grad for value in found)
