"""Verdicts on two methods' scores over seeds, by a criterion that is fixed before they are seen.

every score of ours is below every one of theirs      holds
every one is above                                    fails
they overlap                                          needs the full run
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["at_equal_time", "verdict"]


def verdict(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Compare two methods' scores, of which less is better, seed by seed.

    >>> verdict([1.0, 2.0], [3.0, 4.0]), verdict([1.0, 3.5], [3.0, 4.0])
    ('holds', 'needs the full run')

    Args:
        ours: The scores of the method that the claim puts first, one a seed.
        theirs: Those of the other.

    Returns:
        "holds", "fails" or "needs the full run".

    Raises:
        ValueError: A method has fewer than two scores.
    """
    if min(len(ours), len(theirs)) < 2:
        raise ValueError(f"a verdict needs two seeds or more of each, not {len(ours)} and {len(theirs)}")
    if max(ours) < min(theirs):
        return "holds"
    return "fails" if min(ours) > max(theirs) else "needs the full run"


def at_equal_time(
    steps: Sequence[int], scores: Sequence[Sequence[float]], seconds_a_step: float, seconds: float
) -> NDArray[np.float64]:
    """Read a method's scores at a number of seconds, linearly between the steps that were judged.

    Args:
        steps: Numbers of steps, ascending.
        scores: One row of scores a seed.
        seconds_a_step: What one step takes.
        seconds: When to read, from the first judged step's time to the last one's.

    Returns:
        One score a seed.

    Raises:
        ValueError: No score was measured so early or so late.
    """
    times = np.asarray(steps) * seconds_a_step
    if not times[0] <= seconds <= times[-1]:
        raise ValueError(f"{seconds:.4g} s is not between {times[0]:.4g} and {times[-1]:.4g} s")
    return np.array([np.interp(seconds, times, row) for row in scores])
