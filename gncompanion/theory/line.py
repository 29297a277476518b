"""Optimal critics on the line, in closed form: of the GAN's game, of the Wasserstein divergence, of WGAN-GP.

With densities p of real and q of generated points, r of those at which a penalty looks, and the mass that has
to cross x on its way, Δ(x) = F_q(x) − F_p(x):

    game                               optimal critic                            value
    E_p log D + E_q log(1 − D)         D* = p/(p + q) = σ(f*),                   2 JS(p, q) − 2 log 2
                                       f* = log p − log q
    E_p T − E_q T − k E_r |T′|ᵖ        T′ = sgn Δ · (|Δ| / (k p r))^(1/(p−1))    (1 − 1/p) ∫ |Δ| |T′|
    E_p T − E_q T − λ E_r (|T′| − 1)²  T′ = sgn Δ · (1 + |Δ| / (2 λ r))          W1 + ∫ Δ² / (4 λ r)

The first maximises the integrand p log D + q log(1 − D) at every x. So do the others, once integration by
parts has made E_p T − E_q T = ∫ T′ Δ out of the difference of the means: what is left is a number T′(x) at
each x. Under Δ → −Δ they change sign and keep their value.

Densities are mixtures of Gaussians; integrals are Gauss–Legendre rules on many short panels.

Source: Goodfellow et al. 2014; Wu et al. 2018 (WGAN-div) for the objective. The closed forms of the last two
on the line are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "Gaussians",
    "discriminator",
    "divergence_slope",
    "expectation",
    "generator_gradient",
    "jensen_shannon",
    "logit",
    "logit_slope",
    "penalized_distance",
    "penalized_slope",
    "sampled",
    "w1",
    "wasserstein_divergence",
]

_REACH = 12.0  # standard deviations either side: what lies beyond has mass below 1e-32
_PANELS, _NODES = 600, 8


@dataclass(frozen=True)
class Gaussians:
    """A mixture of Gaussians on the line; by default the standard one.

    Args:
        means: (M,) or one number.
        stds: (M,) or one number, > 0.
        weights: (M,) of sum 1; equal ones by default.

    Raises:
        ValueError: a standard deviation is not positive, or the weights are no distribution.
    """

    means: ArrayLike = 0.0
    stds: ArrayLike = 1.0
    weights: ArrayLike | None = None

    def __post_init__(self) -> None:
        means, stds = np.broadcast_arrays(np.atleast_1d(self.means), np.atleast_1d(self.stds))
        weights = np.full(len(means), 1 / len(means)) if self.weights is None else np.asarray(self.weights)
        if not ((stds > 0) & np.isfinite(stds) & np.isfinite(means)).all():
            raise ValueError(f"stds={self.stds!r} must be positive, and means={self.means!r} finite")
        if weights.shape != means.shape or (weights < 0).any() or not math.isclose(weights.sum(), 1):
            raise ValueError(f"weights={self.weights!r} must be {len(means)} numbers from 0 on of sum 1")
        for name, value in (("means", means), ("stds", stds), ("weights", weights)):
            object.__setattr__(self, name, value.astype(float))

    def log_pdf(self, x: np.ndarray) -> np.ndarray:
        """Compute log p: x (N,) -> (N,)."""
        from scipy.special import logsumexp

        return logsumexp(self._log_parts(x), axis=1, b=self.weights)

    def pdf(self, x: np.ndarray) -> np.ndarray:
        """Compute the density p: x (N,) -> (N,)."""
        return np.exp(self._log_parts(x)) @ self.weights

    def log_slope(self, x: np.ndarray) -> np.ndarray:
        """Compute the derivative of log p: x (N,) -> (N,)."""
        from scipy.special import softmax

        with np.errstate(divide="ignore"):  # a weight of 0
            shares = softmax(self._log_parts(x) + np.log(self.weights), axis=1)
        return -(shares * self._standard(x) / self.stds).sum(axis=1)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Compute the mass to the left: x (N,) -> (N,)."""
        from scipy.special import ndtr

        return ndtr(self._standard(x)) @ self.weights

    def tail(self, x: np.ndarray) -> np.ndarray:
        """Compute the mass to the right, without the cancellation of 1 − cdf: x (N,) -> (N,)."""
        from scipy.special import ndtr

        return ndtr(-self._standard(x)) @ self.weights

    def _standard(self, x: np.ndarray) -> np.ndarray:
        return (np.asarray(x, dtype=float)[:, None] - self.means) / self.stds

    def _log_parts(self, x: np.ndarray) -> np.ndarray:
        return -(self._standard(x) ** 2) / 2 - np.log(self.stds * math.sqrt(2 * math.pi))


