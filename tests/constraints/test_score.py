"""A score that remembers the batch it has scored: what is paid once and what is not, and the gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from gncompanion import constraints
from gncompanion.constraints import Constraint, Score, build
from gncompanion.cost import flops
from gncompanion.models import DCGANCritic
from gncompanion.training import LOSSES, Networks, critic_step
from tests.helpers.critics_by_hand import EXACT, NETWORKS, gradients
from tests.helpers.double_backpropagation import largest_error
from tests.helpers.draws import normal, seeded

N = 6
AT_THE_BATCH = [
    *((name, {"at": at}) for name in ("gp", "gp-one-sided", "wgan-div") for at in ("real", "fake", "both")),
    *(("r1", {}), ("r2", {}), ("r1+r2", {"r1": {"gamma": 3.0}}), ("cr+r1", {}), ("gn+r1", {})),
    ("gp", {"at": "both", "method": "autograd"}),
]
ELSEWHERE = [("gp", {}), ("gp", {"at": "within"}), ("wgan-div", {"at": "pooled"}), ("gp-difference", {})]


class Counting(nn.Module):
    """A critic that counts its calls."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic, self.calls = critic, 0

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.calls += 1
        f: Tensor = self.critic(x)
        return f if y is None else f * y


def batch(name: str = "conv") -> tuple[Counting, Tensor, Tensor]:
    make, shape = NETWORKS[name]
    return Counting(make()), normal(N, *shape, seed=1), normal(N, *shape, seed=2)


def in_two_passes(
    rule: Constraint, critic: nn.Module, real: Tensor, fake: Tensor, y: Tensor | None
) -> Tensor:
    """The critic's loss as it is defined: a score of both, and a penalty that knows nothing of it."""
    score = Score(rule, critic)
    labels = None if y is None else torch.cat([y, y])
    loss = LOSSES["non_saturating"].critic(*score(torch.cat([real, fake]), labels).split(N))
    return loss + rule.penalty(score, real, fake, y=y, generator=seeded(5))


