"""Ways to raise a contest's value V(θ): those that see the jumps of D̂, and those that do not.

    Backpropagation     Adam on ∂V/∂θ as automatic differentiation gives it: no term for the jumps
    SmoothedSteps       Adam on the gradient of V_σ(θ) = E V(θ + σε), ε ~ N(0, I), which is smooth, estimated
                        with antithetic pairs of ε in one of two ways:
                            E [V(θ + σε) ε] / σ     the score function (evolution strategies): unbiased
                            E [∂V/∂θ (θ + σε)]      backpropagation at noisy weights: without the jumps' part,
                                                    in which alone the two expectations differ
    CovarianceSearch    CMA-ES: values only, of whole populations
    QuasiNewton         L-BFGS with a line search, on ∂V/∂θ

All work on S runs at once. The price of a step is in evaluations of V. One is a forward and a backward pass
through the critic, for f and n; a gradient of V, double backpropagation, is counted as three.

Source: Adam, Kingma and Ba, 1412.6980; evolution strategies as a gradient, Salimans et al., 1703.03864;
CMA-ES, Hansen, 1604.00772, by the package `cma`; L-BFGS by torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import LBFGS, Adam

from gncompanion.theory.critic_batch import Contest
from gncompanion.tools.checks import positive, whole

__all__ = ["Backpropagation", "Climb", "CovarianceSearch", "Learner", "QuasiNewton", "SmoothedSteps", "climb"]

GRADIENT = 3  # evaluations that a gradient of V is counted as
BETAS = (0.0, 0.9)  # of Adam, the authors'


class Learner(Protocol):
    """S critics that learn."""

    @property
    def theta(self) -> Tensor:
        """The critics' numbers at present, (S, P)."""

    def step(self, contest: Contest) -> int:
        """Take one step, and return its price: evaluations of V for each run."""


class _Adam:
    """Adam on S rows of numbers, whose rate falls linearly to 0 over a number of steps, or stays."""

    def __init__(self, theta: Tensor, rate: float, fall: int | None) -> None:
        self.rows = theta.clone().requires_grad_()
        self.rate, self.fall, self.taken = positive("rate", rate), fall, 0
        self._adam = Adam([self.rows], lr=rate, betas=BETAS)

    def ascend(self, gradient: Tensor) -> None:
        if self.fall is not None:
            self._adam.param_groups[0]["lr"] = self.rate * max(0.0, 1 - self.taken / self.fall)
        self.rows.grad = -gradient
        self._adam.step()
        self.taken += 1


class Backpropagation:
    """Adam on the gradient that automatic differentiation gives.

    Args:
        theta: The critics at the start, (S, P).
        rate: Learning rate.
        fall: Steps over which the rate falls to 0; None = it stays.
    """

    def __init__(self, theta: Tensor, *, rate: float, fall: int | None = None) -> None:
        self._adam = _Adam(theta, rate, fall)

    @property
    def theta(self) -> Tensor:
        """The critics' numbers at present, (S, P)."""
        return self._adam.rows.detach()

    def step(self, contest: Contest) -> int:
        """Take one step; its price is 3."""
        rows = self._adam.rows
        (gradient,) = torch.autograd.grad(contest.value(rows).sum(), rows)
        self._adam.ascend(gradient)
        return GRADIENT


class SmoothedSteps:
    """Adam on an estimate of the smoothed value's gradient.

    Args:
        theta: The critics at the start, (S, P).
        rate: Learning rate.
        noise: Standard deviation σ of the noise on every number.
        pairs: Antithetic pairs of noise in a step.
        seeing: Whether the estimate is the score function's, which sees jumps, or backpropagation's.
        seed: Seed of the noise, which does not depend on `seeing`.
        fall: Steps over which the rate falls to 0; None = it stays.
    """

    def __init__(
        self,
        theta: Tensor,
        *,
        rate: float,
        noise: float,
        pairs: int,
        seeing: bool,
        seed: int,
        fall: int | None = None,
    ) -> None:
        self._adam = _Adam(theta, rate, fall)
        self.noise, self.pairs, self.seeing = positive("noise", noise), whole("pairs", pairs), seeing
        self._random = torch.Generator().manual_seed(seed)

    @property
    def theta(self) -> Tensor:
        """The critics' numbers at present, (S, P)."""
        return self._adam.rows.detach()

    def step(self, contest: Contest) -> int:
        """Take one step; its price is 2 for each pair, or 6 by backpropagation."""
        s, p = self.theta.shape
        epsilon = torch.randn(s, self.pairs, p, generator=self._random, dtype=self.theta.dtype)
        epsilon = torch.cat([epsilon, -epsilon], dim=1)
        moved = self.theta[:, None] + self.noise * epsilon
        if self.seeing:
            with torch.no_grad():
                gradient = (contest.value(moved)[..., None] * epsilon).mean(1) / self.noise
        else:
            moved.requires_grad_()
            gradient = torch.autograd.grad(contest.value(moved).sum(), moved)[0].mean(1)
        self._adam.ascend(gradient)
        return 2 * self.pairs * (1 if self.seeing else GRADIENT)


