"""Where penalties are taken: on segments between the right pairs, drawn by the caller's generator alone."""

import pytest
import torch
from torch import Tensor

from gncompanion.constraints.sampling import SAMPLINGS, sampling
from tests.helpers.critics_by_hand import FAKE, REAL, N
from tests.helpers.draws import normal, seeded


def far_end(point: Tensor, start: Tensor, ends: Tensor) -> tuple[int, float]:
    """The one of `ends` towards which `point` lies on a segment from `start`, and how far along."""
    towards = (ends - start).flatten(1)
    step = (point - start).flatten()
    share = (towards @ step / towards.square().sum(1)).nan_to_num(0.0)
    off = (share[:, None] * towards - step).norm(dim=1)
    off[towards.norm(dim=1) == 0] = step.norm()
    end = int(off.argmin())
    assert off[end] < 1e-12  # roundings; two random segments are about 1 apart
    assert 0 <= share[end] <= 1
    return end, float(share[end])


@pytest.mark.parametrize("shape", [(5,), (2, 2, 3)])
def test_interpolates_lie_between_real_and_generated(shape: tuple[int, ...]) -> None:
    real, fake = normal(N, *shape, seed=1), normal(N, *shape, seed=2)
    found = [
        far_end(p, x, real) for p, x in zip(sampling("real-fake")(real, fake, seeded()), fake, strict=True)
    ]
    assert [end for end, _ in found] == list(range(N))
    assert len({share for _, share in found}) == N


@pytest.mark.parametrize("shape", [(5,), (2, 2, 3)])
@pytest.mark.parametrize("at", ["within", "pooled"])
def test_interpolates_of_other_pairs(at: str, shape: tuple[int, ...]) -> None:
    real, fake = normal(N, *shape, seed=1), normal(N, *shape, seed=2)
    pool = torch.cat([real, fake])
    ends = [far_end(p, x, pool)[0] for p, x in zip(sampling(at)(real, fake, seeded()), pool, strict=True)]
    assert sorted(ends) == list(range(2 * N))
    kept_apart = all((start < N) == (end < N) for start, end in enumerate(ends))
    assert kept_apart == (at == "within")
    assert ends != list(range(2 * N))


def test_raw_samples_are_themselves() -> None:
    random, before = seeded(), seeded().get_state()
    for at, expected in {"both": torch.cat([REAL, FAKE]), "real": REAL, "fake": FAKE}.items():
        assert torch.equal(sampling(at)(REAL, FAKE, random), expected)
    assert torch.equal(random.get_state(), before)


@pytest.mark.parametrize("at", ["real-fake", "within", "pooled"])
def test_the_generator_decides_the_points(at: str) -> None:
    first, again, other = (sampling(at)(REAL, FAKE, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any(0).all()


def test_every_sampling_is_tested() -> None:
    assert SAMPLINGS.keys() == {"real-fake", "within", "pooled", "both", "real", "fake"}
