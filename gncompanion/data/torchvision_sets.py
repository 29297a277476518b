"""CIFAR-10, CIFAR-100 and STL-10: torchvision reads them, and holds their checksums.

    load("cifar10")                      data()/cifar-10-python.tar.gz, or what is unpacked from it
    load("cifar10", download=True)       fetched, if it is not there

An archive that lies in `data()` is unpacked, without any network. Real images are flipped, as both papers do.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gncompanion.data.images import Images
from gncompanion.data.prepared import Allocate, open_prepared
from gncompanion.tools import paths
from gncompanion.tools.checks import whole
from gncompanion.tools.names import require_known

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["cifar10", "cifar100", "stl10"]


def cifar10(*, split: str = "train", flip: bool = True, download: bool = False) -> Images:
    """Open CIFAR-10: photographs of 10 classes, 50 000 for training and 10 000 for testing.

    Args:
        split: "train" or "test".
        flip: Whether to mirror each drawn image left to right with probability ½.
        download: Whether to fetch the set, if it is not in `data()`.

    Returns:
        The data set, (3, 32, 32), with labels.

    Raises:
        FileNotFoundError: The set is missing, damaged or cannot be fetched; the message says what to put
            where.
        ValueError: The split is unknown.

    Source: Krizhevsky 2009 (Learning multiple layers of features from tiny images).
    """
    return _cifar("CIFAR10", split, flip=flip, download=download)


def cifar100(*, split: str = "train", flip: bool = True, download: bool = False) -> Images:
    """Open CIFAR-100: photographs of 100 classes, 50 000 for training and 10 000 for testing.

    Args:
        split: "train" or "test".
        flip: Whether to mirror each drawn image left to right with probability ½.
        download: Whether to fetch the set, if it is not in `data()`.

    Returns:
        The data set, (3, 32, 32), with labels.

    Raises:
        FileNotFoundError: The set is missing, damaged or cannot be fetched; the message says what to put
            where.
        ValueError: The split is unknown.

    Source: Krizhevsky 2009 (Learning multiple layers of features from tiny images).
    """
    return _cifar("CIFAR100", split, flip=flip, download=download)


def stl10(*, split: str = "unlabeled", size: int = 48, flip: bool = True, download: bool = False) -> Images:
    """Open STL-10: photographs, scaled down to 48x48 as the papers have them.

    Args:
        split: "unlabeled" (100 000 images, GN-GAN's choice), "train" (5000), "test" (8000), or
            "train+unlabeled" (the two together, AutoGAN's choice).
        size: Edge of the images, in pixels, from 1 to 96, which is STL-10's own; the scaling, bilinear with
            antialiasing, is ours.
        flip: Whether to mirror each drawn image left to right with probability ½.
        download: Whether to fetch the set, if it is not in `data()`.

    Returns:
        The data set, (3, size, size), with labels from 0 to 9 for "train" and "test".

    Raises:
        FileNotFoundError: The set is missing, damaged or cannot be fetched; the message says what to put
            where.
        ValueError: The split is unknown, or the size out of range.

    Source: Coates, Lee and Ng 2011 (An analysis of single-layer networks in unsupervised feature learning).
    """
    require_known("unknown split of STL10", split, ("unlabeled", "train", "test", "train+unlabeled"))
    whole("size", size, high=96)

    def make(allocate: Allocate) -> Tensor | None:
        found = _open("STL10", split=split, download=download)
        pixels = allocate((len(found.data), 3, size, size))
        for start in range(0, len(pixels), 1000):
            pixels[start : start + 1000] = _scaled(found.data[start : start + 1000], size)
        return None if "unlabeled" in split else torch.from_numpy(found.labels).long()

    return open_prepared(f"stl10-{split}", f"STL10 {split} size={size}", make, flip=flip)


def _cifar(kind: str, split: str, *, flip: bool, download: bool) -> Images:
    require_known(f"unknown split of {kind}", split, ("train", "test"))
    make = partial(_copy_cifar, kind, split, download)
    return open_prepared(f"{kind.lower()}-{split}", f"{kind} {split}", make, flip=flip)


def _copy_cifar(kind: str, split: str, download: bool, allocate: Allocate) -> Tensor:
    found = _open(kind, train=split == "train", download=download)
    pixels = found.data.transpose(0, 3, 1, 2)
    allocate(pixels.shape)[:] = pixels
    return torch.tensor(found.targets)


def _open(kind: str, *, download: bool, **split: Any) -> Any:
    """Open a set of torchvision's, which is Any to us since torchvision ships no types.

    An archive is unpacked, or fetched, if need be; one that is damaged is neither unpacked nor written over.
    """
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    maker, folder = getattr(datasets, kind), paths.data()
    archive = folder / maker.filename
    try:
        return maker(folder, **split)
    except (OSError, RuntimeError) as error:
        missing = error
    if archive.exists() and not check_integrity(archive, maker.tgz_md5):
        raise FileNotFoundError(
            f"{archive} is damaged, its MD5 is not {maker.tgz_md5}: it is kept as it is; move it away, and "
            f"put another there (from {maker.url}), or load the set with download=True"
        )
    try:
        if archive.exists() or download:
            return maker(folder, download=True, **split)
    except (OSError, RuntimeError) as error:
        missing = error
    raise FileNotFoundError(
        f"{kind} is not in {folder} ({missing}): put {maker.filename} there (from {maker.url}, "
        f"MD5 {maker.tgz_md5}), or load it with download=True where there is a network"
    ) from missing


def _scaled(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from torchvision.transforms.functional import resize

    scaled: NDArray[np.uint8] = resize(torch.from_numpy(pixels), [size, size], antialias=True).numpy()
    return scaled
