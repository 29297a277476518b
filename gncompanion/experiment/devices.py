"""A device by its name: what the name says, and whether the device can be used."""

from __future__ import annotations

import torch

__all__ = ["device_named", "require_usable"]


def device_named(name: str) -> torch.device:
    """Turn a name into a device; whether there is one is not looked at.

    Args:
        name: "auto" (CUDA where there is a GPU, else the CPU), or torch's name for a device.

    Returns:
        The device.

    Raises:
        ValueError: The name is none of torch's.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise _refusal(name, error) from None


def require_usable(name: str) -> None:
    """Refuse a device that cannot hold a tensor and draw random numbers here.

    Args:
        name: As in `device_named`.

    Raises:
        ValueError: The device cannot.
    """
    device = device_named(name)
    try:
        torch.Generator(device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch built without CUDA
        raise _refusal(name, error) from None


def _refusal(name: str, error: Exception) -> ValueError:
    reason = str(error).splitlines()[0]
    return ValueError(f"device={name!r} cannot be used here, take auto or cpu: {reason}")
