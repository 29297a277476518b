"""Consistency regularization: one score for a real image x and for T(x), flipped and shifted at random.

    w·E[(score(x) - score(T(x)))²]

The score of x is the one that the loss has already: one more pass of the critic, over T(x).

Source: Zhang et al. 2020 (CR-GAN, 1910.12027). GN-GAN-CR's official code (train.py) has w = 5, compares the
*normalized* scores, with gradients through both, shifts by round(U(−a, a)) pixels with a = 20 % of the size,
and fills what enters at the border with black, −1: `fill=-1.0, rounded=True` here. By default it is mid-grey,
0, and the shift is uniform over the whole pixels up to a.
"""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from gncompanion.constraints.base import Constraint, Score
from gncompanion.tools import checks

__all__ = ["ConsistencyRegularization", "flip_and_translate"]


def flip_and_translate(
    x: Tensor, share: float, generator: torch.Generator, *, fill: float = 0.0, rounded: bool = False
) -> Tensor:
    """Flip each image left to right with probability 1/2, and shift it by whole pixels.

    Args:
        x: Images, (N, C, H, W).
        share: The largest shift, as a share of the image's height and width, in [0, 1).
        generator: The source of random numbers, on the device of x.
        fill: The value of the pixels that enter at the border.
        rounded: Whether a shift is uniform up to the largest and then rounded, which may round up; otherwise
            it is uniform over the whole numbers that are not larger.

    Returns:
        The moved images, (N, C, H, W).
    """
    n, _, height, width = x.shape

    def shifts(size: int) -> Tensor:
        if rounded:
            drawn = torch.rand(n, 1, generator=generator, device=x.device)
            return ((2 * drawn - 1) * share * size).round().long()
        most = int(share * size)
        return torch.randint(-most, most + 1, (n, 1), generator=generator, device=x.device)

    rows = torch.arange(height, device=x.device) + shifts(height)
    columns = torch.arange(width, device=x.device) + shifts(width)
    flip = torch.rand(n, 1, generator=generator, device=x.device) < 0.5
    columns = torch.where(flip, width - 1 - columns, columns)
    inside = ((rows >= 0) & (rows < height)).unsqueeze(2) & ((columns >= 0) & (columns < width)).unsqueeze(1)
    sample = torch.arange(n, device=x.device).view(n, 1, 1)
    moved = x[sample, :, rows.clamp(0, height - 1).unsqueeze(2), columns.clamp(0, width - 1).unsqueeze(1)]
    return torch.where(inside.unsqueeze(1), moved.permute(0, 3, 1, 2), fill)


class ConsistencyRegularization(Constraint):
    """Penalise a critic that notices flips and small translations.

    Args:
        weight: The penalty's weight w ≥ 0.
        share: The largest shift, as a share of the image's height and width, in [0, 1).
        fill: The value of the pixels that enter at the border.
        rounded: Whether shifts are drawn as in the official code, as `flip_and_translate` says.

    Raises:
        ValueError: The weight or the share is out of range, the fill is not finite, or, when used, the
            samples are not images.
    """

    asks_scores = True

    def __init__(
        self, weight: float = 5.0, *, share: float = 0.2, fill: float = 0.0, rounded: bool = False
    ) -> None:
        self.weight, self.share = checks.non_negative("weight", weight), checks.share("share", share)
        finite = checks.is_number(fill) and isfinite(fill)
        checks.require("fill", fill, finite, "a finite number, such as -1.0")
        self.fill, self.rounded = float(fill), checks.flag("rounded", rounded)

    def penalty(
        self, score: Score, real: Tensor, fake: Tensor, *, y: Tensor | None = None, generator: torch.Generator
    ) -> Tensor:
        if real.dim() != 4:
            raise ValueError(f"consistency regularization needs images (N, C, H, W), not {tuple(real.shape)}")
        moved = flip_and_translate(real, self.share, generator, fill=self.fill, rounded=self.rounded)
        clean = score.known(real, fake, y=y)
        clean = score(real, y) if clean is None else clean
        return self.weight * (clean - score(moved, y)).square().mean()
