"""A disk that is full says so before the first image, and nothing is left behind."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gncompanion.data import image_folder
from gncompanion.data.prepared import open_prepared
from gncompanion.data.reservation import reserved_array
from tests.helpers.pictures import save_random_picture


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """Let no file grow further than that, in bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_there_is_room_for_all_before_anything_is_written(tmp_path: Path) -> None:
    array = reserved_array(tmp_path / "a.npy", (10, 3, 100, 100))
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= array.nbytes
    assert array.shape == (10, 3, 100, 100)
    assert not array.any()
    array[9] = 7
    array.flush()
    assert (np.load(tmp_path / "a.npy") == array).all()


@pytest.mark.parametrize("shape", [(3, 1, 1, 1), (2, 3, 700, 700)])
def test_room_is_taken_by_writing_where_it_cannot_be_asked_for(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # as on macOS and Windows
    array = reserved_array(tmp_path / "a.npy", shape)
    assert os.stat(tmp_path / "a.npy").st_blocks * 512 >= array.nbytes
    array[-1] = 7
    array.flush()
    assert (np.load(tmp_path / "a.npy") == array).all()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, data_folder: Path) -> None:
    for number in range(10):
        save_random_picture(tmp_path / f"{number}.png", 30, 30)
    folder = data_folder / "prepared"
    with little_room(20_000), pytest.raises(OSError, match="no room") as caught:
        image_folder(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"no room in {folder} for the decoded images: 27000 bytes are needed, ")
    assert message.endswith("; make room, or set GNCOMPANION_DATA to a folder on a larger disk")
    assert "\n" not in message
    assert [file.name for file in folder.iterdir()] == [".lock"]
    assert len(image_folder(tmp_path)) == 10


def test_no_room_for_the_description_leaves_nothing(data_folder: Path) -> None:
    with little_room(30_000), pytest.raises(OSError, match="File too large"):
        open_prepared("labelled", "a source", lambda allocate: _labels_of(allocate((10_000, 1, 1, 1))))
    assert [file.name for file in (data_folder / "prepared").iterdir()] == [".lock"]


def _labels_of(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.arange(len(pixels))


def test_more_than_the_disk_holds_is_refused(data_folder: Path) -> None:
    with pytest.raises(OSError, match=r"9830400000000 bytes are needed, \d+ are free \(No space left"):
        open_prepared("big", "a source", lambda allocate: allocate((50_000_000, 3, 256, 256)) and None)
    assert [file.name for file in (data_folder / "prepared").iterdir()] == [".lock"]


def test_what_a_killed_process_left_goes_with_the_next(data_folder: Path, tmp_path: Path) -> None:
    (data_folder / "prepared").mkdir()
    (data_folder / "prepared" / "other-0123456789abcdef.unfinished").write_bytes(bytes(100))
    open_prepared("one", "a source", lambda allocate: allocate((1, 1, 1, 1)).fill(0))
    assert sorted(file.suffix for file in (data_folder / "prepared").iterdir()) == ["", ".json", ".npy"]
