"""Distances and the score against closed forms, direct definitions and the libraries' own numbers."""

import re
from math import exp, log

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from gncompanion.metrics import Statistics, frechet_distance, inception_score, kernel_distance
from tests.helpers.pictures import noise


def test_statistics() -> None:
    x = noise(7, 3).double()
    s, centred = Statistics.of(x), (x - x.mean(0)).numpy()
    np.testing.assert_allclose(s.covariance, centred.T @ centred / 6, rtol=1e-13, atol=1e-15)
    assert s.n == 7
    assert Statistics.of(x[:, :1]).covariance.shape == (1, 1)
    with pytest.raises(ValueError, match=re.escape("N ≥ 2 images, not (1, 3)")):
        Statistics.of(x[:1])


def gaussian(d: int, seed: int) -> Statistics:
    root = noise(d, d, seed=seed).double()
    return Statistics(noise(d, seed=seed + 1).double().numpy(), (root @ root.T).numpy(), 10)


def test_frechet_distance_of_commuting_gaussians() -> None:
    # With A and B diagonal, ‖μ − ν‖² + Σ (√a − √b)².
    a, b = noise(5).double().exp().numpy(), noise(5, seed=1).double().exp().numpy()
    mu, nu = noise(5, seed=2).double().numpy(), noise(5, seed=3).double().numpy()
    expected = ((mu - nu) ** 2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = frechet_distance(Statistics(mu, np.diag(a), 9), Statistics(nu, np.diag(b), 9))
    assert found == pytest.approx(expected, rel=1e-12)  # rounding of float64


def test_frechet_distance_of_a_gaussian_and_a_linear_image_of_it() -> None:
    # B = T A T with T symmetric positive is the optimal map's image: distance² = tr (1 − T) A (1 − T).
    a = gaussian(6, 0)
    root = noise(6, 6, seed=7).double().numpy()
    t = root @ root.T + np.eye(6)
    b = Statistics(a.mean + 1, t @ a.covariance @ t, 10)
    expected = 6 + np.trace((np.eye(6) - t) @ a.covariance @ (np.eye(6) - t))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)  # a condition of some 1e4
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10 * np.trace(a.covariance))


@pytest.mark.parametrize("n", [10, 24, 200], ids=lambda n: f"{n} images")
def test_frechet_distance_of_a_shift_is_its_squared_length(n: int) -> None:
    a = Statistics.of(noise(n, 24))
    shift = noise(24, seed=1).double().numpy()
    found = frechet_distance(a, Statistics(a.mean + shift, a.covariance, n))
    # The trace of the root of A² is that of A: the difference of two such traces, in float64.
    assert found == pytest.approx(shift @ shift, abs=1e-12 * np.trace(a.covariance))


@pytest.mark.parametrize("exponent", [*range(-4, 5), -40, 40])
def test_frechet_distance_of_features_of_any_scale(exponent: int) -> None:
    c = 10.0**exponent
    a, b = gaussian(24, 0), gaussian(24, 2)
    large_a, large_b = (Statistics(c * s.mean, c**2 * s.covariance, 10) for s in (a, b))
    # Distances have the squared unit of the features; the covariances' condition of some 1e6 costs digits.
    assert frechet_distance(large_a, large_b) == pytest.approx(c**2 * frechet_distance(a, b), rel=1e-9)
    # One side alone: the root of A · c² A is c A.
    expected = (1 - c) ** 2 * (a.mean @ a.mean + np.trace(a.covariance))
    rounding = 1e-12 * max(1, c) ** 2 * np.trace(a.covariance)
    assert frechet_distance(a, large_a) == pytest.approx(expected, rel=1e-9, abs=rounding)
    assert frechet_distance(large_a, a) == pytest.approx(expected, rel=1e-9, abs=rounding)


