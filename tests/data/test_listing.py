"""Which files of a folder are its images: links followed, hidden things left out, no class lost unnoticed."""

import os
import re
from pathlib import Path

import pytest

from gncompanion.data import image_folder
from gncompanion.data.listing import image_files, numbered
from tests.helpers.pictures import save_random_picture

pytestmark = pytest.mark.usefixtures("data_folder")

LEFT_OUT = (
    *(".ipynb_checkpoints/1-checkpoint.png", ".Trash-1000/files/2.png", "__MACOSX/a/._1.png", "@eaDir/1.jpg"),
    *("a/._1.png", "a/.hidden/1.png", "a/.DS_Store", "a/Thumbs.db", "b/desktop.ini", "notes.txt", "b/1.json"),
)


def refusal(folder: Path) -> str:
    with pytest.raises(ValueError, match=re.escape(str(folder))) as caught:
        image_folder(folder)
    return str(caught.value)


def test_hidden_and_system_files_are_neither_classes_nor_images(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        save_random_picture(tmp_path / name)
    clean = image_folder(tmp_path)
    for name in LEFT_OUT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "a/1.png").read_bytes())
    found = image_folder(tmp_path)
    assert (found.labels.tolist(), found.digest) == ([0, 1], clean.digest)


def test_a_folder_inside_a_hidden_one_is_read(tmp_path: Path) -> None:
    save_random_picture(tmp_path / ".cache" / "faces" / "1.png")
    assert len(image_folder(tmp_path / ".cache" / "faces")) == 1


def test_links_to_classes_and_to_images_are_followed(tmp_path: Path) -> None:
    for name in ("elsewhere/1.png", "elsewhere/deep/2.png", "set/a/1.png", "set/c/1.png"):
        save_random_picture(tmp_path / name)
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "c" / "2.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    assert image_folder(tmp_path / "set").labels.tolist() == [0, 1, 1, 2, 2]
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert image_folder(tmp_path / "link").labels.tolist() == [0, 1, 1, 2, 2]


def test_a_link_that_leads_back_is_refused(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert refusal(tmp_path) == f"{tmp_path}/a/back leads back to a folder that it lies in: remove the link"


@pytest.mark.parametrize("name", ["a/2.png", "b"])
def test_a_link_to_nothing_is_refused(name: str, tmp_path: Path) -> None:
    save_random_picture(tmp_path / "a" / "1.png")
    (tmp_path / name).symlink_to("/nowhere/1.png")
    assert (
        refusal(tmp_path) == f"{tmp_path / name} is a link to nothing (/nowhere/1.png): restore or remove it"
    )


@pytest.mark.parametrize("kind", [".heic", ".AVIF", ".jp2", ".npy", ".txt", None])
def test_a_class_without_images_is_refused(kind: str | None, tmp_path: Path) -> None:
    for name in ("a/1.png", "c/1.png"):
        save_random_picture(tmp_path / name)
    (tmp_path / "b").mkdir()
    if kind:
        (tmp_path / "b" / f"1{kind}").write_bytes(b"something")
    message = refusal(tmp_path)
    assert f"{tmp_path}/b" in message
    assert ("holds no images" in message) == (kind in (".npy", ".txt", None))


def test_an_image_of_a_kind_that_is_not_read_is_not_passed_over(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "1.png")
    (tmp_path / "2.heic").write_bytes(b"something")
    assert refusal(tmp_path).startswith(
        f"{tmp_path}/2.heic is of a kind of image that is not read here: convert"
    )


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")  # to open it would wait for a writer
    assert refusal(tmp_path) == f"{tmp_path}/2.png is neither a file nor a folder: remove it"


def test_a_folder_named_like_an_image_is_a_folder(tmp_path: Path) -> None:
    save_random_picture(tmp_path / "a.png" / "1.png")
    assert image_folder(tmp_path).labels.tolist() == [0]


def test_names_may_be_any_bytes(tmp_path: Path) -> None:
    file = save_random_picture(tmp_path / "1.png")
    os.rename(tmp_path / "1.png", os.fsencode(tmp_path) + b"/\xff\xfe.png")
    assert (image_folder(tmp_path).pixels[0] == file).all()


def test_numbers_come_in_their_order(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "1.JPG", *(f"{number}.jpg" for number in range(2, 9))):
        (tmp_path / name).touch()
    ordered = [file.stem for file in numbered(image_files(tmp_path))]
    assert ordered == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("1.jpg", "face.jpg"), "face.jpg is not named by a number, as 1.jpg is"),
        (("1.jpg", "-2.jpg"), "-2.jpg is not named by a number"),
        (("1.jpg", "²3.jpg"), "²3.jpg is not named by a number"),
        (("1.jpg", "2.jpg", "4.jpg"), "4.jpg does not follow upon .*2.jpg"),
        (("1.jpg", "01.png"), "1.jpg has the same number as .*01.png"),
        (("2.jpg", "3.jpg"), "2.jpg is the first image, but the numbers have to begin with 0 or 1"),
    ],
)
def test_gaps_and_text_are_refused(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        numbered(image_files(tmp_path))
