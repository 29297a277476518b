"""Mixtures of Gaussians on the line, integrals against them, and where a penalty looks at two of them.

    p(x) = Σ_m w_m N(x; μ_m, σ_m²)            E_p φ = ∫ p(x) φ(x) dx

Integrals are Gauss–Legendre rules on many short panels. A penalty's point between two independent Gaussians,
εx + (1 − ε)y, is Gaussian for each ε; over ε ~ U[0, 1] their mixture is taken at the nodes of such a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gncompanion.tools.checks import require
from gncompanion.tools.names import pick

__all__ = ["Gaussians", "expectation", "integral", "sampled"]

_REACH = 12.0  # standard deviations either side: what lies beyond has mass below 1e-32
_PANELS, _NODES = 600, 8

Floats = NDArray[np.float64]


@dataclass(frozen=True, init=False, eq=False)
class Gaussians:
    """A mixture of M Gaussians on the line; by default the standard one.

    Attributes:
        means: Means, (M,).
        stds: Standard deviations, (M,), > 0.
        weights: Weights, (M,), from 0 on and of sum 1.

    Example:
        >>> Gaussians([-1.0, 1.0]).cdf(np.zeros(1)).tolist()
        [0.5]
    """

    means: Floats
    stds: Floats
    weights: Floats

    def __init__(
        self, means: ArrayLike = 0.0, stds: ArrayLike = 1.0, weights: ArrayLike | None = None
    ) -> None:
        """Make a mixture.

        Args:
            means: Means, (M,) or one number, finite.
            stds: Standard deviations, (M,) or one number, > 0.
            weights: Weights, (M,), from 0 on and of sum 1; None = equal ones.

        Raises:
            ValueError: A standard deviation is not positive, a mean is not finite, or the weights are no
                distribution.
        """
        centres, widths = np.broadcast_arrays(np.atleast_1d(means), np.atleast_1d(stds))
        m = len(centres)
        shares = np.full(m, 1 / m) if weights is None else np.asarray(weights)
        require("means", means, bool(np.isfinite(centres).all()), "finite")
        require("stds", stds, bool(((widths > 0) & np.isfinite(widths)).all()), "positive and finite")
        one = shares.shape == centres.shape and math.isclose(shares.sum(), 1)
        require("weights", weights, one and bool((shares >= 0).all()), f"{m} numbers from 0 on of sum 1")
        for name, value in (("means", centres), ("stds", widths), ("weights", shares)):
            object.__setattr__(self, name, value.astype(float))

    def log_pdf(self, x: Floats) -> Floats:
        """Compute log p: x (N,) -> (N,)."""
        from scipy.special import logsumexp

        found: Floats = logsumexp(self._log_parts(x), axis=1, b=self.weights)
        return found

    def pdf(self, x: Floats) -> Floats:
        """Compute the density p: x (N,) -> (N,)."""
        found: Floats = np.exp(self._log_parts(x)) @ self.weights
        return found

    def log_slope(self, x: Floats) -> Floats:
        """Compute the derivative of log p: x (N,) -> (N,)."""
        from scipy.special import softmax

        with np.errstate(divide="ignore"):  # a weight of 0
            shares: Floats = softmax(self._log_parts(x) + np.log(self.weights), axis=1)
        found: Floats = -(shares * self._standard(x) / self.stds).sum(axis=1)
        return found

    def cdf(self, x: Floats) -> Floats:
        """Compute the mass to the left: x (N,) -> (N,)."""
        from scipy.special import ndtr

        found: Floats = ndtr(self._standard(x)) @ self.weights
        return found

    def tail(self, x: Floats) -> Floats:
        """Compute the mass to the right, without the cancellation of 1 − cdf: x (N,) -> (N,)."""
        from scipy.special import ndtr

        found: Floats = ndtr(-self._standard(x)) @ self.weights
        return found

    def _standard(self, x: Floats) -> Floats:
        return (np.asarray(x, dtype=float)[:, None] - self.means) / self.stds

    def _log_parts(self, x: Floats) -> Floats:
        return -(self._standard(x) ** 2) / 2 - np.log(self.stds * math.sqrt(2 * math.pi))


def expectation(density: Gaussians, function: Callable[[Floats], Floats]) -> float:
    """Integrate a function against a density.

    Args:
        density: Density of the points.
        function: Function of points, (N,) -> (N,), smooth on the scale of the density's narrowest Gaussian.

    Returns:
        The expectation E function(x).
    """
    return integral(lambda x: density.pdf(x) * function(x), density)


def integral(function: Callable[[Floats], Floats], *densities: Gaussians) -> float:
    """Integrate a function over all of the line on which any of some densities has mass.

    Args:
        function: Integrand, (N,) -> (N,), smooth on the scale of the narrowest Gaussian.
        *densities: Densities that say where to integrate: 12 standard deviations around each Gaussian.

    Returns:
        The integral.
    """
    low = min((d.means - _REACH * d.stds).min() for d in densities)
    high = max((d.means + _REACH * d.stds).max() for d in densities)
    place, share = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(low, high, _PANELS + 1)
    half = (edges[1] - edges[0]) / 2
    x = (edges[:-1, None] + half * (1 + place)).ravel()
    return float(function(x) @ np.tile(half * share, _PANELS))


def sampled(real: Gaussians, fake: Gaussians, *, at: str = "real-fake", nodes: int = 64) -> Gaussians:
    """Give the density r of the points at which a penalty looks.

    Args:
        real: Density of real points.
        fake: Density of generated points.
        at: Name of the sampling, one of `constraints.sampling.SAMPLINGS`.
        nodes: Number of values of ε.

    Returns:
        The density of one such point.

    Raises:
        ValueError: There is no sampling of that name.
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
    return _mixed(pick("sampling of r(x)", at, places)())


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
