"""The check as a whole: right where it is right, wrong where something is broken, and nothing left behind."""

import json
import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn

from benchmarks.critic_zoo import ZOO
from gncompanion.check import Report, check_critic, exactness
from gncompanion.input_gradient import value_and_input_gradient
from tests.helpers.draws import seeded


def mlp(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8), *between, nn.Linear(8, 1))


class Function(nn.Module):
    """Two linear layers, and a function between them."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(3, 8), nn.Linear(8, 1), function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))


def test_a_piecewise_linear_critic() -> None:
    report = check_critic(mlp(nn.ReLU()), (3,))
    assert (report.method, report.reason, report.failure) == ("linear", None, None)
    assert report.right
    assert report.errors is not None
    assert 0 < report.errors.largest < 1e-13  # found in another way, so not bit for bit
    assert (report.shape, report.batch, report.dtype) == ((3,), 8, "float64")
    assert (report.groups, report.moved, report.astray, report.remedies) == ((), (), (), ())
    with pytest.raises(FrozenInstanceError):
        report.method = "autograd"


def test_a_smooth_critic_and_what_helps() -> None:
    report = check_critic(mlp(nn.SiLU()), (3,))
    assert (report.method, report.right) == ("autograd", True)
    (remedy,) = report.remedies
    ratio = report.flops.ratio(report.flops.auto)
    assert remedy == (
        "SiLU '1', silu: not among the operations known to be linear or piecewise linear. So auto takes "
        f"double backpropagation, exact at {ratio:.2f} times a plain step. To be faster: it is not piecewise "
        "linear; take LeakyReLU or ReLU in its place"
    )


class Both(nn.Module):
    """A value, and beside it something smooth, in a dictionary or behind the value."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        self.body, self.value, self.logits = mlp(nn.ReLU())[:2], nn.Linear(8, 1), nn.Linear(8, 3)
        self.name = name

    def forward(self, x: Tensor) -> object:
        h = self.body(x)
        f, aside = self.value(h), self.logits(h).softmax(1)
        return (f, aside) if self.name is None else {"p": aside, self.name: f}