def logit(real: Gaussians, fake: Gaussians, x: np.ndarray) -> np.ndarray:
    """Compute f* = log p − log q, the best critic of the GAN's game before its sigmoid: x (N,) -> (N,)."""
    return real.log_pdf(x) - fake.log_pdf(x)


def logit_slope(real: Gaussians, fake: Gaussians, x: np.ndarray) -> np.ndarray:
    """Compute the derivative of f*, p′/p − q′/q: x (N,) -> (N,)."""
    return real.log_slope(x) - fake.log_slope(x)


def discriminator(real: Gaussians, fake: Gaussians, x: np.ndarray) -> np.ndarray:
    """Compute D* = p/(p + q), also where both densities underflow: x (N,) -> (N,)."""
    from scipy.special import expit

    return expit(logit(real, fake, x))


def jensen_shannon(real: Gaussians, fake: Gaussians) -> float:
    """Compute JS(p, q) = log 2 + ½ E_p log D* + ½ E_q log(1 − D*), in nats, from 0 to log 2."""
    from scipy.special import log_expit

    sides = [(real, 1), (fake, -1)]
    means = [expectation(side, lambda x, s=s: log_expit(s * logit(real, fake, x))) for side, s in sides]
    return math.log(2) + sum(means) / 2


def generator_gradient(real: Gaussians, fake: Gaussians, *, saturating: bool) -> float:
    """Differentiate a generator's loss through the optimal discriminator, held still, as q moves right.

    Args:
        real: density of real points.
        fake: density of generated points.
        saturating: the loss is E_q log(1 − D*), the original game's, rather than −E_q log D*.

    Returns:
        −E_q[D* f*′], which by the envelope theorem is twice the derivative of JS, or −E_q[(1 − D*) f*′].
    """
    first, second = (real, fake) if saturating else (fake, real)
    return expectation(fake, lambda x: -discriminator(first, second, x) * logit_slope(real, fake, x))


def expectation(density: Gaussians, function: Callable[[np.ndarray], np.ndarray]) -> float:
    """Integrate a function against a density.

    Args:
        density: of the points.
        function: x (N,) -> (N,), smooth on the scale of the density's narrowest Gaussian.

    Returns:
        E function(x).
    """
    return _integral(lambda x: density.pdf(x) * function(x), density)


def w1(real: Gaussians, fake: Gaussians) -> float:
    """Compute the Wasserstein-1 distance, ∫ |Δ|."""
    return _integral(lambda x: np.abs(_crossing(real, fake, x)), real, fake)


def divergence_slope(
    real: Gaussians, fake: Gaussians, r: Gaussians, x: np.ndarray, *, k: float = 2.0, p: float = 6.0
) -> np.ndarray:
    """Compute the optimal T′ of the Wasserstein divergence.

    Args:
        real: density of real points.
        fake: density of generated points.
        r: density of the points at which the penalty looks.
        x: where (N,).
        k: the coefficient, > 0.
        p: the power, > 1.

    Returns:
        (N,); infinite where mass has to cross and r vanishes.

    Raises:
        ValueError: k or p is out of range.
    """
    if not (k > 0 and p > 1):
        raise ValueError(f"k={k!r} and p={p!r}: a Wasserstein divergence needs k > 0 and p > 1")
    crossing = _crossing(real, fake, x)
    return np.sign(crossing) * _over(np.abs(crossing), r, x, k * p, 1 / (p - 1))


def wasserstein_divergence(
    real: Gaussians, fake: Gaussians, r: Gaussians, *, k: float = 2.0, p: float = 6.0
) -> float:
    """Compute W_{k,p} = (1 − 1/p) ∫ |Δ| |T′|, the value of the divergence's game.

    Args:
        real: density of real points.
        fake: density of generated points.
        r: density of the points at which the penalty looks.
        k: the coefficient, > 0.
        p: the power, > 1.

    Raises:
        ValueError: k or p is out of range.
    """

    def height(x: np.ndarray) -> np.ndarray:
        return _crossing(real, fake, x) * divergence_slope(real, fake, r, x, k=k, p=p)

    return (1 - 1 / p) * _integral(height, real, fake)