def test_frechet_distance_of_features_of_different_scales() -> None:
    # T = diag(10^-4 … 10^4) is the optimal map of A to T A T, as above.
    a, scales = gaussian(9, 0), np.logspace(-4, 4, 9)
    b = Statistics(scales * a.mean, scales[:, None] * a.covariance * scales, 10)
    expected = ((1 - scales) ** 2 * (a.mean**2 + np.diag(a.covariance))).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)  # of its greatest part
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_fewer_images_than_features() -> None:
    # Rank 9 in 24 dimensions. The exact trace of (A B)^½ is the nuclear norm of the product of the centred
    # features. With roots of eigenvalues that are 0 but for rounding, 1e-8 of it would be lost.
    x, y = noise(10, 24), noise(10, 24, seed=1)
    a, b = Statistics.of(x), Statistics.of(y)
    cx, cy = ((z - z.mean(0)) / 3 for z in (x.double(), y.double()))
    nuclear = torch.linalg.matrix_norm(cx @ cy.T, "nuc").item()
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * nuclear
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_of_dead_features() -> None:
    # Features that are always 0 change nothing, and those that are 0 on one side alone add their variance.
    x, y = noise(200, 6), 2 * noise(200, 6, seed=1)
    y[:, 0] = 0
    a, b = Statistics.of(x), Statistics.of(y)
    dead_a, dead_b = (Statistics.of(torch.cat([z, torch.zeros(200, 14)], 1)) for z in (x, y))
    assert frechet_distance(dead_a, dead_b) == pytest.approx(frechet_distance(a, b), rel=1e-12)
    alike = Statistics.of(torch.zeros(2, 6))
    expected = a.mean @ a.mean + np.trace(a.covariance)
    assert frechet_distance(a, alike) == pytest.approx(expected, rel=1e-14)
    assert frechet_distance(alike, alike) == 0


@pytest.mark.parametrize(
    ("n", "tolerance"),
    [
        (200, 1e-10),  # well conditioned: rounding of float64
        (10, 1e-6),  # rank 9 in 24 dimensions: pytorch-fid's root of a singular matrix has half the digits
    ],
)
def test_frechet_distance_is_pytorch_fids_own(
    n: int, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_fid.fid_score import calculate_frechet_distance

    root = scipy.linalg.sqrtm  # of SciPy 1.18 and newer it cannot be called as pytorch-fid calls it
    monkeypatch.setattr(scipy.linalg, "sqrtm", lambda matrix, disp: (root(matrix), 0.0))
    x, y = noise(n, 24), noise(n, 24, seed=1) @ noise(24, 24, seed=2)
    arrays = [f(z.double().numpy()) for z in (x, y) for f in (lambda z: z.mean(0), lambda z: np.cov(z.T))]
    expected = calculate_frechet_distance(*arrays)
    assert frechet_distance(Statistics.of(x), Statistics.of(y)) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["mean", "covariance"])
@pytest.mark.parametrize("side", ["a", "b"])
def test_statistics_that_are_not_finite_are_named(side: str, part: str, value: float) -> None:
    good, bad = gaussian(3, 0), gaussian(3, 2)
    getattr(bad, part).flat[1] = value
    sides = {"a": good, "b": good, side: bad}
    numbers = 3 if part == "mean" else 9
    message = f"{side}.{part} must be finite, but 1 of its {numbers} numbers are not"
    with pytest.raises(ValueError, match=re.escape(message)):
        frechet_distance(**sides)


def test_what_cannot_be_compared_is_refused() -> None:
    x = noise(7, 3)
    with pytest.raises(ValueError, match="3 features cannot be compared with 1"):
        frechet_distance(Statistics.of(x), Statistics.of(x[:, :1]))
    far = Statistics(np.full(3, 1e200), np.eye(3), 7)
    with pytest.raises(ValueError, match="the Fréchet distance is inf"), np.errstate(over="ignore"):
        frechet_distance(far, Statistics.of(x))


