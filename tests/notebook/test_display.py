"""Figures as outputs show them: a palette, the same picture, a smaller file; and IPython takes this way."""

import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import print_figure
from PIL import Image

from gncompanion.notebook import display


def drawn() -> plt.Figure:
    figure, ax = plt.subplots(figsize=(3, 2))
    x = np.linspace(0, 1, 200)
    for k in range(20):
        ax.plot(x, np.sin(9 * x + k), alpha=0.4)
    plt.close(figure)
    return figure


def test_the_same_picture_in_a_smaller_file() -> None:
    figure = drawn()
    full, small = print_figure(figure, fmt="png", bbox_inches="tight"), display.few_colors(figure)
    both = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), dtype=float) for file in (full, small)]
    assert Image.open(io.BytesIO(small)).mode == "P" and len(small) < 0.6 * len(full)
    assert both[0].shape == both[1].shape and np.abs(both[0] - both[1]).mean() < 2  # of 255


def test_ipython_takes_it() -> None:
    shell = InteractiveShell.instance()
    try:
        display.show_in_few_colors()
        data, _ = shell.display_formatter.format(drawn())
        assert Image.open(io.BytesIO(data["image/png"])).mode == "P"
    finally:
        InteractiveShell.clear_instance()


def test_without_ipython_nothing_happens() -> None:
    display.show_in_few_colors()
