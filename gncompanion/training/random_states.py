"""The global random generators' states: Python's, NumPy's, torch's and CUDA's, read, set back and kept.

with kept_random_states():
    …                          whatever is drawn here, the generators go on as if nothing had been
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["kept_random_states", "random_states", "restore_random_states"]


def random_states() -> dict[str, Any]:
    """Read the states of the global generators of Python, NumPy and torch, and CUDA's where it is in use.

    Returns:
        Plain values for `restore_random_states`.
    """
    numpy = np.random.get_state(legacy=False)
    key, position = numpy["state"]["key"], numpy["state"]["pos"]
    return {
        "python": random.getstate(),
        "numpy": [numpy["bit_generator"], key.tolist(), position, numpy["has_gauss"], numpy["gauss"]],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Set the global generators back to what `random_states` read.

    Args:
        states: What it returned, possibly on a machine with other devices.
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
