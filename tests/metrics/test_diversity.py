"""The difference of samples, against its definition."""

import re

import pytest
import torch

from gncompanion.metrics import mean_difference
from tests.helpers.pictures import noise


def test_it_is_the_mean_over_pairs_of_the_root_mean_square() -> None:
    x = noise(5, 3, 2, 2)
    pairs = [(x[i] - x[j]).square().mean().sqrt().item() for i in range(5) for j in range(i)]
    assert mean_difference(x) == pytest.approx(sum(pairs) / 10, rel=1e-6)


def test_one_picture_repeated_has_none_and_a_shift_changes_nothing() -> None:
    x = noise(1, 3, 4, 4)
    assert mean_difference(x.repeat(6, 1, 1, 1)) == 0
    several = noise(6, 3, 4, 4)
    assert mean_difference(several + 3) == pytest.approx(mean_difference(several), rel=1e-6)


def test_one_sample_has_no_difference() -> None:
    with pytest.raises(ValueError, match=re.escape("needs two samples or more, not 1")):
        mean_difference(torch.zeros(1, 2))
