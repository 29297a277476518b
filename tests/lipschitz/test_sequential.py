"""Critics that are the composition of their layers are measured and left alone; others are refused."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gncompanion.lipschitz import exact_lipschitz, layers, lower_jacobian_norms, operator_norm, upper_products
from gncompanion.models.mlp import MLPCritic
from gncompanion.models.stage_critic import StageCritic
from tests.helpers.draws import normal, seeded
from tests.helpers.networks_by_hand import ROUNDING, filled, mlp


@pytest.mark.parametrize(
    ("critic", "shape", "n_steps"),
    [
        (StageCritic(5, 8, channels=1, generator=seeded()), (1, 8, 8), 6),
        (MLPCritic(64, width=5, depth=3, generator=seeded()), (1, 8, 8), 4),
        (MLPCritic(2, width=5, depth=2, bias=False, activation="elu", generator=seeded()), (2,), 3),
        ([nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Linear(72, 1)], (1, 8, 8), 2),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Sequential()), (1, 8, 8), 1),
    ],
    ids=["StageCritic", "MLPCritic of images", "MLPCritic", "list", "nested"],
)
def test_sequential_critics_are_measured_and_left_alone(
    critic: nn.Module | list, shape: tuple[int, ...], n_steps: int
) -> None:
    modules = nn.ModuleList(critic) if isinstance(critic, list) else critic
    modules.train()
    before = {name: value.clone() for name, value in modules.state_dict().items()}
    leaves = [m for m in modules.modules() if not any(m.children()) and not isinstance(m, nn.Sequential)]
    assert layers(critic) == leaves
    upper = upper_products(critic, shape)
    lower = lower_jacobian_norms(critic, normal(5, *shape))
    assert upper.shape == lower.lower.shape == (n_steps,)
    assert lower.per_sample.shape == (n_steps, 5)
    assert (lower.lower <= upper * (1 + ROUNDING)).all()
    assert modules.training
    assert all(torch.equal(before[name], value) for name, value in modules.state_dict().items())
    assert all(p.grad is None and p.dtype == torch.float32 for p in modules.parameters())


class Functional(nn.Module):
    """Critics that are not the composition of their layers, as a user might write them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if self.kind == "activation":
            h = torch.relu(self.second(h))
        elif self.kind == "residual":
            h = h + self.second(h)
        elif self.kind == "twice":
            h = self.second(self.second(h))
        elif self.kind == "order":
            h = self.first(self.second(x))
        elif self.kind == "not finite":
            return self.head(h).squeeze(1) / 0
        return self.head(h).squeeze(1)


@pytest.mark.parametrize("kind", ["activation", "residual", "twice", "order", "not finite"])
@pytest.mark.parametrize(
    "measure",
    [
        lambda critic: upper_products(critic, (3,)),
        lambda critic: lower_jacobian_norms(critic, normal(2, 3)),
        lambda critic: lower_jacobian_norms(critic, normal(2, 3).float()),
        lambda critic: exact_lipschitz(critic, 3),
    ],
    ids=["upper", "lower", "lower in float32", "exact"],
)
def test_critics_that_are_not_sequential_are_refused(measure: Callable, kind: str) -> None:
    with pytest.raises(ValueError, match="Functional is not the composition of its layers"):
        measure(filled(Functional(kind)))


@pytest.mark.parametrize(
    ("critic", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "BatchNorm1d is neither Linear, Conv2d nor one"),
        ([nn.Linear(2, 2), nn.GELU()], "GELU is neither"),
        ([nn.ReLU(), nn.Linear(2, 2)], "starts with a linear layer, not with ReLU"),
        ([], "starts with a linear layer, not with NoneType"),
    ],
)
def test_layers_without_a_constant_are_refused(critic: nn.Module | list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layers(critic)


def test_spectrally_normalized_layers_are_measured_as_they_evaluate() -> None:
    critic = mlp(3, 4, 4, 1)
    for layer in critic[::2]:
        spectral_norm(layer)
    critic.train()
    state = {name: value.clone() for name, value in critic.state_dict().items()}
    measured = upper_products(critic, (3,)), lower_jacobian_norms(critic, normal(4, 3)).lower
    norms = [operator_norm(layer, (layer.in_features,)).lower for layer in critic[::2]]
    assert all(torch.equal(state[name], value) for name, value in critic.state_dict().items())
    plain = mlp(3, 4, 4, 1)
    for layer, source in zip(plain[::2], critic.eval()[::2], strict=True):
        layer.weight.data = source.weight.detach().clone()
    expected = upper_products(plain, (3,)), lower_jacobian_norms(plain, normal(4, 3)).lower
    torch.testing.assert_close(measured, expected, rtol=ROUNDING, atol=0)
    torch.testing.assert_close(torch.tensor(norms).double().cumprod(0), expected[0], rtol=1e-6, atol=0)
