"""Closed forms on the line against SciPy, numerical maximisers, and drawn samples."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from gncompanion.data import gaussians_on_line
from gncompanion.theory.gaussians import Gaussians, sampled
from gncompanion.theory.line import (
    discriminator,
    divergence_slope,
    generator_gradient,
    jensen_shannon,
    logit,
    logit_slope,
    penalized_distance,
    penalized_slope,
    w1_of_densities,
    wasserstein_divergence,
)

QUADRATURE = 1e-9  # analytic integrands on panels a fraction of a standard deviation wide; seen: 1e-12
REAL, FAKE = Gaussians(0.0, 1.0), Gaussians(1.5, 0.7)
PAIR = {"real": stats.norm(0, 1), "fake": stats.norm(1.5, 0.7)}
X = np.linspace(-4, 6, 101)
TWO = Gaussians([-1.0, 2.0], [0.5, 1.0], [0.3, 0.7])


def test_the_logit_of_equal_widths_is_a_straight_line() -> None:
    real, fake = Gaussians(0.0, 0.1), Gaussians(1.0, 0.1)
    np.testing.assert_allclose(logit(real, fake, X), (1 - 2 * X) / 0.02, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(logit_slope(real, fake, X), np.full(X.shape, -100.0), rtol=1e-12)


def test_the_discriminator_is_p_over_p_plus_q_and_survives_underflow() -> None:
    p, q = REAL.pdf(X), FAKE.pdf(X)
    np.testing.assert_allclose(discriminator(REAL, FAKE, X), p / (p + q), rtol=1e-12)
    far = discriminator(Gaussians(0, 0.01), Gaussians(1, 0.01), np.array([-10.0, 0.5, 11.0]))
    np.testing.assert_allclose(far, [1, 0.5, 0], atol=1e-12)


@pytest.mark.parametrize(("gap", "std"), [(0.5, 1.0), (2.0, 0.3), (0.0, 2.0)])
def test_jensen_shannon_is_the_mean_of_two_kullback_leibler_divergences(gap: float, std: float) -> None:
    p, q = stats.norm(0, 1), stats.norm(gap, std)

    def kl(side: stats.rv_continuous) -> float:
        def height(x: float) -> float:
            return side.pdf(x) * math.log(2 * side.pdf(x) / (p.pdf(x) + q.pdf(x)))

        low, high = side.ppf(1e-13), side.isf(1e-13)
        return quad(height, low, high, limit=200, points=[0, gap])[0]

    assert jensen_shannon(Gaussians(0, 1), Gaussians(gap, std)) == pytest.approx(
        (kl(p) + kl(q)) / 2,
        abs=1e-8,  # quad's own goal
    )


def test_jensen_shannon_ends_at_nought_and_at_log_two() -> None:
    assert jensen_shannon(REAL, REAL) == pytest.approx(0, abs=QUADRATURE)
    assert jensen_shannon(Gaussians(0, 1), Gaussians(100, 1)) == pytest.approx(math.log(2), abs=QUADRATURE)


def test_the_generators_gradient_is_twice_the_slope_of_jensen_shannon() -> None:
    step = 1e-4  # central differences of a value near 0.3, good to 1e-8
    ahead, behind = (jensen_shannon(REAL, Gaussians(1.5 + s, 0.7)) for s in (step, -step))
    found = generator_gradient(REAL, FAKE, saturating=True)
    assert found == pytest.approx((ahead - behind) / step, abs=1e-7)


def test_the_non_saturating_gradient_far_away_is_the_logits_slope() -> None:
    # D* = 0 where q has its mass, so −E_q f*′ = gap / std² remains
    assert generator_gradient(Gaussians(0, 0.1), Gaussians(3, 0.1), saturating=False) == pytest.approx(300)
    assert generator_gradient(Gaussians(0, 0.1), Gaussians(3, 0.1), saturating=True) < 1e-20


@pytest.mark.parametrize(("gap", "std"), [(1.5, 1.0), (1.5, 0.7), (-2.0, 3.0)])
def test_w1_is_that_of_the_pair(gap: float, std: float) -> None:
    exact = gaussians_on_line(gap, 1.0, std).w1
    # |Δ| has a kink inside one panel, which costs (panel width)² times the change of slope
    assert w1_of_densities(Gaussians(0, 1), Gaussians(gap, std)) == pytest.approx(exact, abs=1e-4)


def crossing(x: float) -> float:
    return PAIR["fake"].cdf(x) - PAIR["real"].cdf(x)


@pytest.mark.parametrize(("k", "p"), [(0.5, 2.0), (2.0, 6.0), (10.0, 6.0), (1.0, 1.5)])
@pytest.mark.parametrize("x", [-1.0, 0.5, 2.0])
def test_the_divergences_slope_is_what_a_maximiser_finds(k: float, p: float, x: float) -> None:
    r = PAIR["real"].pdf(x)
    found = minimize_scalar(lambda s: k * r * abs(s) ** p - s * crossing(x), options={"xtol": 1e-12})
    slope = divergence_slope(REAL, FAKE, REAL, np.array([x]), k=k, p=p)
    assert slope.item() == pytest.approx(found.x, rel=1e-5)  # at a maximum the argument has half the digits


@pytest.mark.parametrize("x", [-1.0, 0.5, 4.0])
def test_the_penalized_slope_is_what_a_maximiser_finds(x: float) -> None:
    r = PAIR["real"].pdf(x)

    def loss(s: float) -> float:
        return 3 * r * (abs(s) - 1) ** 2 - s * crossing(x)

    found = min((minimize_scalar(loss, bracket=b) for b in ((-2, -1), (1, 2))), key=lambda result: result.fun)
    slope = penalized_slope(REAL, FAKE, REAL, np.array([x]), weight=3.0)
    assert slope.item() == pytest.approx(found.x, rel=1e-5)


@pytest.mark.parametrize(("k", "p"), [(0.5, 2.0), (2.0, 6.0)])
def test_the_divergences_value_is_that_of_its_game_at_the_slope(k: float, p: float) -> None:
    r = sampled(REAL, FAKE)

    def height(x: float) -> float:
        s = divergence_slope(REAL, FAKE, r, np.array([x]), k=k, p=p).item()
        return s * crossing(x) - k * r.pdf(np.array([x])).item() * abs(s) ** p

    expected = quad(height, -8, 8, limit=400, epsabs=1e-9)[0]
    assert wasserstein_divergence(REAL, FAKE, r, k=k, p=p) == pytest.approx(expected, abs=1e-5)  # the kink


def test_the_penalized_value_is_that_of_its_game_at_the_slope() -> None:
    def height(x: float) -> float:
        s = penalized_slope(REAL, FAKE, TWO, np.array([x]), weight=3.0).item()
        return s * crossing(x) - 3 * TWO.pdf(np.array([x])).item() * (abs(s) - 1) ** 2

    expected = quad(height, -8, 8, limit=400, epsabs=1e-9)[0]
    assert penalized_distance(REAL, FAKE, TWO, weight=3.0) == pytest.approx(expected, abs=1e-4)  # the kink


def test_half_and_two_is_half_the_integral_of_the_square() -> None:
    expected = quad(lambda x: crossing(x) ** 2 / (2 * FAKE.pdf(np.array([x])).item()), -2, 5, limit=400)[0]
    inside = wasserstein_divergence(REAL, FAKE, FAKE, k=0.5, p=2.0)
    assert inside > expected  # the rest of the line adds to it
    wide = Gaussians(0.75, 4.0)
    expected = quad(lambda x: crossing(x) ** 2 / (2 * wide.pdf(np.array([x])).item()), -9, 9, limit=400)[0]
    assert wasserstein_divergence(REAL, FAKE, wide, k=0.5, p=2.0) == pytest.approx(expected, abs=1e-8)


def test_equal_distributions_have_divergence_zero_and_a_swap_changes_nothing() -> None:
    r = sampled(REAL, FAKE)
    assert wasserstein_divergence(REAL, REAL, r) == 0
    assert wasserstein_divergence(REAL, FAKE, r) == pytest.approx(
        wasserstein_divergence(FAKE, REAL, r), rel=1e-12
    )
    slopes = (divergence_slope(*pair, r, X) for pair in ((REAL, FAKE), (FAKE, REAL)))
    np.testing.assert_allclose(next(slopes), -next(slopes), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: divergence_slope(REAL, FAKE, REAL, X, k=0), "k=0 must be a positive"),
        (lambda: wasserstein_divergence(REAL, FAKE, REAL, p=1), "p=1 must be a power above 1"),
        (lambda: penalized_slope(REAL, FAKE, REAL, X, weight=0), "weight=0 must be a positive"),
        (lambda: penalized_distance(REAL, FAKE, REAL, weight=-1.0), "weight=-1.0 must be a positive"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
