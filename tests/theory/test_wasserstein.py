import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from gncompanion.theory.wasserstein import dual_potentials, dual_program, exact_w1, transport_plan, w1_on_line
from tests.helpers.draws import normal

# The simplex adds and subtracts distances of size one, some thousand times: 1e-9 leaves six digits to spare.
ROUNDING = 1e-9


def test_a_shift_costs_its_length() -> None:
    x = normal(200, 3, seed=0)
    shift = torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)
    assert exact_w1(x, x + shift) == pytest.approx(3, abs=ROUNDING)


def test_images_are_flattened_and_order_does_not_matter() -> None:
    x = normal(50, 1, 8, 8, seed=0)
    assert exact_w1(x, x.flip(0) + 0.5) == pytest.approx(0.5 * 8, abs=ROUNDING)


def test_equal_to_the_best_of_all_permutations() -> None:
    x, y = normal(6, 2, seed=1), normal(6, 2, seed=2)
    cost = torch.linalg.vector_norm(x[:, None] - y, dim=2)
    best = min(cost[range(6), list(p)].mean().item() for p in itertools.permutations(range(6)))
    assert exact_w1(x, y) == pytest.approx(best, abs=ROUNDING)


def primal(x: Tensor, y: Tensor) -> float:
    """The transport problem as a plain linear program."""
    n, m = len(x), len(y)
    cost = torch.linalg.vector_norm(x[:, None] - y, dim=2).numpy()
    marginals = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    masses = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    return linprog(cost.ravel(), A_eq=marginals, b_eq=masses, method="highs").fun


@pytest.mark.parametrize(("n", "m"), [(7, 12), (15, 15), (1, 9)])
def test_equal_to_the_linear_program_and_its_dual(n: int, m: int) -> None:
    x, y = normal(n, 3, seed=3), 1 + normal(m, 3, seed=4)
    w1 = exact_w1(x, y)
    u, v = dual_potentials(x, y)
    assert w1 == pytest.approx(primal(x, y), abs=ROUNDING)
    assert (u.mean() - v.mean()).item() == pytest.approx(w1, abs=ROUNDING)


@pytest.mark.parametrize(("n", "m", "dim"), [(120, 120, 2), (100, 150, 2), (80, 80, 64)])
def test_the_potential_is_1_lipschitz_on_the_pooled_samples(n: int, m: int, dim: int) -> None:
    x, y = normal(n, dim, seed=5), 0.5 + normal(m, dim, seed=6)
    u, v = dual_potentials(x, y)
    f, z = torch.cat([u, v]), torch.cat([x, y])
    slack = torch.linalg.vector_norm(z[:, None] - z, dim=2) - (f[:, None] - f).abs()
    assert slack.min() > -1e-12  # each a difference of two numbers of size ten, to float64's rounding
    assert (u.mean() - v.mean()).item() == pytest.approx(exact_w1(x, y), abs=ROUNDING)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (15, 24), (1, 9)])
def test_the_plan_has_the_right_margins_and_costs_the_distance(n: int, m: int) -> None:
    x, y = normal(n, 3, seed=3), 1 + normal(m, 3, seed=4)
    plan = transport_plan(x, y)
    assert plan.min() >= 0
    torch.testing.assert_close(plan.sum(1), torch.full((n,), 1 / n, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0), torch.full((m,), 1 / m, dtype=torch.float64))
    cost = torch.linalg.vector_norm(x[:, None] - y, dim=2)
    assert (plan * cost).sum().item() == pytest.approx(exact_w1(x, y), abs=ROUNDING)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (15, 24), (1, 9)])
