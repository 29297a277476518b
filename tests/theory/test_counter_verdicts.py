"""Each criterion says yes in the world it is for, and no in a plausible other one."""

import numpy as np

from gncompanion.theory.counter_verdicts import (
    at_origin,
    collapse_follows,
    ends_at,
    fails,
    mostly_at_origin,
    noise_floor,
    plays_its_own_game,
    works,
)

INF = float("inf")
FALLING, STEADY = np.tile([1.0, 0.5, 0.1], (5, 1)), np.full((5, 3), 0.9)
START = np.full(5, 0.95)


def test_a_run_that_works_fails_or_does_neither() -> None:
    assert works([0.9, 1.0, INF], 2.0) and not fails([0.9, 1.0, INF], 2.0)
    assert fails([1.6, INF, 1.0], 2.0) and not works([1.6, INF, 1.0], 2.0)
    assert not works([1.2] * 3, 2.0) and not fails([1.2] * 3, 2.0)
    assert at_origin([0.2, 0.3]).tolist() == [True, False]


def test_the_switch_needs_trained_generators_a_collapse_and_a_control_without_one() -> None:
    assert collapse_follows(FALLING, STEADY, START)
    assert not collapse_follows(FALLING, STEADY, np.full(5, 0.01))  # an untrained generator shows nothing
    assert not collapse_follows(FALLING, FALLING, START)  # GN does it too
    assert not collapse_follows(np.vstack([FALLING[:4], STEADY[:1]]), STEADY, START)  # one seed does not
    assert not collapse_follows(FALLING[:, ::-1], STEADY, START)  # it comes back


def test_the_own_game_needs_value_and_both_directions() -> None:
    high, low = np.full((5, 4), 0.8), np.full((5, 4), -0.8)
    assert plays_its_own_game(high, high, low)
    assert not plays_its_own_game(high, high, high)  # a critic that points outwards everywhere
    assert not plays_its_own_game(high / 2, high, low)
    early = np.tile([0.9, 0.9, 0.1, 0.1], (5, 1))
    assert not plays_its_own_game(early, high, low)  # it was near the bound once


def test_a_collapse_is_to_the_nearest_of_three_images() -> None:
    black = {"black": 0.1, "grey": 8.0, "mean image": 5.0}
    grey = {"black": 8.0, "grey": 0.1, "mean image": 5.0}
    assert ends_at([black] * 4 + [grey], "black")
    assert not ends_at([black] * 3 + [grey] * 2, "black")
    assert not ends_at([grey] * 5, "black")  # where coordinates do not matter
    assert mostly_at_origin([0.1] * 4 + [1.0]) and not mostly_at_origin([0.1] * 3 + [1.0] * 2)


def test_the_floor_is_the_largest_difference() -> None:
    assert noise_floor([1.0, 2.0, 3.0], [1.0, 1.5, 3.1]) == 0.5
