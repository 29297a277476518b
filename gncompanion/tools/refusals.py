"""What can be foreseen to go wrong, said in one line: the file or the value, and what to do.

explained(OSError(28, "No space left on device", "runs/log.csv"))
-> runs/log.csv: no space is left on its disk. Free some, and run the same command again.
"""

import errno
import os
from pathlib import Path

from gncompanion.tools.extras import complaint

__all__ = ["Refusal", "explained", "require_writable"]

_PLACES = "GNCOMPANION_DATA, _RUNS, _FIGURES and _BUILD name other folders"
_BY_NUMBER = {
    errno.ENOSPC: "no space is left on its disk. Free some, and run the same command again.",
    errno.EDQUOT: "your quota on its disk is used up. Free some, and run the same command again.",
    errno.EROFS: f"its disk can only be read. Choose another place: {_PLACES}.",
    errno.EACCES: f"you have no permission. Ask for it, or choose another place: {_PLACES}.",
    errno.EPERM: f"you have no permission. Ask for it, or choose another place: {_PLACES}.",
    errno.ENOTDIR: "a part of its path is a file, not a folder. Move that file, or name another folder.",
    errno.EEXIST: "a file is where a folder should be. Move it, or name another folder.",
    errno.EISDIR: "it is a folder, not a file. Name a file.",
    errno.ENAMETOOLONG: "its name is too long for its disk. Choose a shorter one.",
    errno.ENOENT: "there is no such file. Check its name.",
    errno.EMFILE: "too many files are open. Raise the limit (ulimit -n), and run the same command again.",
    errno.EIO: "its disk reports a fault. Check it, or choose another place.",
    errno.ELOOP: "its path is a link to itself. Name another.",
}
_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "Storage size calculation overflow",
)


class Refusal(RuntimeError):
    """Work that cannot go on for a reason that can be foreseen; its text says what, and what to do."""


def explained(error: BaseException) -> str | None:
    """Say what has gone wrong, if it is of a kind that can be foreseen.

    Args:
        error: The exception.

    Returns:
        One line; None for an exception that shows a fault of this package.
    """
    match error:
        case ModuleNotFoundError():
            text = complaint(error)
        case UnicodeError():
            text = f"text that is not UTF-8, or cannot be written in it: {error}. Save it as UTF-8."
        case OSError(errno=number, filename=name) if number is not None:
            text = _of_a_file(error, number, name)
        case EOFError():
            text = f"a file ends too early: {str(error) or 'it is empty'}. Delete it, or restore it."
        case MemoryError():
            text = "not enough memory. Use a smaller width, batch or number of samples."
        case ValueError() | FileNotFoundError() | Refusal():
            text = str(error)
        case RuntimeError() if any(words in str(error) for words in _NO_MEMORY):
            text = f"not enough memory ({error}). Use a smaller width, batch or number of samples."
        case _:
            return None
    return " ".join(text.split()) or type(error).__name__


def require_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made, before the work whose results are to lie there.

    Args:
        folder: The folder; it may be missing. Nothing is made.

    Raises:
        OSError: It, or the folder that it would be made in, cannot be written to, or is a file.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        number = errno.EEXIST if place == folder else errno.ENOTDIR
    elif not os.access(place, os.W_OK | os.X_OK):
        number = errno.EROFS if _is_only_read(place) else errno.EACCES
    else:
        return
    raise OSError(number, os.strerror(number), str(folder))


def _of_a_file(error: OSError, number: int, name: object) -> str:
    what = _BY_NUMBER.get(number, f"{error.strerror}.")
    where = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "a file"
    return f"{where}: {what}"


def _is_only_read(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # Windows has neither
        return False
