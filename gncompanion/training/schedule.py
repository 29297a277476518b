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

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from gncompanion.tools.names import require_known

__all__ = ["Schedule"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


def _are_shares(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_share, value))


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; the defaults are the papers' CNN setting, but for the number of steps.

    Attributes:
        steps: generator steps, ≥ 1.
        n_dis: critic steps a generator step, ≥ 1.
        batch_critic: real samples a critic step, and as many generated ones.
        batch_generator: generated samples a generator step.
        lr_critic: Adam's learning rate.
        lr_generator: Adam's learning rate.
        betas: Adam's momenta, each in [0, 1).
        lr_decay: "constant", or "linear" to 0 over all steps.
        ema_decay: of the generator's averaged weights, in [0, 1); None = no average.
        ema_start: steps before averaging starts; until then the average is the generator itself.
        precision: "float32", "tf32", or "bfloat16" under autocast.
        channels_last: keep images with their channels innermost, as tensor cores want them.
        captured: replay iterations as a CUDA graph (`graph_capture`); on a GPU only.
        log_every: steps between two rows of the log; a checkpoint and the last step write one too.
        checkpoint_every: steps between two checkpoints; the last step writes one too.

    Raises:
        ValueError: for a value out of range; names it, and what is valid.
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
    channels_last: bool = False
    captured: bool = False
    log_every: int = 50
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("steps", "n_dis", "batch_critic", "batch_generator", "log_every", "checkpoint_every"):
            self._require(name, lambda n: type(n) is int and n >= 1, "a positive integer")
        for name in ("lr_critic", "lr_generator"):
            self._require(name, lambda r: _is_number(r) and 0 < r < math.inf, "positive, such as 2e-4")
        self._require("betas", _are_shares, "two numbers in [0, 1), such as (0.0, 0.9)")
        self._require("ema_decay", lambda d: d is None or _is_share(d), "in [0, 1), or None for no average")
        self._require("ema_start", lambda n: type(n) is int and n >= 0, "a number of steps, 0 or more")
        require_known("unknown lr_decay", self.lr_decay, ("constant", "linear"))
        require_known("unknown precision", self.precision, ("float32", "tf32", "bfloat16"))
        for name in ("channels_last", "captured"):
            self._require(name, lambda b: type(b) is bool, "True or False")
        object.__setattr__(self, "betas", tuple(map(float, self.betas)))  # Adam refuses (0, 0.9)

    def _require(self, name: str, valid: Callable[[Any], bool], what: str) -> None:
        if not valid(value := getattr(self, name)):
            raise ValueError(f"{name}={value!r} must be {what}")

    def lr_factor(self, step: int) -> float:
        """Compute what the learning rates are multiplied by in a step, counted from 0."""
        return 1 - step / self.steps if self.lr_decay == "linear" else 1.0

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """Make the context of a forward at this precision."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Let convolutions and matrix products use TF32 on a GPU, if that is the precision."""
        rules = (torch.backends.cudnn.conv, torch.backends.cuda.matmul) if self.precision == "tf32" else ()
        before = [rule.fp32_precision for rule in rules]
        try:
            for rule in rules:
                rule.fp32_precision = "tf32"
            yield
        finally:
            for rule, precision in zip(rules, before, strict=True):
                rule.fp32_precision = precision
