"""What `gncompanion check` makes of its arguments, which are text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from gncompanion.check.checking import check_critic
from gncompanion.check.loading import load_critic
from gncompanion.check.report import Report

__all__ = ["check_named"]


def check_named(
    target: str, shape: str, options: Sequence[str], *, parse: Callable[[str], Any], **settings: Any
) -> Report:
    """Import a critic, build it and check it.

    Args:
        target: The critic by name, as `load_critic` takes it.
        shape: Shape of one sample: whole numbers from 1 on with commas between them, such as "3,32,32".
        options: Arguments of the class or factory, each as "name=value".
        parse: Turns the text of a value into the value.
        **settings: Further arguments of `check_critic`.

    Returns:
        What was found, under the name that was given.

    Raises:
        ValueError: The shape or an option cannot be read, or `load_critic` or `check_critic` refuses it.
    """
    size = _shape(shape)
    given = dict(_option(option, parse) for option in options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the same initial weights each time
        critic = load_critic(target, given)
    return replace(check_critic(critic, size, **settings), critic=target)


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.strip("() ,").split(","))
    except ValueError:
        shape = (0,)
    if min(shape) < 1:
        raise ValueError(f"--shape {text} must be whole numbers from 1 on, with commas between: 3,32,32")
    return shape


def _option(text: str, parse: Callable[[str], Any]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name.isidentifier() and equals):
        raise ValueError(f"--option {text} must be name=value, such as width=64")
    return name, parse(value)