def test_score_of_handmade_probabilities() -> None:
    k = 4
    certain = 1e3 * torch.eye(k).repeat(5, 1)  # every class as often, each time certain
    assert inception_score(certain, splits=5) == pytest.approx((k, 0), abs=1e-12)
    assert inception_score(torch.zeros(20, k), splits=5) == pytest.approx((1, 0), abs=1e-12)
    # p = (¾, ¼) and (¼, ¾): the marginal is even and KL = ¾ ln 3/2 + ¼ ln 1/2.
    leaning = torch.tensor([[log(3.0), 0.0], [0.0, log(3.0)]]).repeat(3, 1)
    expected = exp(0.75 * log(1.5) + 0.25 * log(0.5))
    assert inception_score(leaning, splits=1) == pytest.approx((expected, 0), rel=1e-6)  # logits in float32


def test_score_is_split_in_the_order_of_the_images() -> None:
    logits = torch.cat([1e3 * torch.eye(3), torch.zeros(3, 3)])
    assert inception_score(logits, splits=2) == pytest.approx((2, 1))  # 3 and 1
    with pytest.raises(ValueError, match="6 images cannot be split into 7 parts of at least 1"):
        inception_score(logits, splits=7)
    with pytest.raises(ValueError, match="splits=0 must be an integer from 1 on"):
        inception_score(logits, splits=0)


def cubic_mmd(x: Tensor, y: Tensor) -> float:
    """The unbiased estimate, written out as sums over pairs."""
    k = [[(float(a @ b) / len(a) + 1) ** 3 for b in (*x, *y)] for a in (*x, *y)]
    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    same = sum(k[i][j] + k[n + i][n + j] for i, j in pairs if i != j) / (n * (n - 1))
    return same - 2 * sum(k[i][n + j] for i, j in pairs) / n**2


def test_kernel_distance_is_the_direct_sum() -> None:
    x, y = noise(12, 5).double(), noise(12, 5, seed=1).double() + 0.5
    distance, sd = kernel_distance(x, y, splits=1)
    assert distance == pytest.approx(cubic_mmd(x, y), rel=1e-12)  # float64, another order of summation
    assert sd == 0


def test_kernel_distance_of_one_feature_in_closed_form() -> None:
    # x = ±1 and y = 0 in one dimension: k(x, y) = 1; of four x, two of each sign, k(x, x′) is 8 or 0.
    x, y = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]), torch.zeros(4, 1)
    assert kernel_distance(x, y, splits=1)[0] == pytest.approx(8 / 3 + 1 - 2)


def test_kernel_distance_is_drawn_from_its_seed() -> None:
    x, y = noise(40, 5), noise(60, 5, seed=1)
    before = np.random.get_state()[1].copy()
    assert kernel_distance(x, y, splits=4) == kernel_distance(x, y, splits=4, seed=0)
    assert kernel_distance(x, y, splits=4) != kernel_distance(x, y, splits=4, seed=1)
    assert (np.random.get_state()[1] == before).all()
    with pytest.raises(ValueError, match="40 images cannot be split into 21 parts of at least 2"):
        kernel_distance(x, y, splits=21)


def test_kernel_distance_is_unbiased() -> None:
    # Of one distribution its mean is 0: within four standard errors of 200 estimates.
    found = [
        kernel_distance(noise(20, 4, seed=2 * i), noise(20, 4, seed=2 * i + 1), splits=1)[0]
        for i in range(200)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 200**0.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_and_logits_that_are_not_finite_are_named(value: float) -> None:
    good, bad = noise(8, 3), noise(8, 3, seed=1)
    bad[2, 1] = value
    for side, x, y in (("x", bad, good), ("y", good, bad)):
        with pytest.raises(ValueError, match=f"{side} must be finite, but 1 of its 24 numbers are not"):
            kernel_distance(x, y, splits=2)
    with pytest.raises(ValueError, match="logits must be finite, but 1 of its 24 numbers are not"):
        inception_score(bad, splits=2)
