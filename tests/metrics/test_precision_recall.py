"""Precision and recall against their definition, and where they are known."""

import re

import numpy as np
import pytest
import torch

from gncompanion.metrics import precision_and_recall
from tests.helpers.pictures import noise


@pytest.mark.parametrize("neighbours", [1, 3])
def test_they_are_what_their_definition_says(neighbours: int) -> None:
    fake, real = noise(40, 3), noise(40, 3, seed=1) + 0.5

    def covered(points: np.ndarray, centres: np.ndarray) -> float:
        between = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        radius = np.sort(between, axis=1)[:, neighbours]  # the nearest of all is the centre itself
        to_centres = np.linalg.norm(points[:, None] - centres[None], axis=-1)
        return float((to_centres <= radius).any(axis=1).mean())

    x, y = fake.double().numpy(), real.double().numpy()
    found = precision_and_recall(fake, real, neighbours=neighbours)
    assert found == pytest.approx((covered(x, y), covered(y, x)))
    assert min(found) > 0 and max(found) < 1


def test_the_same_images_have_both_and_distant_ones_neither() -> None:
    x = noise(12, 4)
    assert precision_and_recall(x, x) == (1, 1)
    assert precision_and_recall(x, x + 100) == (0, 0)


def test_a_missing_mode_costs_recall_and_bad_images_precision() -> None:
    here, there = noise(20, 3), noise(20, 3, seed=1) + 50
    real = torch.cat([here[:10], there[:10]])
    precision, recall = precision_and_recall(here, real)
    assert recall <= 0.5 < precision
    precision, recall = precision_and_recall(torch.cat([real[:10], noise(10, 3, seed=2) - 50]), real)
    assert precision <= 0.5


@pytest.mark.parametrize(
    ("fake", "real", "neighbours", "message"),
    [
        (noise(5, 3), noise(6, 3), 3, "not (5, 3) with (6, 3)"),
        (noise(5), noise(5), 3, "not (5,) with (5,)"),
        (noise(5, 3), noise(5, 3), 5, "neighbours=5 must be an integer from 1 to 4"),
    ],
)
def test_senseless_input_is_refused(
    fake: torch.Tensor, real: torch.Tensor, neighbours: int, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        precision_and_recall(fake, real, neighbours=neighbours)
