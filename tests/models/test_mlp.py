"""Multilayer perceptrons: their depth, and Euler's identity without biases."""

import pytest
import torch
from torch import nn

from gncompanion.models import MLPCritic, build
from tests.helpers.draws import normal, seeded
from tests.helpers.small_networks import assert_equal


@pytest.mark.parametrize("d", [1, 2, 7])
def test_points_of_every_dimension(d: int) -> None:
    G, D = build("mlp", (d,), generator=seeded(), width=4, depth=1, z_dim=3)
    x = G(torch.randn(5, 3, generator=seeded()))
    assert x.shape == (5, d)
    assert D(x).shape == (5,)


def test_mlp_critic_flattens_images() -> None:
    D, x = MLPCritic(64, width=4, generator=seeded()).double(), normal(3, 1, 8, 8)
    assert torch.equal(D(x), D(x.reshape(3, 64)))


@pytest.mark.parametrize("depth", [1, 4])
def test_mlp_depth_counts_hidden_layers(depth: int) -> None:
    for network in build("mlp", (2,), generator=seeded(), width=3, depth=depth):
        assert sum(isinstance(layer, nn.Linear) for layer in network.modules()) == depth + 1


def test_mlp_without_biases_is_homogeneous() -> None:
    D, x = MLPCritic(3, width=16, bias=False, generator=seeded()).double(), normal(32, 3).requires_grad_()
    f = D(x)
    (g,) = torch.autograd.grad(f.sum(), x)
    assert_equal((g * x).sum(1), f)
    assert not any(name.endswith("bias") for name, _ in D.named_parameters())
