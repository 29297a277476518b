"""One message for an unknown name: what was asked for, what was probably meant, and what there is."""

import re
from typing import Any

import pytest

from gncompanion.tools.names import pick, require_known

TABLE: dict[Any, int] = {"ring": 1, "grid": 2, "digits": 3}


def test_a_known_name_gives_its_object() -> None:
    assert [pick("data set", name, TABLE) for name in TABLE] == [1, 2, 3]
    assert pick("size", 32, {8: "small", 32: "large"}) == "large"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("rings", "unknown data set 'rings', did you mean 'ring'? (valid: ring, grid, digits)"),
        ("cifar", "unknown data set 'cifar' (valid: ring, grid, digits)"),
        ("", "unknown data set '' (valid: ring, grid, digits)"),
        (None, "unknown data set None (valid: ring, grid, digits)"),
        (["ring"], "unknown data set ['ring'], did you mean 'ring'? (valid: ring, grid, digits)"),
    ],
)
def test_an_unknown_name_is_refused(key: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pick("data set", key, TABLE)


def test_names_need_not_be_text() -> None:
    with pytest.raises(ValueError, match=r"^unknown size 64 \(valid: 8, 32\)$"):
        pick("size", 64, {8: "small", 32: "large"})
    with pytest.raises(ValueError, match=r"^no such seed 10, did you mean '1'\? \(valid: 0, 1\)$"):
        require_known("no such seed", 10, range(2))


def test_what_is_known_passes() -> None:
    require_known("unknown name", "a", ["a", "b"])
    require_known("unknown name", "a", {"a"})
