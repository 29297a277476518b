"""Files that are replaced whole, seen from a reader and from a crash; and the lock on a folder."""

import fcntl
import os
from pathlib import Path

import pytest

from gncompanion.tools.files import locked, write


@pytest.mark.parametrize("content", [b"", b"new", memoryview(b"a buffer, not copied")])
def test_replaces_the_content_and_leaves_nothing_else(content: bytes | memoryview, tmp_path: Path) -> None:
    path = tmp_path / "made" / "if need be" / "file"
    write(path, b"old and longer than the new one")
    write(path, content)
    assert path.read_bytes() == bytes(content)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    path = tmp_path / "file"
    write(path, b"old")
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="no space left"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace, synced = tmp_path / "file", os.replace, []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))

    def checked(source: Path, target: Path) -> None:
        assert synced == [3]  # all of it, not what a buffer happened to have let through
        assert target == path
        assert source.name.startswith(".file")  # hidden, and on the same file system
        assert source.parent == path.parent
        replace(source, target)

    monkeypatch.setattr(os, "replace", checked)
    write(path, b"new")
    assert path.read_bytes() == b"new"


def is_free(folder: Path) -> bool:
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_locked_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with locked(folder):
        assert not is_free(folder)
    assert is_free(folder)
    with pytest.raises(KeyError), locked(folder):
        raise KeyError
    assert is_free(folder)


def test_without_locks_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with locked(tmp_path), locked(tmp_path):
        pass
    (tmp_path / "file").touch()
    with locked(tmp_path / "file"):  # nor where no lock can be made
        pass
