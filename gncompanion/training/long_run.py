"""Runs of hours: they log to TensorBoard, and signals end them at a checkpoint.

    with LongRun(folder) as watch:
        experiment.run(folder, watch=watch)      SIGTERM, SIGINT, SIGHUP → Stopped, after the step in progress

The rows lie in `<folder>/tensorboard`; a resumed run goes on in the same curves. Before the first step there
is nothing to save, and a signal ends the process at once.
"""

from __future__ import annotations

import signal
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from gncompanion.training.watch import Watch, handle

__all__ = ["LongRun"]


class LongRun(Watch):
    """Watches one run, from `with` to its end.

    Args:
        folder: The run's folder.
        quiet: Whether to write nothing, as all processes do but the first of those that share a run.

    Attributes:
        signal: The number of the signal that asked to stop; None = there was none.
    """

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        self.folder, self.quiet = folder, quiet
        self.signal: int | None = None
        self._under_way = False
        self._writer: Any = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> LongRun:
        if not self.quiet and find_spec("tensorboard") is None:
            warnings.warn("no log for TensorBoard: pip install 'gncompanion[scale]'", stacklevel=2)
            self.quiet = True
        self._before = handle(self._note)
        if hasattr(signal, "SIGALRM"):
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._writer:
            self._writer.close()

    def row(self, row: dict[str, float]) -> None:
        if self.quiet:
            return
        step = int(row["step"])
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # late: it takes seconds to import

            self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step)
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)
        self._writer.flush()  # before the checkpoint that a resumed run goes on from

    def stopping(self) -> bool:
        self._under_way = True
        return self.signal is not None

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        if not self._under_way:  # perhaps it waits for another process that trains the same run
            self._alarm(1)
            raise SystemExit(128 + number)

    def _again(self, *_: object) -> None:
        """Say it again: in a destructor or a weak reference's callback Python drops what a handler raises."""
        if self.signal is not None:
            self._note(self.signal, None)

    def _alarm(self, seconds: int) -> None:
        if hasattr(signal, "alarm"):
            signal.alarm(seconds)
