"""One critic of each family with random biases, and how its gradients are found and compared."""

import pytest
import torch
from torch import Tensor, nn

from gncompanion.models import DCGANCritic, MLPCritic, ResNetCritic
from gncompanion.theory.gradient_terms import relative_error
from tests.helpers.draws import normal, seeded


def _critics() -> dict[str, tuple[nn.Module, Tensor]]:
    """Each with random biases too: with none the critic would be homogeneous."""
    weights = seeded()
    made = {
        "mlp": (MLPCritic(6, width=16, depth=3, generator=weights), normal(5, 6)),
        "dcgan": (DCGANCritic(8, 1, width=4, generator=weights), normal(5, 1, 8, 8)),
        "resnet": (ResNetCritic(8, 1, width=4, generator=weights), normal(5, 1, 8, 8)),
    }
    for critic, _ in made.values():
        critic.double()
        for i, parameter in enumerate(critic.parameters()):
            parameter.data += 0.1 * normal(*parameter.shape, seed=i)
    return made


CRITICS = _critics()
every_critic = pytest.mark.parametrize("kind", CRITICS)


def plain(value: Tensor, critic: nn.Module) -> Tensor:
    """By `backward`, which `weight_gradient` does not use."""
    critic.zero_grad()
    value.backward(retain_graph=True)
    zeros = [torch.zeros_like(parameter) for parameter in critic.parameters()]
    found = [parameter.grad for parameter in critic.parameters()]
    pairs = zip(found, zeros, strict=True)
    return torch.cat([(zero if grad is None else grad).flatten().clone() for grad, zero in pairs])


def close(found: Tensor, expected: Tensor) -> bool:
    """To 1e-10 of the largest entry: rounding of some hundred operations in float64, with room."""
    return relative_error(found, expected) <= 1e-10
