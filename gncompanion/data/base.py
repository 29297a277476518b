"""What every data set is."""

from typing import Any, Protocol

import torch
from torch import Generator, Tensor

__all__ = ["Dataset", "lies_on"]


class Dataset(Protocol):
    """A distribution of samples, with labels or without.

    Attributes:
        name: One word, or the whole definition.
        shape: Shape of one sample: (2,), (1, 8, 8), ...
        n_classes: Number of labels; None = there are no labels.
        digest: Digest of the content, or of the definition, 16 hexadecimal digits.
    """

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def n_classes(self) -> int | None: ...

    @property
    def digest(self) -> str: ...

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor | None]:
        """Draw samples independently, with replacement.

        Args:
            n: Number of samples.
            generator: The only source of randomness; the samples lie on its device.

        Returns:
            The samples x, (n, *shape), float32, images in [−1, 1]; and their labels y, (n,), int64 in
            [0, n_classes), or None without labels.
        """
        ...


def lies_on(dataset: Dataset, device: torch.device) -> bool:
    """Tell whether a data set's batches come from memory of a device, so that no step waits for the host.

    Args:
        dataset: The data set; one without a `lies_on` of its own computes its samples there.
        device: The device on which batches are drawn.

    Returns:
        Whether they do.
    """
    own: Any = getattr(dataset, "lies_on", None)
    return True if own is None else bool(own(device))
