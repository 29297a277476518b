"""Drawing: arrays and Axes in, Axes out. Nothing here trains, loads or saves.

line_with_spread    a quantity of several runs: a line, and a band that says what it is
direct_labels       names at the lines' ends, in their colours, instead of a legend
image_grid          pictures side by side
"""

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

__all__ = ["direct_labels", "image_grid", "line_with_spread"]


def line_with_spread(
    ax: Axes, x: ArrayLike, ys: ArrayLike, *, label: str, color: str | None = None, marker: str = ""
) -> Axes:
    """Draw several runs as their median and a band from the least to the greatest, and say so above the axes.

    The whole range, because on small problems the runs of one method can differ by more than two methods do.

    Args:
        ax: Axes to draw on.
        x: The runs' common axis, (T,).
        ys: One row per run, (R, T); NaN where a run has no value.
        label: Name of the method, for `direct_labels` or a legend.
        color: Colour of the line and the band; the next of the style's colours by default.
        marker: Marker at each point, as matplotlib names it; none by default.

    Returns:
        The axes.

    Raises:
        ValueError: ys is not (R, T), or the axes already show another number of runs.
    """
    x, ys = np.asarray(x), np.asarray(ys, dtype=float)
    if ys.ndim != 2 or ys.shape[1:] != x.shape:
        raise ValueError(f"ys has shape {ys.shape}, but one row per run is due: (R, {x.size})")
    note = f"median and range of {len(ys)} runs"
    if ax.get_title(loc="right") not in ("", note):
        raise ValueError(f"{label} has {len(ys)} runs on axes that show the {ax.get_title(loc='right')}")
    ax.set_title(note, loc="right", fontsize="small", color="0.35")
    (line,) = ax.plot(x, np.nanmedian(ys, axis=0), label=label, color=color, marker=marker)
    low, high = np.nanmin(ys, axis=0), np.nanmax(ys, axis=0)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    return ax


def direct_labels(ax: Axes) -> Axes:
    """Write each line's label at its right end and in its colour, pushed apart where they would overlap.

    To be called when all lines are drawn and the scales are set.

    Args:
        ax: Axes with labelled lines; labels that begin with "_" are skipped, as in a legend.

    Returns:
        The axes.

    Raises:
        ValueError: The axes were removed from their figure.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure any more: there is nothing to draw on")
    figure.draw_without_rendering()  # the layout decides how high the axes are
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    ends = [_last_finite(line) for line in lines]
    heights = ax.transData.transform(ends)[:, 1] * 72 / figure.dpi  # in points
    order = np.argsort(heights, kind="stable")
    shifts = _spread(heights[order], 1.2 * matplotlib.rcParams["font.size"]) - heights[order]
    for index, shift in zip(order, shifts, strict=True):
        ax.annotate(
            str(lines[index].get_label()),
            ends[index],
            xytext=(6, shift),
            textcoords="offset points",
            va="center",
            color=lines[index].get_color(),
            annotation_clip=False,
        )
    return ax


def _last_finite(line: Line2D) -> tuple[float, float]:
    points = np.asarray(line.get_xydata())
    x, y = points[np.isfinite(points).all(axis=1)][-1]
    return x, y


def _spread(heights: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Keep sorted heights at least a step apart: midway between pushing all up and pushing all down."""
    steps = step * np.arange(len(heights))
    slack = heights - steps
    pushed_up = np.maximum.accumulate(slack)
    pushed_down = np.minimum.accumulate(slack[::-1])[::-1]
    return np.asarray((pushed_up + pushed_down) / 2 + steps)


def image_grid(ax: Axes, images: ArrayLike, *, columns: int | None = None) -> Axes:
    """Show pictures side by side, row by row, a white line between them and no axes around.

    Args:
        ax: Axes to draw on.
        images: The pictures, (N, C, H, W) with C 1 or 3, from −1 (black) to 1 (white); values beyond are cut
            off.
        columns: Pictures per row; about as many as rows by default.

    Returns:
        The axes.

    Raises:
        ValueError: The shape is another.
    """
    images = np.asarray(images, dtype=float)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"images have shape {images.shape}, but (N, C, H, W) with C 1 or 3 is due")
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    tiles = np.pad(np.clip(images, -1, 1) / 2 + 0.5, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=1)
    tiles = np.concatenate([tiles, np.ones((rows * columns - len(tiles), *tiles.shape[1:]))])
    _, channels, height, width = tiles.shape
    sheet = tiles.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    ax.imshow(sheet if channels == 3 else sheet[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return ax
