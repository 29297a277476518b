"""What hypothesis tries on a declared kind of value: what is valid, its text, and whatever people give."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from gncompanion.tools.kinds import Flag, Kind, Maybe, Name, Real, Text, Whole
from gncompanion.tools.nested_kinds import Options, Record, Several, Table
from gncompanion.training.devices import Device

__all__ = ["anything", "as_text", "refused_or_plain", "tries", "valid"]

# few, and the same ones each time: the script tests/soak/parameters.py makes many
tries = settings(max_examples=30, deadline=None, derandomize=True, database=None)

ODD = [
    None, True, False, 0, 1, -1, 7, 10**6, 10**30, -(10**30), 10**5000, 0.0, 0.5, 1e-3, 1e300, float("nan"),
    float("inf"), -float("inf"), "", " ", "x", "None", "true", "false", "010", "1:30", "2e-4", "1e1", ".nan",
    ".inf", "inf", "[0]", "[0, 0]", "[0,", "{}", "{a: 1}", "{width: 8}", "[]", "auto", "cpu", "cpu:7", "abc",
    "cuda:99", "digits", "dgits", "gn", "a\nb", "\ud800", "a" * 5000, "[" * 1100, "*x", "&a [*a]", "\x00",
    [], [0], [0, 0], [1, 1.0], [True], [None], [[0]], [float("nan")], ["gn"], ["gn", "gn"], {}, {"a": 1},
    {1: 2}, {"a": float("inf")}, {"a": {"b": [10**30]}}, {"digits": {"network": "dcgan", "widht": 4}}, b"x",
    (0, 1), {0}, 1j, object,
]  # fmt: skip

anything = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)


def valid(kind: Kind) -> st.SearchStrategy[Any]:
    """Values that a kind allows."""
    match kind:
        case Whole():
            return st.integers(kind.low, kind.high)
        case Real():
            inside = st.floats(kind.low, kind.high, exclude_min=kind.above, exclude_max=kind.below)
            return inside.filter(kind.allows)
        case Flag():
            return st.booleans()
        case Name():
            return st.sampled_from(kind.valid)
        case Device():
            return st.sampled_from(["auto", "cpu", "cpu:0"])
        case Text():
            return st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9)
        case Maybe():
            return st.none() | valid(kind.kind)
        case Several():
            size = {"min_size": kind.count or 1, "max_size": kind.count or 4}
            return st.lists(valid(kind.entry), **size, unique_by=None if kind.repeats else repr)
        case Record():
            named = {name: valid(one) for name, one in kind.kinds.items() if name not in kind.optional}
            return st.fixed_dictionaries(named, optional={n: valid(kind.kinds[n]) for n in kind.optional})
        case Table():
            names = valid(kind.names) if kind.names else st.text("abcXYZ", min_size=1, max_size=4)
            return st.dictionaries(names, valid(kind.entry), min_size=kind.least, max_size=2)
        case Options():
            return st.dictionaries(
                st.text("abc", min_size=1, max_size=3), st.integers(0, 9) | st.booleans(), max_size=3
            )
    raise TypeError(kind)


def as_text(value: Any) -> str:
    """A value as a command line gives it."""
    return value if isinstance(value, str) else "None" if value is None else json.dumps(value)


def refused_or_plain(kind: Kind, name: str, value: Any) -> bool:
    """Tell whether a value is accepted; it must be refused in one line, or be plain and stay what it is."""
    try:
        read = kind.take(name, value)
    except ValueError as refusal:
        message = str(refusal)
        assert name in message, message
        assert "\n" not in message and len(message) < 1500, message
        return False
    assert kind.take(name, read) == read
    json.dumps(read, allow_nan=False).encode()
    return True
