"""Files that are replaced whole, seen from a reader and from a crash; and the lock on a folder."""

import errno
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from gncompanion.tools.files import locked, write, write_json
from gncompanion.tools.markup import read_json


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
    """Ask the operating system itself, by the library's own lock on the same file."""
    try:
        with FileLock(folder / ".lock", blocking=False):
            return True
    except Timeout:
        return False


def test_a_locked_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with locked(folder):
        assert not is_free(folder)
    assert is_free(folder)
    with pytest.raises(KeyError), locked(folder):
        raise KeyError
    assert is_free(folder)


HOLDER = """
import sys, time
from pathlib import Path
from gncompanion.tools.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def entering(folder: Path) -> tuple[threading.Thread, threading.Event]:
    """A thread that enters the folder, and what it sets when it is inside."""
    inside = threading.Event()

    def enter() -> None:
        with locked(folder):
            inside.set()

    thread = threading.Thread(target=enter)
    thread.start()
    return thread, inside


def test_others_wait_until_the_holder_leaves_or_dies(
    holder: subprocess.Popen[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not is_free(tmp_path)
    waiting, inside = entering(tmp_path)
    assert not inside.wait(0.3)
    holder.kill()  # it has no time to unlock
    assert inside.wait(60)
    waiting.join()
    named = f"process {holder.pid} on {platform.node()}"
    assert capsys.readouterr().err == f"{tmp_path} waits for {named}, which uses it too\n"


def test_threads_of_one_process_wait_for_each_other(tmp_path: Path) -> None:
    with locked(tmp_path):
        waiting, inside = entering(tmp_path)
        assert not inside.wait(0.3)
    assert inside.wait(60)
    waiting.join()
    assert is_free(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
@pytest.mark.filterwarnings(
    "ignore:.*multi-threaded, use of fork:DeprecationWarning"
)  # the child calls no torch
def test_a_forked_process_that_leaves_does_not_unlock(tmp_path: Path) -> None:
    with locked(tmp_path):
        lock = locked(tmp_path / "inner")
        lock.__enter__()
        if (child := os.fork()) == 0:
            try:
                lock.__exit__(None, None, None)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert not is_free(tmp_path / "inner")
        lock.__exit__(None, None, None)
        assert is_free(tmp_path / "inner")


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_nobody_waits(reason: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="what locks on Windows is another function")
    tried = []

    def fail(*_: object) -> None:
        tried.append(reason)
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", fail)
    with locked(tmp_path), locked(tmp_path):
        pass
    assert tried == [reason, reason]


def test_where_no_lock_can_be_made_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with locked(tmp_path / "file"):
        pass

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # a folder's mode would not stop the superuser
    with locked(tmp_path), locked(tmp_path):
        pass


def test_a_json_object_is_read_as_it_was_written(tmp_path: Path) -> None:
    content = {"b": [1, 2.5, None], "a": {"ü": True}}
    write_json(tmp_path / "made" / "file.json", content)
    assert read_json(tmp_path / "made" / "file.json", remedy="") == content
    assert (tmp_path / "made" / "file.json").read_text().startswith('{\n "a"')
