"""Training against a plain loop in float64, and what goes on around its steps."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gncompanion import data
from gncompanion.constraints.weight_clipping import WeightClipping
from gncompanion.training import COLUMNS, Schedule, Training
from tests.helpers.draws import seeded
from tests.helpers.trainings import RING, SHORT, players, weights


@pytest.fixture
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Normal:
    """Points (2,), N(3, 1) in each coordinate, in the default type."""

    name, shape, n_classes, digest = "normal", (2,), None, ""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return torch.randn(n, 2, generator=generator) + 3, None


def plain_loop(schedule: Schedule, generator: nn.Module, critic: nn.Module, seed: int) -> dict[str, Any]:
    """Training as a reader of the papers would write it down: GN, hinge, double backpropagation."""
    random, kept = seeded(seed), [p.detach().clone() for p in generator.parameters()]
    moments = {
        p: [torch.zeros_like(p), torch.zeros_like(p), 0]
        for net in (generator, critic)
        for p in net.parameters()
    }

    def score(x: Tensor) -> Tensor:
        x = x if x.requires_grad else x.clone().requires_grad_()
        f = critic(x)
        (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
        return f / (g.norm(dim=1) + f.abs())

    def adam(net: nn.Module, loss: Tensor, lr: float) -> None:
        for p, gradient in zip(net.parameters(), torch.autograd.grad(loss, net.parameters()), strict=True):
            (b1, b2), state = schedule.betas, moments[p]
            state[:] = [
                b1 * state[0] + (1 - b1) * gradient,
                b2 * state[1] + (1 - b2) * gradient**2,
                state[2] + 1,
            ]
            m, v = state[0] / (1 - b1 ** state[2]), state[1] / (1 - b2 ** state[2])
            p.data -= lr * m / (v.sqrt() + 1e-8)

    rows, values = [], []
    for step in range(schedule.steps):
        factor = 1 - step / schedule.steps if schedule.lr_decay == "linear" else 1
        of_critic = []
        for _ in range(schedule.n_dis):
            real = torch.randn(schedule.batch_critic, 2, generator=random) + 3
            fake = generator(torch.randn(schedule.batch_critic, 3, generator=random)).detach()
            r, q = score(real), score(fake)
            loss = relu(1 - r).mean() + relu(1 + q).mean()
            of_critic.append([loss.item(), r.mean().item(), q.mean().item()])
            adam(critic, loss, factor * schedule.lr_critic)
        loss = -score(generator(torch.randn(schedule.batch_generator, 3, generator=random))).mean()
        adam(generator, loss, factor * schedule.lr_generator)
        values.append([*torch.tensor(of_critic).mean(0).tolist(), loss.item()])
        for old, new in zip(kept, generator.parameters(), strict=True):
            decay = schedule.ema_decay if step >= schedule.ema_start else 0
            old.copy_(decay * old + (1 - decay) * new.detach())
        if (step + 1) % schedule.log_every == 0 or step + 1 == schedule.steps:
            rows.append([step + 1, *torch.tensor(values).mean(0).tolist()])
            values = []
    return {"average": torch.cat([p.flatten() for p in kept]), "rows": rows}


@pytest.mark.parametrize(
    "settings",
    [{}, {"n_dis": 3}, {"lr_decay": "linear"}, {"ema_start": 3, "ema_decay": 0.5}, {"betas": (0.5, 0.99)}],
    ids=str,
)
def test_training_is_the_plain_loop(settings: dict[str, Any], in_float64: None) -> None:
    schedule = Schedule(**{**SHORT, "ema_decay": 0.9, "log_every": 4, **settings})
    training = Training(players("gn"), Normal(), schedule, seed=5)
    plain = copy.deepcopy(training.players)
    training.run()
    expected = plain_loop(schedule, plain.generator, plain.critic, seed=5)
    # Six steps of float64's rounding, which Adam's division by √v can magnify; seen: 1e-14
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(weights(training.players.critic), weights(plain.critic), **close)
    torch.testing.assert_close(weights(training.players.generator), weights(plain.generator), **close)
    torch.testing.assert_close(weights(training.average), expected["average"], **close)
    rows = torch.tensor([list(row.values()) for row in training.log])
    # the log's values are float32
    torch.testing.assert_close(rows, torch.tensor(expected["rows"]), rtol=1e-6, atol=1e-6)
    assert [list(row) for row in training.log] == [["step", *COLUMNS]] * 2


@pytest.mark.parametrize("lr_decay", ["constant", "linear"])
def test_learning_rates_step_by_step(lr_decay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def noted(self: torch.optim.Adam, *arguments: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    Training(players(), RING, Schedule(**{**SHORT, "n_dis": 2, "lr_decay": lr_decay})).run()
    factors = [1 - k / 6 for k in range(6)] if lr_decay == "linear" else [1] * 6
    assert rates == pytest.approx([rate * k for k in factors for rate in (1e-2, 1e-2, 1e-3)])
    assert rates[-1] >= 1e-3 / 6 * 0.999  # the last step still learns


def test_batches_that_the_networks_see() -> None:
    seen = []
    training = Training(players(), RING, Schedule(**{**SHORT, "steps": 2, "n_dis": 3}))
    for name, module in (("G", training.players.generator), ("D", training.players.critic)):
        module.register_forward_pre_hook(lambda _, args, name=name: seen.append(f"{name}{len(args[0])}"))
    training.run()
    assert seen == [*["G8", "D16"] * 3, "G12", "D12"] * 2


@pytest.mark.parametrize("constraint", ["none", "gn", "gp", "sn"])
def test_bfloat16_runs_and_is_another_arithmetic(constraint: str) -> None:
    runs = {}
    for precision in ("float32", "bfloat16"):
        schedule = Schedule(**SHORT, precision=precision, log_every=1)
        runs[precision] = Training(players(constraint, shape=(1, 8, 8)), data.load("digits"), schedule)
        runs[precision].run()
    exact, rounded = runs.values()
    assert {parameter.dtype for parameter in rounded.players.critic.parameters()} == {torch.float32}
    assert not torch.equal(weights(rounded.players.critic), weights(exact.players.critic))
    # Of the first step's losses: bfloat16 has 8 bits, each value's error is 0.4 %, and some errors add up
    assert rounded.log[0]["critic_loss"] == pytest.approx(exact.log[0]["critic_loss"], rel=0.02)


def test_the_constraints_turn_comes_after_each_critic_step(monkeypatch: pytest.MonkeyPatch) -> None:
    net = players("clipping", c=0.03)
    events, step = [], torch.optim.Adam.step

    def stepped(self: torch.optim.Adam, *arguments: Any) -> Any:
        events.append("D" if self.param_groups[0]["params"][0] is next(net.critic.parameters()) else "G")
        return step(self, *arguments)

    def clipped(critic: nn.Module) -> None:
        WeightClipping.after_step(net.constraint, critic)
        events.append("clip")

    monkeypatch.setattr(torch.optim.Adam, "step", stepped)
    monkeypatch.setattr(net.constraint, "after_step", clipped)
    Training(net, RING, Schedule(**{**SHORT, "steps": 2, "n_dis": 2})).run()
    assert events == ["D", "clip", "D", "clip", "G"] * 2
    assert weights(net.critic).abs().max() == pytest.approx(0.03)


def test_modes_while_training() -> None:
    net = players(shape=(1, 8, 8))
    net.generator.eval()
    net.critic.eval()
    training = Training(net, data.load("digits"), Schedule(**SHORT))
    before = weights(net.generator)
    training.run()
    assert net.generator.training
    assert net.critic.training
    assert not torch.equal(weights(net.generator), before)


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    Training(players(), RING, Schedule(**SHORT)).run()
    Training(players(), RING, Schedule(**SHORT)).run(progress=False)
    assert capsys.readouterr() == ("", "")
    Training(players(), RING, Schedule(**SHORT)).run(progress=True)
    assert "0/6" in capsys.readouterr().err
