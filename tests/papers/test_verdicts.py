"""Verdicts by seeds, and scores read at equal times."""

import re

import pytest

from gncompanion.papers.verdicts import at_equal_time, verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1, 2], [3, 4], "holds"),
        ([3, 4], [1, 2, 2.5], "fails"),
        ([1, 3.5], [3, 4], "needs the full run"),
        ([1, 3], [3, 4], "needs the full run"),
        ([3, 4], [1, 3], "needs the full run"),
    ],
)
def test_only_seeds_that_do_not_overlap_decide(ours: list[float], theirs: list[float], expected: str) -> None:
    assert verdict(ours, theirs) == expected


def test_one_seed_decides_nothing() -> None:
    with pytest.raises(ValueError, match=re.escape("two seeds or more of each, not 1 and 2")):
        verdict([1], [2, 3])


def test_scores_are_read_between_the_steps() -> None:
    scores = [[8, 4, 2], [6, 6, 0]]
    assert at_equal_time([10, 20, 30], scores, 0.5, 7.5).tolist() == [6, 6]
    assert at_equal_time([10, 20, 30], scores, 0.5, 15).tolist() == [2, 0]
    for seconds in (4.9, 15.1):
        with pytest.raises(ValueError, match=r"s is not between 5 and 15 s"):
            at_equal_time([10, 20, 30], scores, 0.5, seconds)