def penalized_slope(
    real: Gaussians, fake: Gaussians, r: Gaussians, x: np.ndarray, *, weight: float = 10.0
) -> np.ndarray:
    """Compute an optimal T′ of WGAN-GP: the only one where Δ ≠ 0; where Δ = 0, −1 would do as well as 1.

    Args:
        real: density of real points.
        fake: density of generated points.
        r: density of the points at which the penalty looks.
        x: where (N,).
        weight: λ > 0.

    Returns:
        (N,); infinite where mass has to cross and r vanishes.

    Raises:
        ValueError: the weight is not positive.
    """
    if not weight > 0:
        raise ValueError(f"weight={weight!r} must be positive: without a penalty the slope is unbounded")
    crossing = _crossing(real, fake, x)
    return np.where(crossing < 0, -1, 1) * (1 + _over(np.abs(crossing), r, x, 2 * weight, 1.0))


def penalized_distance(real: Gaussians, fake: Gaussians, r: Gaussians, *, weight: float = 10.0) -> float:
    """Compute the value of WGAN-GP's game, W1 + ∫ Δ²/(4λr): on the line it is W1 + W_{λ,2}.

    Args:
        real: density of real points.
        fake: density of generated points.
        r: density of the points at which the penalty looks.
        weight: λ > 0.
    """
    return w1(real, fake) + wasserstein_divergence(real, fake, r, k=weight, p=2.0)


def sampled(real: Gaussians, fake: Gaussians, *, at: str = "real-fake", nodes: int = 64) -> Gaussians:
    """Give the density r of the points at which a penalty looks.

    A point εx + (1 − ε)y of two independent Gaussians is, for each ε, Gaussian; over ε ~ U[0, 1] their
    mixture is taken at the nodes of a Gauss–Legendre rule.

    Args:
        real: density of real points.
        fake: density of generated points.
        at: one of `constraints.sampling.SAMPLINGS`.
        nodes: values of ε.

    Returns:
        The density of one such point.

    Raises:
        ValueError: for another name.
    """

    def between(x: Gaussians, y: Gaussians) -> Gaussians:
        return _interpolated(x, y, nodes)

    places: dict[str, Callable[[], list[Gaussians]]] = {
        "real-fake": lambda: [between(real, fake)],
        "within": lambda: [between(real, real), between(fake, fake)],
        "pooled": lambda: [between(x, y) for x in (real, fake) for y in (real, fake)],
        "both": lambda: [real, fake],
        "fake": lambda: [fake],
        "real": lambda: [real],
    }
    if at not in places:
        raise ValueError(f"unknown sampling of r(x) {at!r} (valid: {', '.join(places)})")
    return _mixed(places[at]())


def _mixed(parts: list[Gaussians]) -> Gaussians:
    means, stds, weights = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("means", "stds", "weights")
    )
    return Gaussians(means, stds, weights / len(parts))


def _interpolated(x: Gaussians, y: Gaussians, nodes: int) -> Gaussians:
    place, share = np.polynomial.legendre.leggauss(nodes)
    e, a, b = np.ix_((place + 1) / 2, np.arange(len(x.means)), np.arange(len(y.means)))
    means = e * x.means[a] + (1 - e) * y.means[b]
    stds = np.hypot(e * x.stds[a], (1 - e) * y.stds[b])
    weights = share[:, None, None] / 2 * x.weights[a] * y.weights[b]
    return Gaussians(means.ravel(), stds.ravel(), weights.ravel())


def _crossing(real: Gaussians, fake: Gaussians, x: np.ndarray) -> np.ndarray:
    """Δ = F_q − F_p, from the side on which the masses are small."""
    left, right = fake.cdf(x) - real.cdf(x), real.tail(x) - fake.tail(x)
    return np.where(real.cdf(x) + fake.cdf(x) < 1, left, right)


def _over(crossing: np.ndarray, r: Gaussians, x: np.ndarray, coefficient: float, power: float) -> np.ndarray:
    """(|Δ| / (coefficient · r))^power, by logarithms, since r underflows sooner than the ratio does."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.exp(power * (np.log(crossing) - math.log(coefficient) - r.log_pdf(x)))


def _integral(function: Callable[[np.ndarray], np.ndarray], *densities: Gaussians) -> float:
    low = min((d.means - _REACH * d.stds).min() for d in densities)
    high = max((d.means + _REACH * d.stds).max() for d in densities)
    place, share = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(low, high, _PANELS + 1)
    half = (edges[1] - edges[0]) / 2
    x = (edges[:-1, None] + half * (1 + place)).ravel()
    return float(function(x) @ np.tile(half * share, _PANELS))
