"""Conditional training from end to end: the labels' way to both players, and a run that is interrupted."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from gncompanion.experiment import Experiment, Stopped
from gncompanion.input_gradient import Unsupported
from gncompanion.models import BigGANCritic, BigGANGenerator, build
from gncompanion.notebook.parameters import declared_parameters
from gncompanion.papers import rows
from gncompanion.papers.scoring import EvaluationProtocol, judge
from gncompanion.tools import paths
from gncompanion.training import LOSSES, Networks, Training, Watch, checkpoint, critic_step, generator_step
from tests.helpers.draws import seeded

SCHEDULE = {"steps": 6, "n_dis": 2, "batch_critic": 12, "batch_generator": 12, "log_every": 2}
NETWORK = {"n_classes": 10, "width": 2, "z_dim": 4}
DIGITS = Experiment(
    network="biggan",
    network_options=NETWORK,
    schedule={**SCHEDULE, "ema_decay": 0.9, "checkpoint_every": 2},
    device="cpu",
)


def with_options(experiment: Experiment = DIGITS, **options: Any) -> Experiment:
    return replace(experiment, network_options={**experiment.network_options, **options})


def embeddings(module: nn.Module) -> dict[str, nn.Embedding]:
    return {name: part for name, part in module.named_modules() if isinstance(part, nn.Embedding)}


def in_double(experiment: Experiment) -> Networks:
    players = experiment.players()
    players.generator.double()
    players.critic.double()
    return players


class Spy(nn.Module):
    """Takes note of the labels that reach a network."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.seen = module, []
        self.n_classes, self.z_dim = module.n_classes, getattr(module, "z_dim", None)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.seen.append(y)
        return self.module(x, y)


class TestLabels:
    def test_a_critics_step_gives_both_kinds_the_real_ones(self) -> None:
        players = DIGITS.players()
        spied = replace(players, generator=Spy(players.generator), critic=Spy(players.critic))
        real, y = torch.zeros(12, 1, 8, 8), torch.arange(12) % 10
        critic_step(spied, real, seeded(), y)
        assert torch.equal(spied.generator.seen[0], y)
        assert torch.equal(spied.critic.seen[0], torch.cat([y, y]))

    def test_a_generators_step_draws_all_classes(self) -> None:
        players = DIGITS.players()
        spied = replace(players, generator=Spy(players.generator), critic=Spy(players.critic))
        generator_step(spied, 1000, seeded())
        (y,) = spied.generator.seen
        assert torch.equal(y, spied.critic.seen[0])
        counts = y.bincount(minlength=10)
        assert len(counts) == 10
        assert (counts - 100).abs().max() < 60  # six standard deviations, √(1000 · 0.1 · 0.9) = 9.5

    def test_the_gradient_reaches_the_rows_of_the_classes_seen(self) -> None:
        players = DIGITS.players()
        real, _ = DIGITS._data.sample(12, seeded())
        y = torch.arange(12) % 4
        critic_step(players, real, seeded(), y)[0].backward()
        rows_of = players.critic.embed.weight.grad.abs().sum(dim=1)
        assert (rows_of > 0).tolist() == [True] * 4 + [False] * 6

    def test_the_gradient_reaches_every_gain_and_bias_of_the_generator(self) -> None:
        players = DIGITS.players()
        generator_step(players, 64, seeded()).backward()
        tables = embeddings(players.generator)
        assert len(tables) == 8  # gain and bias, of two normalizations in each of two blocks
        for name, table in tables.items():
            assert (table.weight.grad.abs().sum(dim=1) > 0).all(), name

    def test_a_critic_blind_to_them_trains_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seeing = DIGITS.run()
        forward = BigGANCritic.forward
        monkeypatch.setattr(BigGANCritic, "forward", lambda self, x, y=None: forward(self, x, 0 * y))
        blind = DIGITS.run(DIGITS.folder() / "blind")
        assert seeing.history["critic_loss"] != blind.history["critic_loss"]
        assert (seeing.sample(4) - blind.sample(4)).abs().max() > 1e-3

    def test_a_finished_run_scores_and_samples_by_class(self) -> None:
        run, x = DIGITS.run(), torch.zeros(4, 1, 8, 8)
        scores = run.score(x, torch.tensor([3, 1, 3, 2]))
        assert scores[0] == scores[2] != scores[1]
        assert scores.abs().max() <= 1
        y = torch.arange(10)
        one = run.sample(10, y=y)
        assert torch.equal(one, run.sample(10, y=y))
        assert (one[1:] - run.sample(10, y=y.roll(1))[1:]).abs().max() > 1e-3
        for averaged in (False, True):
            assert run.sample(3, average=averaged, training_mode=True).shape == (3, 1, 8, 8)
        with pytest.raises(ValueError, match="this critic is conditional"):
            run.score(x)

    @pytest.mark.slow
    def test_a_finished_run_can_be_judged(self) -> None:
        found = judge(
            DIGITS.run(), EvaluationProtocol(metrics="classifier", n_samples=100, references={"digits": {}})
        )
        assert found
        assert all(map(math.isfinite, found.values()))


