"""Consistency regularization: its motions against a loop over pixels, its gradient by hand."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from gncompanion import constraints
from gncompanion.constraints.base import Score
from gncompanion.constraints.consistency import ConsistencyRegularization, flip_and_translate
from gncompanion.models import build
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


@pytest.mark.parametrize(("size", "most"), [(32, 6), (48, 10)])
def test_the_official_shift_is_rounded_and_what_enters_is_black(size: int, most: int) -> None:
    x = torch.ones(4000, 1, size, size)
    moved = flip_and_translate(x, 0.2, seeded(), fill=-1.0, rounded=True)
    assert moved.unique().tolist() == [-1.0, 1.0]
    rows, columns = ((moved == 1).any(axis).sum(-1).squeeze() for axis in (-1, -2))
    for left in (rows, columns):
        shift = size - left  # |round(U(-a, a))|, a = size / 5
        assert shift.min() == 0 and shift.max() == most
        reach = size / 5
        for k in range(most + 1):  # the interval of U that rounds to ±k, as a share of 2a
            share = (min(k + 0.5, reach) - max(k - 0.5, -0.5)) / reach * (0.5 if k == 0 else 1)
            expected = len(x) * share
            assert abs(int((shift == k).sum()) - expected) < 5 * math.sqrt(expected) + 1


def test_a_bad_fill_is_refused() -> None:
    for fill in (math.nan, math.inf, "black", True):
        with pytest.raises(ValueError, match=r"^fill=.* must be a finite number, such as -1\.0$"):
            ConsistencyRegularization(fill=fill)


@pytest.mark.parametrize("name", ["cr", "gn+cr", "sn+cr", "gp+cr", "r1+cr"])
def test_the_clean_scores_are_those_that_the_loss_has(name: str) -> None:
    """One more pass, over the N that were moved; the value is as if the clean ones were scored anew."""
    critic = build("dcgan", (1, 8, 8), generator=seeded(), width=2, z_dim=3)[1].double()
    constraint = constraints.build(name, shape=(1, 8, 8))
    constraint.prepare(critic)
    critic.eval()  # spectral normalization stands still
    real, fake = normal(6, 1, 8, 8, seed=0), normal(6, 1, 8, 8, seed=1)
    own = ConsistencyRegularization(5.0)
    seen: list[int] = []
    critic.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    _, _, score = Score(constraint, critic).both(real, fake)
    del seen[:]
    reused = own.penalty(score, real, fake, generator=seeded(3))
    assert seen == [6]
    anew = own.penalty(Score(constraint, critic), real, fake, generator=seeded(3))
    torch.testing.assert_close(reused, anew, rtol=1e-12, atol=1e-12)
    parameters = list(critic.parameters())
    for one, two in zip(
        torch.autograd.grad(reused, parameters, allow_unused=True),
        torch.autograd.grad(anew, parameters, allow_unused=True),
        strict=True,
    ):
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


def test_scores_of_changed_samples_are_found_anew() -> None:
    critic, constraint = mlp(), constraints.build("cr")
    real, fake = normal(4, 3, seed=0), normal(4, 3, seed=1)
    _, _, score = Score(constraint, critic).both(real, fake)
    assert score.known(real, fake, y=None) is not None
    assert score.known(real.clone(), fake, y=None) is None
    real.add_(1)
    assert score.known(real, fake, y=None) is None
