"""Theorem 5: where every layer is 1-Lipschitz, no measure of the constants grows with depth."""

import pytest
import torch
from torch import nn

from gncompanion.constraints.base import Constraint
from gncompanion.constraints.spectral_norm import OperatorSpectralNormalization, SpectralNormalization
from gncompanion.lipschitz import exact_lipschitz, lower_jacobian_norms, upper_products
from gncompanion.models.stage_critic import StageCritic
from tests.helpers.draws import normal, seeded
from tests.helpers.networks_by_hand import ROUNDING, convolutional, linear, mlp, normalised

THEOREM_5 = {
    "perceptron": (normalised(mlp(3, 5, 4, 4, 1), (3,)), (3,)),
    "leaky perceptron": (
        normalised(mlp(2, 5, 5, 1, activation=lambda: nn.LeakyReLU(0.1), seed=3), (2,)),
        (2,),
    ),
    "smooth perceptron": (normalised(mlp(3, 6, 6, 6, 1, activation=nn.Softplus), (3,)), (3,)),
    "convolutional": (normalised(convolutional(), (1, 6, 6)), (1, 6, 6)),
}
each_critic = pytest.mark.parametrize(("critic", "shape"), THEOREM_5.values(), ids=THEOREM_5)


@each_critic
@pytest.mark.parametrize("n_iterations", [None, 1, 3])
def test_theorem_5_at_each_sample(
    critic: nn.Sequential, shape: tuple[int, ...], n_iterations: int | None
) -> None:
    norms = lower_jacobian_norms(critic, 2 * normal(50, *shape, seed=1), n_iterations=n_iterations).per_sample
    assert (norms[1:] <= norms[:-1] * (1 + ROUNDING)).all()
    assert (norms[0] <= 1 + ROUNDING).all()
    assert (norms[-1] < 0.9).any()  # and strictly, somewhere


@each_critic
def test_theorem_5_of_the_upper_bounds(critic: nn.Sequential, shape: tuple[int, ...]) -> None:
    upper = upper_products(critic, shape)
    torch.testing.assert_close(upper, torch.ones_like(upper), rtol=ROUNDING, atol=0)
    halved = upper_products([*critic[:-1], linear((0.5 * critic[-1].weight).tolist())], shape)
    assert halved[-1].item() == pytest.approx(0.5, rel=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["perceptron", "leaky perceptron"])
def test_theorem_5_of_the_exact_constants(name: str) -> None:
    critic, (dim,) = THEOREM_5[name]
    exact = exact_lipschitz(critic, dim)
    assert (exact[1:] <= exact[:-1] * (1 + ROUNDING)).all()
    assert exact[0] <= 1 + ROUNDING
    assert exact[-1] < 0.9  # the theorem's point: strictly less, though every layer is 1-Lipschitz


@pytest.mark.slow
@pytest.mark.parametrize(
    "constraint",
    [SpectralNormalization(), OperatorSpectralNormalization((1, 8, 8))],
    ids=["kernel", "operator"],
)
def test_theorem_5_of_a_spectrally_normalized_critic(constraint: Constraint) -> None:
    critic, x = StageCritic(6, 8, channels=1, generator=seeded()), normal(8, 1, 8, 8)
    constraint.prepare(critic)
    for _ in range(20):  # in training mode each moves the power iterations on
        critic(x.float())
    state = {name: value.clone() for name, value in critic.state_dict().items()}
    factors = upper_products(critic, (1, 8, 8))
    factors[1:] /= factors[:-1].clone()
    norms = lower_jacobian_norms(critic, x).per_sample
    before = torch.cat([torch.ones(1, 8).double(), norms[:-1]])
    assert (norms <= factors[:, None] * before * (1 + ROUNDING)).all()
    if isinstance(constraint, OperatorSpectralNormalization):
        assert (factors - 1).abs().max() < 0.01  # 300 power iterations: ln(1024) / 600
    else:
        assert factors.max() > 1.3  # the kernel's norm is not the convolution's
    assert critic.training
    assert all(torch.equal(state[name], value) for name, value in critic.state_dict().items())
