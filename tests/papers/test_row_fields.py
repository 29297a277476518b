"""What a row's settings may be: every field of a row declared once, and held for whatever a file says."""

from dataclasses import MISSING, fields
from typing import Any

import pytest
from hypothesis import given

from gncompanion.papers.row_fields import FIELDS
from gncompanion.papers.rows import Row, row
from gncompanion.papers.scoring import EvaluationProtocol
from gncompanion.tools.kinds import Kind
from gncompanion.training import Schedule
from tests.helpers.kinds import anything, as_text, refused_or_plain, tries, valid

LEAST = {"methods": {"GN": {"constraint": "gn", "loss": "bce"}}, "seeds": [0]}
DECLARED = {f.name: f for kind in (Row, Schedule, EvaluationProtocol) for f in fields(kind)}

every_field = pytest.mark.parametrize(("name", "kind"), FIELDS.items(), ids=FIELDS)


def test_every_field_is_declared_and_none_besides() -> None:
    assert FIELDS.keys() == DECLARED.keys() - {"schedule", "protocol"}


@every_field
def test_examples_and_defaults_are_valid(name: str, kind: Kind) -> None:
    assert kind.allows(kind.such_as)
    default, factory = DECLARED[name].default, DECLARED[name].default_factory
    if default is not MISSING:
        assert kind.allows(default)
    if factory is not MISSING:
        assert kind.allows(factory())


@every_field
@tries
@given(value=anything)
def test_whatever_is_given_is_refused_in_one_line_or_makes_a_row(name: str, kind: Kind, value: Any) -> None:
    if refused_or_plain(kind, name, value):
        try:
            row({**LEAST, "ema_decay": 0.9, name: value})
        except ValueError as refusal:  # by what two settings say together
            assert "\n" not in str(refusal)


@every_field
def test_what_is_valid_may_also_come_as_text(name: str, kind: Kind) -> None:
    @tries
    @given(value=valid(kind))
    def check(value: Any) -> None:
        assert kind.take(name, value) == value
        assert kind.take(name, as_text(value)) == value

    check()
