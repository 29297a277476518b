"""Checkpoints: written whole or not at all, and known by what is in them.

A file `step-000500-1f0c9a2b.pt` bears the first digits of its own SHA-256, so that a truncated or altered
one is noticed; the newest that is sound is used. The last two are kept, and those of the steps at which a run
is to be judged. What is saved is plain: tensors, numbers, text.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from gncompanion.tools.files import write

__all__ = ["at", "newest", "ordered", "save"]

KEPT = 2
_NAME = re.compile(r"step-(\d+)-([0-9a-f]{8})\.pt")


def save(folder: Path, step: int, content: dict[str, Any], *, keep_every: int | None = None) -> Path:
    """Write a checkpoint, and remove all others but the newest of an earlier step and those to be kept.

    Args:
        folder: The folder of the checkpoints; made if need be.
        step: Number of generator steps done.
        content: Tensors, numbers and text, nested in dicts, lists and tuples.
        keep_every: Checkpoints of multiples of this number of steps stay for good; None = none do.

    Returns:
        The file.
    """
    buffer = io.BytesIO()
    torch.save({"step": step, **content}, buffer)
    data = buffer.getbuffer()
    path = folder / f"step-{step:06d}-{_digest(data)}.pt"
    write(path, data)
    earlier = [file for file in ordered(folder) if _step(file) < step]
    keep = {path, *earlier[: KEPT - 1], *(f for f in earlier if keep_every and not _step(f) % keep_every)}
    for file in {*ordered(folder), *folder.glob(".step-*")} - keep:  # the latter are what a crash left
        file.unlink(missing_ok=True)
    return path


def newest(folder: Path, *, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Read the newest sound checkpoint, warning of damaged newer ones.

    Args:
        folder: The folder of the checkpoints; it may be missing.
        device: The device on which the tensors are to lie.

    Returns:
        The content, with its `step`; None if there is no checkpoint.

    Raises:
        RuntimeError: There are checkpoints and all are damaged.
    """
    return _newest(folder, ordered(folder), device)


def at(folder: Path, step: int, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read the checkpoint of a step, one of those that were kept.

    Args:
        folder: The folder of the checkpoints.
        step: Number of generator steps done.
        device: The device on which the tensors are to lie.

    Returns:
        The content, with its `step`.

    Raises:
        FileNotFoundError: There is none; says which are there.
        RuntimeError: It is damaged.
    """
    if content := _newest(folder, [path for path in ordered(folder) if _step(path) == step], device):
        return content
    there = ", ".join(str(_step(path)) for path in reversed(ordered(folder))) or "none"
    raise FileNotFoundError(
        f"no checkpoint of step {step} in {folder} (there: {there}): the run was trained without keeping it; "
        "delete the folder, and train again"
    )


def _newest(folder: Path, paths: list[Path], device: torch.device | str) -> dict[str, Any] | None:
    damaged: list[str] = []
    for path in paths:
        data = path.read_bytes()
        if path.stem.split("-")[2] == _digest(data):
            if damaged:
                message = f"damaged: {', '.join(damaged)}; using {path.name}, the one before, instead"
                warnings.warn(message, stacklevel=2)
            content: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
            return content
        damaged.append(path.name)
    if damaged:
        raise RuntimeError(
            f"every checkpoint in {folder} is damaged ({', '.join(damaged)}): delete the folder"
        )
    return None


def ordered(folder: Path) -> list[Path]:
    """List the checkpoints, sound or not, newest first.

    Args:
        folder: The folder of the checkpoints; it may be missing.

    Returns:
        The files.
    """
    return sorted((path for path in folder.glob("*") if _NAME.fullmatch(path.name)), key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.name.split("-")[1])


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