@pytest.mark.parametrize("name", [None, "score"])
def test_what_else_a_critic_returns_has_its_part_in_the_step(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = check_critic(Both(name), (3,), has_aux=name or True, seconds=True)
    assert (report.method, report.right, report.groups) == ("linear", True, ())
    assert report.flops.ratio(report.flops.auto) < report.flops.ratio(report.flops.twice)

    def cut(*args: object, **kwargs: object) -> tuple[object, ...]:
        f, g, _ = value_and_input_gradient(*args, **kwargs)
        return f, g, None

    monkeypatch.setattr(exactness, "value_and_input_gradient", cut)
    report = check_critic(Both(name), (3,), has_aux=name or True)
    assert not report.right
    assert report.errors.worst_weight.startswith("logits.")


@pytest.mark.parametrize("factor", [1 + 1e-6, 1.02])
def test_a_gradient_that_is_wrong_is_found(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: object, **kwargs: object) -> tuple[Tensor, Tensor]:
        f, g = value_and_input_gradient(*args, **kwargs)
        return f, factor * g

    monkeypatch.setattr(exactness, "value_and_input_gradient", wrong)
    report = check_critic(mlp(nn.ReLU()), (3,))
    assert not report.right
    assert report.errors is not None
    assert report.errors.input_gradients == pytest.approx(factor - 1, rel=1e-6)
    assert "THE GRADIENT IS NOT RIGHT" in str(report)
    assert "a fault of this package" in report.remedies[0]


def test_one_wrong_weight_gradient_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(critic: nn.Sequential, x: Tensor, **kwargs: object) -> tuple[Tensor, Tensor]:
        f, g = value_and_input_gradient(critic, x, **kwargs)
        return f + 1e-3 * (critic[0].bias - critic[0].bias.detach()).sum(), g  # the same value

    monkeypatch.setattr(exactness, "value_and_input_gradient", wrong)
    report = check_critic(mlp(nn.ReLU()), (3,))
    assert report.errors is not None
    assert report.errors.worst_weight == "0.bias"
    assert max(report.errors.values, report.errors.input_gradients, report.errors.through) < 1e-14
    assert not report.right


def test_what_is_not_finite_is_not_right() -> None:
    report = check_critic(Function(lambda h: (h - h).abs().sqrt()), (3,))
    assert not report.right
    assert "not finite" in report.remedies[0]
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["errors"]["input_gradients"] is None
    assert found["right"] is False


class Once(torch.autograd.Function):
    """x ↦ x, differentiable once."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 1

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad * 1


def test_a_step_that_cannot_be_taken_is_said_with_its_remedy() -> None:
    report = check_critic(Function(Once.apply), (3,))
    assert not report.right
    assert report.errors is None
    assert "once_differentiable" in (report.failure or "")
    assert "no second derivative" in report.remedies[0]
    assert "custom autograd.Function" in report.remedies[1]
    assert (report.flops.twice, report.flops.auto) == (None, None)
    assert "auto fails" in str(report)


def test_nothing_hides_behind_zeros() -> None:
    """With its last layer at zero, every gradient of the first is zero, right or wrong: the copy has none."""
    critic = mlp(nn.ReLU())
    nn.init.zeros_(critic[2].weight)
    assert check_critic(critic, (3,)).errors.weight_gradients > 0  # rounding, which zeros would not have
    assert not critic[2].weight.any()


def test_the_critic_and_the_random_generators_are_left_as_they_were() -> None:
    critic = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))
    critic[1].eval()
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    torch.manual_seed(5), random.seed(5)
    generators = torch.get_rng_state(), random.getstate()
    check_critic(critic, (3,), seconds=True)
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert random.getstate() == generators[1]
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert critic[0].weight.dtype == torch.float32
    assert all(p.grad is None for p in critic.parameters())
    assert [m.training for m in critic] == [True, False, True, True]


@pytest.mark.parametrize(
    ("critic", "arguments", "message"),
    [
        (mlp(), {"shape": (3,), "batch": 0}, "batch=0 must be an integer from 1 on"),
        (mlp(), {"shape": (3,), "labels": 0}, "labels=0 must be an integer from 1 on"),
        (mlp(), {"shape": (0, 3)}, r"shape=\(0, 3\) must be the positive whole numbers"),
        (mlp(), {"shape": (3,), "device": "abacus"}, "device='abacus' cannot be used here, take cpu"),
        (mlp(), {"shape": (4,)}, r"raised RuntimeError: .*, for x of shape \(8, 4\): is --shape right"),
        (mlp(), {"shape": (3,), "labels": 2}, "forward raised TypeError: .*: does it take labels"),
        (nn.Linear(3, 2), {"shape": (3,)}, r"one value per sample, \(8,\) or \(8, 1\); it gave \(8, 2\)"),
        (nn.LSTM(3, 1), {"shape": (2, 3)}, "must return one tensor, not tuple"),
        (Function(torch.detach), {"shape": (3,)}, "the critic's value does not depend on x"),
        (ZOO["CTGAN-like packing"].make(), {"shape": (6,)}, "judges packs of 4, .*--shape 4,6"),
        (5, {"shape": (3,)}, "critic=5 must be a critic"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(critic: nn.Module, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_critic(critic, **arguments)


def test_a_critic_that_draws_out_of_sight_is_refused() -> None:
    hidden = seeded()
    with pytest.raises(ValueError, match="two forwards of the critic from the same state differ"):
        check_critic(Function(lambda h: h + torch.randn(8, generator=hidden).to(h)), (3,))


def test_packs_are_samples_once_the_critic_gets_them_flat() -> None:
    class Packs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.critic = ZOO["CTGAN-like packing"].make(dropout=0.0)

        def forward(self, packs: Tensor) -> Tensor:
            return self.critic(packs.flatten(0, 1))

    report: Report = check_critic(Packs(), (4, 6))
    assert report.right
    assert report.groups == ()
