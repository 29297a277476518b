"""CIFAR-10, CIFAR-100 and STL-10: torchvision reads them, and holds their checksums.

    load("cifar10")                      data()/cifar-10-python.tar.gz, or what is unpacked from it
    load("cifar10", download=True)       fetched, if it is not there

An archive that lies in `data()` is unpacked, without any network. Real images are flipped, as both papers do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gncompanion.data.base import require_count
from gncompanion.data.images import Images
from gncompanion.data.prepared import Allocate, prepared
from gncompanion.tools import paths
from gncompanion.tools.names import require_known

__all__ = ["cifar10", "cifar100", "stl10"]


def cifar10(*, split: str = "train", flip: bool = True, download: bool = False) -> Images:
    """CIFAR-10: photographs of 10 classes, 50 000 for training and 10 000 for testing.

    Args:
        split: "train" or "test".
        flip: Whether to mirror each drawn image left to right with probability ½.
        download: Whether to fetch it, if it is not in `data()`.

    Returns:
        The data set, (3, 32, 32), with labels.

    Raises:
        FileNotFoundError: It is missing, damaged or cannot be fetched; says what to put where.
        ValueError: The split is unknown.

    Source: Krizhevsky 2009.
    """
    return _cifar("CIFAR10", split, flip=flip, download=download)


def cifar100(*, split: str = "train", flip: bool = True, download: bool = False) -> Images:
    """CIFAR-100: photographs of 100 classes, 50 000 for training and 10 000 for testing.

    Args:
        split: "train" or "test".
        flip: Whether to mirror each drawn image left to right with probability ½.
        download: Whether to fetch it, if it is not in `data()`.

    Returns:
        The data set, (3, 32, 32), with labels.

    Raises:
        FileNotFoundError: It is missing, damaged or cannot be fetched; says what to put where.
        ValueError: The split is unknown.

    Source: Krizhevsky 2009.
    """
    return _cifar("CIFAR100", split, flip=flip, download=download)


def stl10(*, split: str = "unlabeled", size: int = 48, flip: bool = True, download: bool = False) -> Images:
    """STL-10: photographs, scaled down to 48x48 as the papers have them.

    Args:
        split: "unlabeled" (100 000 images, the papers' choice), "train" (5000) or "test" (8000).
        size: Of the images, from 96x96 down; bilinear with antialiasing, which is ours.
        flip: Whether to mirror each drawn image left to right with probability ½.
        download: Whether to fetch it, if it is not in `data()`.

    Returns:
        The data set, (3, size, size), with 10 labels but for "unlabeled".

    Raises:
        FileNotFoundError: It is missing, damaged or cannot be fetched; says what to put where.
        ValueError: The split is unknown, or the size out of range.

    Source: Coates, Lee and Ng 2011.
    """
    require_known("unknown split of STL10", split, ("unlabeled", "train", "test"))
    require_count(size=size)
    if size > 96:
        raise ValueError(f"size must be 96 at most, which is STL-10's own, not {size}")

    def make(allocate: Allocate) -> Tensor | None:
        found = _open("STL10", split=split, download=download)
        pixels = allocate((len(found.data), 3, size, size))
        for start in range(0, len(pixels), 1000):
            pixels[start : start + 1000] = _scaled(found.data[start : start + 1000], size)
        return None if split == "unlabeled" else torch.from_numpy(found.labels).long()

    return prepared(f"stl10-{split}", f"STL10 {split} size={size}", make, flip=flip)


def _cifar(kind: str, split: str, *, flip: bool, download: bool) -> Images:
    require_known(f"unknown split of {kind}", split, ("train", "test"))
    make = partial(_copy_cifar, kind, split, download)
    return prepared(f"{kind.lower()}-{split}", f"{kind} {split}", make, flip=flip)


def _copy_cifar(kind: str, split: str, download: bool, allocate: Allocate) -> Tensor:
    found = _open(kind, train=split == "train", download=download)
    pixels = found.data.transpose(0, 3, 1, 2)
    allocate(pixels.shape)[:] = pixels
    return torch.tensor(found.targets)


def _open(kind: str, *, download: bool, **split: Any) -> Any:
    """Open a set of torchvision's, unpacking or fetching its archive if need be."""
    from torchvision import datasets

    maker, folder = getattr(datasets, kind), paths.data()
    archive = folder / maker.filename
    try:
        return maker(folder, download=download or archive.exists(), **split)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"{kind} is not in {folder} ({error}): put {maker.filename} there (from {maker.url}, "
            f"MD5 {maker.tgz_md5}), or load it with download=True where there is a network"
        ) from error


def _scaled(pixels: Any, size: int) -> Any:
    from torchvision.transforms.functional import resize

    scale: Callable[[Tensor], Tensor] = partial(resize, size=[size, size], antialias=True)
    return scale(torch.from_numpy(pixels)).numpy()
