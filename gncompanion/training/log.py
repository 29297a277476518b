"""A training's log, and the check that all of it is finite.

Each step's values stay on the device until a row is due: one mean over all steps since the row before. Then
all are looked at together, weights too, and a NaN or an infinity stops the run before anything is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from gncompanion.data import Dataset
from gncompanion.training import checkpoint

__all__ = ["COLUMNS", "Log", "NonFiniteLoss", "remedy"]

COLUMNS = ("critic_loss", "score_real", "score_fake", "generator_loss")


REMEDY = "Lower the learning rate."
LOOKS, LOOK = 32, 64  # batches of data, and samples in each, that are looked at after a breakdown


def remedy(*datasets: Dataset, device: torch.device | str = "cpu") -> str:
    """Look for the cause of a breakdown where it is not the training's.

    Args:
        datasets: What was trained on.
        device: The device to draw on.

    Returns:
        What to do, one sentence: mend the data if they are not finite, else lower the learning rate.
    """
    for dataset in datasets:
        random = torch.Generator(device).manual_seed(0)
        for _ in range(LOOKS):
            x, _labels = dataset.sample(LOOK, random)
            if not x.isfinite().all():
                return f"The data are not finite themselves: mend the data set {dataset.name!r}."
    return REMEDY


class NonFiniteLoss(RuntimeError):
    """A loss or weight is NaN or infinite; says at which step, the values and the last good checkpoint."""


@dataclass
class Log:
    """What a training has noted so far.

    Attributes:
        steps: Number of steps of the whole training, for messages.
        folder: The folder of its checkpoints, for messages; None = it writes none.
        look_at: The function that looks for the cause of a breakdown, and returns the remedy.
        rows: Rows of step and the means of `COLUMNS` over all steps since the row before.
        recent: The values of `COLUMNS` of each step since the last row, on the device.
    """

    steps: int
    folder: Path | None = None
    look_at: Callable[[], str] = lambda: REMEDY
    rows: list[dict[str, float]] = field(default_factory=list, init=False)
    recent: list[Tensor] = field(default_factory=list, init=False)

    def checked(self, step: int, modules: Mapping[str, nn.Module]) -> Tensor:
        """Look at the values since the last row, all at once: the only time that the host waits.

        Args:
            step: Number of steps done.
            modules: The networks by name, whose weights are looked at too.

        Returns:
            The values (n, 4), on the CPU.

        Raises:
            NonFiniteLoss: One of the values or weights is not finite.
        """
        if not self.recent:
            return torch.zeros(0, len(COLUMNS))
        values = torch.stack(self.recent).cpu()
        wrong = (~values.isfinite()).any(dim=1).nonzero()
        if len(wrong):
            first = int(wrong[0])
            shown = zip(COLUMNS, values[first].tolist(), strict=True)
            what = f"a loss is not finite ({', '.join(f'{name} {value:.4g}' for name, value in shown)})"
            raise self._broken(step - len(values) + first + 1, what)
        for name, module in modules.items():  # a finite loss can have a gradient that is not
            numbers = [t.detach() for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
            if not (largest := get_total_norm(numbers, math.inf)).isfinite():
                raise self._broken(step, f"a weight of the {name} is {largest:.4g}")
        return values

    def write_row(
        self, step: int, modules: Mapping[str, nn.Module], mean: Callable[[Tensor], Tensor]
    ) -> dict[str, float]:
        """Add the row of a step.

        Args:
            step: Number of steps done, one at least since the last row.
            modules: The networks by name, whose weights are looked at too.
            mean: The mean of a tensor over the processes that share the training.

        Returns:
            The row.

        Raises:
            NonFiniteLoss: One of the values or weights is not finite.
        """
        values = self.checked(step, modules).to(self.recent[0].device)  # where processes can share it
        means = mean(values.mean(0)).tolist()
        self.rows.append({"step": step, **dict(zip(COLUMNS, means, strict=True))})
        self.recent.clear()
        return self.rows[-1]

    def state(self) -> dict[str, Any]:
        """Gather rows and recent values as plain numbers."""
        return {"log": self.rows, "recent": [values.tolist() for values in self.recent]}

    def _broken(self, step: int, what: str) -> NonFiniteLoss:
        saved = checkpoint.ordered(self.folder) if self.folder else []
        good = f"the last good checkpoint is {saved[0]}" if saved else "there is no checkpoint yet"
        return NonFiniteLoss(f"step {step} of {self.steps}: {what}; {good}. {self.look_at()}")
