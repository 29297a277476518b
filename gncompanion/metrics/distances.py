"""Fréchet distance, kernel distance and Inception Score of features.

    Fréchet   ‖μ − ν‖² + tr(A + B − 2 (A B)^½)                       of two Gaussians N(μ, A), N(ν, B)
    kernel    E k(x, x′) + E k(y, y′) − 2 E k(x, y)                  k(x, y) = (⟨x, y⟩ / d + 1)³, unbiased
    score     exp E_x KL( p(·|x) ‖ E_x p(·|x) )                      p = softmax(logits)

In Inception's features they are FID, KID and IS. Kernel distance and score are means over splits with the
standard deviation over these: the score's splits share the images out in their order, the kernel distance's
are drawn anew each, without repetition inside one, all from one seed. The papers take 50 000 images in 10
splits of 5000 each.

pytorch-fid computes the Fréchet distance, torch-fidelity the other two.
"""

import inspect
import math
import warnings
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from torch import Tensor

__all__ = ["Statistics", "frechet_distance", "inception_score", "kernel_distance"]


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of features.

    Attributes:
        mean: (d,), float64.
        covariance: (d, d), float64, with the denominator n − 1.
        n: how many images.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n: int

    @classmethod
    def of(cls, values: Tensor) -> "Statistics":
        """Take those of features (N, d).

        Raises:
            ValueError: for fewer than two images.
        """
        if values.ndim != 2 or len(values) < 2:
            raise ValueError(f"statistics need features (N, d) of N ≥ 2 images, not {tuple(values.shape)}")
        x = values.double().cpu().numpy()
        return cls(x.mean(axis=0), np.atleast_2d(np.cov(x, rowvar=False)), len(x))


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Compute the squared Fréchet distance of two Gaussians: FID, in Inception's features.

    pytorch-fid computes it. Where that is not installed, or SciPy is 1.18 or newer, whose sqrtm it cannot
    call, the same trace comes from the eigenvalues of A^½ B A^½.

    Args:
        a: one side's mean and covariance.
        b: the other's, of as many features.

    Returns:
        The distance, ≥ 0 up to rounding.

    Raises:
        ValueError: if the numbers of features differ, or the result is not finite.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"{a.mean.size} features cannot be compared with {b.mean.size}")
    distance = _pytorch_fid(a, b) if _has_pytorch_fid() else _by_eigenvalues(a, b)
    if not math.isfinite(distance):
        raise ValueError(f"the Fréchet distance is {distance}")
    return distance


def inception_score(logits: Tensor, *, splits: int = 10) -> tuple[float, float]:
    """Compute the Inception Score, from 1 (all images alike, or undecided) to the number of classes.

    Args:
        logits: (N, k).
        splits: how many equal parts, in the order of the images.

    Returns:
        Mean and standard deviation over the splits.

    Raises:
        ValueError: for fewer images than splits.

    Source: torch-fidelity's `isc_features_to_metric`, without its shuffling, as the original code.
    """
    _require_splits(len(logits), splits, least=1)
    from torch_fidelity.metric_isc import isc_features_to_metric

    mean, sd = isc_features_to_metric(logits.cpu(), splits=splits, shuffle=False).values()
    return mean, sd


def kernel_distance(x: Tensor, y: Tensor, *, splits: int = 10, seed: int = 0) -> tuple[float, float]:
    """Compute the squared maximum mean discrepancy of the cubic kernel: KID, in Inception's features.

    Args:
        x: features (N, d) of one side.
        y: features (M, d) of the other.
        splits: how many estimates, each of min(N, M) // splits images of each side.
        seed: of the draws.

    Returns:
        Mean and standard deviation over the splits.

    Raises:
        ValueError: for fewer than two images a split.

    Source: torch-fidelity's `kid_features_to_metric`, in float64.
    """
    size = _require_splits(min(len(x), len(y)), splits, least=2)
    from torch_fidelity.metric_kid import kid_features_to_metric

    mean, sd = kid_features_to_metric(
        x.double(), y.double(), kid_subsets=splits, kid_subset_size=size, rng_seed=seed, verbose=False
    ).values()
    return mean, sd


def _require_splits(n: int, splits: int, *, least: int) -> int:
    if type(splits) is not int or splits < 1 or n // splits < least:
        raise ValueError(f"{n} images cannot be split into {splits!r} parts of at least {least}")
    return n // splits


def _has_pytorch_fid() -> bool:
    from scipy.linalg import sqrtm

    return find_spec("pytorch_fid") is not None and "disp" in inspect.signature(sqrtm).parameters


def _pytorch_fid(a: Statistics, b: Statistics) -> float:
    from pytorch_fid.fid_score import calculate_frechet_distance
    from scipy.linalg import LinAlgWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
        warnings.filterwarnings(
            "ignore", "Matrix is singular", LinAlgWarning
        )  # with fewer images than features
        return float(calculate_frechet_distance(a.mean, a.covariance, b.mean, b.covariance))


def _by_eigenvalues(a: Statistics, b: Statistics) -> float:
    values, vectors = np.linalg.eigh(a.covariance)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(min=0)).sum()
    difference = a.mean - b.mean
    return float(difference @ difference + np.trace(a.covariance) + np.trace(b.covariance) - 2 * trace)
