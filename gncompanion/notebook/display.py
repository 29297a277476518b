"""Figures as a notebook's own outputs show them: in few colours, so that the file stays small.

The files of `figures.save` keep all of theirs.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["few_colors", "show_in_few_colors"]

COLORS = 128  # more than a plot has; a photograph loses little by it


def few_colors(figure: "Figure") -> bytes:
    """Draw a figure as a PNG file with a palette.

    Args:
        figure: The figure, drawn at its own resolution and cut to what it shows, as Jupyter does.

    Returns:
        The file, a third to a half as large as with all colours.
    """
    from IPython.core import pylabtools
    from PIL import Image

    print_figure: Callable[..., bytes] = pylabtools.print_figure
    drawn = Image.open(io.BytesIO(print_figure(figure, fmt="png", bbox_inches="tight"))).convert("RGB")
    small = io.BytesIO()
    palette = drawn.quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(small, format="png", optimize=True)
    return small.getvalue()


def show_in_few_colors() -> None:
    """Have IPython, where it runs, show figures by `few_colors` from here on."""
    from IPython import get_ipython
    from matplotlib.figure import Figure

    if (shell := get_ipython()) is not None:
        shell.display_formatter.formatters["image/png"].for_type(Figure, few_colors)
