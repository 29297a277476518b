"""Files that readers find whole or not at all, and folders that one process at a time may change."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["locked", "write"]


def write(path: Path, content: bytes | memoryview) -> None:
    """Replace a file whole: a reader, or a crash, finds the old content or the new one, never a part.

    Args:
        path: the file; its folder is made if need be.
        content: all of it; on the disk before it takes the file's name.
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
    """Keep other processes out of a folder: they wait here, until this one leaves or dies.

    Nobody waits where there are no locks, as on some network file systems, or in a folder that is only read.

    Args:
        folder: made if need be.
    """
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / ".lock").open("a"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