class CovarianceSearch:
    """CMA-ES, one search for each run, all populations evaluated together.

    The best critic so far is evaluated again with every population, so that it remains the best on a contest
    that changes. A search that ends by itself starts anew at its best critic.

    Args:
        theta: The critics at the start, (S, P).
        step: Standard deviation of the first population.
        diagonal: Whether only a diagonal of the covariance is learned, for critics of thousands of numbers.
        seed: Seed of the draws.
    """

    def __init__(self, theta: Tensor, *, step: float = 0.3, diagonal: bool = False, seed: int) -> None:
        self.theta, self._step, self._diagonal = theta.clone(), positive("step", step), diagonal
        self._random = np.random.default_rng(seed)
        self._searches = [self._search(row) for row in self.theta.numpy()]

    def _search(self, start: NDArray[np.float64]) -> Any:
        import cma

        options = {"verbose": -9, "seed": np.nan, "randn": lambda *size: self._random.standard_normal(size)}
        return cma.CMAEvolutionStrategy(start, self._step, options | {"CMA_diagonal": self._diagonal})

    def step(self, contest: Contest) -> int:
        """Evaluate one population; its price is its size and 1."""
        asked = [search.ask() for search in self._searches]
        drawn = torch.from_numpy(np.stack([np.stack(population) for population in asked]))
        candidates = torch.cat([drawn, self.theta[:, None]], dim=1)
        with torch.no_grad():
            values = contest.value(candidates)
        best = values.argmax(1)
        self.theta = candidates[torch.arange(len(best)), best].clone()
        for i, search in enumerate(self._searches):
            search.tell(asked[i], (-values[i, :-1]).tolist())
            if search.stop():
                self._searches[i] = self._search(self.theta[i].numpy())
        return candidates.shape[1]


class QuasiNewton:
    """L-BFGS on the gradient that automatic differentiation gives, one search for each run.

    V is torn, so that a line search may find nothing better however short its step. Where a critic has not
    moved, it takes a plain step along the gradient and its search begins anew.

    Args:
        theta: The critics at the start, (S, P).
        length: Length of that plain step.
    """

    def __init__(self, theta: Tensor, *, length: float = 1e-2) -> None:
        self._rows = [row.clone().requires_grad_() for row in theta]
        self._length = positive("length", length)
        self._searches = [_line_search(row) for row in self._rows]

    @property
    def theta(self) -> Tensor:
        """The critics' numbers at present, (S, P)."""
        return torch.stack([row.detach() for row in self._rows])

    def step(self, contest: Contest) -> int:
        """Take one step of every run; its price is 3 for each gradient of the dearest run."""
        return GRADIENT * max(self._step(i, contest) for i in range(len(self._rows)))

    def _step(self, i: int, contest: Contest) -> int:
        """Move one run, and count its gradients."""
        row, calls = self._rows[i], 0
        one = Contest(contest.shape, contest.real[i : i + 1], contest.fake[i : i + 1])

        def loss() -> Tensor:
            nonlocal calls
            calls += 1
            row.grad = None
            value = -one.value(row[None])[0]
            value.backward()
            return value

        before = row.detach().clone()
        self._searches[i].step(loss)
        if torch.equal(row, before):
            loss()
            with torch.no_grad():
                row -= self._length * row.grad / row.grad.norm().clamp_min(1e-12)
            self._searches[i] = _line_search(row)
        return calls


def _line_search(row: Tensor) -> LBFGS:
    return LBFGS([row], max_iter=1, max_eval=10, line_search_fn="strong_wolfe")


class Climb(NamedTuple):
    """What was seen of S runs at T looks.

    Attributes:
        prices: Evaluations of V spent until then, (T,).
        values: V, (S, T).
        slopes: Mean of ‖∇D̂‖ over the points of Q, (S, T).
        thetas: The critics' numbers, (S, T, P).
    """

    prices: Tensor
    values: Tensor
    slopes: Tensor
    thetas: Tensor


def climb(learner: Learner, contest: Contest, looks: Sequence[int]) -> Climb:
    """Let critics learn on a contest that stays as it is, and look at them now and then.

    Args:
        learner: The critics.
        contest: The contest.
        looks: Prices at which to look, rising: each look is at the first step that has cost so much.

    Returns:
        What was seen.
    """
    spent, prices, thetas = 0, [], []
    for look in looks:
        while spent < look:
            spent += learner.step(contest)
        prices.append(spent)
        thetas.append(learner.theta.clone())
    with torch.no_grad():
        values = [contest.value(theta) for theta in thetas]
    slopes = [contest.slopes(theta).mean(1) for theta in thetas]
    return Climb(torch.tensor(prices), torch.stack(values, 1), torch.stack(slopes, 1), torch.stack(thetas, 1))
