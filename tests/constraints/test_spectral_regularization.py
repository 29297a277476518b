"""Spectral norm regularization against the singular value decomposition and its gradient λ σ₁ u₁v₁ᵀ."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import Score
from gncompanion.constraints.spectral_regularization import SpectralRegularization
from gncompanion.experiment import Experiment
from gncompanion.models import DCGANCritic, MLPCritic
from tests.helpers.draws import seeded

X = torch.zeros(2, 3)  # the penalty looks at no sample


def critic() -> nn.Module:
    return MLPCritic(3, width=8, depth=2, generator=seeded()).double()


def penalty(constraint: SpectralRegularization, critic: nn.Module) -> Tensor:
    return constraint.penalty(Score(constraint, critic), X, X, generator=seeded())


def matrices(module: nn.Module) -> list[Tensor]:
    return [p for p in module.parameters() if p.dim() > 1]


def convolutions() -> nn.Module:
    return DCGANCritic(8, 1, width=4, generator=seeded()).double()


@pytest.mark.parametrize("make", [critic, convolutions])
def test_value_and_gradient(make: Callable[[], nn.Module]) -> None:
    network = make()
    constraint = SpectralRegularization(0.3, n_iterations=500)
    constraint.prepare(network)
    value = penalty(constraint, network)
    value.backward()
    expected = 0.0
    for weight in matrices(network):
        u, s, vt = torch.linalg.svd(weight.detach().flatten(1), full_matrices=False)
        expected += 0.15 * float(s[0]) ** 2
        rank_one = (0.3 * s[0] * torch.outer(u[:, 0], vt[0])).view_as(weight)
        torch.testing.assert_close(weight.grad, rank_one, rtol=0, atol=1e-8)  # what 500 iterations leave
    assert value.item() == pytest.approx(expected, rel=1e-10)


def test_one_iteration_follows_a_moving_weight() -> None:
    network, constraint = critic(), SpectralRegularization(0.1)
    constraint.prepare(network)
    first = [w.detach().clone() for w in matrices(network)]
    last = [torch.randn(w.shape, generator=seeded(7), dtype=w.dtype) for w in first]
    for t in torch.linspace(0, 1, 200):
        for weight, a, b in zip(matrices(network), first, last, strict=True):
            weight.data.copy_(a + t * (b - a))
        value = penalty(constraint, network).item()
    exact = sum(torch.linalg.matrix_norm(w, 2).item() ** 2 for w in matrices(network))
    assert value == pytest.approx(0.05 * exact, rel=0.02)  # 200 steps along the whole way


def test_descent_lowers_the_largest_singular_value_and_no_other() -> None:
    network = nn.Sequential(nn.Linear(2, 2, bias=False)).double()
    network[0].weight.data.copy_(torch.diag(torch.tensor([3.0, 1.0])))
    constraint = SpectralRegularization(0.1, n_iterations=50)
    constraint.prepare(network)
    penalty(constraint, network).backward()
    torch.testing.assert_close(network[0].weight.grad, torch.diag(torch.tensor([0.3, 0.0])).double())


def test_bounds_nothing() -> None:
    network = critic()
    before = [p.clone() for p in network.parameters()]
    constraint = SpectralRegularization(5.0)
    constraint.prepare(network)
    x = torch.randn(4, 3, generator=seeded(), dtype=torch.float64)
    assert torch.equal(constraint.score(network, x), network(x))
    constraint.after_step(network)
    assert all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))


def test_the_direction_is_saved_with_the_critic_and_rests_in_eval_mode() -> None:
    network, constraint = critic(), SpectralRegularization()
    constraint.prepare(network)
    matrices(network)[0].data.normal_(generator=seeded(5))
    state = copy.deepcopy(network.state_dict())
    assert sum("regularized_direction" in name for name in state) == 3
    network.eval()
    first = penalty(constraint, network)
    assert torch.equal(penalty(constraint, network), first)
    network.train()
    assert penalty(constraint, network) > first  # the iteration moves on, and upwards
    resumed, again = critic(), SpectralRegularization(seed=3)
    again.prepare(resumed)
    for module in (network, resumed):
        module.load_state_dict(state)
    assert torch.equal(penalty(constraint, network), penalty(again, resumed))


def test_a_weight_of_zeros_has_penalty_and_gradient_zero() -> None:
    network = nn.Sequential(nn.Linear(2, 2)).double()
    nn.init.zeros_(network[0].weight)
    constraint = SpectralRegularization()
    constraint.prepare(network)
    value = penalty(constraint, network)
    value.backward()
    assert value == 0
    assert not network[0].weight.grad.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight=-1.0 must be a finite number from 0 on"),
        ({"weight": float("nan")}, "weight=nan"),
        ({"n_iterations": 0}, "n_iterations=0 must be an integer from 1 on"),
    ],
)
def test_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpectralRegularization(**options)


def test_refuses_a_critic_without_layers() -> None:
    with pytest.raises(ValueError, match="Flatten has no layer"):
        SpectralRegularization().prepare(nn.Flatten())


def test_there_is_nothing_to_regularize_before_prepare() -> None:
    constraint, prepared = SpectralRegularization(), critic()
    constraint.prepare(prepared)
    assert penalty(constraint, prepared) > 0
    assert penalty(constraint, critic()) == 0


def test_each_critic_has_its_own_price() -> None:
    """One constraint, two critics prepared one after the other, and a copy of the first."""
    constraint, first, second = SpectralRegularization(n_iterations=500), critic(), convolutions()
    for network in (first, second):
        constraint.prepare(network)
    prices = [penalty(constraint, network).item() for network in (first, second, copy.deepcopy(first))]
    for price, network in zip(prices, (first, second, first), strict=True):
        squares = [torch.linalg.matrix_norm(w.flatten(1), 2).item() ** 2 for w in matrices(network)]
        assert price == pytest.approx(0.05 * sum(squares), rel=1e-10)


def test_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNCOMPANION_RUNS", str(tmp_path))
    settings = {"dataset": "ring", "network": "mlp", "network_options": {"width": 8, "depth": 2}}
    schedule = {"steps": 20, "batch_critic": 8, "batch_generator": 8, "ema_decay": None}
    run = Experiment(**settings, constraint="sn-regularization", schedule=schedule, device="cpu").run()
    assert run.score(run.real(4)).isfinite().all()
