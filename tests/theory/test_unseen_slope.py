"""The flow over borders, against the derivative that no jump is lost to; and slopes by differences."""

import pytest
import torch
from torch import Tensor

from gncompanion.theory.critic_batch import Shape, fresh_critics
from gncompanion.theory.unseen_slope import ShiftSlopes, shifted_normal_slopes, slope_along

UP = torch.tensor([0.6, 0.8], dtype=torch.float64)
CENTRE = torch.tensor([0.3, -0.2], dtype=torch.float64)


def slopes(seed: int) -> ShiftSlopes:
    shape = Shape(2, 8, 1)
    theta = fresh_critics(shape, [seed])[0]
    return shifted_normal_slopes(shape, theta, centre=CENTRE, std=0.7, direction=UP)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_seen_and_what_flows_over_borders_add_up_to_the_slope(seed: int) -> None:
    found = slopes(seed)
    assert abs(found.whole - found.seen - found.unseen) < 1e-3  # the grid's error
    assert abs(found.unseen) <= found.bound


def test_without_the_flow_something_is_missing() -> None:
    missing = [abs(found.whole - found.seen) for found in map(slopes, range(4))]
    assert max(missing) > 0.01  # ten times the tolerance of the test above


def test_other_critics_are_refused() -> None:
    with pytest.raises(ValueError, match="must be one hidden layer on the plane"):
        shifted_normal_slopes(Shape(2, 4, 2), torch.zeros(37), centre=CENTRE, std=1.0, direction=UP)


def test_a_whole_gradient_has_ratio_1_and_a_cut_one_what_was_cut() -> None:
    def whole(theta: Tensor) -> Tensor:
        return torch.stack([theta.sin().sum(), theta.sin().sum()])

    def half(theta: Tensor) -> Tensor:
        return whole(0.5 * theta + 0.5 * theta.detach())

    theta = torch.tensor([0.1, 0.2, 0.3]).double()
    assert slope_along(whole, whole, theta, [1e-4]).ratios == pytest.approx([1.0], abs=1e-6)
    assert slope_along(half, whole, theta, [1e-4]).ratios == pytest.approx([2.0], abs=1e-6)
    assert slope_along(whole, whole, theta, [1e-4, 1e-3]).errors == [0.0, 0.0]


def test_where_nothing_is_seen_there_is_no_direction() -> None:
    flat = slope_along(lambda t: 0 * t, lambda t: t, torch.zeros(2), [0.1])
    assert flat.length == 0 and flat.ratios == []
