"""Sets prepared once: decoded at the first opening alone, mapped, and never half."""

from pathlib import Path

import pytest
import torch

from gncompanion.data import folders, image_folder
from tests.helpers.pictures import save_random_picture

pytestmark = pytest.mark.usefixtures("data_folder")


def no_reading(*_: object) -> None:
    raise AssertionError("read again")


def test_images_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i, name in enumerate(("a/1.png", "b/2.png")):
        save_random_picture(tmp_path / name, seed=i)
    first = image_folder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(folders, "_reader", no_reading)
        second = image_folder(tmp_path, flip=True)
        assert torch.equal(first.pixels, second.pixels)
        assert (second.labels.tolist(), second.digest, second.flip) == ([0, 1], first.digest, True)
        with pytest.raises(AssertionError, match="read again"):
            image_folder(tmp_path, size=4)
    expected = save_random_picture(tmp_path / "b/2.png", seed=2)  # a file that changed
    third = image_folder(tmp_path)
    assert third.digest != first.digest
    assert torch.equal(third.pixels[1], expected)


def test_the_array_is_mapped_and_never_written(tmp_path: Path, data_folder: Path) -> None:
    save_random_picture(tmp_path / "a.png")
    data = image_folder(tmp_path)
    [file] = data_folder.glob("prepared/*.npy")
    before = file.read_bytes()
    data.pixels.zero_()
    assert file.read_bytes() == before
    assert image_folder(tmp_path).pixels.any()


def test_what_was_not_finished_is_not_used(tmp_path: Path, data_folder: Path) -> None:
    for name in ("a.png", "b.png"):
        save_random_picture(tmp_path / name)
    good = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(good[:60])
    with pytest.raises(ValueError, match="cannot be read"):
        image_folder(tmp_path)
    assert not list(data_folder.glob("prepared/[!.]*"))
    (tmp_path / "b.png").write_bytes(good)
    first = image_folder(tmp_path)
    [about] = data_folder.glob("prepared/*.json")
    about.unlink()  # as if the power had failed between the array and its description
    assert torch.equal(image_folder(tmp_path).pixels, first.pixels)