class TestUnconditional:
    def test_labels_change_nothing(self) -> None:
        blind = with_options(n_classes=None)
        G, D = BigGANGenerator(None, 8, channels=1, width=2), BigGANCritic(None, 8, channels=1, width=2)
        z, y = torch.randn(4, G.z_dim, generator=seeded()), torch.arange(4)
        G.eval()
        assert torch.equal(G(z), G(z, y))
        assert torch.equal(D(G(z)), D(G(z), y))
        assert blind.players().n_classes is None
        run = blind.run()
        assert torch.equal(run.sample(4, y=y), run.sample(4))

    def test_it_is_the_conditional_one_with_a_single_class(self) -> None:
        (G, D), (G1, D1) = (
            build("biggan", (1, 8, 8), generator=seeded(), n_classes=n, width=2) for n in (None, 1)
        )
        z, y = torch.randn(4, G.z_dim, generator=seeded()), torch.zeros(4, dtype=torch.int64)
        assert torch.equal(D(G.eval()(z)), D1(G1.eval()(z, y), y))


class TestPrimitive:
    @staticmethod
    def gradients(method: str) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The loss, and both steps' gradients, in float64."""
        players = in_double(replace(DIGITS, constraint_options={"method": method}))
        y = torch.arange(12) % 10
        real = torch.rand(12, 1, 8, 8, generator=seeded(), dtype=torch.float64) * 2 - 1
        return step_gradients(players, real, y)

    def test_both_steps_on_the_projection_critic_equal_autograds(self) -> None:
        (loss, *fast), (expected, *slow) = (self.gradients(method) for method in ("linear", "autograd"))
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)  # float64, some hundred operations
        for players_fast, players_slow in zip(fast, slow, strict=True):
            assert players_fast
            for a, b in zip(players_fast, players_slow, strict=True):
                assert (a - b).abs().max() <= 1e-11 * b.abs().max() + 1e-14

    def test_it_trains_by_name(self) -> None:
        run = replace(DIGITS, constraint_options={"method": "linear"}).run()
        other = replace(DIGITS, constraint_options={"method": "autograd"}).run()
        # the same gradients up to float32's rounding, which six steps of Adam keep small
        torch.testing.assert_close(run.sample(4), other.sample(4), rtol=0, atol=1e-2)


