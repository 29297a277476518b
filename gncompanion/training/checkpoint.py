"""Checkpoints: written whole or not at all, and known by what is in them.

A file `step-000500-1f0c9a2b.pt` bears the first digits of its own SHA-256, so that a truncated or altered
one is noticed; the newest that is sound is used. The last two are kept. What is saved is plain: tensors,
numbers, text.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gncompanion.tools.files import write

__all__ = ["kept_random_states", "newest", "ordered", "random_states", "restore_random_states", "save"]

KEPT = 2
_NAME = re.compile(r"step-(\d+)-([0-9a-f]{8})\.pt")


def save(folder: Path, step: int, content: dict[str, Any]) -> Path:
    """Write a checkpoint, and remove all others but the newest of an earlier step.

    Args:
        folder: where; made if need be.
        step: generator steps done.
        content: tensors, numbers and text, nested in dicts, lists and tuples.

    Returns:
        The file.
    """
    buffer = io.BytesIO()
    torch.save({"step": step, **content}, buffer)
    data = buffer.getbuffer()
    path = folder / f"step-{step:06d}-{_digest(data)}.pt"
    write(path, data)
    earlier = [file for file in ordered(folder) if _step(file) < step]
    keep = {path, *earlier[: KEPT - 1]}
    for file in {*ordered(folder), *folder.glob(".step-*")} - keep:  # the latter are what a crash left
        file.unlink(missing_ok=True)
    return path


def newest(folder: Path, *, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Read the newest sound checkpoint, warning of damaged newer ones.

    Args:
        folder: where they lie; may be missing.
        device: where the tensors go.

    Returns:
        The content, with its `step`; None if there is no checkpoint.

    Raises:
        RuntimeError: if there are checkpoints and all are damaged.
    """
    damaged = []
    for path in ordered(folder):
        data = path.read_bytes()
        if _digest(data) == _NAME.fullmatch(path.name)[2]:
            if damaged:
                message = f"damaged: {', '.join(damaged)}; using {path.name}, the one before, instead"
                warnings.warn(message, stacklevel=2)
            return torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        damaged.append(path.name)
    if damaged:
        raise RuntimeError(
            f"every checkpoint in {folder} is damaged ({', '.join(damaged)}): delete the folder"
        )
    return None


def ordered(folder: Path) -> list[Path]:
    """List the checkpoints, sound or not, newest first."""
    return sorted((path for path in folder.glob("*") if _NAME.fullmatch(path.name)), key=_step, reverse=True)


def random_states() -> dict[str, Any]:
    """Read the states of the global generators of Python, NumPy and torch, and CUDA's where it is in use.

    Returns:
        Plain values for `restore_random_states`.
    """
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Set the global generators back to what `random_states` read.

    Args:
        states: what it returned, possibly on a machine with other devices.
    """
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states["torch"].cpu())
    here = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    for device, state in zip(here, states["cuda"], strict=False):
        torch.cuda.set_rng_state(state.cpu(), device)


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Leave the global generators as they are found, whatever happens inside."""
    states = random_states()
    try:
        yield
    finally:
        restore_random_states(states)


def _step(path: Path) -> int:
    return int(_NAME.fullmatch(path.name)[1])


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
