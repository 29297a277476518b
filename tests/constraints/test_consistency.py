"""Consistency regularization: its motions against a loop over pixels, its gradient by hand."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from gncompanion.constraints.consistency import ConsistencyRegularization, flip_and_translate
from tests.helpers.critics_by_hand import EXACT, FAKE, REAL, B, LinearCritic, N, W, mlp, plain
from tests.helpers.draws import normal, seeded


def move(x: Tensor, flip: bool, down: int, right: int) -> Tensor:
    """Pixel by pixel: the flipped image, shifted, with zeros coming in."""
    moved, (height, width) = torch.zeros_like(x), x.shape[-2:]
    for row in range(height):
        for column in range(width):
            to_row, to_column = row + down, (width - 1 - column if flip else column) + right
            if 0 <= to_row < height and 0 <= to_column < width:
                moved[..., to_row, to_column] = x[..., row, column]
    return moved


@pytest.mark.parametrize(("share", "most"), [(0.0, (0, 0)), (0.2, (1, 2)), (0.34, (2, 3))])
def test_flip_and_translate_against_a_loop(share: float, most: tuple[int, int]) -> None:
    x = normal(2000, 2, 6, 10, seed=0)
    moved = flip_and_translate(x, share, seeded())
    down, right = (range(-m, m + 1) for m in most)
    counts = [
        int((moved == move(x, *motion)).flatten(1).all(1).sum())
        for motion in product((False, True), down, right)
    ]
    assert sum(counts) == len(x)  # each image made one of these motions
    mean = len(x) / len(counts)  # 5 standard deviations of a count are 5 √mean, and less than the mean
    assert all(abs(count - mean) < 5 * math.sqrt(mean) < mean for count in counts)
    assert torch.equal(moved, flip_and_translate(x, share, seeded()))
    assert not torch.equal(moved, flip_and_translate(x, share, seeded(1)))


def test_consistency_differentiates_both_branches() -> None:
    critic = LinearCritic(W, B)
    penalty = ConsistencyRegularization(3.0, share=0.4).penalty(
        plain(critic), REAL, FAKE, generator=seeded(5)
    )
    difference = (REAL - flip_and_translate(REAL, 0.4, seeded(5))).flatten(1)
    rises = difference @ W.flatten()
    torch.testing.assert_close(penalty, 3 * rises.square().mean(), **EXACT)
    (grad,) = torch.autograd.grad(penalty, critic.layer.weight)
    torch.testing.assert_close(grad, 6 * (rises[:, None] * difference).mean(0, keepdim=True), **EXACT)


def test_consistency_refuses_points() -> None:
    with pytest.raises(ValueError, match=r"needs images \(N, C, H, W\), not \(16, 3\)"):
        ConsistencyRegularization().penalty(
            plain(mlp()), normal(N, 3, seed=0), normal(N, 3, seed=1), generator=seeded()
        )
