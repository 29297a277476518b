"""Features do not depend on how the images are cut into batches, and are finite."""

import pytest
import torch
from torch import Tensor

from gncompanion.metrics import batches, extract, to_uint8
from tests.helpers.pictures import Moments, pictures


def test_batches_of_a_size_change_nothing() -> None:
    x = pictures(11)
    ones, fives = (extract(Moments(), batches(x, size)) for size in (1, 5))
    assert torch.equal(ones.values, fives.values)
    assert torch.equal(ones.logits, fives.logits)


def test_extract_takes_any_stream_of_images() -> None:
    x = pictures(6)
    whole = extract(Moments(), [x])
    mixed = extract(Moments(), (b for b in (x[:2], x[2:2], to_uint8(x[2:]))))
    assert torch.equal(whole.values, mixed.values)
    assert torch.equal(whole.first(2).logits, whole.logits[:2])
    assert whole.made_by == "moments 0"
    with pytest.raises(ValueError, match="there are no images"):
        extract(Moments(), [])
    with pytest.raises(ValueError, match="first 7 of 6 images"):
        whole.first(7)


@pytest.mark.parametrize("broken", [0, 1])
def test_features_that_are_not_finite_are_refused(broken: int) -> None:
    class Broken(Moments):
        def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
            made = list(super().__call__(pixels))
            made[broken] = made[broken] * torch.nan
            return made[0], made[1]

    with pytest.raises(ValueError, match="moments gives features that are not finite"):
        extract(Broken(), [pictures(2)])
