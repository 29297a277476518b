"""Processes whose parent is killed, with nothing that could tell them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gncompanion.tools.parents import is_kernel, noticing_orphaned, poller_held

CHILD = """
import os, sys, time
from pathlib import Path
from gncompanion.tools.parents import noticing_orphaned

def leave():
    Path(sys.argv[1]).write_text("noticed")
    os._exit(0)

with noticing_orphaned(leave):
    print("watching", flush=True)
    time.sleep(60)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"


@pytest.mark.skipif(os.name == "nt", reason="a parent's number stays on Windows")
def test_a_child_notices_that_its_parent_was_killed(tmp_path: Path) -> None:
    note = tmp_path / "note"
    command = [sys.executable, "-c", PARENT, CHILD, str(note)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "watching\n"
        parent.kill()
        deadline = time.monotonic() + 30
        while not note.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_child_whose_parent_lives_notices_nothing() -> None:
    noticed: list[int] = []
    with noticing_orphaned(lambda: noticed.append(1)):
        time.sleep(0.7)
    assert not noticed


def test_only_the_kernel_itself_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert not is_kernel()
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getpid()))  # what a program started by a kernel sees
    assert not is_kernel()
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getppid()))
    assert is_kernel()


def test_jupyters_own_poller_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poller is the real one, at the question that it asks itself each second."""
    kernelapp = pytest.importorskip("ipykernel.kernelapp")
    parentpoller = pytest.importorskip("ipykernel.parentpoller")
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getppid()))
    poller = parentpoller.ParentPollerUnix(parent_pid=os.getppid() + 1)  # as if it had another parent now
    monkeypatch.setattr(kernelapp.IPKernelApp, "instance", lambda: type("App", (), {"poller": poller}))
    changed = [poller.parent_pid and os.getppid() != poller.parent_pid]
    with poller_held():
        changed.append(poller.parent_pid and os.getppid() != poller.parent_pid)
    changed.append(poller.parent_pid and os.getppid() != poller.parent_pid)
    assert changed == [True, False, True]
