"""The layout of a network at one image size, and the width with which it is built.

A family keeps a table, image size -> layout. A layout's numbers of channels are in units of its width, which
the user may replace by another.
"""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from gncompanion.tools.checks import whole
from gncompanion.tools.names import pick

__all__ = ["HasWidth", "layout_for"]


class HasWidth(Protocol):
    """What every layout has.

    Attributes:
        width: The number of channels per unit.
    """

    @property
    def width(self) -> int: ...


L = TypeVar("L", bound=HasWidth)


def layout_for(
    family: str, size: int, layouts: Mapping[int, L], *, width: int | None, **counts: int
) -> tuple[L, int]:
    """Look up the layout of an image size, and check the numbers that a user gives beside it.

    Args:
        family: The family's name, for the message.
        size: Height and width of the images.
        layouts: The family's layouts by size.
        width: The number of channels per unit; None = the layout's.
        **counts: Further numbers that must be positive, by name, such as `channels`.

    Returns:
        The layout and the width.

    Raises:
        ValueError: There is no such size, or another number is not a positive integer.
    """
    layout = pick(f"{family} image size", size, layouts)
    for name, count in counts.items():
        whole(name, count)
    return layout, layout.width if width is None else whole("width", width)
