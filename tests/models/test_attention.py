"""Self-attention against its sums written out, and what it does to gradient normalization."""

import re
from math import exp

import pytest
import torch
from torch import nn
from torch.nn.functional import max_pool2d

from gncompanion.constraints import GradientNorm
from gncompanion.input_gradient import (
    Unsupported,
    gradient_norm,
    unsupported_reason,
    value_and_input_gradient,
)
from gncompanion.models import SelfAttention, build
from tests.helpers.draws import normal


def block(gamma: float = 0.7) -> SelfAttention:
    """A block of 8 channels with weights of order one."""
    layer = SelfAttention(8).double()
    with torch.no_grad():
        for i, weight in enumerate(layer.parameters()):
            weight.copy_(normal(*weight.shape, seed=i))
        layer.scale.gamma.fill_(gamma)
    return layer


@torch.no_grad()
def test_attention_is_its_sum_over_places() -> None:
    layer, x = block(), normal(2, 8, 4, 4, seed=9)
    w_q, w_k, w_v, w_o = (m.weight[:, :, 0, 0] for m in layer.modules() if isinstance(m, nn.Conv2d))
    for n in range(2):
        q = torch.einsum("oc,chw->ohw", w_q, x[n]).flatten(1).T
        k, v = (max_pool2d(torch.einsum("oc,chw->ohw", w, x[n])[None], 2)[0].flatten(1).T for w in (w_k, w_v))
        assert (q.shape, k.shape, v.shape) == ((16, 1), (4, 1), (4, 4))
        expected = []
        for place in range(16):
            weights = [exp(q[place] @ k[j]) for j in range(4)]
            attended = sum(w * v[j] for j, w in enumerate(weights)) / sum(weights)
            expected.append(x[n].flatten(1)[:, place] + 0.7 * w_o @ attended)
        # float64, sums of a dozen terms
        torch.testing.assert_close(layer(x)[n].flatten(1).T, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_it_starts_as_the_identity() -> None:
    layer, x = SelfAttention(16), torch.randn(2, 16, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.scale.gamma.grad != 0  # and γ learns from there
    assert not layer.out.weight.grad.any()


@pytest.mark.parametrize("channels", [4, 12, 0, -8])
def test_other_channels_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"channels={channels} must be a multiple of 8")):
        SelfAttention(channels)


def attending_critic(gamma: float) -> nn.Module:
    options = {"n_classes": 3, "width": 4, "attention": True}
    _, critic = build("biggan", (1, 8, 8), generator=torch.Generator().manual_seed(0), **options)
    with torch.no_grad():
        critic.features[1].scale.gamma.fill_(gamma)
    return critic.double()


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_fast_method_refuses_a_critic_that_attends(gamma: float) -> None:
    critic, x, y = attending_critic(gamma), normal(3, 1, 8, 8), torch.arange(3)
    assert "SelfAttention 'features.1'" in unsupported_reason(critic, x, y)
    with pytest.raises(
        Unsupported, match=r"SelfAttention 'features\.1', matmul: two of its arguments depend on x"
    ):
        value_and_input_gradient(critic, x, y, method="linear")


def test_gradient_normalization_falls_back_to_autograd() -> None:
    critic, y = attending_critic(1.0), torch.arange(3)
    found = []
    for method in ("auto", "autograd"):
        x = normal(3, 1, 8, 8).requires_grad_()
        scores = GradientNorm(critic, method=method)(x, y)
        found.append([scores, *torch.autograd.grad(scores.square().sum(), [x, *critic.parameters()])])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    (g,) = torch.autograd.grad(critic(x, y).sum(), x)
    f = critic(x, y)
    torch.testing.assert_close(found[0][0], f / (gradient_norm(f, g) + f.abs()), rtol=1e-12, atol=1e-13)


def test_attention_bends_the_critic() -> None:
    # ∇²f · v by central differences of ∇f, at step 1e-5: 0 on a linear piece, up to kinks in a few of 64.
    x, v, y = normal(64, 1, 8, 8), 1e-5 * normal(64, 1, 8, 8, seed=1), torch.arange(64) % 3

    def bend(gamma: float) -> float:
        critic = attending_critic(gamma)
        up, down = (value_and_input_gradient(critic, x + s * v, y, method="autograd")[1] for s in (1, -1))
        return ((up - down).flatten(1).norm(dim=1) / up.flatten(1).norm(dim=1)).median().item()

    assert bend(0.0) < 1e-12
    assert bend(1.0) > 1e-7
