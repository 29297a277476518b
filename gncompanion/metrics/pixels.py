"""Images as they are measured: whole numbers from 0 to 255, as a saved PNG holds them.

    pixel = ⌊255 (x + 1) / 2 + ½⌋        x in [−1, 1]

This is what `torchvision.utils.save_image((x + 1) / 2, file)` writes, so that measuring tensors and measuring
the files saved from them is the same.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from gncompanion.tools.checks import whole

__all__ = ["batches", "to_uint8"]


def to_uint8(images: Tensor) -> Tensor:
    """Round images to what a PNG of them holds.

    Args:
        images: The images, (N, C, H, W), floating point in [−1, 1], or uint8, which are returned as they are.

    Returns:
        The rounded images, (N, C, H, W), uint8.

    Raises:
        ValueError: The images are of another type or shape, or a value is not finite or outside [−1, 1].

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3))
        tensor([[[[  0, 128, 255]]]], dtype=torch.uint8)
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
        images: The images, (N, ...); of a mapped array only one batch at a time is read.
        size: Number of images per batch; 50 is what pytorch-fid's command line takes.

    Yields:
        Batches, (size, ...).

    Raises:
        ValueError: The size is not a positive integer.
    """
    yield from images.split(whole("size", size))
