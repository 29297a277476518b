"""The critics by hand: their values and slopes at the points, and what each game makes of them."""

import pytest
import torch

from gncompanion.constraints import build
from gncompanion.input_gradient import value_and_input_gradient
from gncompanion.theory.peaks import Peaks, mean_difference_critic
from tests.helpers.draws import normal

POINTS = normal(12, 3, seed=1)
SIGNS = torch.tensor([1.0, -1, 0] * 4, dtype=torch.float64)
UNIT = torch.nn.functional.normalize(normal(12, 3, seed=2), dim=1)


def seen(rule: str, critic: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores at the points, and their gradients there, by autograd."""
    x = POINTS.clone().requires_grad_()
    score = build(rule, method="autograd").score(critic, x)
    return score.detach(), torch.autograd.grad(score.sum(), x)[0]


def test_values_and_slopes_are_those_asked_for() -> None:
    f, g = value_and_input_gradient(Peaks(POINTS, SIGNS, UNIT, slope=0.1), POINTS, method="autograd")
    torch.testing.assert_close(f, SIGNS, rtol=0, atol=1e-12)
    torch.testing.assert_close(g, 0.1 * UNIT, rtol=0, atol=1e-12)


@pytest.mark.parametrize("slope", [1.0, 1e-3])
def test_each_game_sees_what_the_table_says(slope: float) -> None:
    critic = Peaks(POINTS, SIGNS, UNIT, slope=slope)
    expected = {
        "inner-product": ((UNIT * POINTS).sum(1), UNIT),
        "gn-0": (SIGNS / slope, UNIT),
        "gn": (
            SIGNS / (slope + SIGNS.abs()),
            (slope / (slope + SIGNS.abs()) ** 2 * slope)[:, None] * UNIT,
        ),
    }
    for rule, (value, gradient) in expected.items():
        score, found = seen(rule, critic)
        torch.testing.assert_close(score, value, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found, gradient, rtol=1e-12, atol=1e-12)


def test_peaks_that_overlap_would_be_seen() -> None:
    critic = Peaks(POINTS, SIGNS, UNIT)
    critic.steepness /= 100
    assert not torch.allclose(critic(POINTS), SIGNS)


def test_one_affine_piece_matches_means() -> None:
    real, fake = POINTS, normal(9, 3, seed=3)
    critic = mean_difference_critic(real, fake)
    for rule in ("inner-product", "gn-0"):
        score = build(rule).score
        value = score(critic, real).mean() - score(critic, fake).mean()
        torch.testing.assert_close(value.detach(), (real.mean(0) - fake.mean(0)).norm())
        for seed in range(20):  # no other direction does better
            critic_ = torch.nn.Linear(3, 1, dtype=torch.float64)
            critic_.weight.data = normal(1, 3, seed=seed)
            assert score(critic_, real).mean() - score(critic_, fake).mean() <= value + 1e-12


def test_a_point_given_twice_is_refused() -> None:
    twice = torch.cat([POINTS[:1], POINTS])
    with pytest.raises(ValueError, match="no two are the same"):
        Peaks(twice, torch.zeros(13), torch.zeros(13, 3))
