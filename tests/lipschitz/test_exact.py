"""Exact constants by hand, against the vertices of a plane's lines, fine scans, and bounds on either side."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from gncompanion.lipschitz import exact_lipschitz, lower_jacobian_norms, upper_products
from tests.helpers.draws import normal
from tests.helpers.networks_by_hand import ROUNDING, linear, mlp


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.LeakyReLU(0.2)])
def test_lower_exact_and_upper_stand_in_order(activation: Callable, seed: int) -> None:
    critic = mlp(2, 5, 4, 1, activation=activation, seed=seed)
    exact, upper = exact_lipschitz(critic, 2), upper_products(critic, (2,))
    lower = lower_jacobian_norms(critic, 3 * normal(20_000, 2, seed=seed)).lower
    assert (lower <= exact * (1 + ROUNDING)).all()
    assert (exact <= upper * (1 + ROUNDING)).all()
    assert lower[0] > 0.999 * exact[0]  # five lines leave no piece that 20,000 points about them miss


ABSOLUTE = [linear([[1.0], [-1.0]]), nn.ReLU(), linear([[1.0, 1.0]])]
CANCELLED = [linear([[1.0], [1.0]]), nn.ReLU(), linear([[1.0, -1.0]])]
LEAKY = [linear([[1.0]]), nn.LeakyReLU(-0.5), linear([[4.0]])]
# min(x, 0) + max(x − 1, 0): steep on the left and the right, flat on [0, 1].
FLAT = [linear([[-1.0], [1.0]], [0.0, -1.0]), nn.ReLU(), linear([[-1.0, 1.0]])]
NEVER = [linear([[1.0, 1.0], [-1.0, -1.0]], [-1.0, -1.0]), nn.ReLU(), linear([[1.0, 1.0]])]


@pytest.mark.parametrize(
    ("critic", "dim", "box", "expected"),
    [
        (ABSOLUTE, 1, None, [1, 1]),
        (CANCELLED, 1, None, [math.sqrt(2), 0]),
        (LEAKY, 1, None, [1, 4]),
        (FLAT, 1, None, [1, 1]),
        (FLAT, 1, (0.1, 0.9), [0, 0]),
        (FLAT, 1, (0.5, 1.5), [1, 1]),
        (NEVER, 2, None, [math.sqrt(2), math.sqrt(2)]),
        (NEVER, 2, (-0.4, 0.4), [0, 0]),
        ([linear([[3.0, 4.0]])], 2, None, [5]),
        ([linear([[3.0, 0.0], [0.0, 1.0]]), linear([[0.0, 1.0]])], 2, None, [3, 1]),
    ],
)
def test_exact_constants_by_hand(
    critic: list, dim: int, box: tuple[float, float] | None, expected: list[float]
) -> None:
    assert exact_lipschitz(critic, dim, box=box).tolist() == pytest.approx(expected, rel=ROUNDING, abs=0)


def test_folded_tents_double_with_each_layer() -> None:
    # t(x) = 2 relu(x) − 4 relu(x − ½) maps [0, 1] onto itself with slopes ±2; folded k times, ±2ᵏ.
    fold = linear([[1.0], [1.0]], [0.0, -0.5])
    again = linear([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    critic = [fold, nn.ReLU(), again, nn.ReLU(), again, nn.ReLU(), again, nn.ReLU(), linear([[2.0, -4.0]])]
    exact = exact_lipschitz(critic, 1, box=(0.0, 1.0))
    # Layer k has both its units on where t is large: slope 2ᵏ⁻¹ in each of two outputs.
    assert exact.tolist() == pytest.approx([math.sqrt(2) * 2**k for k in range(4)] + [16], rel=ROUNDING)


@pytest.mark.parametrize("seed", range(3))
def test_one_hidden_layer_by_the_vertices_of_its_lines(seed: int) -> None:
    # In the plane every cell of lines in general position has a vertex, where two of them cross; about a
    # vertex these two take all four signs, and the others keep theirs.
    n = 9
    critic = mlp(2, n, 1, seed=seed)
    w, b = (critic[0].weight.detach().numpy(), critic[0].bias.detach().numpy())
    head = critic[2].weight.detach().numpy()
    cells = set()
    for i, j in itertools.combinations(range(n), 2):
        vertex = np.linalg.solve(w[[i, j]], -b[[i, j]])
        signs = w @ vertex + b > 0
        for signs[i], signs[j] in itertools.product([False, True], repeat=2):
            cells.add(tuple(signs))
    assert len(cells) == 1 + n + n * (n - 1) // 2  # Zaslavsky's count
    expected = [
        max(np.linalg.norm(np.array(cell)[:, None] * w, 2) for cell in cells),
        max(np.linalg.norm(head * np.array(cell) @ w, 2) for cell in cells),
    ]
    assert exact_lipschitz(critic, 2).tolist() == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.LeakyReLU(0.2)])
@pytest.mark.parametrize("seed", range(2))
def test_deep_networks_on_a_line_by_a_fine_scan(seed: int, activation: Callable) -> None:
    critic = mlp(1, 5, 5, 5, 1, activation=activation, seed=seed)
    exact = exact_lipschitz(critic, 1, box=(-4.0, 4.0))
    x = torch.linspace(-4, 4, 100_001, dtype=torch.float64)[:, None]
    scanned = lower_jacobian_norms(critic, x).lower
    # No piece of these four networks is thinner than the scan's steps of 8e-5.
    torch.testing.assert_close(scanned, exact, rtol=ROUNDING, atol=0)


def test_the_constant_does_not_depend_on_the_units_of_x_or_of_the_layers() -> None:
    critic = mlp(2, 4, 4, 1)
    exact = exact_lipschitz(critic, 2)
    critic[0].weight.data *= 1e-9
    critic[0].bias.data *= 1e-9
    critic[2].bias.data *= 1e-9
    torch.testing.assert_close(exact_lipschitz(critic, 2), 1e-9 * exact, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("critic", "options", "message"),
    [
        (mlp(2, 33, 1), {}, "max_units=32 must be at least 33"),
        (mlp(2, 3, 3, 1), {"max_units": 5}, "max_units=5 must be at least 6"),
        (mlp(2, 3, 1, activation=nn.ELU), {}, "ELU is not supported"),
        ([*mlp(2, 3, 1)[:2], nn.ReLU()], {}, "ReLU after ReLU is not supported"),
        ([nn.Conv2d(1, 1, 1)], {}, "Conv2d: only perceptrons"),
        (mlp(2, 3, 1), {"box": (1.0, 1.0)}, r"box=\(1.0, 1.0\) must be \(low, high\)"),
    ],
)
def test_what_cannot_be_enumerated_is_refused(critic: object, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact_lipschitz(critic, 2, **options)
