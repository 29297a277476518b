"""Drawing: what is drawn is what was given, and the spread says what it is."""

from collections.abc import Iterator
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from gncompanion.notebook import figures, plotting

X = np.arange(4.0)
YS = np.array([[0.0, 1, 2, 3], [0, 2, 4, 6], [0, 9, 9, np.nan]])


@pytest.fixture
def ax() -> Iterator[Axes]:
    figures.style()
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_line_is_the_median_and_band_the_range(ax: Axes) -> None:
    assert plotting.line_with_spread(ax, X, YS, label="GN") is ax
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0, 2, 4, 4.5])
    corners = ax.collections[0].get_paths()[0].vertices
    assert {tuple(corner) for corner in corners} >= {(1, 1), (1, 9), (2, 2), (2, 9), (3, 3), (3, 6)}
    assert corners[:, 1].min() == 0
    assert corners[:, 1].max() == 9
    assert ax.get_title(loc="right") == "median and range of 3 runs"


def test_another_number_of_runs_needs_other_axes(ax: Axes) -> None:
    plotting.line_with_spread(ax, X, YS, label="GN")
    with pytest.raises(ValueError, match="SN has 2 runs on axes that show the median and range of 3 runs"):
        plotting.line_with_spread(ax, X, YS[:2], label="SN")


@pytest.mark.parametrize("ys", [YS[0], YS.T, YS[:, :3]])
def test_refuses_another_shape(ys: np.ndarray, ax: Axes) -> None:
    with pytest.raises(ValueError, match=r"one row per run is due: \(R, 4\)"):
        plotting.line_with_spread(ax, X, ys, label="GN")


def test_direct_labels_stand_at_the_ends_and_apart(ax: Axes) -> None:
    ends = {"a": 1.0, "b": 1.01, "c": 0.0, "d": 0.99, "_hidden": 1.0}
    for label, end in ends.items():
        ax.plot(X, [0.5, 0.5, end, np.nan], label=label)
    plotting.direct_labels(ax)
    assert [text.get_text() for text in ax.texts] == ["c", "d", "a", "b"]
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
    x, y = ax.transData.transform((2, 0))
    assert boxes[0].x0 > x
    assert boxes[0].y0 < y < boxes[0].y1
    assert ax.texts[2].get_color() == ax.lines[0].get_color()


def test_spread_moves_only_what_is_too_close() -> None:
    heights = np.array([-10.0, 10, 10, 10, 50])
    np.testing.assert_allclose(plotting._spread(heights, 4), [-10, 6, 10, 14, 50])


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grid_shows_each_picture_in_its_place(channels: int, ax: Axes) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (5, channels, 2, 3))
    images[0, 0, 0, 0] = 7
    plotting.image_grid(ax, images, columns=2)
    sheet = np.asarray(ax.images[0].get_array()).reshape(9, 8, channels)
    assert sheet[0, 0, 0] == 1
    for index, image in enumerate(images):
        row, column = divmod(index, 2)
        tile = sheet[3 * row : 3 * row + 2, 4 * column : 4 * column + 3]
        np.testing.assert_allclose(tile, np.clip(image, -1, 1).transpose(1, 2, 0) / 2 + 0.5)
    assert (sheet[2::3] == 1).all()
    assert (sheet[6:, 4:] == 1).all()  # there is no sixth picture
    assert ax.images[0].get_clim() == (0, 1)


@pytest.mark.parametrize("shape", [(2, 3), (5, 2, 3), (5, 2, 8, 8), (0, 1, 8, 8)])
def test_image_grid_refuses_another_shape(shape: tuple[int, ...], ax: Axes) -> None:
    with pytest.raises(ValueError, match="images have shape"):
        plotting.image_grid(ax, np.zeros(shape))
