"""Mixtures of Gaussians: the places of their centres, and the moments that they state."""

import math
from collections.abc import Callable

import pytest

from gncompanion.data import GaussianGrid, GaussianRing
from tests.helpers.draws import seeded


def test_the_ring_is_a_ring() -> None:
    ring = GaussianRing(n_modes=6, radius=3.0)
    assert ring.centers.norm(dim=1).tolist() == pytest.approx([3.0] * 6, abs=1e-6)  # float32
    neighbours = (ring.centers - ring.centers.roll(1, 0)).norm(dim=1)
    assert neighbours.tolist() == pytest.approx([3.0] * 6, abs=1e-6)  # a hexagon's edge is its radius
    assert ring.centers[0].tolist() == [3, 0]


def test_the_grid_is_a_grid() -> None:
    centers = GaussianGrid(side=3, spacing=2.0).centers
    assert sorted(map(tuple, centers.tolist())) == [(a, b) for a in (-2, 0, 2) for b in (-2, 0, 2)]


@pytest.mark.parametrize("toy", [GaussianRing(std=0.1), GaussianGrid(side=3)])
def test_a_mixture_has_the_moments_that_it_states(toy: GaussianRing | GaussianGrid) -> None:
    n = 40_000
    x, y = toy.sample(n, seeded())
    residual = x - toy.centers[y]
    # Five standard errors: of a standard deviation from 2n numbers, of a mean, of a share.
    assert residual.std().item() == pytest.approx(toy.std, rel=5 / math.sqrt(4 * n))
    assert residual.mean(0).abs().max() < 5 * toy.std / math.sqrt(n)
    share = y.bincount(minlength=toy.n_classes) / n
    assert (share - 1 / toy.n_classes).abs().max() < 5 / math.sqrt(n * toy.n_classes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianRing(n_modes=0), "n_modes=0 must be an integer from 1 on"),
        (lambda: GaussianRing(n_modes=2.5), "n_modes=2.5 must be an integer"),
        (lambda: GaussianRing(std=-1.0), "std=-1.0 must be a positive, finite number"),
        (lambda: GaussianRing(radius="x"), "radius='x' must be a positive, finite number"),
        (lambda: GaussianGrid(side=0), "side=0 must be an integer from 1 on"),
        (lambda: GaussianGrid(spacing=math.inf), "spacing=inf must be a positive, finite number"),
        (lambda: GaussianGrid(std=0.0), "std=0.0 must be a positive, finite number"),
    ],
)
def test_senseless_mixtures_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
