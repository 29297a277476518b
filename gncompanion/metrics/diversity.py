"""How much a generator's samples differ from each other, and whether it has collapsed.

    difference = mean over pairs of different samples of √( mean over pixels of (x − x′)² )

A generator has collapsed, as the word is used here, if its samples differ by less than half of what real
images do. The half is ours. Pixels see one picture ten times over; they do not see that a class is missing.
"""

import math

import torch
from torch import Tensor

__all__ = ["COLLAPSED_BELOW", "mean_difference"]

COLLAPSED_BELOW = 0.5  # of the real images' difference


def mean_difference(images: Tensor) -> float:
    """Compute the mean difference of two different samples.

    Args:
        images: The samples, (N, ...), N ≥ 2, floating point.

    Returns:
        The difference, from 0 on, in the images' unit.

    Raises:
        ValueError: There are fewer than two samples.

    Example:
        >>> mean_difference(torch.tensor([[0.0, 0.0], [2.0, 2.0]]))
        2.0
    """
    if len(images) < 2:
        raise ValueError(f"a difference needs two samples or more, not {len(images)}")
    x = images.flatten(1).double()
    return torch.pdist(x).mean().item() / math.sqrt(x.shape[1])
