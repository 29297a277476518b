"""Every data set has the one face of `Dataset`, and a digest of its own."""

import pytest
import torch

from gncompanion.data import (
    Dataset,
    GaussianGrid,
    GaussianRing,
    Images,
    concentric_spheres,
    digits,
    gaussians_on_line,
    parallel_lines,
    shifted_boxes,
)
from tests.helpers.draws import seeded
from tests.helpers.pictures import random_pixels


def every_dataset() -> list[Dataset]:
    pairs = [parallel_lines(1.0), shifted_boxes(2.0, 3), concentric_spheres(1.0, 4), gaussians_on_line(1.0)]
    sides = [side for pair in pairs for side in (pair.real, pair.fake)]
    plain = Images("plain", random_pixels(5, 3, 4, 6), flip=True)
    return [GaussianRing(), GaussianGrid(), digits(), plain, *sides]


@pytest.mark.parametrize("dataset", every_dataset(), ids=lambda d: d.name)
def test_one_face(dataset: Dataset) -> None:
    state = torch.get_rng_state()
    x, y = dataset.sample(33, seeded())
    assert x.shape == (33, *dataset.shape)
    assert x.dtype == torch.float32
    if dataset.n_classes is None:
        assert y is None
    else:
        assert y is not None
        assert y.shape == (33,)
        assert y.dtype == torch.int64
        assert 0 <= y.min() <= y.max() < dataset.n_classes
    assert len(dataset.digest) == 16
    assert int(dataset.digest, 16) >= 0
    assert torch.equal(x, dataset.sample(33, seeded())[0])
    assert not torch.equal(x, dataset.sample(33, seeded(1))[0])
    assert torch.equal(state, torch.get_rng_state())


def test_digests_tell_data_sets_apart_and_no_more() -> None:
    assert len({d.digest for d in every_dataset()}) == len(every_dataset())
    assert [d.digest for d in every_dataset()] == [d.digest for d in every_dataset()]
    assert GaussianRing(std=0.03).digest != GaussianRing().digest
