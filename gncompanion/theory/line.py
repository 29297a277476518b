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

Densities are mixtures of Gaussians, and integrals those of `gaussians`.

Source: Goodfellow et al., 1406.2661, for the game; Wu et al., 1712.01026 (WGAN-div), and Gulrajani et al.,
1704.00028 (WGAN-GP), for the objectives. The closed forms of the last two on the line are ours.
"""

from __future__ import annotations

import math

import numpy as np

from gncompanion.theory.gaussians import Floats, Gaussians, expectation, integral
from gncompanion.tools.checks import positive, require

__all__ = [
    "discriminator",
    "divergence_slope",
    "generator_gradient",
    "jensen_shannon",
    "logit",
    "logit_slope",
    "penalized_distance",
    "penalized_slope",
    "w1_of_densities",
    "wasserstein_divergence",
]


def logit(real: Gaussians, fake: Gaussians, x: Floats) -> Floats:
    """Compute f* = log p − log q, the best critic of the GAN's game before its sigmoid: x (N,) -> (N,)."""
    return real.log_pdf(x) - fake.log_pdf(x)


def logit_slope(real: Gaussians, fake: Gaussians, x: Floats) -> Floats:
    """Compute the derivative of f*, p′/p − q′/q: x (N,) -> (N,)."""
    return real.log_slope(x) - fake.log_slope(x)


def discriminator(real: Gaussians, fake: Gaussians, x: Floats) -> Floats:
    """Compute D* = p/(p + q), also where both densities underflow: x (N,) -> (N,)."""
    from scipy.special import expit

    found: Floats = expit(logit(real, fake, x))
    return found


def jensen_shannon(real: Gaussians, fake: Gaussians) -> float:
    """Compute JS(p, q) = log 2 + ½ E_p log D* + ½ E_q log(1 − D*), in nats, from 0 to log 2."""
    from scipy.special import log_expit

    def mean_log(side: Gaussians, sign: int) -> float:
        return expectation(side, lambda x: log_expit(sign * logit(real, fake, x)))

    return math.log(2) + (mean_log(real, 1) + mean_log(fake, -1)) / 2


def generator_gradient(real: Gaussians, fake: Gaussians, *, saturating: bool) -> float:
    """Differentiate a generator's loss through the optimal discriminator, held still, as q moves right.

    Args:
        real: Density of real points.
        fake: Density of generated points.
        saturating: Whether the loss is E_q log(1 − D*), the original game's, rather than −E_q log D*.

    Returns:
        The derivative −E_q[D* f*′], which by the envelope theorem is twice that of JS, or −E_q[(1 − D*) f*′].

    Source: Goodfellow et al., 1406.2661.
    """
    first, second = (real, fake) if saturating else (fake, real)
    return expectation(fake, lambda x: -discriminator(first, second, x) * logit_slope(real, fake, x))


def w1_of_densities(real: Gaussians, fake: Gaussians) -> float:
    """Compute the Wasserstein-1 distance of two densities on the line, ∫ |Δ|.

    Args:
        real: Density of real points.
        fake: Density of generated points.

    Returns:
        The distance, in the units of x.

    Example:
        >>> round(w1_of_densities(Gaussians(0.0), Gaussians(3.0)), 6)
        3.0
    """
    return integral(lambda x: np.abs(_crossing(real, fake, x)), real, fake)


def divergence_slope(
    real: Gaussians, fake: Gaussians, r: Gaussians, x: Floats, *, k: float = 2.0, p: float = 6.0
) -> Floats:
    """Compute the optimal T′ of the Wasserstein divergence.

    Args:
        real: Density of real points.
        fake: Density of generated points.
        r: Density of the points at which the penalty looks.
        x: Points, (N,).
        k: Coefficient, > 0.
        p: Power, > 1.

    Returns:
        The slopes, (N,); infinite where mass has to cross and r vanishes.

    Raises:
        ValueError: k or p is out of range.

    Source: the objective is that of Wu et al., 1712.01026.
    """
    positive("k", k, such_as=2.0)
    require("p", p, p > 1, "a power above 1, such as 6.0")
    crossing = _crossing(real, fake, x)
    return np.sign(crossing) * _over(np.abs(crossing), r, x, k * p, 1 / (p - 1))


def wasserstein_divergence(
    real: Gaussians, fake: Gaussians, r: Gaussians, *, k: float = 2.0, p: float = 6.0
) -> float:
    """Compute W_{k,p} = (1 − 1/p) ∫ |Δ| |T′|, the value of the divergence's game.

    Args:
        real: Density of real points.
        fake: Density of generated points.
        r: Density of the points at which the penalty looks.
        k: Coefficient, > 0.
        p: Power, > 1.

    Returns:
        The divergence.

    Raises:
        ValueError: k or p is out of range.

    Source: the objective is that of Wu et al., 1712.01026.
    """

    def height(x: Floats) -> Floats:
        return _crossing(real, fake, x) * divergence_slope(real, fake, r, x, k=k, p=p)

    return (1 - 1 / p) * integral(height, real, fake)


def penalized_slope(
    real: Gaussians, fake: Gaussians, r: Gaussians, x: Floats, *, weight: float = 10.0
) -> Floats:
    """Compute an optimal T′ of WGAN-GP: the only one where Δ ≠ 0; where Δ = 0, −1 would do as well as 1.

    Args:
        real: Density of real points.
        fake: Density of generated points.
        r: Density of the points at which the penalty looks.
        x: Points, (N,).
        weight: Weight λ > 0 of the penalty; without one the slope would be unbounded.

    Returns:
        The slopes, (N,); infinite where mass has to cross and r vanishes.

    Raises:
        ValueError: The weight is not positive.

    Source: the objective is that of Gulrajani et al., 1704.00028.
    """
    positive("weight", weight, such_as=10.0)
    crossing = _crossing(real, fake, x)
    found: Floats = np.where(crossing < 0, -1, 1) * (1 + _over(np.abs(crossing), r, x, 2 * weight, 1.0))
    return found


def penalized_distance(real: Gaussians, fake: Gaussians, r: Gaussians, *, weight: float = 10.0) -> float:
    """Compute the value of WGAN-GP's game, W1 + ∫ Δ²/(4λr): on the line it is W1 + W_{λ,2}.

    Args:
        real: Density of real points.
        fake: Density of generated points.
        r: Density of the points at which the penalty looks.
        weight: Weight λ > 0 of the penalty.

    Returns:
        The value.

    Raises:
        ValueError: The weight is not positive.
    """
    positive("weight", weight, such_as=10.0)
    return w1_of_densities(real, fake) + wasserstein_divergence(real, fake, r, k=weight, p=2.0)


def _crossing(real: Gaussians, fake: Gaussians, x: Floats) -> Floats:
    """Δ = F_q − F_p, from the side on which the masses are small."""
    left, right = fake.cdf(x) - real.cdf(x), real.tail(x) - fake.tail(x)
    return np.where(real.cdf(x) + fake.cdf(x) < 1, left, right)


def _over(crossing: Floats, r: Gaussians, x: Floats, coefficient: float, power: float) -> Floats:
    """(|Δ| / (coefficient · r))^power, by logarithms, since r underflows sooner than the ratio does."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.exp(power * (np.log(crossing) - math.log(coefficient) - r.log_pdf(x)))
