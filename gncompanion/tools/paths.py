"""Where things lie: the only file of the package that knows folders.

    root()        the checkout, the folder that holds notebooks/ and gncompanion/
    notebooks()   root()/notebooks
    figures()     $GNCOMPANION_FIGURES, else root()/figures
    scratch()     $GNCOMPANION_BUILD,   else root()/build
    data()        $GNCOMPANION_DATA,    else root()/data
    runs()        $GNCOMPANION_RUNS,    else data()/runs

The checkout is the one that this file lies in (an editable install, from any working directory) or else the
one that the working directory lies in. Nothing is created here: whoever writes makes the folder.
"""

import os
from pathlib import Path

__all__ = ["data", "figures", "notebooks", "root", "runs", "scratch"]

_CHECKOUT = ("pyproject.toml", "notebooks", "gncompanion")


def _checkout() -> Path | None:
    here, working = Path(__file__).resolve().parents[2], Path.cwd()
    for folder in (here, working, *working.parents):
        if all((folder / entry).exists() for entry in _CHECKOUT):
            return folder
    return None


def _override(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().resolve() if value else None


def _in_checkout(name: str, variable: str | None = None) -> Path:
    if variable and (folder := _override(variable)):
        return folder
    if folder := _checkout():
        return folder / name
    remedy = f", or set {variable} to the folder to use" if variable else ""
    raise FileNotFoundError(
        "neither this package nor the working directory lies in a checkout of gncompanion, "
        f"so there is no {name} folder: run from inside a checkout{remedy}"
    )


def root() -> Path:
    """The checkout: the folder that holds notebooks/ and gncompanion/.

    Returns:
        An absolute path.

    Raises:
        FileNotFoundError: Neither this package nor the working directory lies in a checkout.
    """
    return _in_checkout(".")


def notebooks() -> Path:
    """The notebooks' folder.

    Returns:
        An absolute path.

    Raises:
        FileNotFoundError: There is no checkout.
    """
    return _in_checkout("notebooks")


def figures() -> Path:
    """The figures' folder, `$GNCOMPANION_FIGURES` if that is set.

    Returns:
        An absolute path; it need not exist yet.

    Raises:
        FileNotFoundError: There is no checkout and the variable is not set.
    """
    return _in_checkout("figures", "GNCOMPANION_FIGURES")


def scratch() -> Path:
    """The folder of what a run of notebooks leaves behind, `$GNCOMPANION_BUILD` if that is set.

    Returns:
        An absolute path; it need not exist yet.

    Raises:
        FileNotFoundError: There is no checkout and the variable is not set.
    """
    return _in_checkout("build", "GNCOMPANION_BUILD")


def data() -> Path:
    """The folder of downloads, `$GNCOMPANION_DATA` if that is set.

    Returns:
        An absolute path; it need not exist yet.

    Raises:
        FileNotFoundError: There is no checkout and the variable is not set.
    """
    return _in_checkout("data", "GNCOMPANION_DATA")


def runs() -> Path:
    """The folder of training runs, `$GNCOMPANION_RUNS` if that is set, else `runs` in `data()`.

    Returns:
        An absolute path; it need not exist yet.

    Raises:
        FileNotFoundError: There is no checkout and neither variable is set.
    """
    return _override("GNCOMPANION_RUNS") or data() / "runs"