def step_gradients(players: Networks, real: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    z = torch.randn(12, 4, generator=seeded(1), dtype=torch.float64)
    with torch.no_grad():
        fake = players.generator(z, y)
    scores = players.score(torch.cat([real, fake]), torch.cat([y, y])).split(12)
    loss = LOSSES["hinge"].critic(*scores)
    of_critic = torch.autograd.grad(loss, list(players.critic.parameters()))
    generated = LOSSES["hinge"].generator(players.score(players.generator(z, y), y))
    return loss, list(of_critic), list(torch.autograd.grad(generated, list(players.generator.parameters())))


class TestAttention:
    OPTIONS = {"width": 4, "attention": True}  # noqa: RUF012

    def test_auto_falls_back(self) -> None:
        auto = with_options(**self.OPTIONS).run()
        slow = replace(with_options(**self.OPTIONS), constraint_options={"method": "autograd"}).run()
        assert torch.equal(auto.sample(4), slow.sample(4))
        gammas = [p for name, p in auto.critic.named_parameters() if name.endswith("gamma")]
        assert len(gammas) == 1
        assert gammas[0] != 0  # it learned

    def test_linear_is_refused_by_name_before_any_work(self) -> None:
        experiment = replace(with_options(**self.OPTIONS), constraint_options={"method": "linear"})
        for refused in (experiment.validate, experiment.run):
            with pytest.raises(Unsupported, match=r"SelfAttention 'features\.1'"):
                refused()
        assert not experiment.folder().exists()


class StopAfter(Watch):
    """Stops a training after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def stopping(self) -> bool:
        self.left -= 1
        return self.left == 0


class Killed(BaseException):
    """What no handler of the training's expects."""


def die_at(step: int) -> Callable[[Any], Tensor]:
    iterate = Training._iterate

    def dying(self: Any) -> Tensor:
        if self.step == step:
            raise Killed
        return iterate(self)

    return dying


@pytest.mark.slow
@pytest.mark.parametrize("constraint", ["gn", "gn+cr"])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_an_interrupted_run_ends_as_one_left_alone(
    constraint: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = replace(DIGITS, constraint=constraint)
    experiment.run(tmp_path / "alone")
    if how == "stopped":
        with pytest.raises(Stopped):
            experiment.run(tmp_path / "other", watch=StopAfter(3))
    else:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Training, "_iterate", die_at(5))
            experiment.run(tmp_path / "other")
    assert not experiment.is_finished(tmp_path / "other")
    experiment.run(tmp_path / "other")
    states = [checkpoint.newest(tmp_path / name) for name in ("alone", "other")]
    for state in states:
        assert state["step"] == 6
        del state["global_random"]  # of the process, which no part of the package draws from
    torch.testing.assert_close(*states, rtol=0, atol=0)
    logs = [(tmp_path / name / "log.csv").read_bytes() for name in ("alone", "other")]
    assert how == "stopped" or logs[0] == logs[1]


@pytest.mark.parametrize(
    ("dataset", "network", "options", "message"),
    [
        ("digits", "biggan", {"n_classes": 9}, "n_classes=9, but 'digits' has 10 labels"),
        ("digits", "biggan", {"n_classes": 11}, "n_classes=11, but 'digits' has 10 labels"),
        ("digits", "biggan", {}, "network 'biggan' needs a value for n_classes"),
    ],
)
def test_classes_that_the_data_does_not_have_are_refused(
    dataset: str, network: str, options: dict, message: str
) -> None:
    experiment = Experiment(dataset=dataset, network=network, network_options=options, device="cpu")
    for refused in (experiment.validate, experiment.run):
        with pytest.raises(ValueError, match=re.escape(message)):
            refused()


FILES = sorted((paths.notebooks() / "full").glob("12_*.yml"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_papers_row_is_one_for_the_command_line_and_for_the_notebook(file: Path) -> None:
    row = rows.read(file)
    s, known = row.schedule, declared_parameters(paths.notebooks() / "12_conditional_and_attention.ipynb")
    assert yaml.safe_load(file.read_text(encoding="utf-8")).keys() <= known.keys()
    # Wu et al. 2021, official configuration GN-GAN_CIFAR10_BIGGAN
    assert (s.steps, s.n_dis, s.batch_critic, s.batch_generator) == (125_000, 4, 50, 50)
    assert (s.lr_critic, s.lr_generator, s.betas, s.lr_decay) == (2e-4, 1e-4, (0.0, 0.999), "constant")
    assert (s.ema_decay, s.ema_start) == (0.9999, 999)  # theirs: 1000, counted from 0
    n_classes = None if file.stem.endswith("no-labels") else 10
    assert (row.dataset, row.network, row.network_options["n_classes"]) == ("cifar10", "biggan", n_classes)
    assert {method["loss"] for method in row.methods.values()} == {"hinge"}


def test_there_are_rows() -> None:
    rows_of_the_paper = {"12_cifar10_biggan_gn", "12_cifar10_biggan_gn-cr"}
    twins = {f"{row}_twin-{kind}" for row in rows_of_the_paper for kind in ("attention", "no-labels")}
    assert {file.stem for file in FILES} == rows_of_the_paper | twins
