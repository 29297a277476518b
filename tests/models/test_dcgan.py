"""The DCGAN against the papers' tables, computed by hand, and its biases."""

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from gncompanion.models import DCGANCritic, DCGANGenerator
from tests.helpers.draws import normal, seeded
from tests.helpers.small_networks import assert_equal, rectified


@pytest.mark.parametrize("size", [8, 32])
def test_dcgan_critic_without_biases_is_homogeneous(size: int) -> None:
    D, x = DCGANCritic(size, 1, width=4, bias=False, generator=seeded()).double(), normal(8, 1, size, size)
    f = D(x.requires_grad_())
    (g,) = torch.autograd.grad(f.sum(), x)
    assert_equal((g * x).flatten(1).sum(1), f)
    assert not any(name.endswith("bias") for name, _ in D.named_parameters())
    with_biases = DCGANCritic(size, 1, width=4, generator=seeded()).double()
    assert_equal(with_biases(x), f)  # the same weights, and biases start at zero


def test_dcgan_critic_starts_with_the_biases_wanted() -> None:
    plain, D = (DCGANCritic(8, 1, bias_std=std, generator=seeded()) for std in (0.0, 0.5))
    for (name, before), (_, after) in zip(plain.named_parameters(), D.named_parameters(), strict=True):
        assert torch.equal(before, after) == name.endswith("weight")
    drawn = torch.cat([p.detach() for name, p in D.named_parameters() if name.endswith("bias")])
    assert abs(drawn.std().item() - 0.5) < 0.1  # four deviations of an estimate from 193 numbers


@pytest.mark.parametrize("options", [{"bias_std": -1.0}, {"bias_std": 0.1, "bias": False}])
def test_dcgan_critic_refuses_biases_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"bias_std=.* must be a finite number from 0 on, and 0 without b"):
        DCGANCritic(8, 1, **options)


def test_dcgan_critic_is_the_table_of_the_papers() -> None:
    D, x = DCGANCritic(32, width=4, generator=seeded()).double(), normal(2, 3, 32, 32)
    parameters = list(D.parameters())
    h, channels = x, []
    for i, stride in enumerate([1, 2, 1, 2, 1, 2, 1]):
        weight, bias = parameters[2 * i : 2 * i + 2]
        assert weight.shape[2] == {1: 3, 2: 4}[stride]
        h = leaky_relu(conv2d(h, weight, bias, stride=stride, padding=1), 0.1)
        channels.append(h.shape[1] // 4)
    assert channels == [1, 2, 2, 4, 4, 8, 8]
    f = (h.flatten(1) @ parameters[-2].T + parameters[-1]).squeeze(1)
    assert_equal(D(x), f)


def test_dcgan_generator_is_the_table_of_the_papers() -> None:
    G, z = DCGANGenerator(32, width=2, z_dim=5, generator=seeded()).double(), normal(4, 5)
    dense, bias, _, _, *deconvolutions, weight, last_bias = G.parameters()
    h = rectified((z @ dense.T + bias).reshape(4, 16, 4, 4))
    for kernel, bias, _, _ in zip(*[iter(deconvolutions)] * 4, strict=True):
        h = rectified(conv_transpose2d(h, kernel, bias, stride=2, padding=1))
    assert_equal(G(z), conv2d(h, weight, last_bias, padding=1).tanh())
