"""What a critic's forward may move besides its result: weights, buffers, numbers, and random generators.

Batch normalization moves its averages, spectral normalization its vectors, dropout the random generator. A
step must move each of them as one plain step does, whichever way the gradient is found.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["State"]

RANDOM = "random numbers"


class State:
    """A critic's state at one moment.

    Args:
        critic: The critic. Of a callable that is no nn.Module only the random generators are seen.

    Raises:
        ValueError: The critic has weights without values yet.
    """

    def __init__(self, critic: Callable[..., Any]) -> None:
        self._values = [(held, key, name, value, _copy(value)) for held, key, name, value in _held(critic)]
        self._generators = _generators()

    def restore(self) -> None:
        """Bring the critic, and the random generators, back to this moment."""
        with torch.no_grad():
            for held, key, _, value, saved in self._values:
                if isinstance(value, Tensor):
                    value.copy_(saved)
                held[key] = value
        for put, saved in self._generators.values():
            put(saved)

    def moved(self, later: State) -> tuple[str, ...]:
        """Name what has changed between two moments.

        Args:
            later: State of the same critic at another moment.

        Returns:
            Names of weights, buffers and numbers, and "random numbers" where a generator has moved.
        """
        then = {name: saved for *_, name, _, saved in self._values}
        now = {name: saved for *_, name, _, saved in later._values}
        names = [name for name in {**then, **now} if not _same(then.get(name), now.get(name))]
        drawn = any(
            not _same(self._generators[kind][1], later._generators[kind][1]) for kind in self._generators
        )
        return (*names, RANDOM) if drawn else tuple(names)


def _held(critic: Callable[..., Any]) -> Iterator[tuple[dict[str, Any], str, str, Any]]:
    """Every tensor and number of a critic's modules: the dictionary that holds it, its key, its full name."""
    for prefix, module in critic.named_modules() if isinstance(critic, nn.Module) else ():
        for held in (module._parameters, module._buffers, vars(module)):
            for key, value in held.items():
                if isinstance(value, int | float) or (isinstance(value, Tensor) and value.is_leaf):
                    yield held, key, f"{prefix}.{key}".lstrip("."), value


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _generators() -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """How to set each random generator, and where it stands."""
    found: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "torch": (torch.set_rng_state, torch.get_rng_state()),
        "Python": (random.setstate, random.getstate()),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["CUDA"] = (torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
    if numpy := sys.modules.get("numpy"):  # it is not needed here, but a critic may draw from it
        found["NumPy"] = (numpy.random.set_state, numpy.random.get_state())
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return torch.equal(one, other) or bool(((one == other) | ((one != one) & (other != other))).all())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "tobytes") and hasattr(other, "tobytes"):  # an array of NumPy's
        return bool(one.tobytes() == other.tobytes())
    return bool(one == other)
