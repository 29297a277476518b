"""Penalties against closed forms on a linear critic, and WGAN-GP's written anew from its Algorithm 1."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import Constraint, Score, build
from gncompanion.constraints.consistency import ConsistencyRegularization
from gncompanion.constraints.gradient_penalty import FiniteDifferencePenalty, GradientPenalty
from gncompanion.constraints.sampling import SAMPLINGS
from gncompanion.constraints.wasserstein_divergence import WassersteinDivergence
from gncompanion.input_gradient import METHODS, gradient_norm, value_and_input_gradient
from tests.helpers.critics_by_hand import (
    EXACT,
    FAKE,
    NETWORKS,
    REAL,
    SHAPE,
    B,
    LinearCritic,
    N,
    W,
    conv,
    plain,
    weight_gradients,
)
from tests.helpers.draws import normal, seeded


@pytest.mark.parametrize("at", SAMPLINGS)
@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (partial(GradientPenalty, 3.0, target=2.0), 3 * 0.3**2),
        (partial(GradientPenalty, 3.0, target=2.0, one_sided=True), 0.0),
        (partial(GradientPenalty, 3.0, target=1.0, one_sided=True), 3 * 0.7**2),
        (partial(GradientPenalty, 3.0, target=0.0), 3 * 1.7**2),
        (partial(WassersteinDivergence, 0.5, p=3), 0.5 * 1.7**3),
    ],
)
def test_penalties_on_a_linear_critic(penalty: Callable[..., Constraint], expected: float, at: str) -> None:
    found = penalty(at=at).penalty(plain(LinearCritic(W, B)), REAL, FAKE, generator=seeded())
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), **EXACT)


def wgan_gp(critic: nn.Module, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Gulrajani et al.'s penalty, written for this test from their Algorithm 1."""
    epsilon = torch.rand(len(real), generator=random).double().reshape(-1, *(1 for _ in real.shape[1:]))
    x = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
    (g,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return 10 * sum((g[i].norm() - 1) ** 2 for i in range(len(x))) / len(x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network", NETWORKS)
def test_equals_wgan_gp_by_double_backpropagation(network: str, method: str) -> None:
    make, shape = NETWORKS[network]
    critic, real, fake = make(), normal(N, *shape, seed=1), normal(N, *shape, seed=2)
    found = GradientPenalty(method=method).penalty(plain(critic), real, fake, generator=seeded(9))
    expected = wgan_gp(critic, real, fake, seeded(9))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    error = (weight_gradients(found, critic) - weight_gradients(expected, critic)).norm()
    assert error <= 1e-12 * weight_gradients(wgan_gp(critic, real, fake, seeded(9)), critic).norm()


def test_a_penalty_on_the_normalized_score() -> None:
    """‖∇f̂‖ is Theorem 6's, so GN + GP is 10 ((n / (n + |f|))² - 1)², with gradients through f and n."""
    critic, real, fake = conv(), normal(N, *SHAPE, seed=1), normal(N, *SHAPE, seed=2)
    constraint = build("gn+gp", gp={"at": "real"})
    found = constraint.penalty(Score(constraint, critic), real, fake, generator=seeded())
    f, g = value_and_input_gradient(critic, real, method="autograd")
    n = gradient_norm(f, g)
    expected = 10 * ((n / (n + f.abs())) ** 2 - 1).square().mean()
    torch.testing.assert_close(found, expected, **EXACT)
    torch.testing.assert_close(weight_gradients(found, critic), weight_gradients(expected, critic), **EXACT)


def test_the_finite_difference_of_scores_in_a_column() -> None:
    critic = LinearCritic(W, B)
    in_a_row, in_a_column = plain(critic), plain(lambda x: critic(x)[:, None])
    expected = FiniteDifferencePenalty().penalty(in_a_row, REAL, FAKE, generator=seeded())
    column = FiniteDifferencePenalty().penalty(in_a_column, REAL, FAKE, generator=seeded())
    assert torch.equal(column, expected)


@pytest.mark.parametrize(
    "penalty",
    [
        *(GradientPenalty(at=at) for at in SAMPLINGS),
        WassersteinDivergence(at="both"),
        FiniteDifferencePenalty(),
        ConsistencyRegularization(),
    ],
)
def test_penalties_pass_labels_on(penalty: Constraint) -> None:
    y, seen = torch.arange(N), []

    def critic(x: Tensor, labels: Tensor) -> Tensor:
        assert labels.shape[0] == x.shape[0]
        seen.append(labels)
        return x.flatten(1).sum(1)

    penalty.penalty(plain(critic), REAL, FAKE, y=y, generator=seeded())
    assert seen
    assert all(torch.equal(labels, torch.cat([y] * (len(labels) // N))) for labels in seen)
