"""Checkpoints: written whole or not at all, and known by what is in them.

A file `step-000500-1f0c9a2b.pt` bears the first digits of its own SHA-256, so that a truncated or altered
one is noticed, and a digest of its run's settings, so that one of another run is. The newest that is sound
and fits is used. The last two are kept, and those of the steps at which a run is to be judged, the latter
without the optimizers' states, which are two thirds of them: no training goes on from there. What is saved is
plain: tensors, numbers, text.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from gncompanion.tools.files import write
from gncompanion.tools.refusals import Refusal

__all__ = ["SETTINGS_DIGEST", "at", "newest", "ordered", "save"]

KEPT = 2
SETTINGS_DIGEST, OPTIMIZERS = "settings_digest", "optimizers"
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
    path = _written(folder, step, {"step": step, **content})
    earlier = [file for file in ordered(folder) if _step(file) < step]
    keep = {path, *earlier[: KEPT - 1], *(f for f in earlier if keep_every and not _step(f) % keep_every)}
    for file in {*ordered(folder), *folder.glob(".step-*")} - keep:  # the latter are what a crash left
        file.unlink(missing_ok=True)
    for file in earlier[KEPT - 1 : KEPT]:  # the one that is none of the last two any more
        if file in keep:
            _thin(file)
    return path


def _thin(path: Path) -> None:
    """Drop the optimizers' states of a checkpoint; one that is damaged stays as it is."""
    try:
        content = _used(path, "cpu", None, None)
    except _DamageError:
        return
    if content.pop(OPTIMIZERS, None) is not None:
        _written(path.parent, content["step"], content)
        path.unlink()


def _written(folder: Path, step: int, content: dict[str, Any]) -> Path:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getbuffer()
    path = folder / f"step-{step:06d}-{_digest(data)}.pt"
    write(path, data)
    return path


def newest(
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    settings_digest: int | None = None,
    use: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any] | None:
    """Read the newest checkpoint that can be used, warning of newer ones that cannot.

    Args:
        folder: The folder of the checkpoints; it may be missing.
        device: The device on which the tensors are to lie.
        settings_digest: Digest of the run's settings, which the checkpoint must bear, unless it bears none,
            as those of former versions; None = any will do.
        use: The function that goes back to a content, such as `Training.load`; where it fails, the checkpoint
            before is tried.

    Returns:
        The content, with its `step`; None if there is no checkpoint.

    Raises:
        ValueError: The checkpoint is another run's.
        Refusal: There are checkpoints and all are damaged.
    """
    return _newest(folder, ordered(folder), device, settings_digest, use)


def at(
    folder: Path,
    step: int,
    *,
    device: torch.device | str = "cpu",
    settings_digest: int | None = None,
    use: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Read the checkpoint of a step, one of those that were kept.

    Args:
        folder: The folder of the checkpoints.
        step: Number of generator steps done.
        device: The device on which the tensors are to lie.
        settings_digest: As in `newest`.
        use: As in `newest`.

    Returns:
        The content, with its `step`.

    Raises:
        FileNotFoundError: There is none; says which are there.
        ValueError: It is another run's.
        Refusal: It is damaged.
    """
    kept = [path for path in ordered(folder) if _step(path) == step]
    if content := _newest(folder, kept, device, settings_digest, use):
        return content
    there = ", ".join(str(_step(path)) for path in reversed(ordered(folder))) or "none"
    raise FileNotFoundError(
        f"no checkpoint of step {step} in {folder} (there: {there}): the run was trained without keeping it; "
        "delete the folder, and train again"
    )


def _newest(
    folder: Path,
    paths: list[Path],
    device: torch.device | str,
    settings_digest: int | None,
    use: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any] | None:
    damaged: list[str] = []
    for path in paths:
        try:
            content = _used(path, device, settings_digest, use)
        except _DamageError as damage:
            damaged.append(f"{path.name}{damage}")
            continue
        if damaged:
            message = f"damaged: {', '.join(damaged)}; using {path.name}, the one before, instead"
            warnings.warn(message, stacklevel=3)
        return content
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


class _DamageError(Exception):
    """A checkpoint cannot be used; says why, in brackets, where there is more to say than that it changed."""


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (OSError, MemoryError, torch.OutOfMemoryError):  # no fault of the file's
        raise
    except Exception as error:  # whatever is said of a content that does not fit
        reason = " ".join([type(error).__name__, *str(error).split()])
        raise _DamageError(f" ({shorten(reason, 200, placeholder=' …')})") from error


def _used(
    path: Path,
    device: torch.device | str,
    settings_digest: int | None,
    use: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    data = path.read_bytes()
    if path.stem.split("-")[2] != _digest(data):
        raise _DamageError
    with _damage():
        content: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        theirs = content.get(SETTINGS_DIGEST)
    if settings_digest is not None and theirs not in (None, settings_digest):
        raise ValueError(
            f"{path} is a checkpoint of another run: its settings have the digest {theirs:x}, and those of "
            f"this run {settings_digest:x}; move it away"
        )
    if use:
        with _damage():
            use(content)
    return content


def _step(path: Path) -> int:
    return int(path.name.split("-")[1])


def _digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
