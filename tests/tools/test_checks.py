"""The checks of numbers and truth values: what passes comes back as it was, the rest is named."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from gncompanion.tools import checks

NUMBERS = [0, 1, -1, 0.0, 0.5, 1.0, 1.5, -0.5, 10**30, math.inf, -math.inf, math.nan]
NO_NUMBERS = [True, False, None, "1", "0.5", [1], {}, 1j]
VALID: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "whole": (checks.whole, [1, 10**30]),
    "positive": (checks.positive, [1, 0.5, 1.0, 1.5, 10**30]),
    "non_negative": (checks.non_negative, [0, 1, 0.0, 0.5, 1.0, 1.5, 10**30]),
    "share": (checks.share, [0, 0.0, 0.5]),
    "flag": (checks.flag, [True, False]),
}


@pytest.mark.parametrize("value", [*NUMBERS, *NO_NUMBERS], ids=repr)
@pytest.mark.parametrize("name", VALID)
def test_what_is_valid_comes_back_and_the_rest_is_named(name: str, value: Any) -> None:
    check, valid = VALID[name]
    if any(type(value) is type(good) and value == good for good in valid):
        assert check("width", value) is value
    else:
        with pytest.raises(ValueError, match=r"^width=.+ must be ") as refusal:
            check("width", value)
        assert repr(value) in str(refusal.value)


def test_a_whole_number_has_its_range() -> None:
    assert checks.whole("n_layers", 0, low=0, high=32) == 0
    with pytest.raises(ValueError, match="n_layers=33 must be an integer from 0 to 32"):
        checks.whole("n_layers", 33, low=0, high=32)


def test_a_positive_number_has_an_example() -> None:
    with pytest.raises(ValueError, match=r"rate=0 must be a positive, finite number, such as 0\.0002"):
        checks.positive("rate", 0, such_as=2e-4)
