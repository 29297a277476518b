"""Images in memory: what is drawn of them, and scikit-learn's digits."""

import math
import weakref
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from gncompanion.data import Images, digits
from tests.helpers.draws import seeded
from tests.helpers.pictures import random_pixels


def test_digits_are_scikit_learns() -> None:
    bunch, data = load_digits(), digits()
    assert (len(data), data.shape, data.n_classes) == (1797, (1, 8, 8), 10)
    assert torch.equal(data.images[:, 0], torch.from_numpy(bunch.images / 8 - 1).float())
    assert data.labels.tolist() == bunch.target.tolist()
    assert data.digest == "75f20a3093b70293"  # the same digits on every machine and with every version


def test_a_drawn_digit_keeps_its_label() -> None:
    data = digits()
    x, y = data.sample(200, seeded())
    same = (data.images == x[:, None]).flatten(2).all(2)
    assert same.sum(1).min() == same.sum(1).max() == 1
    assert torch.equal(data.labels[same.int().argmax(1)], y)


def test_black_is_minus_one_and_white_is_one() -> None:
    for white in (1, 16, 255):
        ramp = torch.arange(white + 1, dtype=torch.uint8).reshape(1, 1, 1, -1)
        images = Images("ramp", ramp, white=white).images.flatten()
        assert images[0] == -1
        assert images[-1] == 1
        steps = images.diff()
        assert steps.min() > 0
        assert steps.tolist() == pytest.approx([2 / white] * white, abs=2e-7)  # float32 near 1


def test_flips_mirror_half_of_the_images_left_to_right() -> None:
    data = Images("one", torch.arange(24, dtype=torch.uint8).reshape(1, 2, 3, 4), flip=True)
    x, _ = data.sample(1000, seeded())
    straight = (x == data.images).flatten(1).all(1)
    mirrored = (x == data.images.flip(3)).flatten(1).all(1)
    assert (straight ^ mirrored).all()
    assert abs(mirrored.sum() - 500) < 5 * math.sqrt(250)  # five standard deviations
    assert data.digest == Images("one", data.pixels).digest
    plain, _ = Images("one", data.pixels).sample(100, seeded())
    assert (plain == data.images).all()


def test_all_images_are_drawn() -> None:
    data = Images("ramp", torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1), labels=torch.arange(10))
    x, y = data.sample(1000, seeded())
    assert y.bincount().min() > 50  # 100 expected, standard deviation 9.5
    assert torch.equal(x, data.images[y])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"pixels": torch.rand(2, 1, 4, 4)},
            r"pixels must be torch.uint8 of 4 dim.*torch.float32 \(2, 1, 4, 4\)",
        ),
        ({"pixels": random_pixels(2, 4, 4)}, "pixels must be torch.uint8 of 4 dimensions"),
        ({"pixels": random_pixels(0, 1, 4, 4)}, "not empty"),
        ({"pixels": random_pixels(2, 1, 4, 4), "white": 16}, "above white = 16"),
        ({"pixels": random_pixels(2, 1, 4, 4), "white": 0}, "white=0 must be an integer from 1 to 255"),
        ({"pixels": random_pixels(2, 1, 4, 4), "labels": torch.zeros(3).long()}, "2 numbers from 0 on"),
        ({"pixels": random_pixels(2, 1, 4, 4), "labels": torch.tensor([0, -1])}, "2 numbers from 0 on"),
        ({"pixels": random_pixels(2, 1, 4, 4), "labels": torch.zeros(2)}, r"labels must be torch\.int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Images("bad", **arguments)


def test_equal_sets_share_one_copy_a_device_while_it_is_in_use() -> None:
    elsewhere = torch.device("meta")
    one, two = (Images("set", torch.arange(8, dtype=torch.uint8).reshape(2, 1, 2, 2)) for _ in range(2))
    other = Images("set", torch.zeros(2, 1, 2, 2, dtype=torch.uint8))
    assert one._arrays(elsewhere)[0] is two._arrays(elsewhere)[0]
    assert one._arrays(elsewhere)[0] is not other._arrays(elsewhere)[0]
    assert one.lies_on(elsewhere) and one.lies_on(torch.device("cpu"))
    copy = weakref.ref(one._arrays(elsewhere)[0])
    del one, two
    assert copy() is None
