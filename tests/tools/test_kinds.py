"""Kinds of single values: text is read as what is due, the rest is refused by name, range and example."""

import re
from typing import Any

import pytest
from hypothesis import given

from gncompanion.tools.kinds import Flag, Kind, Maybe, Name, Real, Text, Whole
from tests.helpers.kinds import anything, as_text, refused_or_plain, tries, valid

COUNT, RATE = Whole(1, 32, such_as=3), Real(0.0, 1.0, such_as=2e-4, above=True)
SHARE, NAME = Real(0.0, 1.0, such_as=0.9, below=True), Name("gn", ("gn", "sn"))
JOINED = Name("gn", ("gn", "cr"), joined="+")
KINDS: list[Kind] = [COUNT, RATE, SHARE, NAME, JOINED, Flag(), Text(), Text(numbers=False), Maybe(SHARE)]

every_kind = pytest.mark.parametrize("kind", KINDS, ids=repr)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (COUNT, "8", 8), (COUNT, " +8 ", 8), (RATE, "2e-4", 2e-4), (RATE, "1", 1.0), (RATE, ".5", 0.5),
        (Flag(), "false", False), (Flag(), "True", True), (Flag(), "off", False), (Text(), 8, "8"),
        (Text(), 0.5, "0.5"), (Maybe(SHARE), "None", None), (Maybe(SHARE), "null", None),
        (Maybe(SHARE), "0.5", 0.5), (NAME, "sn", "sn"), (JOINED, "gn+cr", "gn+cr"),
    ],
)  # fmt: skip
def test_text_is_read_as_what_is_due(kind: Kind, text: Any, value: Any) -> None:
    assert kind.take("x", text) == value
    assert type(kind.take("x", text)) is type(value)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (COUNT, "010", "x='010' must be an integer from 1 to 32, such as 3"),
        (COUNT, "1:30", "x='1:30' must be an integer from 1 to 32, such as 3"),
        (COUNT, True, "x=True must be an integer from 1 to 32, such as 3"),
        (COUNT, 2.0, "x=2.0 must be an integer from 1 to 32, such as 3"),
        (RATE, 0, "x=0 must be a number above 0, up to 1, such as 0.0002"),
        (RATE, "inf", "x='inf' must be a number above 0, up to 1, such as 0.0002"),
        (RATE, float("nan"), "x=nan must be a number above 0, up to 1, such as 0.0002"),
        (SHARE, 1, "x=1 must be a number from 0 to below 1, such as 0.9"),
        (Flag(), 1, "x=1 must be True or False, such as True"),
        (Text(), None, "x=None must be a line of text, such as 'small'"),
        (Text(), float("nan"), "x=nan must be a line of text, such as 'small'"),
        (Text(), "a\nb", r"x='a\nb' must be a line of text, such as 'small'"),
        (Text(numbers=False), 19.30, "x=19.3 must be a line of text, such as 'small'"),
        (NAME, "snn", "unknown x 'snn', did you mean 'sn'? (valid: gn, sn)"),
        (NAME, 3, "unknown x 3 (valid: gn, sn)"),
        (JOINED, "gn+", "unknown x '' (valid: gn, cr)"),
        (Maybe(SHARE), 2, "x=2 must be a number from 0 to below 1, or None, such as 0.9"),
    ],
)
def test_the_rest_is_refused_by_name_range_and_example(kind: Kind, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind.take("x", value)


def test_a_number_too_long_for_python_to_print_is_refused_too() -> None:
    with pytest.raises(ValueError, match=r"^x=a value of type int, too long to be shown, must be an integer"):
        COUNT.take("x", 10**5000)


def test_a_name_inside_is_named_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"^09: unknown loss 'x' \(valid: gn, sn\)$"):
        NAME.take("09: loss", "x")


@every_kind
@tries
@given(value=anything)
def test_anything_is_refused_in_one_line_or_plain(kind: Kind, value: Any) -> None:
    refused_or_plain(kind, "x", value)


@every_kind
def test_what_is_valid_is_taken_and_so_is_its_text(kind: Kind) -> None:
    assert kind.allows(kind.such_as)

    @tries
    @given(value=valid(kind))
    def check(value: Any) -> None:
        assert kind.take("x", value) == value
        assert kind.take("x", as_text(value)) == value

    check()
