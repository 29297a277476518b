"""Prefetched batches: the set's own images, all of them, in an order that goes on where it stopped."""

import pytest
import torch
from torch import Tensor

from gncompanion.data import Images, Prefetched, digits
from gncompanion.training import Schedule, Training
from tests.helpers.draws import seeded
from tests.helpers.trainings import players, weights


def numbered_images(n: int = 50) -> Images:
    pixels = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1).expand(n, 1, 2, 2).contiguous()
    return Images("numbered", pixels, labels=torch.arange(n), white=n)


def test_pixels_and_labels_stay_together_and_all_come() -> None:
    batches = Prefetched(numbered_images(), 40, seeded())
    seen = torch.zeros(50)
    for _ in range(100):
        x, y = batches.sample()
        assert torch.equal(((x[:, 0, 0, 0] + 1) / 2 * 50).round().long(), y)
        seen += torch.bincount(y, minlength=50)
    assert seen.sum() == 4000
    assert abs(seen - 80).max() < 5 * 80**0.5  # 5 standard deviations of a count of 80


def test_a_batch_is_not_overwritten_by_the_next() -> None:
    batches = Prefetched(numbered_images(), 30, seeded())
    x, y = batches.sample()
    kept = x.clone()
    for _ in range(3):
        batches.sample()
    assert torch.equal(x, kept) and len(y) == 30


def test_it_goes_on_where_it_stopped() -> None:
    random = seeded(1)
    batches = Prefetched(numbered_images(), 7, random)
    batches.sample()
    state, on_device = batches.state(), random.get_state()
    expected = [batches.sample() for _ in range(3)]
    again = torch.Generator().set_state(on_device)
    resumed = Prefetched(numbered_images(), 7, again, state)
    for x, y in expected:
        found, labels = resumed.sample()
        assert torch.equal(found, x) and torch.equal(labels, y)


def test_flips_come_from_the_devices_generator() -> None:
    pixels = torch.tensor([0, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)
    x, _ = Prefetched(Images("two", pixels, white=1, flip=True), 400, seeded()).sample()
    flipped = int((x[:, 0, 0, 0] > 0).sum())
    assert abs(flipped - 200) < 50  # 5 standard deviations


def test_a_training_with_prefetched_data_is_resumed_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Images, "lies_on", lambda self, device: False)
    sizes = {"batch_critic": 6, "batch_generator": 6, "n_dis": 2, "log_every": 1}

    def training(steps: int) -> Training:
        return Training(players("gn", shape=(1, 8, 8)), digits(), Schedule(steps=steps, **sizes))

    def end(run: Training) -> Tensor:
        return torch.cat([weights(run.players.generator), weights(run.players.critic)])

    whole, half = training(4), training(2)
    whole.run(progress=False)
    half.run(progress=False)
    resumed = training(4)
    resumed.load(half.state())
    resumed.run(progress=False)
    assert torch.equal(end(resumed), end(whole))
    assert "prefetched" in whole.state()
