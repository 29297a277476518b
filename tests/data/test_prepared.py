"""Sets prepared once: decoded at the first opening alone, mapped, and never half."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gncompanion.data import Images, folders, image_folder
from gncompanion.data.prepared import Allocate, open_prepared
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


def store_of_the_first_rule(folder: Path) -> None:
    """Prepare a folder of two classes as the first rule did, all of it zeros."""
    stats = [(file, file.stat()) for file in sorted(folder.rglob("*.png"))]
    listing = "\n".join(f"{file.relative_to(folder)} {s.st_size} {s.st_mtime_ns}" for file, s in stats)
    source = f"{folder.resolve()} size=None labelled=True\n{listing}"

    def make(allocate: Allocate) -> Tensor:
        allocate((2, 3, 6, 4))
        return torch.tensor([0, 1])

    open_prepared(folder.resolve().name, source, make)


def test_a_store_of_the_first_rule_is_taken_over_where_that_read_the_same(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1.png", "b/1.png"):
        save_random_picture(tmp_path / name)
    store_of_the_first_rule(tmp_path)
    [before] = data_folder.glob("prepared/*.npy")
    monkeypatch.setattr(folders, "_reader", no_reading)
    data = image_folder(tmp_path)
    assert (data.labels.tolist(), data.pixels.any().item()) == ([0, 1], False)
    [after] = data_folder.glob("prepared/*.npy")
    assert after != before  # so that the first rule's code does not find what is not its own
    assert [file.stem for file in data_folder.glob("prepared/*.json")] == [after.stem]
    assert image_folder(tmp_path).digest == data.digest


def test_a_store_of_the_first_rule_is_left_where_that_read_something_else(
    tmp_path: Path, data_folder: Path
) -> None:
    save_random_picture(tmp_path / "a/1.png")
    save_random_picture(tmp_path / "b/1.png", mode="RGBA")
    store_of_the_first_rule(tmp_path)
    assert image_folder(tmp_path).pixels.any()
    assert len(list(data_folder.glob("prepared/*.npy"))) == 2


@pytest.mark.parametrize("kind", [".npy", ".json"])
@pytest.mark.parametrize("damage", ["flipped", "cut off", "empty"])
def test_a_damaged_store_is_refused_by_name(
    kind: str, damage: str, tmp_path: Path, data_folder: Path
) -> None:
    for name in ("a/1.png", "b/1.png"):
        save_random_picture(tmp_path / name)
    digest = image_folder(tmp_path).digest
    [file] = data_folder.glob(f"prepared/*{kind}")
    content = bytearray(file.read_bytes())
    content[-3 if kind == ".json" else -1] ^= 1  # a label, and a pixel
    file.write_bytes({"flipped": content, "cut off": content[:-10], "empty": b""}[damage])
    with pytest.raises(ValueError, match=rf"{file.stem}\.npy is damaged, or the {file.stem}\.json beside it"):
        image_folder(tmp_path)
    for part in data_folder.glob("prepared/*.*"):
        part.unlink(missing_ok=True)
    assert image_folder(tmp_path).digest == digest


def test_a_store_is_looked_at_once_a_process(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_random_picture(tmp_path / "a.png")
    digest = image_folder(tmp_path).digest
    monkeypatch.setattr(Images, "digest", property(no_reading))
    assert image_folder(tmp_path)._digest == digest