def in_one_pass(rule: Constraint, critic: nn.Module, real: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
    score_real, score_fake, score = Score(rule, critic).both(real, fake, y)
    loss = LOSSES["non_saturating"].critic(score_real, score_fake)
    return loss + rule.penalty(score, real, fake, y=y, generator=seeded(5))


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize(("name", "options"), [*AT_THE_BATCH, ("cr", {}), ("gn+cr", {})], ids=str)
def test_one_pass_is_two_passes(name: str, options: dict[str, Any], labels: bool) -> None:
    critic, real, fake = batch()
    rule, y = build(name, **options), torch.linspace(1, 2, N).double() if labels else None
    expected = in_two_passes(rule, critic, real, fake, y)
    oracle, paid = gradients(expected, critic), critic.calls
    critic.calls = 0
    found = in_one_pass(rule, critic, real, fake, y)
    assert critic.calls == paid - (2 if name in ("r1+r2", "cr+r1") else 1)
    torch.testing.assert_close(found, expected, **EXACT)
    # 1e-12: a few thousand roundings of 2e-16 each
    assert largest_error(dict(enumerate(gradients(found, critic))), dict(enumerate(oracle))) <= 1e-12


@pytest.mark.parametrize(("name", "options"), [*ELSEWHERE, ("none", {}), ("gn", {})], ids=str)
def test_what_asks_elsewhere_stays_bit_for_bit(name: str, options: dict[str, Any]) -> None:
    critic, real, fake = batch()
    rule = build(name, **options)
    found, expected = (way(rule, critic, real, fake, None) for way in (in_one_pass, in_two_passes))
    assert torch.equal(found, expected)
    for grad, other in zip(gradients(found, critic), gradients(expected, critic), strict=True):
        assert torch.equal(grad, other)


def change_samples(critic: Counting, real: Tensor, fake: Tensor) -> None:
    fake.add_(1)


def change_weights(critic: Counting, real: Tensor, fake: Tensor) -> None:
    with torch.no_grad():
        next(critic.parameters()).mul_(2)


def replace_a_weight(critic: Counting, real: Tensor, fake: Tensor) -> None:
    layer = next(module for module in critic.modules() if isinstance(module, nn.Conv2d))
    layer.weight = nn.Parameter(2 * layer.weight.detach())


@pytest.mark.parametrize("change", [change_samples, change_weights, replace_a_weight])
def test_what_has_changed_is_not_remembered(change: Callable[[Counting, Tensor, Tensor], None]) -> None:
    critic, real, fake = batch()
    rule = build("gp", at="both")
    *_, score = Score(rule, critic).both(real, fake)
    before = rule.penalty(score, real, fake, generator=seeded())
    assert critic.calls == 1
    change(critic, real, fake)
    after = rule.penalty(score, real, fake, generator=seeded())
    assert critic.calls == 2
    assert after == rule.penalty(Score(rule, critic), real, fake, generator=seeded()) != before


def test_other_samples_labels_and_methods_are_not_remembered() -> None:
    critic, real, fake = batch()
    rule, y = build("r1"), torch.linspace(1, 2, N).double()
    *_, score = Score(rule, critic).both(real, fake, y)
    assert score.remembered("real", real, fake, y=y, method="auto") is not None
    for wrong in (
        {"at": "real-fake"},
        {"real": real.clone()},
        {"fake": real},
        {"y": y.clone()},
        {"y": None},
        {"method": "autograd"},
    ):
        asked = {"at": "real", "real": real, "fake": fake, "y": y, "method": "auto"} | wrong
        assert score.remembered(**asked) is None
    assert Score(rule, critic).remembered("real", real, fake, y=None, method="auto") is None


def test_samples_of_inference_mode_are_scored_again() -> None:
    """Their changes are not counted, so that nobody could tell."""
    critic, _, fake = batch()
    with torch.inference_mode():
        real = normal(N, *fake.shape[1:], seed=1)
    rule = build("r1")
    *_, score = Score(rule, critic).both(real, fake)
    assert score.remembered("real", real, fake, y=None, method="auto") is None
    found = rule.penalty(score, real, fake, generator=seeded())
    assert torch.equal(found, rule.penalty(Score(rule, critic), real.clone(), fake, generator=seeded()))


def test_parts_that_ask_by_different_methods() -> None:
    critic, real, fake = batch()
    rule = build("r1+r2", r2={"method": "autograd"})
    expected = gradients(in_two_passes(rule, critic, real, fake, None), critic)
    found = gradients(in_one_pass(rule, critic, real, fake, None), critic)
    assert largest_error(dict(enumerate(found)), dict(enumerate(expected))) <= 1e-12


class Still(nn.Module):
    """A generator that costs nothing."""

    z_dim = 1

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, z: Tensor) -> Tensor:
        return self.samples


@pytest.mark.parametrize(
    ("name", "options", "method", "allowed"),
    [
        ("r1+r2", {}, "linear", 1.35),  # 2.34 in two passes
        ("r1", {}, "linear", 1.35),
        ("gp", {"at": "both", "target": 0.0}, "linear", 1.35),
        ("r1", {}, "autograd", 2.03),  # what double backpropagation costs
    ],
)
def test_the_packages_own_step_pays_once(
    name: str, options: dict[str, Any], method: str, allowed: float
) -> None:
    parts = name.split("+")
    given = {part: {"method": method} for part in parts} if len(parts) > 1 else {"method": method, **options}
    with FakeTensorMode():
        critic, real, fake = DCGANCritic(32, 3, width=16), *torch.randn(2, 2, 3, 32, 32)
        found = {}
        for rule in (build("none"), constraints.build(name, **given)):
            net = Networks(Still(fake), critic, rule, LOSSES["hinge"])
            found[rule] = flops(lambda net=net: critic_step(net, real, torch.Generator())[0].backward())
    plain, penalised = found.values()
    assert allowed - 0.03 < penalised / plain <= allowed
