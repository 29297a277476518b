"""Feature maps, and what they make of images.

A feature map takes pixels to two things: features (d,), which the Fréchet and the kernel distance compare,
and logits (k,), whose softmax the Inception Score measures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from gncompanion.metrics.pixels import to_uint8

__all__ = ["FeatureMap", "Features", "extract"]


class FeatureMap(Protocol):
    """A fixed map from pixels to features and logits; image i of a batch alone decides row i.

    Attributes:
        name: One word; "inception" is the name of FID's feature map, and of it alone.
        digest: Digest of the weights, so that features of other weights are never compared with these.
        device: Device that the map computes on.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map images.

        Args:
            pixels: The images, (N, C, H, W), uint8, on `device`.

        Returns:
            Features, (N, d), and logits, (N, k).
        """
        ...


@dataclass(frozen=True)
class Features:
    """What a feature map makes of a set of images.

    Attributes:
        values: Features, (N, d), float32, on the CPU.
        logits: Logits, (N, k), float32, on the CPU.
        made_by: Name and digest of the feature map.
    """

    values: Tensor
    logits: Tensor
    made_by: str

    def __len__(self) -> int:
        return len(self.values)

    def first(self, n: int) -> "Features":
        """Keep the first n images, such as the 10 000 of 50 000 that are compared with a test set.

        Args:
            n: Number of images, from 1 to all.

        Returns:
            Their features.

        Raises:
            ValueError: There are not that many images.
        """
        if not 0 < n <= len(self):
            raise ValueError(f"the first {n} of {len(self)} images cannot be taken")
        return replace(self, values=self.values[:n], logits=self.logits[:n])


@torch.no_grad()
def extract(feature_map: FeatureMap, batches: Iterable[Tensor]) -> Features:
    """Map all images, one batch at a time.

    Args:
        feature_map: The feature map.
        batches: Batches of images, (N, C, H, W), uint8 or floating point in [−1, 1], on any device: those of
            `batches(pixels)`, or of a generator, such as `(run.sample(50, seed=i) for i in range(200))`.

    Returns:
        The features, in the order of the images.

    Raises:
        ValueError: There are no images, one is no image, or a feature is not finite.
    """
    made = [_mapped(feature_map, batch) for batch in batches if len(batch)]
    if not made:
        raise ValueError("there are no images to measure")
    values, logits = (torch.cat(parts) for parts in zip(*made, strict=True))
    if not (values.isfinite().all() and logits.isfinite().all()):
        raise ValueError(f"{feature_map.name} gives features that are not finite: are its weights damaged?")
    return Features(values, logits, f"{feature_map.name} {feature_map.digest}")


def _mapped(feature_map: FeatureMap, batch: Tensor) -> tuple[Tensor, Tensor]:
    values, logits = feature_map(to_uint8(batch).to(feature_map.device))
    return values.float().cpu(), logits.float().cpu()
