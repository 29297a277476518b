import math

import pytest
import torch
from torch import Tensor

from gncompanion import constraints
from gncompanion.constraints.continuous import BatchGradientNormalization, SmoothedGradientNormalization
from gncompanion.input_gradient import value_and_input_gradient
from gncompanion.lipschitz import input_gradient_norms, scan_line
from gncompanion.models import MLPCritic
from tests.helpers.draws import seeded

ROUNDING = 1e-12  # a few hundred float64 roundings of numbers of size 1


CRITIC = MLPCritic(2, width=24, depth=3, generator=seeded(1)).double()
CRITIC.head[0].bias.data += 0.5  # away from f = 0, where GN does not jump either
X = torch.randn(12, 2, generator=seeded(2), dtype=torch.float64)


def values_and_norms(x: Tensor) -> tuple[Tensor, Tensor]:
    f, g = value_and_input_gradient(CRITIC, x, method="autograd")
    return f.detach(), g.norm(dim=1).detach()


def gradients(score: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(score.sum(), list(CRITIC.parameters())))


def test_batch_is_its_formula() -> None:
    f, n = values_and_norms(X)
    score = BatchGradientNormalization().score(CRITIC, X)
    assert torch.allclose(score, f / (n.mean() + f.abs()), atol=ROUNDING)


@pytest.mark.parametrize("detach", [True, False])
def test_detaching_drops_the_norms_part_of_the_gradient(detach: bool) -> None:
    f, g = value_and_input_gradient(CRITIC, X, method="autograd")
    n = g.norm(dim=1).mean()
    expected = gradients(f / ((n.detach() if detach else n) + f.abs()))
    found = gradients(BatchGradientNormalization(detach=detach).score(CRITIC, X))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=ROUNDING)


def test_smoothed_is_its_formula() -> None:
    f, n = values_and_norms(X)
    squared = torch.tensor([[(a - b).dot(b - a).neg().item() for b in X] for a in X], dtype=torch.float64)
    kernel = (-squared / (2 * 0.7**2 * squared.mean())).exp()
    expected = f / (kernel @ n / kernel.sum(1) + f.abs())
    assert torch.allclose(SmoothedGradientNormalization(0.7).score(CRITIC, X), expected, atol=ROUNDING)


@pytest.mark.parametrize(("bandwidth", "limit"), [(1e-4, "gn"), (1e8, "gn-batch")])
def test_smoothed_lies_between_gn_and_batch(bandwidth: float, limit: str) -> None:
    score = SmoothedGradientNormalization(bandwidth).score(CRITIC, X)
    assert torch.allclose(score, constraints.build(limit).score(CRITIC, X), atol=ROUNDING)


def around_a_border() -> tuple[Tensor, Tensor]:
    """Two points 1e-9 apart, on either side of the border with the largest jump of the norm."""
    scan = scan_line(CRITIC, torch.tensor([-3.0, -1.0]), torch.tensor([3.0, 2.0]))
    middles = scan.at((scan.t[1:] + scan.t[:-1]) / 2)
    jumps = values_and_norms(middles)[1].diff().abs()
    t = scan.crossings[jumps.argmax()]
    return scan.at(t.reshape(1) - 1e-9), scan.at(t.reshape(1) + 1e-9)


@pytest.mark.parametrize("name", ["gn-batch", "gn-smoothed"])
def test_continuous_across_a_border_where_gn_is_torn(name: str) -> None:
    """One point moves across a border, the other samples and all norms stay as they are."""
    left, right = around_a_border()
    _, n = values_and_norms(torch.cat([left, X]))
    assert constraints.build("gn").score(CRITIC, torch.cat([left, right])).diff().abs() > 1e-3
    rule, moved = constraints.build(name), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gncompanion.constraints.continuous.gradient_norm", lambda *_: n)
        for side in (left, right):
            moved.append(rule.score(CRITIC, torch.cat([side, X]))[0])
    assert (moved[0] - moved[1]).abs() <= 1e-7  # the distance 1e-8 times slopes of size 1


@pytest.mark.parametrize("name", ["gn-batch", "gn-smoothed"])
def test_a_crossing_in_the_batch_counts_with_its_share(name: str) -> None:
    """GN's jump alone; among N others close by, about a share 1/(N + 1) of it."""
    left, right = around_a_border()
    gn = constraints.build("gn").score(CRITIC, torch.cat([left, right])).diff().abs().item()
    rule = constraints.build(name)
    others = left + 1e-3 * X  # close by: the kernel gives all the same weight
    jumps = [
        (rule.score(CRITIC, torch.cat([left, rest])) - rule.score(CRITIC, torch.cat([right, rest])))[0].abs()
        for rest in (X[:0], others, others.repeat(9, 1))
    ]
    assert jumps[0].item() == pytest.approx(gn, rel=1e-4)
    assert jumps[1] < 0.5 * gn and jumps[2] < 0.05 * gn


def test_slope_of_batch_is_as_documented() -> None:
    f, n = values_and_norms(X)
    mean = n.mean()
    slope = input_gradient_norms(lambda x: BatchGradientNormalization().score(CRITIC, x), X)
    assert torch.allclose(slope, n * mean / (mean + f.abs()) ** 2, atol=ROUNDING)


def test_slope_of_smoothed_is_that_of_the_function_the_batch_defines() -> None:
    rule, step = SmoothedGradientNormalization(0.5), 1e-6
    x = X.clone().requires_grad_()
    (g,) = torch.autograd.grad(rule.score(CRITIC, x).sum(), x)
    _, n = values_and_norms(X)
    squared = ((X[:, None] - X) ** 2).sum(2)
    width = 2 * 0.25 * squared.mean()
    for axis in range(2):
        moved = []
        for sign in (1, -1):
            at = X.clone()
            at[:, axis] += sign * step
            kernel = (-((at[:, None] - X) ** 2).sum(2) / width).exp()
            f_at = CRITIC(at).detach()
            moved.append(f_at / (kernel @ n / kernel.sum(1) + f_at.abs()))
        # Central differences: the third derivative times 1e-12, and rounding over the step, 1e-10.
        assert torch.allclose(g[:, axis], (moved[0] - moved[1]) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("name", ["gn-batch", "gn-smoothed"])
def test_zero_critic(name: str) -> None:
    critic = MLPCritic(2, width=4, generator=seeded())
    for p in critic.parameters():
        p.data.zero_()
    score = constraints.build(name).score(critic, torch.zeros(3, 2))
    score.sum().backward()
    assert score.tolist() == [0, 0, 0]
    assert all(p.grad is None or p.grad.isfinite().all() for p in critic.parameters())


@pytest.mark.parametrize("name", ["gn-batch", "gn-smoothed"])
def test_bounded_and_of_the_critics_sign(name: str) -> None:
    score = constraints.build(name).score(CRITIC, 100 * X).detach()
    assert (score.abs() <= 1).all() and torch.equal(score.sign(), CRITIC(100 * X).sign().detach())


@pytest.mark.parametrize("bandwidth", [0, -1.0, math.inf, math.nan])
def test_refused_bandwidths(bandwidth: float) -> None:
    with pytest.raises(ValueError, match=r"bandwidth=.* must be a positive, finite number, such as 0.5"):
        constraints.build("gn-smoothed", bandwidth=bandwidth)


@pytest.mark.parametrize("name", ["gn-batch", "gn-smoothed"])
def test_unknown_method(name: str) -> None:
    with pytest.raises(ValueError, match="unknown method"):
        constraints.build(name, method="fast")
