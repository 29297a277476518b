"""The classifier of digits tells better images from worse, and is a function of its seed."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gncompanion import data
from gncompanion.metrics import batches, evaluate, extract, open_reference, to_uint8, train_classifier
from tests.helpers.draws import seeded
from tests.helpers.pictures import noise, pictures


@pytest.mark.slow
def test_classifier_of_digits_orders_what_is_worse(tmp_path: Path) -> None:
    digits = data.load("digits")
    order = torch.randperm(len(digits), generator=seeded())
    x, y = digits.images[order], digits.labels[order]
    classifier = train_classifier(x[:1200], y[:1200], steps=300)
    assert classifier.accuracy(x[1200:], y[1200:]) > 0.95  # seen: 0.98
    kept = open_reference(x[:900], classifier, name="digits", digest=digits.digest, folder=tmp_path)

    def scores(images: Tensor) -> tuple[float, float, float]:
        found = evaluate(extract(classifier, batches(images)), kept, splits=5)
        return found.frechet, found.kernel, -found.score

    held_out, noisy, one_class = x[900:], (x[900:] + 0.5 * noise(897, 1, 8, 8)).clamp(-1, 1), x[y == 3]
    for better, worse in zip(scores(held_out), scores(noisy), strict=True):
        assert better < worse
    for better, worse in zip(scores(held_out), scores(one_class), strict=True):
        assert better < worse


def test_classifier_is_a_function_of_its_seed() -> None:
    x, y = pictures(32, size=7, channels=2), torch.arange(32) % 4
    state = torch.get_rng_state()
    one, same, other = (train_classifier(x, y, steps=3, seed=seed, width=2) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.digest == same.digest != other.digest
    features, logits = one(to_uint8(x))
    assert features.shape == (32, 64)
    assert logits.shape == (32, 4)
    with pytest.raises(ValueError, match=re.escape("labels must be int64 of shape (32,), not torch.float32")):
        train_classifier(x, y.float())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"steps": 0}, "steps=0 must be an integer from 1 on"),
        ({"batch_size": 0.5}, "batch_size=0.5 must be an integer from 1 on"),
        ({"width": -1}, "width=-1 must be an integer from 1 on"),
        ({"lr": 0.0}, "lr=0.0 must be a positive, finite number"),
    ],
)
def test_senseless_trainings_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_classifier(pictures(4), torch.zeros(4, dtype=torch.int64), **option)


def test_labels_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="labels must be from 0 on, but one is -1"):
        train_classifier(pictures(4), torch.tensor([0, 1, -1, 2]), steps=1)
