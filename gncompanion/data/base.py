"""What every data set is, and how it is told from another."""

import hashlib
import math
from typing import Protocol

from torch import Generator, Tensor

__all__ = ["Dataset", "digest", "require_count", "require_positive"]


class Dataset(Protocol):
    """A distribution of samples, with labels or without.

    Attributes:
        name: One word, or the definition.
        shape: Of one sample: (2,), (1, 8, 8), ...
        n_classes: Number of labels, None without labels.
        digest: `digest` of the content, or of the definition.
    """

    name: str
    shape: tuple[int, ...]
    n_classes: int | None
    digest: str

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor | None]:
        """Draw n samples independently, with replacement.

        Args:
            n: How many.
            generator: The only source of randomness; the samples lie on its device.

        Returns:
            x (n, *shape), float32, images in [−1, 1]; y (n,), int64 in [0, n_classes), or None without
            labels.
        """
        ...


def digest(*content: str | bytes | memoryview) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the contents, one after the other.

    Args:
        *content: Text or bytes.

    Returns:
        16 characters.
    """
    sha = hashlib.sha256()
    for part in content:
        sha.update(part.encode() if isinstance(part, str) else part)
    return sha.hexdigest()[:16]


def require_count(**numbers: int) -> None:
    """Refuse what is not an integer from 1 on.

    Raises:
        ValueError: Naming the first that is not.
    """
    for name, number in numbers.items():
        if type(number) is not int or number < 1:
            raise ValueError(f"{name} must be an integer from 1 on, not {number!r}")


def require_positive(**numbers: float) -> None:
    """Refuse what is not a positive, finite number.

    Raises:
        ValueError: Naming the first that is not.
    """
    for name, number in numbers.items():
        if isinstance(number, str) or not 0 < number < math.inf:
            raise ValueError(f"{name} must be positive and finite, not {number!r}")
