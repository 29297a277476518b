"""A device by its name: what the name says, and whether the device can be used."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch

from gncompanion.tools import checks
from gncompanion.tools.kinds import Kind

__all__ = ["Device", "device_named", "require_usable"]


@dataclass(frozen=True)
class Device(Kind):
    """The name of a device, as a kind of value.

    Attributes:
        such_as: An example.
        usable: Whether it must be usable here.
    """

    such_as: str = "auto"
    usable: bool = True

    def check(self, name: str, value: Any) -> None:
        try:
            (require_usable if self.usable else device_named)(value)
        except ValueError as error:
            raise ValueError(name.removesuffix("device") + str(error)) from None

    def allows(self, value: Any) -> bool:
        try:
            self.check("device", value)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return "auto, or torch's name for a device"

    @property
    def plural(self) -> str:
        return "devices"


def device_named(name: str) -> torch.device:
    """Turn a name into a device; whether there is one is not looked at.

    Args:
        name: "auto" (CUDA where there is a GPU, else the CPU), or torch's name for a device.

    Returns:
        The device.

    Raises:
        ValueError: The name is none of torch's, or that of a second CPU.
    """
    if not isinstance(name, str):
        raise _refusal(name, "a device has a name, such as cpu")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with warnings.catch_warnings(action="ignore"):  # of kinds that are going out of use
            device = torch.device(name)
    except RuntimeError as error:
        raise _refusal(name, str(error)) from None
    if device.type == "cpu" and device.index:  # torch takes any number for the one that there is
        raise _refusal(name, "all processors are the one device cpu")
    return device


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
        raise _refusal(name, str(error)) from None


def _refusal(name: Any, reason: str) -> ValueError:
    first = (reason.splitlines() or [""])[0]
    return ValueError(f"device={checks.shown(name)} cannot be used here, take auto or cpu: {first}")
