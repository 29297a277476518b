"""What can be foreseen is one line with file, value and remedy; what cannot is left alone."""

import errno
import os
from pathlib import Path

import pytest

from gncompanion.tools.refusals import Refusal, explained, require_writable


def failed(number: int) -> OSError:
    return OSError(number, os.strerror(number), "runs/log.csv")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (failed(errno.ENOSPC), "runs/log.csv: no space is left on its disk. Free some, and run the same"),
        (
            failed(errno.EROFS),
            "runs/log.csv: its disk can only be read. Choose another place: GNCOMPANION_",
        ),
        (failed(errno.EACCES), "runs/log.csv: you have no permission. Ask for it, or choose another place"),
        (failed(errno.ENOTDIR), "runs/log.csv: a part of its path is a file, not a folder"),
        (failed(errno.EEXIST), "runs/log.csv: a file is where a folder should be"),
        (failed(errno.EISDIR), "runs/log.csv: it is a folder, not a file"),
        (failed(errno.ENAMETOOLONG), "runs/log.csv: its name is too long for its disk"),
        (failed(errno.ESTALE), f"runs/log.csv: {os.strerror(errno.ESTALE)}."),
        (OSError(errno.ENOSPC, "No space left"), "a file: no space is left on its disk"),
        (EOFError("Ran out of input"), "a file ends too early: Ran out of input. Delete it, or restore it."),
        (EOFError(), "a file ends too early: it is empty. Delete it, or restore it."),
        (MemoryError(), "not enough memory. Use a smaller width, batch or number of samples."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory (Default"),
        (Refusal("every checkpoint is damaged:\n delete it"), "every checkpoint is damaged: delete it"),
        (ValueError("steps=0 must be"), "steps=0 must be"),
        (FileNotFoundError("no file row.yml"), "no file row.yml"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "text that is not UTF-8, or cannot be written"),
        (ModuleNotFoundError("No module named 'nope'", name="nope"), "No module named 'nope'"),
    ],
)
def test_what_can_be_foreseen_is_one_line(error: Exception, line: str) -> None:
    found = explained(error)
    assert found is not None
    assert found.startswith(line)
    assert "\n" not in found


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("a shape"), TypeError(), AssertionError()])
def test_a_fault_of_the_package_is_no_refusal(error: Exception) -> None:
    assert explained(error) is None


def test_a_folder_is_tried_without_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable(tmp_path / "a/b/c")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for place, line in (("file", "a file is where a folder should be"), ("file/a", "a part of its path is")):
        with pytest.raises(OSError) as refused:
            require_writable(tmp_path / place)
        assert (explained(refused.value) or "").startswith(f"{tmp_path / place}: {line}")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(PermissionError):
        require_writable(tmp_path / "a")
