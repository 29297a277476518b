"""Where a figure comes from: the commit, whether anything had changed since, versions and the device.

A run again of the same code gives the same figures at another commit. `same_run` tells that nothing else
differs; the file that is there then stays, so that a run again leaves the checkout as it was.
"""

import json
import platform
import subprocess
from importlib import metadata
from typing import Any

from gncompanion.tools import paths

__all__ = ["device_name", "provenance", "same_run"]

_PACKAGES = ("gncompanion", "matplotlib", "numpy", "torch")


def provenance(notebook: str) -> dict[str, Any]:
    """Say what code makes a notebook's figures now.

    Args:
        notebook: The notebook's file name without its ending, "04_theorem5".

    Returns:
        `commit`, the checkout's, None where there is no git; `dirty`, whether what makes the figures differs
        from that commit; and `versions`, of Python and of the packages that draw and compute.
    """
    # Only what makes these figures can make them dirty: the others change while all are regenerated.
    makers = ("gncompanion", f"notebooks/{notebook}.ipynb", "constraints.txt")
    changes = _git("status", "--porcelain", "--", *makers)
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }


def same_run(old: bytes, new: bytes) -> bool:
    """Tell whether a sidecar says what another one says, and its commit is as good.

    Args:
        old: The sidecar that is there.
        new: The sidecar that a new run has written.

    Returns:
        True if they differ in `commit` and `dirty` at most, and the old one names a clean commit or the new
        one does not either; False, too, if the old one cannot be read.
    """
    before, after = _read(old), _read(new)
    was_clean, is_clean = before.pop("dirty", None) is False, after.pop("dirty", None) is False
    if not all("commit" in sidecar for sidecar in (before, after)):
        return False
    del before["commit"], after["commit"]
    return json.dumps(before) == json.dumps(after) and (was_clean or not is_clean)


def device_name(device: str) -> str:
    """Name a device and its kind.

    Args:
        device: The device as torch names it: "cpu", "cuda:0".

    Returns:
        The name, and in parentheses the GPU's model or the processor's architecture.
    """
    if not device.startswith("cuda"):
        return f"{device} ({platform.machine()})"
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


def _read(sidecar: bytes) -> dict[str, Any]:
    try:
        content = json.loads(sidecar)
    except ValueError:  # half a file
        return {}
    return content if isinstance(content, dict) else {}


def _git(*arguments: str) -> str | None:
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=paths.root(), capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, no checkout, or no commit yet
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # on the path, but not installed
        return None
