"""Processes of the soak: started, found again by a mark in their environment, and waited for.

`gncompanion train` is forked from a process that has imported all it needs, so that a start takes a moment;
all else is started as a user starts it.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

PATIENCE = 1500  # seconds, on a machine that is busy with other things
MARK = "GNCOMPANION_SOAK"
PRELOAD = [
    "gncompanion.cli",
    "gncompanion.papers.selection",
    "gncompanion.training.long_run",
    "gncompanion.notebook.reproduce",
    "torch.utils.tensorboard",
    "torch._dynamo",
    "sklearn.datasets",
    "matplotlib.pyplot",
]


class Started:
    """A process, and all that it has started.

    Args:
        process: The process.
        mark: What its environment bears.
        log: The file of what it says.
    """

    def __init__(self, process: "BaseProcess | subprocess.Popen[bytes]", mark: str, log: Path) -> None:
        self.process, self.mark, self.log = process, mark, log
        self.pid: int = process.pid or 0
        self.executed = isinstance(process, subprocess.Popen)

    def code(self) -> int | None:
        """The exit code; None while it runs."""
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll()
        return self.process.exitcode

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Wait for the end; None if there was none."""
        deadline = time.monotonic() + seconds
        while self.code() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.code()

    def family(self) -> list[psutil.Process]:
        """All processes with the mark that still run."""
        return [process for process in psutil.process_iter() if _mark(process) == self.mark]

    def gone(self, seconds: float = 45) -> bool:
        """Wait until none of the family runs; what does is killed."""
        deadline = time.monotonic() + seconds
        while self.family():
            if time.monotonic() > deadline:
                self.kill()
                return False
            self.code()
            time.sleep(0.2)
        return True

    def kill(self) -> None:
        """Kill the whole family."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")


def _mark(process: psutil.Process) -> str | None:
    with suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ().get(MARK) or _FORKED.get(process.pid)
    return None


_FORKED: dict[int, str] = {}  # a forked process shows the environment of the one that it was forked from


def command(arguments: list[str], log: Path, *, folder: Path | None = None, **environment: str) -> Started:
    """Start a program of this interpreter, `python -m …`, in a session of its own, from a folder."""
    mark = uuid.uuid4().hex
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env={**os.environ, **environment, MARK: mark, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Started(process, mark, log)


def forked(function: Callable[..., Any], *arguments: Any, log: Path, **environment: str) -> Started:
    """Call a function in a process forked from one that has imported all it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    mark = uuid.uuid4().hex
    process = context.Process(target=_child, args=(function, arguments, str(log), environment))
    process.start()
    _FORKED[process.pid or 0] = mark
    return Started(process, mark, log)


def _child(
    function: Callable[..., Any], arguments: tuple[Any, ...], log: str, environment: dict[str, str]
) -> None:
    import torch

    os.setsid()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    function(*arguments)


def train(row: str) -> None:
    """The command `gncompanion train -f ROW`, as its process runs it."""
    from gncompanion.cli import app

    app(["train", "-f", row], prog_name="gncompanion")
