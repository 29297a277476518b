"""Data sets by name: 2-D toys, digits, photographs; and pairs of distributions whose distance is known.

    load("ring", n_modes=12).sample(256, generator) -> x (256, 2), y (256,)

Every data set has the one face described by `Dataset`; `DATASETS` lists those with a name.
"""

from gncompanion.data.base import Dataset, lies_on
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
from gncompanion.data.prefetched import Prefetched
from gncompanion.data.registry import DATASETS, load
from gncompanion.data.torchvision_sets import cifar10, cifar100, stl10

__all__ = [
    "DATASETS",
    "Dataset",
    "GaussianGrid",
    "GaussianRing",
    "Images",
    "Pair",
    "Prefetched",
    "Sampler",
    "celeba_hq",
    "cifar10",
    "cifar100",
    "concentric_spheres",
    "digits",
    "gaussians_on_line",
    "image_folder",
    "lies_on",
    "load",
    "lsun_church",
    "parallel_lines",
    "shifted",
    "shifted_boxes",
    "stl10",
]
