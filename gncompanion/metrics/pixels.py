"""Images as they are measured: whole numbers from 0 to 255, as a saved PNG holds them.

    pixel = ⌊255 (x + 1) / 2 + ½⌋        x in [−1, 1]

This is what `torchvision.utils.save_image((x + 1) / 2, file)` writes, so that measuring tensors and measuring
the files saved from them is the same.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["batches", "to_uint8"]


def to_uint8(images: Tensor) -> Tensor:
    """Round images to what a PNG of them holds.

    Args:
        images: (N, C, H, W), floating point in [−1, 1], or uint8, which is returned as it is.

    Returns:
        (N, C, H, W), uint8.

    Raises:
        ValueError: for another type or shape, and for values that are not finite or outside [−1, 1].
    """
    if images.ndim != 4 or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise ValueError(
            "images must be (N, C, H, W), uint8 or floating point in [−1, 1], "
            f"not {images.dtype} of shape {tuple(images.shape)}"
        )
    if images.dtype == torch.uint8:
        return images
    if not (images.abs() <= 1).all():  # written so that NaN is refused too
        low, high = images.min().item(), images.max().item()
        raise ValueError(f"images lie in [{low:.4g}, {high:.4g}], not in [−1, 1]")
    return ((images.float() + 1) / 2 * 255 + 0.5).to(torch.uint8)


def batches(images: Tensor, size: int = 50) -> Iterator[Tensor]:
    """Cut a set of images into batches, the last of them smaller if need be.

    Args:
        images: (N, ...); of a mapped array only one batch at a time is read.
        size: of a batch; 50 is what pytorch-fid's command line takes.

    Yields:
        Batches (size, ...).

    Raises:
        ValueError: if the size is not a positive integer.
    """
    if type(size) is not int or size < 1:
        raise ValueError(f"the size of a batch must be a positive integer, not {size!r}")
    yield from images.split(size)
