"""Files that readers find whole or not at all, and folders that one process at a time may change.

What takes the place of several files goes into a hidden folder beside them first. Once that bears its final
name it is as good as written: whoever writes there next moves on what a crash has left in it.

    .together-1f0c9a2b.unfinished/    a crash here leaves the old files
    .together-1f0c9a2b/               a crash here leaves some of each, until `settle` makes all of them new
"""

import glob
import json
import os
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import lock_descriptor, unlock_descriptor

__all__ = ["locked", "settle", "write", "write_json", "write_together"]

_TOGETHER = ".together-"
_UNFINISHED = ".unfinished"


def write(path: Path, content: bytes | memoryview) -> None:
    """Replace a file whole: a reader, or a crash, finds the old content or the new one, never a part.

    Args:
        path: The file; its folder is made if there is none.
        content: All that the file will hold; it is on the disk before it takes the file's name.

    Raises:
        OSError: The content could not be written; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent) as alone:
        if alone:
            _remove(path.parent.glob(f".{glob.escape(path.name)}.????????"))  # what a crash has left
        _write(path, content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file whole by a JSON object, its names in alphabetical order: what `read_json` reads.

    Args:
        path: The file; its folder is made if there is none.
        content: Plain values by name.

    Raises:
        OSError: The content could not be written; the file is as it was.
    """
    write(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Replace several files of a folder, all or none: after a crash the next one to write there ends it.

    Args:
        folder: The folder; it is made if there is none.
        contents: All that each file will hold, by name.

    Raises:
        OSError: The contents could not be written; the files are as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder) as alone:
        _settle(folder, alone=alone)
        if not contents:
            return
        ready = folder / (_TOGETHER + secrets.token_hex(4))
        unfinished = ready.with_name(ready.name + _UNFINISHED)
        try:
            for name, content in contents.items():
                _write(unfinished / name, content)
            unfinished.rename(ready)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        _sync(folder)
        _move(ready, folder)


def settle(folder: Path) -> None:
    """End what a crash has interrupted in a folder of files that are written together.

    Args:
        folder: The folder; it may be missing.
    """
    if folder.is_dir():
        with _alone(folder) as alone:
            _settle(folder, alone=alone)


@contextmanager
def locked(folder: Path, *, name: str | None = None) -> Iterator[None]:
    """Keep other processes and threads out of a folder: they wait here, until this one leaves or dies.

    Whoever waits says on standard error for whom: "07_capacity waits for process 41 on node7, which uses it
    too". Nobody waits where there are no locks, as on some network file systems, or in a folder that is only
    read.

    Args:
        folder: The folder; it is made if there is none.
        name: What the folder is for, as it is said; None = the folder's own name, with its path.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / ".lock").open("a+b", buffering=0))
            if not lock_descriptor(file.fileno(), blocking=False):
                _say(f"{name or folder} waits for {_holder(folder / '.lock')}, which uses it too")
                lock_descriptor(file.fileno())
            stack.callback(_unlock, file.fileno(), os.getpid())
            with suppress(OSError):  # a full disk keeps nobody from the lock
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}".encode())
        yield


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        print(line, file=sys.stderr, flush=True)


def _holder(lock: Path) -> str:
    with suppress(OSError):
        return lock.read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"


def _unlock(descriptor: int, holder: int) -> None:
    if os.getpid() == holder:  # a process forked meanwhile shares the lock and may not end it by leaving
        unlock_descriptor(descriptor)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Lock a folder itself, for the moment of a write; False where that cannot be, and nobody waits."""
    with ExitStack() as stack:
        alone = False
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)  # Windows opens no folder
            stack.callback(os.close, descriptor)
            alone = lock_descriptor(descriptor, poll_interval=0.005)
            stack.callback(_unlock, descriptor, os.getpid())
        yield alone


def _write(path: Path, content: bytes | memoryview) -> None:
    path.parent.mkdir(exist_ok=True)
    # Not the number of the process, which its threads share, and other containers' processes too.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _settle(folder: Path, *, alone: bool) -> None:
    """End what is as good as written; what is not is removed, unless another process may be writing it."""
    for left in sorted(folder.glob(f"{_TOGETHER}*")):
        if not left.name.endswith(_UNFINISHED):
            _move(left, folder)
        elif alone:
            shutil.rmtree(left)
    if alone:
        _remove(path for path in folder.glob(".*") if re.fullmatch(r"\..+\.[0-9a-f]{8}", path.name))


def _move(ready: Path, folder: Path) -> None:
    for file in sorted(ready.iterdir()):
        with suppress(FileNotFoundError):  # where there are no locks, another process does the same
            os.replace(file, folder / file.name)
    with suppress(FileNotFoundError):
        ready.rmdir()
    _sync(folder)


def _remove(paths: Iterator[Path]) -> None:
    for path in list(paths):
        with suppress(OSError):
            path.unlink()


def _sync(folder: Path) -> None:
    """Bring a folder's names to the disk, where folders can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
