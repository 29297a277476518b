"""Arrays on the disk whose room is theirs before anything is written to them.

A file that is made by its length alone takes no room; where a page of it that is mapped finds none, SIGBUS
kills the process without a word. So the room is asked for first, and a full disk is an error that says so.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["reserved_array"]

BLOCK = bytes(1 << 20)
CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def reserved_array(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Make an array in a file, with room on the disk for all of it.

    Args:
        file: The file; its folder exists.
        shape: The shape of the array.

    Returns:
        The array, uint8, zeros, mapped.

    Raises:
        OSError: There is no room; names the folder, the bytes that are needed and that are free, and leaves
            no file.
    """
    from numpy.lib.format import open_memmap

    needed, free = math.prod(shape), shutil.disk_usage(file.parent).free
    try:
        if needed > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        array: NDArray[np.uint8] = open_memmap(file, mode="w+", dtype="uint8", shape=shape)
        with file.open("r+b") as content:
            _reserve(content, needed)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise OSError(
            f"no room in {file.parent} for the decoded images: {needed} bytes are needed, {free} are free "
            f"({error.strerror}); make room, or set GNCOMPANION_DATA to a folder on a larger disk"
        ) from error
    return array


def _reserve(content: BinaryIO, needed: int) -> None:
    """Give a file the room of its length; the last of its bytes, that many, are zeros and stay so."""
    size = content.seek(0, os.SEEK_END)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(content.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in CANNOT_RESERVE:
                raise
    content.seek(size - needed)  # where room cannot be asked for, it is taken by writing
    while (missing := size - content.tell()) > 0:
        content.write(BLOCK[:missing])
    content.flush()
    os.fsync(content.fileno())
