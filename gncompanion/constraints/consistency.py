"""Consistency regularization: one score for a real image x and for T(x), flipped and shifted at random.

    w·E[(score(x) - score(T(x)))²]

Source: Zhang et al. 2020 (CR-GAN, 1910.12027). GN-GAN-CR's official code (train.py) has w = 5 and shifts of
up to 20 % per axis, and compares the *normalized* scores, with gradients through both. What enters at the
border is 0, mid-grey, here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gncompanion.constraints.base import Constraint, Score
from gncompanion.tools import checks

__all__ = ["ConsistencyRegularization", "flip_and_translate"]


def flip_and_translate(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Flip each image left to right with probability 1/2, and shift it by whole pixels.

    Args:
        x: Images, (N, C, H, W).
        share: The largest shift, as a share of the image's height and width, in [0, 1).
        generator: The source of random numbers, on the device of x.

    Returns:
        The moved images, (N, C, H, W); pixels that enter at the border are 0.
    """
    n, _, height, width = x.shape

    def shifts(size: int) -> Tensor:
        most = int(share * size)
        return torch.randint(-most, most + 1, (n, 1), generator=generator, device=x.device)

    rows = torch.arange(height, device=x.device) + shifts(height)
    columns = torch.arange(width, device=x.device) + shifts(width)
    flip = torch.rand(n, 1, generator=generator, device=x.device) < 0.5
    columns = torch.where(flip, width - 1 - columns, columns)
    inside = ((rows >= 0) & (rows < height)).unsqueeze(2) & ((columns >= 0) & (columns < width)).unsqueeze(1)
    sample = torch.arange(n, device=x.device).view(n, 1, 1)
    moved = x[sample, :, rows.clamp(0, height - 1).unsqueeze(2), columns.clamp(0, width - 1).unsqueeze(1)]
    return moved.permute(0, 3, 1, 2) * inside.unsqueeze(1)


class ConsistencyRegularization(Constraint):
    """Penalise a critic that notices flips and small translations.

    Args:
        weight: The penalty's weight w ≥ 0.
        share: The largest shift, as a share of the image's height and width, in [0, 1).

    Raises:
        ValueError: The weight or the share is out of range, or, when used, the samples are not images.
    """

    def __init__(self, weight: float = 5.0, *, share: float = 0.2) -> None:
        self.weight, self.share = checks.non_negative("weight", weight), checks.share("share", share)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        if real.dim() != 4:
            raise ValueError(f"consistency regularization needs images (N, C, H, W), not {tuple(real.shape)}")
        moved = flip_and_translate(real, self.share, generator)
        return self.weight * (score(real, y) - score(moved, y)).square().mean()
