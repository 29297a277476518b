"""What is kept of the real images: statistics and features, cached with what they came from.

    <folder>/<data set>-<feature map>-<key>.npz      mu, sigma, n, features, origin

The key stands for the origin: digests of images and of the feature map. A file whose origin is another one is
never used. `mu` and `sigma` bear the names that pytorch-fid's command line reads.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from gncompanion.metrics.distances import Statistics
from gncompanion.metrics.features import FeatureMap, extract
from gncompanion.metrics.pixels import batches
from gncompanion.tools.digests import content_digest
from gncompanion.tools.files import locked, write

__all__ = ["MAX_FEATURES", "Reference", "open_reference"]

MAX_FEATURES = 50_000  # kept for the kernel distance: 400 MB of Inception's


@dataclass(frozen=True)
class Reference:
    """What generated images are compared with.

    Attributes:
        statistics: Statistics of the features of all real images.
        values: Features, (m, d), float32, of all real images or of `MAX_FEATURES` evenly spaced ones.
        made_by: Name and digest of the feature map.
    """

    statistics: Statistics
    values: Tensor
    made_by: str


def open_reference(
    images: Tensor,
    feature_map: FeatureMap,
    *,
    name: str,
    digest: str,
    folder: Path,
    batch_size: int = 50,
) -> Reference:
    """Open the reference of a set of real images, or make it.

    Args:
        images: The real images, (N, C, H, W), uint8 or floating point in [−1, 1]; they are read only if there
            is no file yet.
        feature_map: The feature map.
        name: Name of the set of images, one word, such as "cifar10-train".
        digest: Digest of the images' content: another digest is another reference.
        folder: Folder of the files.
        batch_size: Number of images that are mapped at a time.

    Returns:
        The reference.

    Raises:
        ValueError: The file is damaged, or that of another origin, or the images are no images.
    """
    made_by = f"{feature_map.name} {feature_map.digest}"
    origin = f"{len(images)} images {digest}, features by {made_by}"
    key = content_digest(origin)[:10]
    file = folder / f"{name}-{feature_map.name}-{key}.npz"
    with locked(folder):
        if not file.exists():
            values = extract(feature_map, batches(images, batch_size)).values
            write(file, _packed(Statistics.of(values), _evenly(values), origin))
    statistics, values = _opened(file, origin)
    return Reference(statistics, values, made_by)


def _evenly(values: Tensor) -> Tensor:
    n = len(values)
    return values if n <= MAX_FEATURES else values[torch.arange(MAX_FEATURES) * n // MAX_FEATURES]


def _packed(statistics: Statistics, values: Tensor, origin: str) -> memoryview:
    content = io.BytesIO()
    np.savez(
        content,
        mu=statistics.mean,
        sigma=statistics.covariance,
        n=statistics.n,
        features=values.numpy(),
        origin=origin,
    )
    return content.getbuffer()


def _opened(file: Path, origin: str) -> tuple[Statistics, Tensor]:
    try:
        with file.open("rb") as content, np.load(content) as arrays:
            held = dict(arrays)
        found, statistics = str(held["origin"]), Statistics(held["mu"], held["sigma"], int(held["n"]))
        values = torch.from_numpy(held["features"])
    except (BadZipFile, zlib.error, ValueError, LookupError, EOFError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error}): delete it, and it is made anew") from error
    if found != origin:
        raise ValueError(f"{file} holds the reference of {found}, not of {origin}: remove it")
    return statistics, values
