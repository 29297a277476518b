"""Pixels are what a saved PNG holds."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gncompanion import data
from gncompanion.metrics import batches, to_uint8
from tests.helpers.pictures import noise, pictures


def test_uint8_is_what_a_saved_png_holds(tmp_path: Path) -> None:
    from torchvision.utils import save_image

    x = torch.cat([noise(2, 3, 16, 16).tanh(), torch.linspace(-1, 1, 768).reshape(1, 3, 16, 16)])
    for i, image in enumerate(x):
        save_image((image + 1) / 2, tmp_path / f"{i}.png")
        saved = torch.from_numpy(np.array(Image.open(tmp_path / f"{i}.png"))).permute(2, 0, 1)
        assert torch.equal(to_uint8(x)[i], saved)


def test_drawn_pixels_come_back_as_they_were() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(data.Images("grey", pixels).images), pixels)
    assert to_uint8(pixels) is pixels


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 2, 2), 1.01), "images lie in [1.01, 1.01], not in [−1, 1]"),
        (torch.full((1, 1, 2, 2), torch.nan), "images lie in [nan, nan], not in"),
        (torch.zeros(3, 2, 2), "images must be (N, C, H, W), uint8 or floating point in [−1, 1], not"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.int64), "not torch.int64 of shape (1, 3, 2, 2)"),
    ],
)
def test_what_is_no_image_is_refused(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        to_uint8(images)


def test_batches_are_the_images_in_their_order() -> None:
    x = pictures(11)
    cut = list(batches(x, 5))
    assert [len(batch) for batch in cut] == [5, 5, 1]
    assert torch.equal(torch.cat(cut), x)
    with pytest.raises(ValueError, match="size=0 must be an integer from 1 on"):
        next(batches(x, 0))
