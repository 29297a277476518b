"""The registry: a name and plain values become an object, or the message says what there is."""

from functools import partial
from typing import Any

import pytest

from gncompanion.tools.registry import check_options, make, options


def ring(n_modes: int = 8, *, radius: float = 1.0) -> tuple[Any, ...]:
    return ("ring", n_modes, radius)


class Folder:
    """Needs one option, and the shape that the caller supplies."""

    def __init__(self, folder: str, shape: tuple[int, ...], *, flip: bool = False) -> None:
        self.folder, self.shape, self.flip = folder, shape, flip


TABLE = {"ring": ring, "wide": partial(ring, radius=3.0), "folder": Folder}


def test_options_reach_their_maker() -> None:
    assert make("data set", "ring", TABLE, {"n_modes": 3}) == ("ring", 3, 1.0)
    assert make("data set", "wide", TABLE, {}) == ("ring", 8, 3.0)


def test_what_the_caller_supplies_goes_where_it_is_taken() -> None:
    made = make("data set", "folder", TABLE, {"folder": "faces"}, shape=(3, 8, 8))
    assert (made.folder, made.shape, made.flip) == ("faces", (3, 8, 8), False)
    assert make("data set", "ring", TABLE, {}, shape=(3, 8, 8)) == ("ring", 8, 1.0)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("rnig", {}, r"unknown data set 'rnig', did you mean 'ring'\? \(valid: ring, wide, folder\)"),
        ("ring", {"modes": 3}, r"data set 'ring' has no option 'modes', did you mean 'n_modes'\?"),
        ("folder", {}, "data set 'folder' needs a value for folder$"),
        (3, {}, "unknown data set 3"),
    ],
)
def test_the_message_says_what_there_is(name: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("data set", name, TABLE, given, shape=(2,))


def test_a_missing_argument_is_named_where_nobody_supplies_it() -> None:
    with pytest.raises(ValueError, match="needs a value for folder, shape"):
        make("data set", "folder", TABLE, {})


def test_reserved_arguments_are_no_options() -> None:
    assert list(options(Folder, reserved={"shape"})) == ["folder", "flip"]
    check_options("folder", {"folder": 1}, options(Folder, reserved={"shape"}))