def test_the_dual_program_reaches_the_primal_with_a_1_lipschitz_function(n: int, m: int) -> None:
    x, y = normal(n, 3, seed=3), 1 + normal(m, 3, seed=4)
    value, u, v = dual_program(x, y)
    f, z = torch.cat([u, v]), torch.cat([x, y])
    slack = torch.linalg.vector_norm(z[:, None] - z, dim=2) - (f[:, None] - f).abs()
    assert value == pytest.approx(exact_w1(x, y), abs=ROUNDING)
    assert (u.mean() - v.mean()).item() == pytest.approx(value, abs=ROUNDING)
    assert u[0] == 0
    assert (
        slack.min() > -ROUNDING
    )  # HiGHS lets constraints go by 1e-7 at most; at a vertex only rounding is left
    moved = transport_plan(x, y) > 0  # where mass goes, f falls by all it may: complementary slackness
    assert slack[:n, n:][moved].max() < ROUNDING


def between_quantiles(x: Tensor, y: Tensor) -> float:
    """∫₀¹ |F⁻¹(t) − G⁻¹(t)| dt, constant between the levels i/n and j/m, integers in units of 1/(nm)."""
    n, m, low, high = len(x), len(y), x.sort().values.numpy(), y.sort().values.numpy()
    levels = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    left, width = levels[:-1], np.diff(levels)
    return np.abs(low[left // m] - high[left // n]) @ width / (n * m)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 75), (7, 60), (1, 4)])
def test_on_the_line_sorting_agrees_with_the_quantiles_and_the_linear_program(n: int, m: int) -> None:
    x, y = normal(n, seed=7), 2 * normal(m, seed=8) + 0.3
    w1 = w1_on_line(x, y)
    assert w1 == pytest.approx(between_quantiles(x, y), abs=ROUNDING)
    assert w1 == pytest.approx(exact_w1(x[:, None], y[:, None]), abs=ROUNDING)
    assert w1 == w1_on_line(x[:, None], y[:, None])


def test_on_the_line_by_hand() -> None:
    # Quantiles 0, 0, 3, 3, 3, 3 against 1, 1, 1, 1, 5, 5 in sixths: (1 + 1 + 2 + 2 + 2 + 2) / 6.
    x, y = torch.tensor([3.0, 0.0, 3.0]), torch.tensor([5.0, 1.0, 1.0])
    assert w1_on_line(x, y) == pytest.approx(10 / 6, abs=1e-15)
    assert w1_on_line(torch.tensor([3.0, 0.0]), torch.tensor([1.0])) == pytest.approx(1.5, abs=1e-15)


def test_float32_samples_and_gradients_are_taken_as_they_are() -> None:
    x = normal(20, 2, seed=0).float().requires_grad_()
    assert exact_w1(x, x + 1) == pytest.approx(math.sqrt(2), abs=1e-6)  # float32's rounding of x + 1
    assert x.grad is None


def test_a_solver_that_stops_early_raises() -> None:
    x, y = normal(100, 2, seed=0), normal(100, 2, seed=1)
    with pytest.raises(RuntimeError, match="100 against 100 samples: numItermax"):
        exact_w1(x, y, max_iterations=5)
    with pytest.raises(RuntimeError, match="numItermax"):
        dual_potentials(x, y, max_iterations=5)


@pytest.mark.parametrize("function", [exact_w1, transport_plan, dual_potentials, dual_program, w1_on_line])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.empty(0, 1), torch.ones(2, 1), r"x has no samples: its shape is \(0, 1\)"),
        (torch.ones(2, 1), torch.tensor(1.0), r"y has no samples: its shape is \(\)"),
        (torch.ones(2, 1), torch.tensor([[1.0], [math.nan], [math.inf]]), "y has 2 values that are not"),
        (torch.ones(2, 3), torch.ones(2, 4), "x are 3 numbers, those of y 4"),
    ],
)
def test_bad_samples_are_refused_by_name(function: Callable, x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(x, y)


def test_the_line_has_one_dimension() -> None:
    with pytest.raises(ValueError, match="one number; here it is 2"):
        w1_on_line(torch.ones(3, 2), torch.ones(3, 2))
