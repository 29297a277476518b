"""The criteria of notebook 08's experiments, as functions of what was measured.

    at the origin    mean norm < ¼ of the real samples', in the critic's coordinates
    works            median W1 ≤ ½ of the origin's       fails    > ¾ of it

They stand here so that a test can show each of them a world in which it must say no. A run that broke down
has W1 = ∞.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "at_origin",
    "collapse_follows",
    "ends_at",
    "fails",
    "mostly_at_origin",
    "noise_floor",
    "plays_its_own_game",
    "works",
]


def at_origin(norm: ArrayLike) -> np.ndarray:
    """Tell which runs are at the origin: mean norms over the real ones' -> truth values of the same shape."""
    return np.asarray(norm, float) < 0.25


def works(w1: ArrayLike, origin: float) -> bool:
    """Tell whether a setting's runs, (S,), come at least half the way from the origin to the data."""
    return bool(np.median(np.asarray(w1, float)) <= origin / 2)


def fails(w1: ArrayLike, origin: float) -> bool:
    """Tell whether a setting's runs, (S,), come less than a quarter of that way."""
    return bool(np.median(np.asarray(w1, float)) > 0.75 * origin)


def noise_floor(first: ArrayLike, second: ArrayLike) -> float:
    """Measure how far runs end apart that are equal but for rounding: the largest difference over seeds."""
    return float(np.abs(np.asarray(first, float) - np.asarray(second, float)).max())


def collapse_follows(switched: ArrayLike, control: ArrayLike, start: ArrayLike) -> bool:
    """Tell whether a switch, and nothing else, sends trained generators to the origin.

    Args:
        switched: Mean norms over the real ones' after the switch, (S, T) for S seeds and T looks.
        control: The same, of those that go on as before.
        start: Mean norms before, (S,): a generator that was at the origin already shows nothing.

    Returns:
        Whether each started within a quarter of the real norm, each switched one ends at the origin, and no
        other is ever there.
    """
    trained = np.abs(np.asarray(start, float) - 1) <= 0.25
    ends = at_origin(np.asarray(switched, float)[:, -1])
    return bool(trained.all() and ends.all() and not at_origin(control).any())


def plays_its_own_game(value: ArrayLike, cos_real: ArrayLike, cos_fake: ArrayLike) -> bool:
    """Tell whether critics come near the bound of the inner product's game, and point as its optimum does.

    Args:
        value: Value over bound, (S, T) for S seeds and T looks.
        cos_real: Mean cosine of the slope with x at real samples, (S, T).
        cos_fake: The same at generated ones.

    Returns:
        Whether, over the second half of the looks, the medians over seeds and looks are beyond ½, ½ and −½.
    """
    late = [np.asarray(v, float) for v in (value, cos_real, cos_fake)]
    v, real, fake = (np.median(a[:, a.shape[1] // 2 :]) for a in late)
    return bool(v > 0.5 and real > 0.5 and fake < -0.5)


def mostly_at_origin(norm: Sequence[float]) -> bool:
    """Tell whether at least four of five runs, (S,), are at the origin."""
    return bool(at_origin(norm).mean() >= 0.8)


def ends_at(ends: Sequence[Mapping[str, float]], expected: str) -> bool:
    """Tell whether in at least four of five runs the mean sample is nearest to the expected image."""
    return bool(np.mean([min(end, key=end.__getitem__) == expected for end in ends]) >= 0.8)
