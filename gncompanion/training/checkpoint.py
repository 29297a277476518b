"""Checkpoints: written whole or not at all, and known by what is in them.

A file `step-000500-1f0c9a2b.pt` bears the first digits of its own SHA-256, so that a truncated or altered
one is noticed; the newest that is sound is used. The last two are kept. What is saved is plain: tensors,
numbers, text.
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
from gncompanion.tools.refusals import Refusal

__all__ = ["newest", "ordered", "save"]

KEPT = 2
_NAME = re.compile(r"step-(\d+)-([0-9a-f]{8})\.pt")


def save(folder: Path, step: int, content: dict[str, Any]) -> Path:
    """Write a checkpoint, and remove all others but the newest of an earlier step.

    Args:
        folder: The folder of the checkpoints; made if need be.
        step: Number of generator steps done.
        content: Tensors, numbers and text, nested in dicts, lists and tuples.

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
        folder: The folder of the checkpoints; it may be missing.
        device: The device on which the tensors are to lie.

    Returns:
        The content, with its `step`; None if there is no checkpoint.

    Raises:
        Refusal: There are checkpoints and all are damaged.
    """
    damaged: list[str] = []
    for path in ordered(folder):
        data = path.read_bytes()
        if path.stem.split("-")[2] == _digest(data):
            if damaged:
                message = f"damaged: {', '.join(damaged)}; using {path.name}, the one before, instead"
                warnings.warn(message, stacklevel=2)
            content: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
            return content
        damaged.append(path.name)
    if damaged:
        raise Refusal(f"every checkpoint in {folder} is damaged ({', '.join(damaged)}): delete the folder")
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
