"""Sets prepared once: decoded, brought to one size, and kept as one array that is mapped into memory.

    data()/prepared/<name>-<key>.npy     (N, C, H, W), uint8
    data()/prepared/<name>-<key>.json    labels and digest, written last: without it the array is not used

The key stands for what the array was made from, so that a folder that changed is prepared anew. A mapped
array takes no memory of its own: pages come as they are drawn, and several processes share them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from gncompanion.data.images import Images
from gncompanion.tools import paths
from gncompanion.tools.digests import content_digest
from gncompanion.tools.files import locked, write
from gncompanion.tools.markup import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Allocate", "open_prepared"]

FORMAT = 1  # raised when a change of the code prepares the same files to something else


class Allocate(Protocol):
    """A function that makes the array of a set, on the disk, to be filled in place."""

    def __call__(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make an array.

        Args:
            shape: The shape (N, C, H, W) of all images.

        Returns:
            The array, uint8, zeros.
        """
        ...


def open_prepared(
    name: str, source: str, make: Callable[[Allocate], Tensor | None], *, flip: bool = False
) -> Images:
    """Open a prepared set, or prepare it.

    Args:
        name: Name of the set, one word.
        source: A text that names what the set is made from, and changes when that does.
        make: The function that prepares the set: it asks the function that it is given for an array of the
            shape (N, C, H, W), fills that, and returns the labels (N,), or None without labels.
        flip: Whether to mirror each drawn image left to right with probability ½.

    Returns:
        The set, its array mapped into memory.

    Raises:
        FileNotFoundError: There is no checkout and GNCOMPANION_DATA is not set.
    """
    folder = paths.data() / "prepared"
    array = folder / f"{name}-{content_digest(f'{FORMAT} {source}')}.npy"
    with locked(folder):
        if not array.with_suffix(".json").exists():
            _prepare(name, array, make)
    about = read_json(array.with_suffix(".json"), remedy="delete it, and the set is prepared again")
    labels = None if about["labels"] is None else torch.tensor(about["labels"])
    return Images(name, _mapped(array), labels=labels, flip=flip, digest=about["digest"])


def _prepare(name: str, array: Path, make: Callable[[Allocate], Tensor | None]) -> None:
    from numpy.lib.format import open_memmap

    unfinished = array.with_suffix(".unfinished")

    def allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
        return open_memmap(unfinished, mode="w+", dtype="uint8", shape=shape)

    try:
        labels = make(allocate)
        unfinished.replace(array)
    finally:
        unfinished.unlink(missing_ok=True)
    about = {
        "digest": Images(name, _mapped(array), labels=labels).digest,
        "labels": None if labels is None else labels.tolist(),
    }
    write(array.with_suffix(".json"), json.dumps(about).encode())


def _mapped(array: Path) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.load(array, mmap_mode="c"))  # copy on write: torch wants a writable array
