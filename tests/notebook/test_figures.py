"""Figures: the same run gives the same bytes, each number reads back as it was, nothing wrong is written."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from gncompanion.notebook import figures
from gncompanion.tools import paths

BOOK = SimpleNamespace(name="04_theorem5", parameters={"n_layers": 3, "methods": ["sn", "gn"], "label": ""})
X = np.linspace(0, 1, 5)


def draw(color: str = "C0") -> Figure:
    figures.style()
    figure, ax = plt.subplots()
    ax.plot(X, X**2, label="x²", color=color)
    ax.legend()
    return figure


@pytest.fixture
def figure() -> Iterator[Figure]:
    yield draw()
    plt.close("all")


def saved(name: str, figures_folder: Path) -> dict:
    return json.loads((figures_folder / f"{name}.json").read_text())


def test_writes_picture_drawing_and_sidecar(figure: Figure, figures_folder: Path) -> None:
    path = figures.save(figure, "04_depth", book=BOOK, arrays={"x": X}, seeds=(0, 1), data_digest="abc")
    assert path == figures_folder / "04_depth.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".svg").read_bytes().startswith(b"<?xml")
    sidecar = saved("04_depth", figures_folder)
    assert sidecar["notebook"] == "04_theorem5"
    assert sidecar["parameters"] == BOOK.parameters
    assert (sidecar["seeds"], sidecar["data_digest"]) == ([0, 1], "abc")
    assert sidecar["device"].startswith("cpu")
    assert set(sidecar["versions"]) == {"python", "gncompanion", "matplotlib", "numpy", "torch"}
    assert set(sidecar) >= {"commit", "dirty", "arrays"}
    assert sorted(path.parent.iterdir()) == sorted(path.with_suffix(end) for end in (".json", ".png", ".svg"))


DRAW = """
import sys
from types import SimpleNamespace
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt, numpy as np
from gncompanion.notebook import figures
figures.style()
figure, (left, right) = plt.subplots(1, 2)
left.fill_between([0, 1, 2], [0, 1, 0], label="a")
left.legend()
right.imshow(np.arange(9).reshape(3, 3))
right.annotate("‖∇f‖", (1, 1))
book = SimpleNamespace(name="04_theorem5", parameters={name: 1 for name in {"b", "a", "c"}})
figures.save(figure, "04_twice", book=book, arrays={"z": np.arange(3), "a": np.eye(2, dtype="f4") / 3})
"""


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for folder, hash_seed in (("one", "1"), ("two", "2")):  # text hashes, and so the order of sets, differ
        monkeypatch.setenv("GNCOMPANION_FIGURES", str(tmp_path / folder))
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        subprocess.run([sys.executable, "-c", DRAW], cwd=paths.root(), check=True)
        written.append({file.name: file.read_bytes() for file in sorted((tmp_path / folder).iterdir())})
    assert len(written[0]) == 3
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]),
        np.array([0.1, 1 / 3, 1e-45, 3.4028235e38], dtype=np.float32),
        np.array([0.1, 6e-8], dtype=np.float16),
        np.arange(-3, 3).reshape(2, 3),
        np.array([[True], [False]]),
        np.array(["sn", "gn"]),
        np.array(2.5),
        np.zeros((0, 2)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_reads_back_bit_for_bit(array: np.ndarray, figure: Figure, figures_folder: Path) -> None:
    figures.save(figure, "04_array", book=BOOK, arrays={"a": array})
    read = saved("04_array", figures_folder)["arrays"]["a"]
    again = np.array(read["values"], dtype=read["dtype"]).reshape(read["shape"])
    assert again.tobytes() == array.tobytes()


def test_single_precision_is_written_in_its_shortest_form(figure: Figure, figures_folder: Path) -> None:
    tensor = torch.tensor([0.1], requires_grad=True)
    figures.save(figure, "04_short", book=BOOK, arrays={"t": tensor})
    assert '"values": [0.1]' in (figures_folder / "04_short.json").read_text()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite_and_says_where(
    value: float, figure: Figure, figures_folder: Path
) -> None:
    array = np.ones((2, 3))
    array[1, 2] = value
    with pytest.raises(ValueError, match=rf"array 'loss' is {value} at \(1, 2\), and 1 of 6 entries"):
        figures.save(figure, "04_bad", book=BOOK, arrays={"x": X, "loss": array})
    assert not figures_folder.exists()


def test_a_masked_entry_is_a_gap(figure: Figure, figures_folder: Path) -> None:
    array = np.ma.masked_invalid([1.0, np.nan, 3.0])
    figures.save(figure, "04_gap", book=BOOK, arrays={"a": array})
    assert saved("04_gap", figures_folder)["arrays"]["a"]["values"] == [1.0, None, 3.0]


def test_refuses_objects(figure: Figure, figures_folder: Path) -> None:
    with pytest.raises(ValueError, match="array 'o' has dtype object"):
        figures.save(figure, "04_bad", book=BOOK, arrays={"o": np.array([None, {}])})


@pytest.mark.parametrize(
    "name", ["depth", "05_depth", "04depth", "04_", "04_a/b", "04_a b", "../04_a", "04_\n"]
)
def test_refuses_a_name_that_is_not_the_notebooks(name: str, figure: Figure, figures_folder: Path) -> None:
    with pytest.raises(ValueError, match="give 04_slug"):
        figures.save(figure, name, book=BOOK, arrays={})
    assert not figures_folder.exists()


SOURCE = {"commit": "a" * 40, "dirty": False, "versions": {"torch": "2.15.0"}}
LATER = SOURCE | {"commit": "b" * 40}


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


def save_from(source: dict, monkeypatch: pytest.MonkeyPatch, *, color: str = "C0", **options: object) -> None:
    """Draw and save a figure, as a new run of its notebook does."""
    monkeypatch.setattr(figures, "provenance", lambda _: source)
    arguments = {"book": BOOK, "arrays": {"x": X}, "seeds": [0]} | options
    figures.save(draw(color), "04_again", **arguments)
    plt.close("all")


@pytest.mark.parametrize(
    "source", [LATER, LATER | {"dirty": True}, {**SOURCE, "commit": None, "dirty": None}]
)
def test_the_same_figure_at_another_commit_leaves_the_files_that_are_there(
    source: dict, figures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_from(SOURCE, monkeypatch)
    first = content(figures_folder)
    save_from(source, monkeypatch)
    assert content(figures_folder) == first


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": {"x": X + 1}},
        {"arrays": {"x": X.astype("f4")}},
        {"seeds": [1]},
        {"data_digest": "d"},
        {"color": "C1"},
        {"source": LATER | {"versions": {"torch": "2.16.0"}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_else_changes_is_written_with_its_commit(
    change: dict, figures_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_from(SOURCE, monkeypatch)
    save_from(**{"source": LATER} | change, monkeypatch=monkeypatch)
    assert saved("04_again", figures_folder)["commit"] == LATER["commit"]


def test_a_picture_that_is_lost_is_drawn_again(figures_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_from(SOURCE, monkeypatch)
    (figures_folder / "04_again.svg").unlink()
    save_from(LATER, monkeypatch)
    assert len(content(figures_folder)) == 3
    assert saved("04_again", figures_folder)["commit"] == LATER["commit"]


def test_colours_are_seen_on_white_and_told_apart(figure: Figure) -> None:
    def luminance(colour: str) -> float:  # WCAG 2: relative luminance of sRGB
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    contrasts = [1.05 / (luminance(colour) + 0.05) for colour in colours]
    assert min(contrasts[:3]) > 3  # WCAG 2.1, success criterion 1.4.11: graphical objects
    assert min(contrasts) > 2  # the later ones are for lines that also bear a direct label
    assert plt.rcParams["savefig.facecolor"] == "white"
    half_page = 3.3 / plt.rcParams["figure.figsize"][0]
    assert min(plt.rcParams[f"{part}.labelsize"] for part in ("axes", "xtick", "ytick")) * half_page > 6
