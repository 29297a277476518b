"""Every constraint: its closed form on a linear critic, a step with it, composites, names and refusals."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import CONSTRAINTS, Composite, Constraint, GradientNorm, Score, build
from gncompanion.constraints.consistency import ConsistencyRegularization, flip_and_translate
from gncompanion.constraints.gradient_norm import GradientNormalization
from gncompanion.constraints.gradient_penalty import FiniteDifferencePenalty, GradientPenalty
from gncompanion.constraints.inner_product import InnerProduct
from gncompanion.constraints.wasserstein_divergence import WassersteinDivergence
from gncompanion.constraints.weight_clipping import WeightClipping
from gncompanion.models import DCGANCritic
from gncompanion.training import LOSSES
from tests.helpers.constraints_by_hand import ROWS, SCORING
from tests.helpers.critics_by_hand import EXACT, FAKE, REAL, SHAPE, B, LinearCritic, N, W, conv, mlp, plain
from tests.helpers.draws import normal, seeded


def test_the_table_has_every_constraint() -> None:
    assert ROWS.keys() == CONSTRAINTS.keys()


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_on_a_linear_critic(name: str) -> None:
    row, critic = ROWS[name], LinearCritic(W, B)
    constraint = build(name, shape=SHAPE, **row.options)
    f = critic(REAL)
    constraint.prepare(critic)
    score = Score(constraint, critic)
    torch.testing.assert_close(score(REAL), row.score(f), **EXACT)
    found = torch.as_tensor(constraint.penalty(score, REAL, FAKE, generator=seeded(5)), dtype=torch.float64)
    expected = row.penalty(REAL, FAKE, flip_and_translate(REAL, 0.2, seeded(5)))
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_steps_a_small_critic(name: str) -> None:
    critic = DCGANCritic(8, 1, width=4, generator=seeded())
    real, fake = normal(N, *SHAPE, seed=3).float(), normal(N, *SHAPE, seed=4).float()
    before = torch.get_rng_state()
    constraint = build(name, shape=SHAPE, **ROWS[name].options)
    constraint.prepare(critic)
    score = Score(constraint, critic)
    scores = score(torch.cat([real, fake]))
    loss = LOSSES["hinge"].critic(*scores.split(N)) + constraint.penalty(
        score, real, fake, generator=seeded()
    )
    loss.backward()
    assert scores.shape == (2 * N,)
    assert loss.shape == ()
    assert scores.isfinite().all()
    assert loss.isfinite()
    grads = [parameter.grad for parameter in critic.parameters() if parameter.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)
    assert any(grad.any() for grad in grads)
    torch.optim.SGD(critic.parameters(), lr=0.1).step()
    constraint.after_step(critic)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SCORING)
def test_scores_pass_labels_on(name: str) -> None:
    y, seen = torch.arange(N), []

    def critic(x: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        return LinearCritic(W, B)(x)

    build(name, **ROWS[name].options).score(critic, REAL, y)
    Composite(Constraint(), build(name, **ROWS[name].options)).score(critic, REAL, y)
    assert len(seen) == 2
    assert all(labels is y for labels in seen)


# Hooks, composition, names


def test_no_constraint_does_nothing() -> None:
    critic, constraint = conv(), Constraint()
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    constraint.prepare(critic)
    constraint.after_step(critic)
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert torch.equal(constraint.score(critic, REAL), critic(REAL))
    assert constraint.penalty(plain(critic), REAL, FAKE, generator=seeded()) == 0
    linear, y = LinearCritic(W, B), torch.arange(N)
    assert torch.equal(constraint.score(linear, REAL, y), linear(REAL, y))


def test_a_composite_runs_all_hooks_in_order() -> None:
    calls = []

    class Part(Constraint):
        def __init__(self, name: str) -> None:
            self.name = name

        def prepare(self, critic: nn.Module) -> None:
            calls.append(f"prepare {self.name}")

        def penalty(self, *args: Any, y: Tensor, **kwargs: Any) -> float:
            calls.append(f"penalty {self.name} with {y}")
            return {"a": 1.0, "b": 2.0}[self.name]

        def after_step(self, critic: nn.Module) -> None:
            calls.append(f"after {self.name}")

    composite, critic = Composite(Part("a"), InnerProduct(), Part("b")), mlp()
    x = normal(N, 3, seed=0)
    composite.prepare(critic)
    assert composite.penalty(plain(critic), x, x, y="labels", generator=seeded()) == 3
    composite.after_step(critic)
    hooks = ("prepare {}", "penalty {} with labels", "after {}")
    assert calls == [hook.format(name) for hook in hooks for name in ("a", "b")]
    assert torch.equal(composite.score(critic, x), InnerProduct().score(critic, x))
    assert torch.equal(Composite(Part("a"), Part("b")).score(critic, x), critic(x))


def test_gn_and_cr_compare_normalized_scores() -> None:
    critic, constraint = conv(), build("gn+cr", cr={"weight": 3.0})
    score = Score(build("gn"), critic)
    torch.testing.assert_close(constraint.score(critic, REAL), score(REAL), **EXACT)
    found = constraint.penalty(Score(constraint, critic), REAL, FAKE, generator=seeded(5))
    difference = score(REAL) - score(flip_and_translate(REAL, 0.2, seeded(5)))
    torch.testing.assert_close(found, 3 * difference.square().mean(), **EXACT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build("gnn"), r"unknown constraint 'gnn', did you mean 'gn'\? \(valid: none, clipping, "),
        (lambda: build(None), "unknown constraint None"),
        (lambda: build("gn+gpp"), "unknown constraint 'gpp', did you mean 'gp'"),
        (lambda: build("gn+"), "unknown constraint ''"),
        (lambda: build("gn+inner-product"), "GradientNormalization and InnerProduct each define"),
        (lambda: build("gp", wieght=1.0), "'gp' has no option 'wieght', did you mean 'weight'"),
        (lambda: build("none", weight=1.0), "'none' has no option 'weight'"),
        (lambda: build("gn", formula="gran"), "'gn' has no option 'formula'"),
        (lambda: build("gn+cr", weight=1.0), r"it has no part 'weight' \(valid: gn, cr\)"),
        (lambda: build("gn+cr", cr=1.0), "the options of 'cr' must be a mapping, not 1.0"),
        (lambda: build("gn+cr", cr={"share": 1.0}), "share=1.0 must be a number from 0 to below 1"),
        (lambda: build("gn", eps=0.1), r"eps is no constant of 'gn'.*\(valid: gran, gran-eps\)"),
        (lambda: build("gran"), "'gran' needs eps, such as 1e-2"),
        (lambda: build("gran-eps", K=2.0), "'gran-eps' needs eps"),
        (lambda: build("gran", eps=0.0), "eps=0.0 must be a positive, finite number"),
        (lambda: build("gran", eps=0.1, K=-1.0), "K=-1.0 must be a positive, finite number"),
        (lambda: build("gran", eps=0.1, K=math.nan), "K=nan must be a positive, finite number"),
        (lambda: GradientNormalization("gm"), "unknown formula 'gm' "),
        (lambda: GradientNorm(mlp(), "gm"), "unknown formula 'gm'"),
        (lambda: build("gn", method="fast"), r"unknown method 'fast'.* \(valid: auto, linear, autograd\)"),
        (lambda: InnerProduct(method="fast"), "unknown method 'fast'"),
        (lambda: GradientPenalty(method="fast"), "unknown method 'fast'"),
        (lambda: WassersteinDivergence(method="fast"), "unknown method 'fast'"),
        (lambda: GradientPenalty(at="reel"), r"unknown sampling of r\(x\) 'reel', did you mean 'real'"),
        (lambda: WassersteinDivergence(at="reel"), "did you mean 'real'"),
        (lambda: GradientPenalty(-1.0), "weight=-1.0 must be a finite number from 0 on"),
        (lambda: GradientPenalty(math.nan), "weight=nan"),
        (lambda: GradientPenalty(target=-1.0), "target=-1.0"),
        (lambda: FiniteDifferencePenalty(-1.0), "weight=-1.0"),
        (lambda: WassersteinDivergence(0.0), "k=0.0 must be a positive, finite number, such as 2.0"),
        (lambda: WassersteinDivergence(-1.0), "k=-1.0"),
        (lambda: WassersteinDivergence(p=1.0), "p=1.0 must be a finite number above 1, such as 6.0"),
        (lambda: WeightClipping(0.0), "c=0.0 must be a positive, finite number, such as 0.01"),
        (lambda: ConsistencyRegularization(-1.0), "weight=-1.0"),
        (lambda: ConsistencyRegularization(share=-0.1), "share=-0.1"),
        (lambda: build("sn", n_iterations=0), "n_iterations=0 must be an integer from 1 on"),
        (lambda: build("sn-operator", shape=SHAPE, n_iterations=1.5), "n_iterations=1.5"),
        (lambda: build("scale"), "constraint 'scale' needs a value for K"),
        (lambda: build("gn", detach=1), "detach=1 must be True or False"),
        (lambda: build("gn-batch", detach="no"), "detach='no' must be True or False"),
        (lambda: build("gp", one_sided=None), "one_sided=None must be True or False"),
        (lambda: GradientNorm(mlp(), verify=1), "verify=1 must be True or False"),
        (lambda: build("sn-operator"), "shape=None must be that of one input"),
    ],
)
def test_refusals(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
