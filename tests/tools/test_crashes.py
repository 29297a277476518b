"""Files that are written together, and what a crash at any moment leaves of them."""

import errno
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gncompanion.tools import files
from gncompanion.tools.files import locked, settle, write, write_together

OLD, NEW = ({f"{name}.txt": f"{age} {name}".encode() for name in "abc"} for age in ("old", "new"))
CALLS = 8  # of the functions below, for three files

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded, use of fork:DeprecationWarning"  # the child calls no torch
)


def content(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder, hidden too: the files' bytes, and None for each folder."""
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


def dies(act: Callable[[], object], *, at: int) -> bool:
    """Do something in a process that dies, without a finally, before its n-th change of the folder."""
    if (child := os.fork()) == 0:
        try:
            left = iter(range(at))

            def mortal(function: Callable[..., object]) -> Callable[..., object]:
                def call(*arguments: object) -> object:
                    if next(left, None) is None:
                        os._exit(9)
                    return function(*arguments)

                return call

            os.replace, os.fsync = mortal(os.replace), mortal(os.fsync)
            Path.rename, Path.rmdir = mortal(Path.rename), mortal(Path.rmdir)
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_after_a_crash_all_are_old_or_all_become_new(tmp_path: Path) -> None:
    mixed, ends = 0, set()
    for at in range(100):
        folder = tmp_path / str(at)
        write_together(folder, OLD)
        if not dies(lambda folder=folder: write_together(folder, NEW), at=at):
            break
        mixed += {name: content(folder).get(name) for name in OLD} not in (OLD, NEW)
        settle(folder)
        ends.add(content(folder) == NEW)
        assert content(folder) in (OLD, NEW)  # and nothing else is left
    assert at > CALLS
    assert mixed >= 2, "no crash came between two of the files"
    assert ends == {False, True}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_the_next_one_who_writes_ends_what_a_crash_has_left(tmp_path: Path) -> None:
    write_together(tmp_path, OLD)
    for at in range(CALLS + 2):
        assert dies(lambda: write_together(tmp_path, NEW), at=at)
        write_together(tmp_path, {"a.txt": b"newest"})
        assert content(tmp_path) in ({**OLD, "a.txt": b"newest"}, {**NEW, "a.txt": b"newest"})
    assert dies(lambda: write(tmp_path / "a.txt", b"lost"), at=1)
    assert len(content(tmp_path)) == 4
    write(tmp_path / "b.txt", b"another file")
    write(tmp_path / "a.txt", b"there")
    assert content(tmp_path).keys() == OLD.keys()


def test_what_cannot_be_written_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_together(tmp_path, OLD)
    written = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_together(tmp_path, NEW)
    assert content(tmp_path) == OLD


def test_of_no_files_nothing_is_written(tmp_path: Path) -> None:
    write_together(tmp_path, OLD)
    write_together(tmp_path, {})
    assert content(tmp_path) == OLD


def test_a_folder_that_is_missing_is_settled(tmp_path: Path) -> None:
    settle(tmp_path / "missing")
    assert not content(tmp_path)


def test_threads_and_containers_of_one_number_do_not_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without locks, as on some network file systems, both are in the middle of it at once."""
    fcntl = pytest.importorskip("fcntl", reason="what locks on Windows is another function")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    meeting, failed = threading.Barrier(2), []
    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(files.os, "fsync", lambda _: meeting.wait(30))

    def go(text: bytes) -> None:
        try:
            write(tmp_path / "file", text * 1000)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=(text,)) for text in (b"one", b"another")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert content(tmp_path)["file"] in (b"one" * 1000, b"another" * 1000)
    assert content(tmp_path).keys() == {"file"}


def test_one_who_waits_is_told_for_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = ""

    def enter() -> None:
        with locked(tmp_path, name="a run"):
            pass

    with locked(tmp_path):
        thread = threading.Thread(target=enter)
        thread.start()
        deadline = time.monotonic() + 30
        while "\n" not in said:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            said += capsys.readouterr().err
    thread.join()
    holder = f"process {os.getpid()} on {platform.node()}"
    assert said == f"a run waits for {holder}, which uses it too\n"
