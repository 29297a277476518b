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

import numpy as np
import torch
from torch import Tensor

from gncompanion.data.base import digest
from gncompanion.data.images import Images
from gncompanion.tools import paths
from gncompanion.tools.files import locked, write

__all__ = ["Allocate", "prepared"]

FORMAT = 1  # raised when a change of the code prepares the same files to something else

Allocate = Callable[[tuple[int, ...]], np.ndarray]


def prepared(
    name: str, source: str, make: Callable[[Allocate], Tensor | None], *, flip: bool = False
) -> Images:
    """Open a prepared set, or prepare it.

    Args:
        name: of the set, one word.
        source: a text that names what it is made from, and changes when that does.
        make: prepares it: asks the function that it is given for an array of the shape (N, C, H, W), fills
            that, and returns the labels (N,), or None without labels.
        flip: whether to mirror each drawn image left to right with probability ½.

    Returns:
        The set, its array mapped.

    Raises:
        FileNotFoundError: there is no checkout and GNCOMPANION_DATA is not set.
    """
    folder = paths.data() / "prepared"
    array = folder / f"{name}-{digest(f'{FORMAT} {source}')}.npy"
    with locked(folder):
        if not array.with_suffix(".json").exists():
            _prepare(name, array, make)
    about = json.loads(array.with_suffix(".json").read_text(encoding="utf-8"))
    labels = None if about["labels"] is None else torch.tensor(about["labels"])
    return Images(name, _mapped(array), labels=labels, flip=flip, digest=about["digest"])


def _prepare(name: str, array: Path, make: Callable[[Allocate], Tensor | None]) -> None:
    unfinished = array.with_suffix(".unfinished")

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        return np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)

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
    return torch.from_numpy(np.load(array, mmap_mode="c"))  # copy on write: torch wants a writable array
