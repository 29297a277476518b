"""Brackets against closed forms, exact enumeration, and dense sampling of what they must enclose."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from gncompanion.lipschitz import exact_lipschitz, input_gradient_norms
from gncompanion.lipschitz.brackets import _bounds, _slope_range, bracket_lipschitz
from gncompanion.lipschitz.sequential import LayerStep, steps
from gncompanion.models import MLPCritic
from tests.helpers.draws import seeded

ROUNDING = 1e-12  # of sums of tens of products in float64, relative
SMOOTH = [nn.Tanh(), nn.Sigmoid(), nn.Softplus(), nn.Softplus(beta=20), nn.ELU()]
KINKED = [nn.ReLU(), nn.LeakyReLU(0.1), nn.LeakyReLU(2.0), nn.ELU(alpha=2.0)]


def perceptron(activation: nn.Module, *, dim: int = 2, width: int = 8, seed: int = 0) -> nn.Sequential:
    """Two hidden layers, their weights so large that slopes differ by much over the box."""
    sizes = [(dim, width), (width, width), (width, 1)]
    hidden = (layer for i, o in sizes[:-1] for layer in (nn.Linear(i, o), copy.deepcopy(activation)))
    network = nn.Sequential(*hidden, nn.Linear(*sizes[-1]), nn.Flatten(0))
    random = seeded(seed)
    for parameter in network.double().parameters():
        nn.init.normal_(parameter, std=0.6, generator=random)
    return network


def unit(weight: float, bias: float, activation: nn.Module) -> nn.Sequential:
    """x ↦ φ(weight · x + bias)."""
    network = nn.Sequential(nn.Linear(1, 1), activation).double()
    network[0].weight.data.fill_(weight), network[0].bias.data.fill_(bias)
    return network


CLOSED_FORMS = [  # of one unit on a box: weight · max φ′
    (unit(3.0, 0.0, nn.Tanh()), (-1.0, 2.0), 3.0),
    (unit(3.0, 0.0, nn.Tanh()), (0.5, 2.0), 3 / math.cosh(1.5) ** 2),
    (unit(-2.0, 1.0, nn.Softplus()), (-1.0, 2.0), 2 / (1 + math.exp(-3))),
    (unit(2.0, 0.0, nn.Sigmoid()), (-3.0, 1.0), 0.5),
    (unit(2.0, 0.0, nn.ELU()), (-2.0, -1.0), 2 * math.exp(-2)),
    (unit(2.0, 0.0, nn.ReLU()), (-2.0, -1.0), 0.0),
    (nn.Sequential(nn.Linear(1, 1)).double().requires_grad_(False), (0.0, 1.0), None),
]


@pytest.mark.parametrize(("critic", "box", "value"), CLOSED_FORMS)
def test_one_unit_in_closed_form(critic: nn.Module, box: tuple[float, float], value: float | None) -> None:
    value = float(critic[0].weight.abs()) if value is None else value  # a linear function
    found = bracket_lipschitz(critic, 1, box=box, tol=1e-3)
    assert found.lower <= value * (1 + ROUNDING)
    assert value <= found.upper * (1 + ROUNDING)
    assert found.upper <= found.lower * 1.001 * (1 + ROUNDING)


@pytest.mark.parametrize("activation", SMOOTH, ids=repr)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_closes_on_the_steepest_of_many_samples(activation: nn.Module, dim: int) -> None:
    critic = perceptron(activation, dim=dim)
    tol = 1e-2 if dim < 3 else 0.1
    found = bracket_lipschitz(critic, dim, box=(-1.5, 1.5), tol=tol)
    x = 3 * torch.rand(20_000, dim, generator=seeded(), dtype=torch.float64) - 1.5
    steepest = input_gradient_norms(critic, x).max()
    assert steepest <= found.upper * (1 + ROUNDING)
    assert found.upper <= (1 + tol) * found.lower * (1 + ROUNDING)
    assert steepest >= 0.9 * found.lower  # 20,000 samples come that near to any maximum that is not a spike


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_encloses_the_exact_constant_of_a_piecewise_linear_network(seed: int, activation: str) -> None:
    critic = MLPCritic(2, width=5, depth=2, activation=activation, generator=seeded(seed)).double()
    exact = float(exact_lipschitz(critic, 2, box=(-2.0, 2.0))[-1])
    found = bracket_lipschitz(critic, 2, box=(-2.0, 2.0), tol=1e-2, max_cells=20_000)
    assert found.lower <= exact * (1 + ROUNDING)
    assert exact <= found.upper * (1 + ROUNDING)
    assert found.lower == pytest.approx(exact, rel=1e-9)  # the steepest piece is larger than the cells


@pytest.mark.parametrize("activation", [*SMOOTH, *KINKED], ids=repr)
def test_enclosures_hold_what_they_should(activation: nn.Module) -> None:
    critic = perceptron(activation)
    found = steps(critic, (2,))
    centre = torch.randn(50, 2, generator=seeded(1), dtype=torch.float64)
    radius = 10 ** (-3 * torch.rand(50, 2, generator=seeded(2), dtype=torch.float64))
    bounds = _bounds(found, centre, radius)
    inside = 2 * torch.rand(200, 50, 2, generator=seeded(3), dtype=torch.float64) - 1
    x = centre + inside * radius
    norms = input_gradient_norms(critic, x.flatten(0, 1)).reshape(200, 50)
    assert (norms <= bounds * (1 + ROUNDING)).all()
    tiny = _bounds(found, centre, radius * 1e-9)
    at_centre = input_gradient_norms(critic, centre)
    torch.testing.assert_close(tiny, at_centre, rtol=1e-5, atol=1e-9)  # and no wider than the cell asks for


@pytest.mark.parametrize("activation", [*SMOOTH, *KINKED], ids=repr)
def test_slope_ranges(activation: nn.Module) -> None:
    step = LayerStep(steps(nn.Sequential(nn.Linear(1, 1)).double(), (1,))[0].linear, [activation])
    ends = 3 * torch.randn(2, 40, 1, generator=seeded(), dtype=torch.float64)
    low, high = ends.amin(dim=0), ends.amax(dim=0)
    middle, error = (part.squeeze(2) for part in _slope_range(step, low, high))
    z = low + torch.linspace(0, 1, 500, dtype=torch.float64) * (high - low)
    slopes = step.slopes(z)
    assert (slopes <= middle + error + ROUNDING).all()
    assert (slopes >= middle - error - ROUNDING).all()
    # Attained, up to the grid's spacing; an ELU or a kink may leap in between.
    if type(activation) in (nn.Tanh, nn.Sigmoid, nn.Softplus):
        spacing = (high - low) / 500 * getattr(activation, "beta", 1)
        assert (slopes.amax(dim=1, keepdim=True) >= middle + error - spacing).all()
        assert (slopes.amin(dim=1, keepdim=True) <= middle - error + spacing).all()


def test_trace_and_point() -> None:
    critic = perceptron(nn.Tanh())
    found = bracket_lipschitz(critic, 2, box=(-2.0, 2.0), tol=1e-2)
    cells, lower, upper = found.trace.unbind(1)
    assert (cells.diff() > 0).all()
    assert (lower.diff() >= 0).all()
    assert (lower <= upper).all()
    assert found.lower == lower[-1]
    assert found.upper == upper[-1]
    assert float(input_gradient_norms(critic, found.point[None])) == pytest.approx(found.lower, rel=ROUNDING)
    assert (found.point.abs() <= 2).all()


def test_stops_at_max_cells_with_a_bracket_that_holds() -> None:
    critic = perceptron(nn.Tanh())
    narrow, wide = (
        bracket_lipschitz(critic, 2, box=(-2.0, 2.0), tol=1e-3, max_cells=m) for m in (500_000, 300)
    )
    assert wide.trace[-1, 0] <= 300
    assert wide.lower <= narrow.lower
    assert narrow.upper <= wide.upper
    assert wide.upper > 1.1 * wide.lower


def refused() -> list[tuple[nn.Module, tuple[float, float], str]]:
    two = nn.Sequential(nn.Linear(2, 2), nn.Tanh()).double()
    twice = nn.Sequential(nn.Linear(2, 1), nn.Tanh(), nn.ReLU()).double()
    return [
        (perceptron(nn.Tanh()), (1.0, 1.0), r"box=\(1.0, 1.0\) must be \(low, high\)"),
        (two, (0.0, 1.0), "neither|outputs|composition"),
        (twice, (0.0, 1.0), r"\['Tanh', 'ReLU'\]: only Linear and at most one activation"),
        (nn.Sequential(nn.Linear(2, 1), nn.GELU()).double(), (0.0, 1.0), "GELU"),
    ]


@pytest.mark.parametrize(("critic", "box", "message"), refused())
def test_refuses(critic: nn.Module, box: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bracket_lipschitz(critic, 2, box=box)


def test_leaves_the_critic_alone() -> None:
    critic = perceptron(nn.Tanh())
    before: list[Tensor] = [p.clone() for p in critic.parameters()]
    bracket_lipschitz(critic, 2, box=(-1.0, 1.0), tol=0.1)
    assert all(torch.equal(p, b) for p, b in zip(critic.parameters(), before, strict=True))
    assert all(p.grad is None for p in critic.parameters())
