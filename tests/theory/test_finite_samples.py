"""A few points of two densities: as many as asked for, of these densities, and no others."""

import pytest
import torch

from gncompanion.theory.finite_samples import finite_pair
from gncompanion.theory.gaussians import Gaussians
from gncompanion.theory.wasserstein import exact_w1

P, Q = Gaussians(0.0, 1.0), Gaussians([5.0, 9.0], [0.1, 0.1])


def test_samples_are_the_points_and_no_others() -> None:
    pair, random = finite_pair(P, Q, n_points=5, seed=0), torch.Generator().manual_seed(0)
    for side in (pair.real, pair.fake):
        drawn = side.sample(500, random)[0]
        assert drawn.shape == (500, 1)
        assert len(drawn.unique()) == 5


def test_points_have_the_density() -> None:
    pair, random = finite_pair(P, Q, n_points=4000, seed=0), torch.Generator().manual_seed(0)
    real, fake = (side.sample(20_000, random)[0] for side in (pair.real, pair.fake))
    assert abs(real.mean()) < 0.1  # five standard errors
    assert abs(real.std() - 1) < 0.1
    assert abs((fake > 7).double().mean() - 0.5) < 0.05


def test_w1_is_that_of_the_points() -> None:
    pair = finite_pair(P, Q, n_points=6, seed=3)
    points = [
        side.sample(300, torch.Generator().manual_seed(0))[0].unique()[:, None]
        for side in (pair.real, pair.fake)
    ]
    assert pair.w1 == pytest.approx(exact_w1(*points), abs=1e-6)


def test_seeds_draw_different_points() -> None:
    one, other = (finite_pair(P, Q, n_points=3, seed=seed) for seed in (0, 1))
    assert one.real.digest != other.real.digest
    assert one.real.digest == finite_pair(P, Q, n_points=3, seed=0).real.digest


def test_no_points_are_refused() -> None:
    with pytest.raises(ValueError, match="n_points=0"):
        finite_pair(P, Q, n_points=0, seed=0)
