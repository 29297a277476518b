"""Fréchet distance, kernel distance and Inception Score of features.

    Fréchet   ‖μ − ν‖² + tr(A + B − 2 (A B)^½)                       of two Gaussians N(μ, A), N(ν, B)
    kernel    E k(x, x′) + E k(y, y′) − 2 E k(x, y)                  k(x, y) = (⟨x, y⟩ / d + 1)³, unbiased
    score     exp E_x KL( p(·|x) ‖ E_x p(·|x) )                      p = softmax(logits)

In Inception's features they are FID, KID and IS. Kernel distance and score are means over splits with the
standard deviation over these: the score's splits share the images out in their order, the kernel distance's
are drawn anew each, without repetition inside one, all from one seed. The papers take 50 000 images in 10
splits of 5000 each.

tr (A B)^½ is the sum of the square roots of the eigenvalues of A^½ B A^½, a symmetric matrix. These roots are
the singular values of Rᵀ S, where A = R Rᵀ and B = S Sᵀ, and found so they keep all their digits where dead
features or few images make A and B singular. pytorch-fid takes the root of A B itself, which is not
symmetric, and fails where rounding makes the root complex; where it does not fail, the two agree.
torch-fidelity computes the kernel distance and the score.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gncompanion.tools.checks import whole

__all__ = ["Statistics", "frechet_distance", "inception_score", "kernel_distance"]


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of features.

    Attributes:
        mean: Mean of the features, (d,), float64.
        covariance: Covariance of the features, (d, d), float64, with the denominator n − 1.
        n: Number of images.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    n: int

    @classmethod
    def of(cls, values: Tensor) -> "Statistics":
        """Compute mean and covariance of features.

        Args:
            values: Features, (N, d), of N ≥ 2 images.

        Returns:
            The statistics, in float64.

        Raises:
            ValueError: There are fewer than two images, or the features are not (N, d).
        """
        if values.ndim != 2 or len(values) < 2:
            raise ValueError(f"statistics need features (N, d) of N ≥ 2 images, not {tuple(values.shape)}")
        x = values.double().cpu().numpy()
        return cls(x.mean(axis=0), np.atleast_2d(np.cov(x, rowvar=False)), len(x))


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Compute the squared Fréchet distance of two Gaussians: FID, in Inception's features.

    Args:
        a: Statistics of one side.
        b: Statistics of the other side, of as many features.

    Returns:
        The distance, ≥ 0 up to rounding, in the squared unit of the features.

    Raises:
        ValueError: The numbers of features differ, or the statistics or the result are not finite.

    Source: Dowson and Landau 1982 (The Fréchet distance between multivariate normal distributions); Heusel et
    al. 2017 (FID, 1706.08500). pytorch-fid is the field's implementation.

    Example:
        >>> side = Statistics(np.zeros(2), np.eye(2), n=10)
        >>> frechet_distance(side, Statistics(np.array([3.0, 4.0]), np.eye(2), n=10))
        25.0
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"{a.mean.size} features cannot be compared with {b.mean.size}")
    for side, statistics in (("a", a), ("b", b)):
        _require_finite(f"{side}.mean", statistics.mean)
        _require_finite(f"{side}.covariance", statistics.covariance)
    shift = a.mean - b.mean
    root = _trace_of_root(a.covariance, b.covariance)
    distance = float(shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * root)
    if not math.isfinite(distance):
        raise ValueError(f"the Fréchet distance is {distance}: the features are too large")
    return distance


def inception_score(logits: Tensor, *, splits: int = 10) -> tuple[float, float]:
    """Compute the Inception Score, from 1 (all images alike, or undecided) to the number of classes.

    Args:
        logits: Logits of the images, (N, k).
        splits: Number of equal parts, in the order of the images.

    Returns:
        Mean and standard deviation over the splits.

    Raises:
        ValueError: There are fewer images than splits, or a logit is not finite.

    Source: Salimans et al. 2016 (IS, 1606.03498); torch-fidelity's `isc_features_to_metric`, without its
    shuffling, as in the original code.
    """
    _split_size(len(logits), splits, least=1)
    _require_finite("logits", logits.cpu().numpy())
    from torch_fidelity.metric_isc import isc_features_to_metric

    mean, sd = isc_features_to_metric(logits.cpu(), splits=splits, shuffle=False).values()
    return mean, sd


def kernel_distance(x: Tensor, y: Tensor, *, splits: int = 10, seed: int = 0) -> tuple[float, float]:
    """Compute the squared maximum mean discrepancy of the cubic kernel: KID, in Inception's features.

    Args:
        x: Features of one side, (N, d).
        y: Features of the other side, (M, d).
        splits: Number of estimates, each of min(N, M) // splits images of each side.
        seed: Seed of the draws.

    Returns:
        Mean and standard deviation over the splits.

    Raises:
        ValueError: There are fewer than two images per split, or a feature is not finite.

    Source: Bińkowski et al. 2018 (KID, 1801.01401); torch-fidelity's `kid_features_to_metric`, in float64.
    """
    size = _split_size(min(len(x), len(y)), splits, least=2)
    for name, side in (("x", x), ("y", y)):
        _require_finite(name, side.cpu().numpy())
    from torch_fidelity.metric_kid import kid_features_to_metric

    mean, sd = kid_features_to_metric(
        x.double(), y.double(), kid_subsets=splits, kid_subset_size=size, rng_seed=seed, verbose=False
    ).values()
    return mean, sd


def _split_size(n: int, splits: int, *, least: int) -> int:
    if n // whole("splits", splits) < least:
        raise ValueError(f"{n} images cannot be split into {splits} parts of at least {least}")
    return n // splits


def _require_finite(name: str, values: NDArray[np.floating]) -> None:
    if bad := values.size - int(np.isfinite(values).sum()):
        raise ValueError(f"{name} must be finite, but {bad} of its {values.size} numbers are not")


def _trace_of_root(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Compute tr (A B)^½ = Σ σᵢ(Rᵀ S), where A = R Rᵀ and B = S Sᵀ."""
    return float(np.linalg.svd(_root(a).T @ _root(b), compute_uv=False).sum())


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor a covariance C = R Rᵀ into R, (d, rank), without the eigenvalues that are 0 but for rounding."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(values.dtype).eps * values.max()  # as in np.linalg.matrix_rank
    root: NDArray[np.float64] = vectors[:, kept] * np.sqrt(values[kept])
    return root
