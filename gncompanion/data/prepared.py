"""Sets prepared once: decoded, brought to one size, and kept as one array that is mapped into memory.

    data()/prepared/<name>-<key>.npy     (N, C, H, W), uint8
    data()/prepared/<name>-<key>.json    labels and digest, written last: without it the array is not used

The key stands for what the array was made from, so that a folder that changed is prepared anew. A mapped
array takes no memory of its own: pages come as they are drawn, and several processes share them. When a
process opens it first, it is compared with its digest, so that a flipped bit is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from gncompanion.data.images import Images
from gncompanion.data.reservation import reserved_array
from gncompanion.tools import paths
from gncompanion.tools.digests import content_digest
from gncompanion.tools.files import locked, write

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
    name: str,
    source: str,
    make: Callable[[Allocate], Tensor | None],
    *,
    flip: bool = False,
    former: str | None = None,
    still_holds: Callable[[], bool] = lambda: True,
) -> Images:
    """Open a prepared set, or prepare it.

    Args:
        name: Name of the set, one word.
        source: A text that names what the set is made from, and changes when that does.
        make: The function that prepares the set: it asks the function that it is given for an array of the
            shape (N, C, H, W), fills that, and returns the labels (N,), or None without labels.
        flip: Whether to mirror each drawn image left to right with probability ½.
        former: The source under a former rule, whose array is taken over if it still holds; None = there was
            no other rule.
        still_holds: The function that tells whether the present rule makes the same of the same source.

    Returns:
        The set, its array mapped into memory.

    Raises:
        FileNotFoundError: There is no checkout and GNCOMPANION_DATA is not set.
        OSError: There is no room on the disk; says how much is needed.
        ValueError: The prepared set is damaged; names its files.
    """
    folder = paths.data() / "prepared"
    array = _array(folder, name, source)
    with locked(folder):
        if not _about(array).exists():
            for leftover in folder.glob("*.unfinished"):  # of a process that was killed: the lock is ours
                leftover.unlink(missing_ok=True)
            earlier = None if former is None else _array(folder, name, former)
            if earlier and _about(earlier).exists() and still_holds():
                _take_over(earlier, array)
            else:
                _prepare(name, array, make)
    labels, digest = _read_about(name, array, *(file.stat().st_mtime_ns for file in (array, _about(array))))
    kept = None if labels is None else torch.tensor(labels)
    return Images(name, _mapped(array), labels=kept, flip=flip, digest=digest)


def _array(folder: Path, name: str, source: str) -> Path:
    return folder / f"{name}-{content_digest(f'{FORMAT} {source}')}.npy"


def _about(array: Path) -> Path:
    return array.with_suffix(".json")


def _take_over(earlier: Path, array: Path) -> None:
    about = _about(earlier).read_bytes()
    earlier.replace(array)
    write(_about(array), about)
    _about(earlier).unlink()


def _prepare(name: str, array: Path, make: Callable[[Allocate], Tensor | None]) -> None:
    unfinished = array.with_suffix(".unfinished")
    try:
        labels = make(partial(reserved_array, unfinished))
        unfinished.replace(array)
        about = {
            "digest": Images(name, _mapped(array), labels=labels).digest,
            "labels": None if labels is None else labels.tolist(),
        }
        write(_about(array), json.dumps(about).encode())
    finally:
        unfinished.unlink(missing_ok=True)
        if not _about(array).exists():
            array.unlink(missing_ok=True)


@lru_cache(maxsize=64)  # once a process
def _read_about(name: str, array: Path, *_: int) -> tuple[tuple[int, ...] | None, str]:
    """Read an array's labels and digest, and compare it with them; the numbers are the files' ages."""
    try:
        about = json.loads(_about(array).read_text(encoding="utf-8"))
        labels, digest = about["labels"], about["digest"]
        kept = None if labels is None else torch.tensor(labels)
        sound = Images(name, _mapped(array), labels=kept).digest == digest
    except (ValueError, EOFError, LookupError, TypeError):  # what JSON, NumPy and we say of what is no array
        sound = False
    if not sound:
        raise ValueError(
            f"{array} is damaged, or the {_about(array).name} beside it: delete both, and they are made anew"
        )
    return None if labels is None else tuple(labels), digest


def _mapped(array: Path) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.load(array, mmap_mode="c"))  # copy on write: torch wants a writable array
