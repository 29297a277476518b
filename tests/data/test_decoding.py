"""The image files of the zoo, each read as it must be, or refused by name."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gncompanion.data.decoding import decoded, read_alike_before
from tests.helpers import image_zoo

SOUND = [
    *(f"{kind}.{ending}" for kind in ("rgb", "grey") for ending in ("png", "bmp", "ppm", "tiff", "TIF")),
    *("lossless.webp", "palette.png", "palette.gif", "palette.bmp", "one-bit.png", "one-bit.pbm"),
    *("cmyk.tiff", "cmyk.jpg", "flat.JPG", "flat.jfif"),
    *("grey16.png", "grey16.pgm", "grey16.tiff", "grey16-big-endian.tiff", "rgb16.png", "rgb16.tiff"),
    *(
        "rgba.png",
        "rgba.webp",
        "la.png",
        "rgba16.png",
        "palette.transparent.gif",
        "one-colour-transparent.png",
    ),
    *(f"orientation-{number}.{ending}" for number in image_zoo.TURNS for ending in ("png", "tiff")),
    *("telephone.jpg", "moving.gif", "moving.webp", "moving.png", "pages.tiff", "two-pictures.jpg"),
]
REFUSED = [
    *("float.tiff", "rgb-float.tiff", "int32.tiff", "transparent16.png"),
    *(f"cut-off.{ending}" for ending in ("png", "jpg", "gif", "bmp", "tiff", "webp", "ppm")),
    *("flipped.png", "empty.png", "text.jpg", "postscript.jpg", "bomb.png", "large.png", "text-bomb.png"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="module")
def truth(folder: Path) -> dict[str, image_zoo.Pixels]:
    return image_zoo.sound(folder / "sound")


@pytest.fixture(scope="module")
def messages(folder: Path) -> dict[str, str]:
    return image_zoo.refused(folder / "refused")


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_is_read_right(name: str, folder: Path, truth: dict[str, image_zoo.Pixels]) -> None:
    image = decoded(folder / "sound" / name)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), truth[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_right_is_refused_by_name(
    name: str, folder: Path, messages: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=messages[name]) as caught:
        decoded(folder / "refused" / name)
    assert str(caught.value).startswith(f"{folder / 'refused' / name} ")
    assert "\n" not in str(caught.value)


def test_every_animal_of_the_zoo_is_looked_at(
    truth: dict[str, image_zoo.Pixels], messages: dict[str, str]
) -> None:
    assert truth.keys() == set(SOUND)
    assert messages.keys() == set(REFUSED)


def test_what_the_first_rule_read_alike_is_known(folder: Path, truth: dict[str, image_zoo.Pixels]) -> None:
    for name, pixels in truth.items():
        file = folder / "sound" / name
        if read_alike_before(file):
            with Image.open(file) as image:  # the first rule
                np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels, err_msg=name)
    alike = {name for name in truth if read_alike_before(folder / "sound" / name)}
    assert {"rgb.png", "grey.tiff", "flat.JPG", "cmyk.jpg", "lossless.webp", "palette.bmp"} <= alike
    assert not alike & {
        "grey16.png",
        "grey16.pgm",
        "rgba.png",
        "la.png",
        "telephone.jpg",
        "orientation-6.png",
    }


def test_what_can_be_read_all_the_same_is_a_warning_that_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "odd.tiff"
    Image.fromarray(image_zoo.random_image(4, 4, 3)).save(file)
    whole = bytearray(file.read_bytes())
    start = int.from_bytes(whole[4:8], "little")
    entries = int.from_bytes(whole[start : start + 2], "little")
    last = start + 2 + 12 * (entries - 1)
    whole[last : last + 12] = (65000).to_bytes(2, "little") + (12).to_bytes(2, "little") + b"\xff" * 8
    file.write_bytes(whole)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decoded(file)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == len(set(messages)) > 0
    assert {message.split(": ")[0] for message in messages} == {str(file)}
