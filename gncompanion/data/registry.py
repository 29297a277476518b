"""Data sets by name."""

from collections.abc import Callable
from typing import Any

from gncompanion.data.base import Dataset
from gncompanion.data.folders import celeba_hq, image_folder, lsun_church
from gncompanion.data.images import digits
from gncompanion.data.mixtures import GaussianGrid, GaussianRing
from gncompanion.data.torchvision_sets import cifar10, cifar100, stl10
from gncompanion.tools import registry

__all__ = ["DATASETS", "load"]

DATASETS: dict[str, Callable[..., Dataset]] = {
    "ring": GaussianRing,
    "grid": GaussianGrid,
    "digits": digits,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "stl10": stl10,
    "celeba-hq": celeba_hq,
    "lsun-church": lsun_church,
    "folder": image_folder,
}


def load(name: str, **options: Any) -> Dataset:
    """Make a data set by its name.

    Args:
        name: A key of `DATASETS`.
        **options: The arguments of that data set; only "folder" needs one, the path.

    Returns:
        The data set.

    Raises:
        ValueError: The name or an option is unknown, an option is missing, or its value is refused.
        FileNotFoundError: The data set has to be fetched first; the message says what to put where.

    Example:
        >>> load("ring", n_modes=12).n_classes
        12
    """
    return registry.make("data set", name, DATASETS, options)
