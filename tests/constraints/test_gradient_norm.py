"""Gradient normalization against formulas by hand, Theorem 6 and its likes, and double backpropagation."""

import math

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import GradientNorm, build
from gncompanion.constraints.gradient_norm import FORMULAS, GradientNormalization
from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from gncompanion.models import DCGANCritic, MLPGenerator
from tests.helpers.constraints_by_hand import ROWS, SCORING
from tests.helpers.critics_by_hand import (
    EXACT,
    NETWORKS,
    REAL,
    LinearCritic,
    N,
    conv,
    gradients,
    mlp,
    redrawn,
    weight_gradients,
)
from tests.helpers.draws import normal, seeded


@pytest.mark.parametrize(
    ("formula", "constants", "value"),
    [
        ("gn", {}, 12 / 17),
        ("gn-0", {}, 12 / 5),
        ("gn-1", {}, 2.0),
        ("gran", {"eps": 1.0}, 60 / 26),
        ("gran", {"eps": 1.0, "K": 2.0}, 120 / 26),
        ("gran-eps", {"eps": 1.0}, 2.0),
        ("gran-eps", {"eps": 1.0, "K": 2.0}, 4.0),
        ("pgn", {}, -11 / (math.sqrt(2**2 + 3**2) + 11)),
    ],
)
def test_formulas_by_hand(formula: str, constants: dict[str, float], value: float) -> None:
    critic = LinearCritic(torch.tensor([3.0, 4.0]), 1.0)  # n = 5, and f = 12 at (1, 2)
    score = GradientNormalization(formula, **constants).score(critic, torch.tensor([[1.0, 2.0]]).double())
    torch.testing.assert_close(score, torch.tensor([value], dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_gn_lies_between_minus_one_and_one(scale: float) -> None:
    critic = mlp()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(scale)
    score = build("gn").score(critic, normal(500, 3, seed=0) * 100)
    assert 0.5 < score.abs().max() <= 1


GRADIENT_NORMS = {
    "gn": lambda f, n, m: (n / (n + f.abs())) ** 2,  # Theorem 6
    "gn-0": lambda f, n, m: torch.ones_like(n),
    "gn-1": lambda f, n, m: n / (n + 1),
    "gran": lambda f, n, m: 2 * n**2 / (n**2 + 0.1),
    "gran-eps": lambda f, n, m: 2 * n / (n + 0.1),
    "pgn": lambda f, n, m: n * m / (m + (1 - f).abs()) ** 2,  # m = ‖1 - g‖; no bound follows
    "inner-product": lambda f, n, m: torch.ones_like(n),
    "scale": lambda f, n, m: 3 * n,
}

WEIGHTS_OF_GRADIENTS = {
    "gn": lambda f, n: (n / (n + f.abs()) ** 2, -f / (n + f.abs()) ** 2),
    "gran": lambda f, n: (2 * n / (n**2 + 0.1), 2 * f * (0.1 - n**2) / (n**2 + 0.1) ** 2),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", WEIGHTS_OF_GRADIENTS)
def test_the_weights_gradient_is_the_tasks_and_the_norms(name: str, network: str) -> None:
    """∂f̂/∂W = α ∂f/∂W + β ∂n/∂W, with α and β worked out by hand: gradients reach W through the norm too."""
    make, shape = NETWORKS[network]
    critic, x = make(), normal(N, *shape, seed=6)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    n = gradient_norm(f, g)
    alpha, beta = (weight.detach() for weight in WEIGHTS_OF_GRADIENTS[name](f, n))
    expected = weight_gradients((alpha * f + beta * n).sum(), critic)
    found = weight_gradients(build(name, **ROWS[name].options).score(critic, x).sum(), critic)
    assert (found - expected).norm() <= 1e-12 * expected.norm()  # some thousand roundings of 1e-16


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", WEIGHTS_OF_GRADIENTS)
@pytest.mark.parametrize("method", ["linear", "autograd"])
def test_detached_the_weights_gradient_is_the_tasks_alone(name: str, network: str, method: str) -> None:
    """α ∂f/∂W without β ∂n/∂W; the values and their gradient in x are the whole."""
    make, shape = NETWORKS[network]
    critic, x = make(), normal(N, *shape, seed=6).requires_grad_()
    f, g = value_and_input_gradient(critic, x.detach(), method="autograd")
    alpha, _ = (weight.detach() for weight in WEIGHTS_OF_GRADIENTS[name](f, gradient_norm(f, g)))
    task = weight_gradients((alpha * f).sum(), critic)
    whole, detached = (
        build(name, **ROWS[name].options, method=method, detach=detach).score(critic, x).sum()
        for detach in (False, True)
    )
    assert torch.equal(detached, whole)
    (in_x, *in_weights), (whole_in_x, *whole_in_weights) = (
        gradients(value, x, critic) for value in (detached, whole)
    )
    torch.testing.assert_close(in_x, whole_in_x, **EXACT)
    found, both = (torch.cat([d.flatten() for d in found]) for found in (in_weights, whole_in_weights))
    assert (found - task).norm() <= 1e-12 * task.norm()  # some thousand roundings of 1e-16
    assert (both - task).norm() > 1e-2 * task.norm()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", SCORING)
def test_theorem_6_and_its_likes(name: str, network: str) -> None:
    make, shape = NETWORKS[network]
    critic, x = make(), normal(N, *shape, seed=6)
    (g,) = torch.autograd.grad(critic(x.requires_grad_()).sum(), x)
    n, m = g.flatten(1).norm(dim=1), (1 - g).flatten(1).norm(dim=1)
    expected = GRADIENT_NORMS[name](critic(x), n, m)
    score = build(name, **ROWS[name].options).score(critic, x)
    (found,) = torch.autograd.grad(score.sum(), x)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), expected, **EXACT)


def test_what_layer_rescaling_leaves_unchanged() -> None:
    """W_k by s_k > 0 and b_k by s_1 ⋯ s_k multiplies f and n alike."""
    critic, x, scale = mlp(), normal(N, 3, seed=7), 1.0
    constraints = {name: build(name, **ROWS[name].options) for name in SCORING}
    before = {name: c.score(critic, x) for name, c in constraints.items()}
    with torch.no_grad():
        for layer, factor in zip(
            (m for m in critic.modules() if isinstance(m, nn.Linear)), (3.0, 0.2, 7.0, 5.0), strict=True
        ):
            scale *= factor
            layer.weight.mul_(factor)
            layer.bias.mul_(scale)
    changes = {name: (c.score(critic, x) - before[name]).abs().max() for name, c in constraints.items()}
    assert {name for name, change in changes.items() if change < 1e-12} == {"gn", "gn-0", "inner-product"}
    assert min(change for name, change in changes.items() if change >= 1e-12) > 1e-2


@pytest.mark.parametrize("method", ["linear", "autograd"])
@pytest.mark.parametrize("name", ["gn", "gn-0", "gn-1", "gran", "gran-eps", "inner-product", "pgn"])
def test_zero_over_zero_is_zero(name: str, method: str) -> None:
    one = name == "pgn"  # its 0 / 0 is at f = 1, g = 1
    critic = LinearCritic(torch.ones(3) if one else torch.zeros(3), float(one))
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    score = build(name, **ROWS[name].options, method=method).score(critic, x)
    assert torch.equal(score, torch.zeros(2, dtype=torch.float64))
    assert all(grad.isfinite().all() for grad in gradients(score.sum(), x, critic))


def test_the_distance_to_no_zero_set_is_infinite() -> None:
    constant = LinearCritic(torch.zeros(3), -2.0)
    x = normal(2, 3, seed=0)
    assert torch.equal(build("gn-0").score(constant, x), torch.full((2,), -math.inf, dtype=torch.float64))
    assert torch.equal(build("gn").score(constant, x), torch.full((2,), -1.0, dtype=torch.float64))


# The module for a user's own GAN


class Conditional(nn.Module):
    """A critic as a user writes one: a column of values, labels, and a keyword of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.out = nn.Linear(3, 12), nn.Linear(12, 1)
        self.embed = nn.Embedding(4, 12)

    def forward(self, x: Tensor, y: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        h = torch.relu(self.inward(x))
        f = self.out(h) * scale
        return f if y is None else f + (self.embed(y) * h).sum(1, keepdim=True)


def test_gradient_norm_keeps_a_column_and_passes_everything_on() -> None:
    critic, x, y = redrawn(Conditional()), normal(N, 3, seed=0), torch.arange(N) % 4
    f, g = value_and_input_gradient(critic, x, y, scale=0.3, method="autograd")
    expected = f / (gradient_norm(f, g) + f.abs())
    assert expected.shape == (N, 1)
    for found in (GradientNorm(critic)(x, y, scale=0.3), GradientNorm(critic)(x, y=y, scale=0.3)):
        torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("formula", FORMULAS)
def test_gradient_norm_equals_the_constraint(formula: str) -> None:
    critic, options = conv(), ROWS[formula].options
    module = GradientNorm(critic, formula, **options)
    assert torch.equal(module(REAL), build(formula, **options).score(critic, REAL))
    assert repr(module).startswith(f"GradientNorm(\n  {formula!r}, ")
    detached = GradientNorm(critic, formula, **options, detach=True)
    assert torch.equal(
        weight_gradients(detached(REAL).sum(), critic),
        weight_gradients(build(formula, **options, detach=True).score(critic, REAL).sum(), critic),
    )
    assert ("detach=True" in repr(detached)) and "detach" not in repr(module)


def test_gradient_norm_has_the_critics_state() -> None:
    module, other = GradientNorm(conv()), GradientNorm(DCGANCritic(8, 1, width=4).double())
    assert list(module.state_dict()) == [f"critic.{name}" for name in module.critic.state_dict()]
    other.load_state_dict(module.state_dict())
    assert torch.equal(module(REAL), other(REAL))


def test_gradient_norm_without_autograd() -> None:
    module = GradientNorm(conv())
    with torch.no_grad():
        score = module(REAL)
    assert not score.requires_grad
    assert torch.equal(score, module(REAL))


def test_gradient_norm_verifies_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def spy(critic: nn.Module, x: Tensor, *, method: str, verify: bool, has_aux: bool) -> tuple[Tensor, ...]:
        asked.append((method, verify))
        return value_and_input_gradient(critic, x, method=method, verify=verify, has_aux=has_aux)

    monkeypatch.setattr("gncompanion.constraints.gradient_norm.value_and_input_gradient", spy)
    GradientNorm(mlp(), method="linear", verify=True)(normal(N, 3, seed=0))
    GradientNorm(mlp())(normal(N, 3, seed=0))
    assert asked == [("linear", True), ("auto", False)]


def train(method: str) -> list[Tensor]:
    """A critic's and a generator's step, as a user writes them; returns all gradients and weights."""
    D = GradientNorm(redrawn(Conditional()), method=method)
    G = MLPGenerator(4, 3, width=8, generator=seeded(4)).double()
    steps = {module: torch.optim.SGD(module.parameters(), lr=0.5) for module in (D, G)}
    real, z, y = normal(N, 3, seed=5), normal(N, 4, seed=6), torch.arange(N) % 4
    loss = torch.relu(1 - D(real, y)).mean() + torch.relu(1 + D(G(z).detach(), y)).mean()
    steps[D].zero_grad()
    loss.backward()
    steps[D].step()
    found = [parameter.grad.clone() for parameter in D.parameters()]
    loss = -D(G(z), y).mean()
    steps[G].zero_grad()
    loss.backward()
    steps[G].step()
    return found + [parameter.grad for parameter in G.parameters()] + [*D.parameters(), *G.parameters()]


def test_a_training_step_equals_double_backpropagation() -> None:
    for fast, twice in zip(train("linear"), train("autograd"), strict=True):
        assert twice.norm() > 0
        assert (fast - twice).norm() <= 1e-12 * twice.norm()  # some thousand roundings of 1e-16
