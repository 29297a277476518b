"""Theorem 5's critic: the authors' sizes, and a chain of convolutions of every depth."""

import pytest
import torch
from torch import nn

from gncompanion.models import StageCritic
from tests.helpers.draws import normal, seeded
from tests.helpers.small_networks import convolutions, n_parameters


@pytest.mark.parametrize(
    ("n_layers", "published", "exact"),
    [(3, "2.64", 2_636_673), (6, "3.50", 3_501_057), (9, "4.28", 4_275_649)],
)
def test_parameters_of_the_authors_stage_critics(n_layers: int, published: str, exact: int) -> None:
    assert n_parameters(lambda: StageCritic(n_layers)) == exact
    assert f"{exact / 1e6:.2f}" == published


def test_stage_critic_of_the_authors() -> None:
    _, channels, kernels, strides = zip(*convolutions(StageCritic(9, width=4)), strict=True)
    assert channels == (4, 4, 8, 8, 8, 16, 16, 16, 32)
    assert kernels == (3, 3, 4) * 3
    assert strides == (1, 1, 2) * 3


@pytest.mark.parametrize(
    ("n_layers", "stages"), [(1, (1,)), (2, (1, 1)), (4, (2, 1, 1)), (8, (3, 3, 2)), (32, (11, 11, 10))]
)
def test_stage_critic_shares_convolutions_out(n_layers: int, stages: tuple[int, ...]) -> None:
    strides = [stride for *_, stride in convolutions(StageCritic(n_layers, 8, channels=1, width=2))]
    assert strides == [stride for count in stages for stride in [1] * (count - 1) + [2]]


@pytest.mark.parametrize("n_layers", range(1, 33))
def test_stage_critic_of_every_depth(n_layers: int) -> None:
    D = StageCritic(n_layers, 8, channels=1, generator=seeded())
    pairs = list(zip(D.features[::2], D.features[1::2], strict=True))
    assert len(pairs) == n_layers
    assert all(isinstance(a, nn.Conv2d) and isinstance(b, nn.LeakyReLU) for a, b in pairs)
    x = normal(2, 1, 8, 8).float().requires_grad_()
    f = D(x)
    (g,) = torch.autograd.grad(f.sum(), x)
    assert f.shape == (2,)
    assert (g.square().sum((1, 2, 3)) > 1e-36).all()  # no underflow: a hundred times float32's smallest
    h = x
    for k in range(n_layers):
        h = D.features[2 * k : 2 * k + 2](h)
    assert torch.equal(D.head(h).squeeze(1), f)
    assert StageCritic(n_layers, width=1)(torch.zeros(2, 3, 32, 32)).shape == (2,)


@pytest.mark.parametrize("n_layers", [0, -1, 33, 8.0, "x", None, True])
def test_stage_critic_refuses_other_depths(n_layers: object) -> None:
    with pytest.raises(ValueError, match=rf"^n_layers={n_layers!r} must be an integer from 1 to 32$"):
        StageCritic(n_layers)
