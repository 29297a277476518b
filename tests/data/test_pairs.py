"""Pairs of distributions: couplings, critics and quadrature that prove the stated distance."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from gncompanion.data import (
    GaussianGrid,
    GaussianRing,
    Pair,
    concentric_spheres,
    digits,
    gaussians_on_line,
    parallel_lines,
    shifted,
    shifted_boxes,
)
from tests.helpers.draws import seeded


def first(x: Tensor) -> Tensor:
    return x.flatten(1)[:, 0]


def radius(x: Tensor) -> Tensor:
    return x.norm(dim=1)


@pytest.mark.parametrize(
    ("pair", "critic", "w1"),
    [
        (parallel_lines(0.7), first, 0.7),
        (parallel_lines(-0.7), first, 0.7),
        (parallel_lines(0.0), first, 0.0),
        (shifted_boxes(2.5, 1), first, 2.5),
        (shifted_boxes(2.5, 10), first, 2.5),
        (shifted(GaussianGrid(), [3.0, 4.0]), lambda x: x @ torch.tensor([0.6, 0.8]), 5.0),
        (shifted(digits(), [0.25] * 64), lambda x: x.flatten(1).mean(1) * 8, 2.0),
        (concentric_spheres(1.5, 2), radius, 1.5),
        (concentric_spheres(-0.5, 64), radius, 0.5),
        (gaussians_on_line(2.0, 0.5, 0.5), first, 2.0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_coupling_and_a_1_lipschitz_critic_both_attain_w1(
    pair: Pair, critic: Callable[[Tensor], Tensor], w1: float
) -> None:
    # Drawn with one seed, real and fake are coupled as the optimal plan couples them; the critics have
    # slope 1. So the first number is no less than W1 and the second no more: equal, they prove it.
    (x, _), (y, _) = pair.real.sample(500, seeded()), pair.fake.sample(500, seeded())
    cost = (x - y).flatten(1).norm(dim=1).mean().item()
    gain = (critic(x).double().mean() - critic(y).double().mean()).abs().item()
    assert pair.w1 == pytest.approx(w1, abs=1e-12)
    assert cost == pytest.approx(w1, abs=1e-5)  # samples are float32, of size ten at most
    assert gain == pytest.approx(w1, abs=1e-5)


@pytest.mark.parametrize(
    ("gap", "a", "b"), [(1.0, 1.0, 2.0), (-0.3, 2.0, 0.5), (0.0, 1.0, 3.0), (2.0, 1.0, 1.0)]
)
def test_gaussians_on_the_line_by_quadrature_of_quantiles(gap: float, a: float, b: float) -> None:
    def difference(z: float) -> float:
        return abs(gap + b * z - a * z) * norm.pdf(z)

    expected, _ = quad(difference, -40, 40, points=[0 if a == b else -gap / (b - a)], epsabs=1e-13, limit=200)
    assert gaussians_on_line(gap, a, b).w1 == pytest.approx(expected, abs=1e-10)  # quad's own accuracy


def test_gaussians_on_the_line_have_their_moments() -> None:
    pair = gaussians_on_line(3.0, 0.5, 2.0)
    for side, mean, std in ((pair.real, 0.0, 0.5), (pair.fake, 3.0, 2.0)):
        x, _ = side.sample(20_000, seeded())
        assert x.mean().item() == pytest.approx(mean, abs=5 * std / math.sqrt(20_000))
        assert x.std().item() == pytest.approx(std, rel=5 / math.sqrt(40_000))


def test_boxes_and_lines_lie_where_they_should() -> None:
    x, _ = shifted_boxes(2.0, 2).fake.sample(2000, seeded())
    low, high = x.amin(0), x.amax(0)
    assert (low >= torch.tensor([1.5, -0.5])).all()
    assert (high <= torch.tensor([2.5, 0.5])).all()
    assert ((high - low) > 0.99).all()  # 2000 draws leave 1 % free with probability 40 · 0.99²⁰⁰⁰ < 1e-7
    x, _ = parallel_lines(2.0).fake.sample(2000, seeded())
    assert (x[:, 0] == 2).all()
    assert x[:, 1].min() >= 0
    assert x[:, 1].max() <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: shifted_boxes(1.0, 0), "dim=0 must be an integer from 1 on"),
        (lambda: shifted_boxes(math.nan), "must be 2 finite numbers"),
        (lambda: shifted(GaussianRing(), [1.0]), r"shift=\[1.0\] must be 2 finite numbers"),
        (lambda: parallel_lines(math.inf), r"shift=\[inf, 0.0\] must be 2 finite numbers"),
        (lambda: concentric_spheres(1.0, 0), "dim=0 must be an integer from 1 on"),
        (lambda: concentric_spheres(-1.0), r"radius \+ gap=0.0 must be a positive, finite number"),
        (lambda: concentric_spheres(2.0, radius=-1.0), "radius=-1.0 must be a positive, finite number"),
        (lambda: gaussians_on_line(1.0, 0.0), "std_real=0.0 must be a positive, finite number"),
        (lambda: gaussians_on_line(1.0, 1.0, math.nan), "std_fake=nan must be a positive, finite number"),
    ],
)
def test_senseless_pairs_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
