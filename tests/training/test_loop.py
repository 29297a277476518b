"""Training against a plain loop in float64, and what a step may and may not touch."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gncompanion import constraints, data
from gncompanion.constraints import Constraint
from gncompanion.constraints.weight_clipping import WeightClipping
from gncompanion.models import build
from gncompanion.training import (
    COLUMNS,
    LOSSES,
    Loss,
    Networks,
    NonFiniteLoss,
    Schedule,
    Training,
    checkpoint,
    generator_step,
)
from tests.helpers.draws import seeded

SHORT = {"steps": 6, "batch_critic": 8, "batch_generator": 12, "lr_critic": 1e-2, "lr_generator": 1e-3}
RING = data.load("ring")


def players(
    constraint: str = "none", loss: str | Loss = "hinge", *, shape: tuple[int, ...] = (2,), **options: Any
) -> Networks:
    rule = constraints.build(constraint, shape=shape, **options)
    sizes = {"width": 8, "depth": 2} if shape == (2,) else {"width": 2}
    generator, critic = build(
        "mlp" if shape == (2,) else "dcgan", shape, generator=seeded(), z_dim=3, **sizes
    )
    rule.prepare(critic)
    return Networks(generator, critic, rule, loss if isinstance(loss, Loss) else LOSSES[loss])


def weights(module: nn.Module) -> Tensor:
    return torch.cat([tensor.detach().double().flatten() for tensor in module.state_dict().values()])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Several only wait for each other in networks this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


@pytest.mark.parametrize(("decay", "start"), [(0.9999, 0), (0.5, 0), (0.0, 0), (0.9, 4)])
def test_the_average_is_that_of_a_slow_loop(
    decay: float, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(
        players(shape=(1, 8, 8)), data.load("digits"), Schedule(**SHORT, ema_decay=decay, ema_start=start)
    )
    slow = {name: value.double() for name, value in training.players.generator.state_dict().items()}
    parameters = dict(training.players.generator.named_parameters())
    iterate = Training._iterate

    def followed(self: Training) -> Tensor:
        values = iterate(self)
        for name, new in self.players.generator.state_dict().items():
            share = (
                1 - decay if name in parameters and self.step >= start else 1
            )  # of buffers there is no average
            slow[name] = slow[name] + share * (new.double() - slow[name])
        return values

    monkeypatch.setattr(Training, "_iterate", followed)
    training.run()
    for name, value in training.average.state_dict().items():
        # six roundings of float32 at 6e-8 each
        torch.testing.assert_close(value.double(), slow[name], rtol=6e-7, atol=1e-9)
    assert not torch.equal(weights(training.average), weights(training.players.generator)) or decay == 0
    assert not any(parameter.requires_grad for parameter in training.average.parameters())


def test_no_average() -> None:
    training = Training(players(), RING, Schedule(**SHORT, ema_decay=None))
    training.run()
    assert training.average is None
    assert training.state()["modules"].keys() == {"generator", "critic"}


def test_batches_that_the_networks_see() -> None:
    seen = []
    training = Training(players(), RING, Schedule(**{**SHORT, "steps": 2, "n_dis": 3}))
    for name, module in (("G", training.players.generator), ("D", training.players.critic)):
        module.register_forward_pre_hook(lambda _, args, name=name: seen.append(f"{name}{len(args[0])}"))
    training.run()
    assert seen == [*["G8", "D16"] * 3, "G12", "D12"] * 2


@pytest.mark.parametrize("constraint", ["none", "gn", "sn", "inner-product"])
@pytest.mark.parametrize("options", [{}, {"method": "autograd"}], ids=str)
def test_the_critic_is_frozen_in_the_generators_step(constraint: str, options: dict[str, str]) -> None:
    if options and constraint in ("none", "sn"):
        return
    net = players(constraint, **options)
    first = next(net.critic.parameters()).requires_grad_(False)  # as a user would who tunes the rest
    generator_step(net, 5, seeded()).backward()
    assert all(parameter.grad is None for parameter in net.critic.parameters())
    assert all(parameter.grad.any() for parameter in list(net.generator.parameters())[:-1])
    assert [p.requires_grad for p in net.critic.parameters()] == [
        p is not first for p in net.critic.parameters()
    ]


def test_the_critic_is_free_again_when_the_step_raises() -> None:
    def fail(fake: Tensor) -> Tensor:
        assert not any(parameter.requires_grad for parameter in net.critic.parameters())
        raise KeyError

    net = players(loss=Loss(critic=LOSSES["hinge"].critic, generator=fail))
    with pytest.raises(KeyError):
        generator_step(net, 5, seeded())
    assert all(parameter.requires_grad for parameter in net.critic.parameters())


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


class Breaking:
    """The hinge loss, whose nth value is NaN."""

    def __init__(self, side: str, nth: int, *, value: float = float("nan")) -> None:
        self.calls, self.nth, self.value = 0, nth, value
        parts = {name: getattr(LOSSES["hinge"], name) for name in ("critic", "generator")}
        self.loss = Loss(**{**parts, side: lambda *scores: self.broken(parts[side](*scores))})

    def broken(self, loss: Tensor) -> Tensor:
        self.calls += 1
        return loss * self.value if self.calls == self.nth else loss


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("side", "n_dis", "nth", "step", "saved"),
    [
        ("critic", 1, 1, 1, None),
        ("critic", 1, 5, 5, None),
        ("critic", 1, 7, 7, 6),
        ("critic", 3, 22, 8, 6),  # the first of the eighth step's three
        ("critic", 3, 24, 8, 6),  # the last of them
        ("generator", 2, 6, 6, None),  # the step of the checkpoint itself
        ("generator", 1, 12, 12, 6),
        ("generator", 1, 14, 14, 12),  # the last step of all
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(
    side: str, n_dis: int, nth: int, step: int, saved: int | None, value: float, tmp_path: Path
) -> None:
    schedule = Schedule(**{**SHORT, "steps": 14, "n_dis": n_dis, "log_every": 4, "checkpoint_every": 6})
    net = players(loss=Breaking(side, nth, value=value).loss)
    training = Training(net, RING, schedule, folder=tmp_path)
    with pytest.raises(NonFiniteLoss) as caught:
        training.run()
    message = str(caught.value)
    assert message.startswith(f"step {step} of 14: a loss is not finite (critic_loss ")
    assert message.endswith("Lower the learning rate.")
    values = dict(part.split(" ") for part in message.split("(")[1].split(")")[0].split(", "))
    assert list(values) == list(COLUMNS)
    assert not math.isfinite(float(values[f"{side}_loss"]))
    last = checkpoint.newest(tmp_path)
    if saved is None:
        assert "; there is no checkpoint yet. " in message
        assert last is None
    else:
        assert f"; the last good checkpoint is {tmp_path / f'step-{saved:06d}-'}" in message
        assert last["step"] == saved
        assert all(
            weight.isfinite().all() for module in last["modules"].values() for weight in module.values()
        )
        training.load(last)  # and from there it goes on, the bad values forgotten
        training.run()
        assert training.step == 14


def test_no_folder_no_checkpoint() -> None:
    with pytest.raises(NonFiniteLoss, match=r"^step 2 of 6: .*; there is no checkpoint yet\. "):
        Training(players(loss=Breaking("critic", 2).loss), RING, Schedule(**SHORT)).run()


def test_a_finite_loss_with_a_gradient_that_is_not(tmp_path: Path) -> None:
    def edge(fake: Tensor) -> Tensor:
        calls.append(1)
        loss = -fake.mean()
        return loss + (0 * loss).sqrt() if len(calls) == 6 else loss  # √0 = 0, with slope ∞

    calls: list[int] = []
    net = players(loss=Loss(critic=LOSSES["hinge"].critic, generator=edge))
    training = Training(net, RING, Schedule(**SHORT, checkpoint_every=5), folder=tmp_path)
    message = r"^step 6 of 6: a weight of the generator is nan; the last good .* is .*step-000005-"
    with pytest.raises(NonFiniteLoss, match=message):
        training.run()
    assert checkpoint.newest(tmp_path)["step"] == 5


@pytest.mark.parametrize("steps_a_checkpoint", [1, 4])
def test_a_learning_rate_too_high_is_found_out(steps_a_checkpoint: int, tmp_path: Path) -> None:
    settings = {**SHORT, "steps": 40, "lr_critic": 1e20, "checkpoint_every": steps_a_checkpoint}
    net = players("none", "wasserstein")
    with pytest.raises(NonFiniteLoss, match=r"^step \d+ of 40: "):
        Training(net, RING, Schedule(**settings), folder=tmp_path).run()
    good = checkpoint.newest(tmp_path)
    assert good is None or all(torch.isfinite(w).all() for m in good["modules"].values() for w in m.values())


def test_rows_of_the_log(tmp_path: Path) -> None:
    schedule = Schedule(**{**SHORT, "steps": 11, "log_every": 4, "checkpoint_every": 6})
    training = Training(players(), RING, schedule, folder=tmp_path)
    training.run()
    assert [row["step"] for row in training.log] == [4, 6, 8, 11]


MUCH = {"n_dis": 2, "lr_decay": "linear", "ema_start": 5}
CASES = [(constraint, MUCH) for constraint in ("none", "clipping", "gp", "sn", "sn-operator", "gn", "gn+cr")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constraint", "settings"), [*CASES, ("gn", {}), ("gn", {"ema_decay": None})], ids=str
)
def test_a_checkpoint_holds_everything(constraint: str, settings: dict[str, Any], tmp_path: Path) -> None:
    schedule = Schedule(
        **{**SHORT, "steps": 7, "checkpoint_every": 4, "log_every": 3, "ema_decay": 0.9, **settings}
    )
    digits = data.load("digits")

    def start(seed: int) -> Training:
        return Training(players(constraint, shape=(1, 8, 8)), digits, schedule, seed, tmp_path)

    whole = start(1)
    whole.run()
    last, middle = checkpoint.ordered(tmp_path)
    last.unlink()
    state = checkpoint.newest(tmp_path)
    assert state["step"] == 4
    part = start(2)  # so that what is not restored is another's
    for parameter in [*part.players.critic.parameters(), *part.players.generator.parameters()]:
        parameter.data.mul_(1.5)
    part.load(state)
    part.run()
    if whole.average:
        assert torch.equal(weights(part.average), weights(whole.average))
    expected, found = whole.state(), part.state()
    del expected["global_random"], found["global_random"]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)  # bit for bit, all the way down
    assert checkpoint.newest(tmp_path)["step"] == 7
    assert middle.exists()


def test_global_states_are_loaded(tmp_path: Path) -> None:
    """As a critic with dropout would need it, which draws from torch's global generator."""

    class Forgetful(Constraint):
        def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
            return nn.functional.dropout(critic(x), 0.5)

    def start() -> Training:
        net = players()
        rule = Networks(net.generator, net.critic, Forgetful(), net.loss)
        return Training(rule, RING, Schedule(**SHORT, checkpoint_every=4), folder=tmp_path)

    with checkpoint.kept_random_states():
        whole = start()
        whole.run()
        checkpoint.ordered(tmp_path)[0].unlink()
        part = start()
        part.load(checkpoint.newest(tmp_path))
        part.run()
    assert torch.equal(weights(part.players.critic), weights(whole.players.critic))


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    Training(players(), RING, Schedule(**SHORT)).run()
    Training(players(), RING, Schedule(**SHORT)).run(progress=False)
    assert capsys.readouterr() == ("", "")
    Training(players(), RING, Schedule(**SHORT)).run(progress=True)
    assert "0/6" in capsys.readouterr().err
