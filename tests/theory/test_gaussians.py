"""Mixtures of Gaussians against SciPy, and where penalties look against drawn samples."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from gncompanion.constraints.sampling import SAMPLINGS
from gncompanion.data import gaussians_on_line
from gncompanion.theory.gaussians import Gaussians, expectation, integral, sampled

REAL, FAKE = Gaussians(0.0, 1.0), Gaussians(1.5, 0.7)
X = np.linspace(-4, 6, 101)
TWO = Gaussians([-1.0, 2.0], [0.5, 1.0], [0.3, 0.7])


def test_a_mixture_has_scipys_density_mass_and_slope() -> None:
    parts = [stats.norm(-1, 0.5), stats.norm(2, 1)]
    for mine, theirs in ((TWO.pdf, "pdf"), (TWO.cdf, "cdf"), (TWO.tail, "sf")):
        expected = 0.3 * getattr(parts[0], theirs)(X) + 0.7 * getattr(parts[1], theirs)(X)
        np.testing.assert_allclose(mine(X), expected, rtol=1e-12)
    np.testing.assert_allclose(np.exp(TWO.log_pdf(X)), TWO.pdf(X), rtol=1e-12)
    step = 1e-5  # central differences: their own error is about 1e-10
    slope = (TWO.log_pdf(X + step) - TWO.log_pdf(X - step)) / (2 * step)
    np.testing.assert_allclose(TWO.log_slope(X), slope, atol=1e-8)


def test_integrals_against_a_mixture_are_its_moments() -> None:
    assert integral(TWO.pdf, TWO) == pytest.approx(1, abs=1e-12)
    assert expectation(TWO, lambda x: x) == pytest.approx(0.3 * -1 + 0.7 * 2, abs=1e-12)
    assert expectation(TWO, lambda x: x**2) == pytest.approx(0.3 * 1.25 + 0.7 * 5, abs=1e-11)


@pytest.mark.parametrize("at", SAMPLINGS)
def test_the_samplings_have_these_densities(at: str) -> None:
    random = torch.Generator().manual_seed(0)
    pair, n = gaussians_on_line(1.5, 1.0, 0.7), 20_000
    real, fake = (side.sample(n, random)[0] for side in (pair.real, pair.fake))
    points = SAMPLINGS[at](real, fake, random).flatten().double().numpy()
    # Kolmogorov and Smirnov: 2/√n is exceeded once in 1500 draws of independent points
    assert stats.kstest(points, sampled(REAL, FAKE, at=at).cdf).statistic < 2 / math.sqrt(n)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Gaussians(0, 0), "stds=0 must be positive"),
        (lambda: Gaussians(0, math.inf), "stds=inf must be positive and finite"),
        (lambda: Gaussians(math.nan, 1), "means=nan must be finite"),
        (lambda: Gaussians([0, 1], 1, [0.5, 0.6]), "2 numbers from 0 on of sum 1"),
        (lambda: Gaussians([0, 1], 1, [-0.5, 1.5]), "2 numbers from 0 on of sum 1"),
        (lambda: Gaussians([0, 1], 1, [1.0]), "2 numbers from 0 on of sum 1"),
        (
            lambda: sampled(REAL, FAKE, at="fakes"),
            r"'fakes', did you mean 'fake'\? \(valid: real-fake, within",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
