"""How long and how fast to train: plain numbers, checked when they are given.

    learning rate of step k = 0, 1, …, steps − 1      lr · (1 − k / steps)    if lr_decay = "linear", else lr

so that the last step still learns, at lr / steps.

What a setting for speed does to the gradient, in the factors of each product (sums are float32's in all):

    precision     bits kept    rounding    where
    float32       24           6e-8        as torch is set: by default a GPU's convolutions are in TF32
    tf32          11           5e-4        convolutions and matrix products, on a GPU; elsewhere as float32
    bfloat16      8            4e-3        wherever autocast thinks it safe

The weight gradient of a small GN critic on 32 x 32 images is off by 3e-7 of its norm in float32, by 3e-2 in
bfloat16. `channels_last` and `captured` round nothing: they change the order of memory, and who launches the
kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from gncompanion.tools import checks
from gncompanion.tools.names import require_known

__all__ = ["Schedule"]

COUNTS = (
    *("steps", "n_dis", "batch_critic", "batch_generator", "accumulation"),
    *("log_every", "checkpoint_every"),
)


def _is_share(value: Any) -> bool:
    return checks.is_number(value) and 0 <= value < 1


def _are_shares(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_share, value))


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; the defaults are the papers' CNN setting, but for the number of steps.

    Attributes:
        steps: Number of generator steps, from 1 on.
        n_dis: Number of critic steps per generator step, from 1 on.
        batch_critic: Number of real samples per critic step, and of generated ones beside them.
        batch_generator: Number of generated samples per generator step.
        lr_critic: Adam's learning rate for the critic.
        lr_generator: Adam's learning rate for the generator.
        betas: Adam's momenta, each in [0, 1).
        lr_decay: The course of both rates: "constant", or "linear" to 0 over all steps.
        ema_decay: The decay of the generator's averaged weights, in [0, 1); None = no average.
        ema_start: Number of steps before averaging starts; until then the average is the generator itself.
        precision: The arithmetic: "float32", "tf32", or "bfloat16" under autocast.
        accumulation: Number of parts in which the critic sees a batch, one after the other, for less memory
            (`steps`); it divides both batches.
        channels_last: Whether to keep images with their channels innermost, as tensor cores want them; None =
            on a GPU where the precision uses these.
        captured: Whether to replay iterations as a CUDA graph (`cuda_graph`); None = where that can be: on a
            GPU, by one process, with the data there.
        log_every: Number of steps between two rows of the log; a checkpoint and the last step write one too.
        checkpoint_every: Number of steps between two checkpoints; the last step writes one too.

    Raises:
        ValueError: A value is out of range; names it, and what is valid.
    """

    steps: int = 1000
    n_dis: int = 1
    batch_critic: int = 64
    batch_generator: int = 128
    lr_critic: float = 2e-4
    lr_generator: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.9)
    lr_decay: Literal["constant", "linear"] = "constant"
    ema_decay: float | None = 0.9999
    ema_start: int = 0
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    accumulation: int = 1
    channels_last: bool | None = None
    captured: bool | None = None
    log_every: int = 50
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in COUNTS:
            checks.whole(name, getattr(self, name))
        for name in ("batch_critic", "batch_generator"):
            batch, parts = getattr(self, name), self.accumulation
            checks.require("accumulation", parts, batch % parts == 0, f"a number that divides {name}={batch}")
        for name in ("lr_critic", "lr_generator"):
            checks.positive(name, getattr(self, name), such_as=2e-4)
        betas, decay = self.betas, self.ema_decay
        checks.require("betas", betas, _are_shares(betas), "two numbers in [0, 1), such as (0.0, 0.9)")
        checks.require(
            "ema_decay", decay, decay is None or _is_share(decay), "in [0, 1), or None for no average"
        )
        checks.whole("ema_start", self.ema_start, low=0)
        require_known("unknown lr_decay", self.lr_decay, ("constant", "linear"))
        require_known("unknown precision", self.precision, ("float32", "tf32", "bfloat16"))
        for name in ("channels_last", "captured"):
            if getattr(self, name) is not None:
                checks.flag(name, getattr(self, name))
        first, second = betas
        object.__setattr__(self, "betas", (float(first), float(second)))  # Adam refuses (0, 0.9)

    def decided(self, device: torch.device, *, processes: int = 1) -> Schedule:
        """Decide what is left to the device: the memory order, and whether iterations are captured.

        Args:
            device: The device on which to train.
            processes: Number of processes that share the training.

        Returns:
            The schedule without None in `channels_last` and `captured`.
        """
        on_gpu = device.type == "cuda"
        last, captured = self.channels_last, self.captured
        return replace(
            self,
            channels_last=on_gpu and self.precision != "float32" if last is None else last,
            captured=on_gpu and processes == 1 if captured is None else captured,
        )

    def lr_factor(self, step: int) -> float:
        """Compute what the learning rates are multiplied by in a step, counted from 0.

        >>> [Schedule(steps=4, lr_decay="linear").lr_factor(step) for step in range(4)]
        [1.0, 0.75, 0.5, 0.25]

        Args:
            step: The step, from 0 to steps − 1.

        Returns:
            A factor from 0 to 1.
        """
        return 1 - step / self.steps if self.lr_decay == "linear" else 1.0

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """Make the context of a forward at this precision.

        Args:
            device: The device of the networks.

        Returns:
            The context; it changes nothing unless the precision is "bfloat16".
        """
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Let convolutions and matrix products use TF32 on a GPU, if that is the precision."""
        convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # torch makes it as it starts
        rules = (convolutions, torch.backends.cuda.matmul) if self.precision == "tf32" else ()
        before = [rule.fp32_precision for rule in rules]
        try:
            for rule in rules:
                rule.fp32_precision = "tf32"
            yield
        finally:
            for rule, precision in zip(rules, before, strict=True):
                rule.fp32_precision = precision
