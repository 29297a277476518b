"""Learners: what each gradient sees, by a smoothed critic in closed form, and that all of them climb."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gncompanion.theory.chase import chase
from gncompanion.theory.critic_batch import Contest, Shape, fresh_critics
from gncompanion.theory.learners import (
    Backpropagation,
    CovarianceSearch,
    Learner,
    QuasiNewton,
    SmoothedSteps,
    climb,
)
from tests.helpers.draws import normal

SHAPE = Shape(2, 8, 1)
Make = Callable[[Tensor], Learner]
LEARNERS: dict[str, Make] = {
    "backpropagation": lambda theta: Backpropagation(theta, rate=1e-2, fall=100),
    "seeing": lambda theta: SmoothedSteps(theta, rate=1e-2, noise=0.1, pairs=8, seeing=True, seed=0),
    "blind": lambda theta: SmoothedSteps(theta, rate=5e-2, noise=0.1, pairs=8, seeing=False, seed=0),
    "cma-es": lambda theta: CovarianceSearch(theta, seed=0),
    "l-bfgs": lambda theta: QuasiNewton(theta),
}
every_learner = pytest.mark.parametrize("name", LEARNERS)


def contest(runs: int = 2) -> Contest:
    return Contest(SHAPE, normal(runs, 8, 2, seed=1), normal(runs, 8, 2, seed=2) + 0.5)


@every_learner
def test_every_learner_climbs_and_counts_what_it_spends(name: str) -> None:
    theta = fresh_critics(SHAPE, [3, 4])
    start = theta.clone()
    found = climb(LEARNERS[name](theta), contest(), [0, 300, 900])
    assert torch.equal(theta, start) and torch.equal(found.thetas[:, 0], start)  # the caller's are left alone
    assert found.prices[0] == 0 and (found.prices[1:] >= torch.tensor([300, 900])).all()
    assert (found.values[:, -1] > found.values[:, 0] + 0.05).all()
    assert torch.allclose(found.values[:, 1], contest().value(found.thetas[:, 1]))


@pytest.mark.parametrize("name", ["backpropagation", "l-bfgs"])  # the others' draws are shared out among runs
def test_runs_do_not_touch_each_other(name: str) -> None:
    both, pair = fresh_critics(SHAPE, [3, 4]), contest()
    together, alone = LEARNERS[name](both), LEARNERS[name](both[1:])
    for _ in range(5):
        together.step(pair)
        alone.step(Contest(SHAPE, pair.real[1:], pair.fake[1:]))
    assert torch.allclose(together.theta[1:], alone.theta, rtol=1e-9)


def test_draws_leave_the_global_generators_alone() -> None:
    theta = fresh_critics(SHAPE, [0, 1])
    numpy_state, torch_state = np.random.get_state()[1].tolist(), torch.get_rng_state()
    for name in ("seeing", "blind", "cma-es"):
        LEARNERS[name](theta).step(contest())
    assert np.random.get_state()[1].tolist() == numpy_state
    assert torch.equal(torch.get_rng_state(), torch_state)


class Step:
    """V(θ) = 1[θ > 0] + θ/2, a jump and a slope: V_σ′(θ) = φ(θ/σ)/σ + ½, the first of which is the jump's."""

    def value(self, theta: Tensor) -> Tensor:
        return ((theta > 0).double() + theta / 2).squeeze(-1)


@pytest.mark.parametrize(("seeing", "jump"), [(True, 1.0), (False, 0.0)])
def test_the_score_function_sees_a_jump_and_backpropagation_does_not(seeing: bool, jump: float) -> None:
    theta, noise = torch.tensor([[0.1]]).double(), 0.2
    seen = []
    learner = SmoothedSteps(theta, rate=1.0, noise=noise, pairs=100_000, seeing=seeing, seed=0)
    learner._adam.ascend = lambda gradient: seen.append(gradient.item())  # type: ignore[method-assign]
    learner.step(Step())  # type: ignore[arg-type]
    density = math.exp(-((0.1 / noise) ** 2) / 2) / (noise * math.sqrt(2 * math.pi))
    assert abs(seen[0] - (0.5 + jump * density)) <= 0.03 * (1 if seeing else 1e-9)  # ten standard errors


def test_cma_es_keeps_its_best_on_the_present_contest() -> None:
    pair = contest()
    learner = CovarianceSearch(fresh_critics(SHAPE, [0, 1]), seed=0)
    values = []
    for _ in range(20):
        learner.step(pair)
        values.append(pair.value(learner.theta))
    assert (torch.stack(values).diff(dim=0) >= 0).all()
    swapped = Contest(SHAPE, pair.fake, pair.real)
    before = swapped.value(learner.theta)
    learner.step(swapped)
    assert (swapped.value(learner.theta) > before).all()


def test_points_arrive_where_the_critic_leads_them() -> None:
    pair = contest()
    learner = Backpropagation(fresh_critics(SHAPE, [0, 1]), rate=1e-2)
    found = chase(learner, pair, rounds=40, price=60, rate=0.05, every=20)
    assert found.rounds.tolist() == [0, 20, 40] and found.distances.shape == found.slopes.shape == (2, 3)
    assert (found.distances[:, -1] < 0.8 * found.distances[:, 0]).all() and (found.slopes <= 1 + 1e-12).all()
    assert torch.equal(pair.fake, contest().fake)


def test_a_unit_step_has_the_length_of_the_rate() -> None:
    learner = Backpropagation(fresh_critics(SHAPE, [0, 1]), rate=1e-2)
    found = chase(learner, contest(), rounds=0, price=3, rate=0.25, unit=True)
    assert torch.allclose((found.points - contest().fake).norm(dim=-1), torch.tensor(0.25).double())
