"""Files that readers find whole or not at all, and folders that one process at a time may change."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

__all__ = ["locked", "write"]


def write(path: Path, content: bytes | memoryview) -> None:
    """Replace a file whole: a reader, or a crash, finds the old content or the new one, never a part.

    Args:
        path: The file; its folder is made if there is none.
        content: All that the file will hold; it is on the disk before it takes the file's name.

    Raises:
        OSError: The content could not be written; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes and threads out of a folder: they wait here, until this one leaves or dies.

    Nobody waits where there are no locks, as on some network file systems, or in a folder that is only read.

    Args:
        folder: The folder; it is made if there is none.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / ".lock").open("a"))
            lock_descriptor(file.fileno())
            stack.callback(_unlock, file.fileno(), os.getpid())
        yield


def _unlock(descriptor: int, holder: int) -> None:
    if os.getpid() == holder:  # a process forked meanwhile shares the lock and may not end it by leaving
        unlock_descriptor(descriptor)
