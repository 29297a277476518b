"""Figures that say where they come from: one style, and the one function that saves.

`save` writes three files that lie side by side:

    NN_slug.png    for the screen, 150 dots an inch
    NN_slug.svg    for print
    NN_slug.json   the sidecar: notebook, parameters, seeds, commit, versions, device, digest of the data, and
                   the plotted arrays, each number so that it reads back as the same floating-point value

The same run writes the same bytes: no date, no random identifier, keys sorted. The three are replaced
together, or not at all; and a figure that comes out as the one that is there leaves that one in place, with
its commit.
"""

import io
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gncompanion.notebook.provenance import device_name, provenance, same_run
from gncompanion.notebook.records import Book, to_json
from gncompanion.tools import paths
from gncompanion.tools.files import write_together

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["renewed", "save", "style"]


def style() -> None:
    """Make the package's one style (gncompanion.mplstyle) that of every figure from here on."""
    import matplotlib.style

    with resources.as_file(resources.files(__package__) / "gncompanion.mplstyle") as file:
        matplotlib.style.use(file)


def save(
    figure: "Figure",
    name: str,
    *,
    book: Book,
    arrays: Mapping[str, ArrayLike],
    seeds: Sequence[int] = (),
    device: str = "cpu",
    data_digest: str | None = None,
) -> Path:
    """Write a figure as PNG and SVG into `paths.figures()`, and beside them its provenance as a JSON sidecar.

    Args:
        figure: The figure to draw.
        name: The files' name without ending, "04_slug"; `Notebook.figure_name` makes it.
        book: The notebook that draws.
        arrays: The plotted arrays, by name: numbers, truth values or text of any shape; tensors are fine. A
            gap is a masked entry (`np.ma.masked_invalid`), written as null; NaN and infinity are refused.
        seeds: Seeds of the runs behind the figure.
        device: Device on which they ran, as torch names it: "cpu", "cuda:0".
        data_digest: Digest of the data set that they saw.

    Returns:
        The PNG's path.

    Raises:
        ValueError: The name does not begin with the notebook's number or is no file name; an array holds NaN,
            infinity or something that is neither number nor text.
    """
    _check_name(name, book=book.name)
    sidecar = {
        "notebook": book.name,
        "parameters": book.parameters,
        "seeds": [int(seed) for seed in seeds],
        "device": device_name(device),
        "data_digest": data_digest,
        "arrays": {key: _plain(key, array) for key, array in arrays.items()},
        **provenance(book.name),
    }
    files = {
        f"{name}.json": (to_json(sidecar, levels=2) + "\n").encode(),
        f"{name}.svg": _drawn(figure, "svg", salt=name, metadata={"Date": None, "Creator": None}),
        f"{name}.png": _drawn(figure, "png", salt=name, metadata={"Software": None}),
    }
    if files := renewed(paths.figures(), files):
        write_together(paths.figures(), files)
    return paths.figures() / f"{name}.png"


def renewed(folder: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Choose a figure's files, or none if the ones there show and say the same, but for the commit.

    Args:
        folder: The figures' folder.
        files: The bytes of each file, by name.

    Returns:
        All of the files, or none.
    """
    old = {folder / name: data for name, data in files.items()}
    return {} if all(file.exists() and _same(file, data) for file, data in old.items()) else dict(files)


def _same(file: Path, data: bytes) -> bool:
    old = file.read_bytes()
    return same_run(old, data) if file.suffix == ".json" else old == data


def _check_name(name: str, *, book: str) -> None:
    if not re.fullmatch(r"\d\d_[\w.,=+-]+", name) or name[:2] != book[:2]:
        raise ValueError(f"figure name {name!r}: give {book[:2]}_slug, of letters, digits and _.,=+- only")


def _plain(name: str, array: ArrayLike) -> dict[str, Any]:
    if hasattr(array, "detach"):  # a tensor, wherever it lies
        array = array.detach().cpu()
    array = np.ma.asarray(array)
    values = array.data
    if values.dtype.kind not in "biufU":
        raise ValueError(f"array {name!r} has dtype {values.dtype}: give numbers, truth values or text")
    if values.dtype.kind == "f":
        _check_finite(name, array)
        if values.itemsize < 8:  # through its shortest text: 0.1 stays 0.1, and reads back as it was
            values = values.astype(str).astype(np.float64)
    plain = np.ma.array(values, mask=array.mask).tolist()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": plain}


def _check_finite(name: str, array: np.ma.MaskedArray) -> None:
    wrong = np.argwhere(~np.isfinite(array.filled(0)))
    if len(wrong):
        where = tuple(wrong[0].tolist())
        raise ValueError(
            f"array {name!r} is {array[where]} at {where}, and {len(wrong)} of {array.size} entries are "
            "not finite: mask what is a gap (np.ma.masked_invalid)"
        )


def _drawn(figure: "Figure", ending: str, *, salt: str, metadata: dict[str, None]) -> bytes:
    import matplotlib

    drawing = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(drawing, format=ending, metadata=metadata)
    return drawing.getvalue()
