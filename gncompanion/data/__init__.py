"""Data sets by name: 2-D toys, digits, photographs; and pairs of distributions whose distance is known.

    load("ring", n_modes=12).sample(256, generator) -> x (256, 2), y (256,)

Every data set has the one face described by `Dataset`; `DATASETS` lists those with a name.
"""

import inspect
from collections.abc import Callable
from typing import Any

from gncompanion.data.base import Dataset
from gncompanion.data.folders import celeba_hq, image_folder, lsun_church
from gncompanion.data.images import Images, digits
from gncompanion.data.mixtures import GaussianGrid, GaussianRing
from gncompanion.data.pairs import (
    Pair,
    Sampler,
    concentric_spheres,
    gaussians_on_line,
    parallel_lines,
    shifted,
    shifted_boxes,
)
from gncompanion.data.torchvision_sets import cifar10, cifar100, stl10
from gncompanion.tools.names import pick, require_known

__all__ = [
    "DATASETS",
    "Dataset",
    "GaussianGrid",
    "GaussianRing",
    "Images",
    "Pair",
    "Sampler",
    "celeba_hq",
    "cifar10",
    "cifar100",
    "concentric_spheres",
    "digits",
    "gaussians_on_line",
    "image_folder",
    "load",
    "lsun_church",
    "parallel_lines",
    "shifted",
    "shifted_boxes",
    "stl10",
]

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
        **options: That data set's own arguments; only "folder" needs one.

    Returns:
        The data set.

    Raises:
        ValueError: The name or an option is unknown, an option is missing, or its value is refused.
    """
    make = pick("data set", name, DATASETS)
    parameters = inspect.signature(make).parameters
    for option in options:
        require_known(f"unknown option of data set {name!r}", option, parameters)
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in options]
    if missing:
        raise ValueError(f"data set {name!r} needs a value for {', '.join(missing)}")
    return make(**options)
