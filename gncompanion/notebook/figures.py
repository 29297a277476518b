"""Figures that say where they come from: one style, and the one function that saves.

`save` writes three files that lie side by side:

    NN_slug.png    for the screen, 150 dots an inch
    NN_slug.svg    for print
    NN_slug.json   the sidecar: notebook, parameters, seeds, commit, versions, device, digest of the data, and
                   the plotted arrays, each number so that it reads back as the same floating-point value

The same run writes the same bytes: no date, no random identifier, keys sorted. A file is replaced whole,
or not at all.
"""

import io
import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from gncompanion.tools import paths
from gncompanion.tools.files import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Book", "save", "style", "to_json"]


class Book(Protocol):
    """What a figure needs to know of its notebook; `notebook.Notebook` offers it.

    Attributes:
        name: The notebook's file name without its ending, "04_theorem5".
        parameters: Their values in this run, by name.
    """

    name: str
    parameters: dict[str, Any]


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
        figure: What to draw.
        name: The files' name without ending, "04_slug"; `Notebook.figure_name` makes it.
        book: The notebook that draws.
        arrays: What was plotted, by name: numbers, truth values or text of any shape; tensors are fine. A gap
            is a masked entry (`np.ma.masked_invalid`), written as null; NaN and infinity are refused.
        seeds: Of the runs behind the figure.
        device: Where they ran, as torch names it: "cpu", "cuda:0".
        data_digest: Of the data set they saw.

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
        "device": _device_name(device),
        "data_digest": data_digest,
        "arrays": {key: _plain(key, array) for key, array in arrays.items()},
        **_provenance(book.name),
    }
    content = {
        ".json": (to_json(sidecar, levels=2) + "\n").encode(),
        ".svg": _drawn(figure, "svg", salt=name, metadata={"Date": None, "Creator": None}),
        ".png": _drawn(figure, "png", salt=name, metadata={"Software": None}),
    }
    for ending, data in content.items():
        write(paths.figures() / (name + ending), data)
    return paths.figures() / f"{name}.png"


def to_json(content: Any, *, levels: int) -> str:
    """Write JSON with a line for each entry of the outer levels: an array further in stays on its line.

    Args:
        content: Plain values; what has `tolist`, as arrays have, becomes a list.
        levels: How many.

    Returns:
        The text, keys sorted.

    Raises:
        ValueError: A number is not finite.
    """
    match content:
        case dict() if content and levels:
            lines = [
                f"{json.dumps(key)}: {to_json(content[key], levels=levels - 1)}" for key in sorted(content)
            ]
            opening, closing = "{}"
        case [dict(), *_] if levels:
            lines = [to_json(entry, levels=levels - 1) for entry in content]
            opening, closing = "[]"
        case _:
            plain = {"ensure_ascii": False, "sort_keys": True, "allow_nan": False}
            return json.dumps(content, **plain, default=lambda value: value.tolist())
    return opening + "\n" + indent(",\n".join(lines), " ") + "\n" + closing


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


def _provenance(notebook: str) -> dict[str, Any]:
    # Only what makes this figure can make it dirty: the others change while all are regenerated.
    makers = ("gncompanion", f"notebooks/{notebook}.ipynb", "constraints.txt")
    changes = _git("status", "--porcelain", "--", *makers)
    versions = {package: _version(package) for package in ("gncompanion", "matplotlib", "numpy", "torch")}
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "versions": {"python": platform.python_version(), **versions},
    }


def _git(*arguments: str) -> str | None:
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=paths.root(), capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, no checkout, or no commit yet
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # on the path, but not installed
        return None


def _device_name(device: str) -> str:
    if not device.startswith("cuda"):
        return f"{device} ({platform.machine()})"
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"
