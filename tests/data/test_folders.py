"""Folders of images: read in order, in colour, as classes; and the sets that are such folders."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor, resize

from gncompanion.data import folders, image_folder, load
from tests.helpers.pictures import save_random_picture

pytestmark = pytest.mark.usefixtures("data_folder")


def test_a_flat_folder_is_read_in_order_and_in_colour(tmp_path: Path) -> None:
    expected = [save_random_picture(tmp_path / "faces" / name, mode=mode) for name, mode in
                [("a.png", "RGB"), ("b.PNG", "L"), ("c.bmp", "RGB")]]  # fmt: skip
    (tmp_path / "faces" / "notes.txt").write_text("not an image")
    data = image_folder(tmp_path / "faces")
    assert (data.name, data.shape, data.n_classes, data.labels) == ("faces", (3, 6, 4), None, None)
    assert torch.equal(data.pixels, torch.stack(expected))


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/deep/2.png", "cat/1.png"):
        save_random_picture(tmp_path / name)
    data = load("folder", folder=str(tmp_path), flip=True)
    assert data.labels.tolist() == [0, 0, 1]
    assert (data.n_classes, data.flip) == (2, True)


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no images in .*: looked for .*\.png"):
        image_folder(tmp_path)


def test_a_relative_folder_may_lie_where_data_sets_do(tmp_path: Path, data_folder: Path) -> None:
    save_random_picture(data_folder / "faces" / "a.png")
    assert len(image_folder("faces")) == 1
    with pytest.raises(FileNotFoundError, match=r"no folder faeces in .* or in .*"):
        image_folder("faeces")


def test_the_first_image_of_another_size_is_named(tmp_path: Path) -> None:
    for name, height in (("a", 6), ("b", 6), ("c", 7), ("d", 8)):
        save_random_picture(tmp_path / f"{name}.png", height)
    with pytest.raises(ValueError, match=r"c\.png is 7x4 \(height x width\), .*a\.png and .* 6x4"):
        image_folder(tmp_path)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"b\.png cannot be read"):
        image_folder(tmp_path)


def test_an_image_beside_the_classes_is_named(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "c.png"):
        save_random_picture(tmp_path / name)
    with pytest.raises(ValueError, match=r"c\.png lies beside subfolders"):
        image_folder(tmp_path)


def test_a_size_cuts_the_middle_square_of_the_scaled_image(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "tall.png", height=24, width=12)
    save_random_picture(tmp_path / "wide.png", height=8, width=20, seed=1)
    data = image_folder(tmp_path, size=6)
    assert data.shape == (3, 6, 6)
    tall = Image.open(tmp_path / "tall.png").resize((6, 12), Image.Resampling.BILINEAR)
    assert torch.equal(data.pixels[0], pil_to_tensor(tall)[:, 3:9])  # Pillow's bilinear filter is antialiased
    with pytest.raises(ValueError, match="size=0 must be an integer from 1 on"):
        image_folder(tmp_path, size=0)


def test_celeba_hq_is_split_as_the_papers_split_it(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "CELEBA_HQ_IMAGES", 5)
    monkeypatch.setattr(folders, "CELEBA_HQ_TRAIN", 3)
    faces = [save_random_picture(data_folder / "celeba-hq" / f"{i}.png", 8, 8, seed=i) for i in range(5)]
    parts = {"all": faces, "train": faces[:3], "test": faces[3:]}
    for split, expected in parts.items():
        data = load("celeba-hq", split=split, size=8)
        assert torch.equal(data.pixels, torch.stack(expected))
        assert (data.labels, data.flip) == (None, True)
    (data_folder / "celeba-hq" / "4.png").unlink()
    with pytest.raises(ValueError, match="CelebA-HQ has 5 images, but there are 4"):
        load("celeba-hq")


@pytest.mark.parametrize("first", [0, 1])
def test_celeba_hq_is_split_by_number(first: int, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "CELEBA_HQ_IMAGES", 12)
    monkeypatch.setattr(folders, "CELEBA_HQ_TRAIN", 9)
    names = [data_folder / "celeba-hq" / f"{first + i}.png" for i in range(12)]  # as text, 10 comes before 2
    faces = [save_random_picture(name, 8, 8, seed=i) for i, name in enumerate(names)]
    assert torch.equal(load("celeba-hq", split="train", size=8).pixels, torch.stack(faces[:9]))
    assert torch.equal(load("celeba-hq", split="test", size=8).pixels, torch.stack(faces[9:]))
    names[5].rename(data_folder / "celeba-hq" / "20.png")
    with pytest.raises(ValueError, match=rf"{names[6].name} does not follow upon .*/{names[4].name}"):
        load("celeba-hq")
    (data_folder / "celeba-hq" / "20.png").rename(data_folder / "celeba-hq" / "face.png")
    with pytest.raises(ValueError, match=r"face\.png is not named by a number, as 1\.jpg is"):
        load("celeba-hq")


def test_an_image_that_would_be_scaled_to_a_bomb_is_refused(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "a.png", height=1, width=20_000)
    with pytest.raises(ValueError, match=r"a\.png is 20000x1, too long to be scaled to size=128"):
        image_folder(tmp_path, size=128)


def test_churches_come_from_any_folder(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "0" / "f.png", 8, 10)
    data = load("lsun-church", folder=str(tmp_path), size=8)
    assert (data.shape, data.n_classes, len(data)) == ((3, 8, 8), None, 1)


def test_churches_are_squashed_or_cut(tmp_path: Path) -> None:
    picture = save_random_picture(tmp_path / "f.png", 8, 16)
    squashed, cut = (load("lsun-church", folder=str(tmp_path), size=8, resize=r) for r in ("squash", "cut"))
    assert torch.equal(cut.pixels[0], picture[:, :, 4:12])
    assert torch.equal(squashed.pixels[0], resize(picture, [8, 8], antialias=True))
    with pytest.raises(ValueError, match="unknown resize 'crop'"):
        load("lsun-church", folder=str(tmp_path), resize="crop")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: load("celeba-hq"), "no folder .*celeba-hq: put the 30 000 images of CelebA-HQ"),
        (lambda: load("celeba-hq", split="val"), "unknown split of CelebA-HQ 'val'"),
        (
            lambda: load("lsun-church"),
            "no folder .*lsun-church: put the images of LSUN's",
        ),
        (lambda: load("lsun-church", folder="/nowhere"), "no folder /nowhere: .* or name their folder with"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(make: Callable[[], object], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make()
