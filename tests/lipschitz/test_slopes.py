"""Slopes and input gradients of any scoring function, against closed forms and exact constants."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gncompanion.lipschitz import exact_lipschitz, input_gradient_norms, lower_jacobian_norms, sampled_slopes
from tests.helpers.draws import normal
from tests.helpers.networks_by_hand import ROUNDING, mlp


def test_a_linear_score_has_one_gradient_and_slopes_below_it() -> None:
    w = torch.tensor([3.0, 4.0])
    x, y = normal(50, 2).float(), normal(50, 2, seed=1).float()
    norms = input_gradient_norms(lambda z: z @ w, x)
    assert norms.dtype == torch.float32
    torch.testing.assert_close(norms, torch.full((50,), 5.0))
    slopes = sampled_slopes(lambda z: z @ w, x, y)
    torch.testing.assert_close(slopes, ((x - y) @ w).abs() / (x - y).norm(dim=1))
    assert slopes.max() <= 5 * (1 + 1e-5)  # float32


def test_slopes_and_gradients_of_a_critic_stay_below_its_constant() -> None:
    critic = mlp(2, 5, 4, 1)
    exact = exact_lipschitz(critic, 2)[-1]
    x, y = 3 * normal(2000, 2), 3 * normal(2000, 2, seed=1)
    slopes = sampled_slopes(lambda z: critic(z).squeeze(1), x, y)
    norms = input_gradient_norms(lambda z: critic(z).squeeze(1), x, batch_size=300)
    assert slopes.max() <= exact * (1 + ROUNDING)
    torch.testing.assert_close(norms, lower_jacobian_norms(critic, x).per_sample[-1], rtol=ROUNDING, atol=0)
    assert not x.requires_grad
    assert all(p.grad is None for p in critic.parameters())
    assert not slopes.requires_grad
    assert not norms.requires_grad


def test_gradients_are_taken_of_images_and_under_no_grad() -> None:
    x = normal(3, 1, 4, 4)
    with torch.no_grad():
        norms = input_gradient_norms(lambda z: (z**2).sum((1, 2, 3)) / 2, x)
    torch.testing.assert_close(norms, x.flatten(1).norm(dim=1), rtol=ROUNDING, atol=0)


def test_a_jump_shows_in_slopes_and_not_in_gradients() -> None:
    def score(z: Tensor) -> Tensor:
        return torch.where(z[:, 0] > 0, 0.5 * z[:, 0] + 1, 0.5 * z[:, 0])

    x = torch.tensor([[1e-3], [2.0]], dtype=torch.float64)
    assert input_gradient_norms(score, x).tolist() == [0.5, 0.5]
    assert sampled_slopes(score, x, torch.tensor([[-1e-3], [1.0]])).tolist() == pytest.approx([500.5, 0.5])


@pytest.mark.parametrize(
    ("score", "x", "y", "message"),
    [
        (lambda z: z, torch.zeros(2, 1), torch.ones(2, 1), r"scores must be \(2,\), not \(2, 1\)"),
        (lambda z: z.sum(1), torch.ones(3, 1), torch.ones(2, 1), "equal shapes"),
        (lambda z: z.sum(1), torch.ones(2, 1), torch.tensor([[2.0], [1.0]]), "pair 1 is of one point"),
    ],
)
def test_pairs_without_a_slope_are_refused(score: Callable, x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sampled_slopes(score, x, y)


def test_a_column_of_scores_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scores must be \(2,\), not \(2, 1\)"):
        input_gradient_norms(lambda z: z, torch.zeros(2, 1))
