"""Kinds with others inside: lists and mappings, also from text; what is wrong is named with its place."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from gncompanion.tools.kinds import Kind, Name, Real, Text, Whole
from gncompanion.tools.nested_kinds import Options, Record, Several, Table
from tests.helpers.kinds import anything, as_text, refused_or_plain, tries, valid

SEEDS = Several(Whole(0, 99, such_as=0), such_as=[0, 1])
BETAS = Several(Real(0.0, 1.0, such_as=0.9, below=True), [0.0, 0.9], repeats=True, count=2, lone=False)
NAMES = Several(Name("gn", ("gn", "sn")), such_as=["gn"])
GAME = Record({"width": 4}, {"width": Whole(1, 64, such_as=4), "options": Options()}, optional=("options",))
GAMES, PRINTED = (
    Table({"a": {"width": 4}}, GAME),
    Table({"FID": "21.7"}, Text("21.7", numbers=False), least=0),
)
KINDS: list[Kind] = [SEEDS, BETAS, NAMES, GAME, GAMES, PRINTED, Options()]

every_kind = pytest.mark.parametrize("kind", KINDS, ids=repr)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (SEEDS, "[0, 1]", [0, 1]), (SEEDS, "0, 1", [0, 1]), (SEEDS, 7, [7]), (SEEDS, "7", [7]),
        (SEEDS, (0, 1), [0, 1]), (SEEDS, ["0", 1], [0, 1]), (BETAS, "[0,0]", [0, 0]), (NAMES, "sn", ["sn"]),
        (BETAS, ["1e-1", 0.9], [0.1, 0.9]), (Options(), "{width: 8}", {"width": 8}), (Options(), "{}", {}),
        (Options(), {"radius": "1e1"}, {"radius": 10.0}), (Options(), "{radius: 1e1}", {"radius": 10.0}),
        (Options(), {"folder": Path("a/b")}, {"folder": "a/b"}), (GAME, "{width: 8}", {"width": 8}),
        (GAMES, "{a: {width: '8'}}", {"a": {"width": 8}}), (PRINTED, "{FID: '19.30'}", {"FID": "19.30"}),
    ],
)  # fmt: skip
def test_text_is_read_as_what_is_due(kind: Kind, given: Any, value: Any) -> None:
    assert kind.take("x", given) == value


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (SEEDS, "[0, 0]", "x='[0, 0]' must be a list of different integers from 0 to 99, such as [0, 1]"),
        (SEEDS, "[0,", "x='[0,' must be a list of different integers from 0 to 99, such as [0, 1]"),
        (SEEDS, [], "x=[] must be a list of different integers from 0 to 99, such as [0, 1]"),
        (SEEDS, {}, "x={} must be a list of different integers from 0 to 99, such as [0, 1]"),
        (SEEDS, [10**30], f"x=[{10**30}] must be a list of different integers from 0 to 99, such as [0, 1]"),
        (BETAS, 0.9, "x=0.9 must be a list of 2 numbers from 0 to below 1, such as [0.0, 0.9]"),
        (BETAS, [0.9], "x=[0.9] must be a list of 2 numbers from 0 to below 1, such as [0.0, 0.9]"),
        (NAMES, ["gnn"], "unknown entry of x 'gnn', did you mean 'gn'? (valid: gn, sn)"),
        (
            NAMES,
            ["gn", "gn"],
            f"x={['gn'] * 2} must be a list of different names out of gn, sn, such as ['gn']",
        ),
        (Options(), "width", "x='width' must be a mapping of names to values, such as {'width': 8}"),
        (Options(), {1: 2}, "x: the name=1 must be text: put it into quotation marks"),
        (Options(), {"a": {"b": float("nan")}}, "x: a.b=nan must be finite, such as 1.0"),
        (
            Options(),
            {"a": [1, 10**30]},
            f"x: a[1]={10**30} must be an integer of less than 64 bits, such as 8",
        ),
        (Options(), {"a": {0}}, "x: a={0} must be a number, text, a truth value, None, or a list of them"),
        (GAME, {"widht": 4}, "x has no setting 'widht', did you mean 'width'? (valid: width, options)"),
        (GAME, {}, "x={} needs a value for width, such as {'width': 4}"),
        (GAMES, {"a": {"width": 0}}, "x: a: width=0 must be an integer from 1 to 64, such as 4"),
        (GAMES, {7: {"width": 1}}, "x: the name=7 must be text: put it into quotation marks"),
        (PRINTED, {"FID": 19.3}, "x: FID=19.3 must be a line of text, such as '21.7'"),
    ],
)
def test_the_rest_is_refused_with_its_place(kind: Kind, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind.take("x", value)


def test_a_mapping_has_entries_and_a_list_inside_itself_an_end() -> None:
    with pytest.raises(ValueError, match=r"^x=\{\} must be a mapping of names .*, not empty, such as"):
        GAMES.take("x", {})
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(ValueError, match="must not be nested more than 20 times"):
        Options().check("x", endless)


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
