"""YAML as people mean it, and files that are damaged, named."""

import math
from pathlib import Path
from typing import Any

import pytest

from gncompanion.tools.markup import parse_yaml, read_json, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4), ("1e1", 10.0), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("-3", -3), ("0", 0),
        ("010", "010"), ("1:30", "1:30"), ("0x10", "0x10"), ("1_000", "1_000"), ("2024-01-01", "2024-01-01"),
        ("none", "none"), ("None", None), ("null", None), ("", None), ("true", True), ("no", False),
        ("[sn, gn]", ["sn", "gn"]), ("{a: {b: 2e-4}}", {"a": {"b": 2e-4}}), ("'8'", "8"),
        ("cuda:0", "cuda:0"), (".inf", math.inf), ("a b", "a b"),
    ],
)  # fmt: skip
def test_is_read_as_people_mean_it(text: str, value: Any) -> None:
    assert parse_yaml(text) == value
    assert type(parse_yaml(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "^line 3: 'a' is given twice, first in line 1$"),
        ("x: {a: 1, a: 1}", "^line 1: 'a' is given twice, first in line 1$"),
        ("? [1]\n: 2", "^line 1: a key must be a name$"),
        ("a: &x 3\nb: *x", r"^line 2: write it out, without \*$"),
        ("[", "^line 1: expected the node content"),
        ("!!python/object:os.system x", "^line 1: could not determine a constructor"),
        ("[" * 1100, "recursion"),
        ("9" * 5000, "Exceeds the limit"),
        ("a: \x00", "unacceptable character"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        parse_yaml(text)
    assert "\n" not in str(refused.value)


def test_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "row.yml"
    for content, message in (
        (b"\xff\xfe", r"row\.yml is not UTF-8 \(byte 0\)"),
        (b"a: [", r"row\.yml is not Y"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_yaml(file)
    file.write_bytes(b"\xef\xbb\xbfsteps: 3\n")  # as some editors begin a file
    assert read_yaml(file) == {"steps": 3}
    with pytest.raises(FileNotFoundError, match="no file "):
        read_yaml(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"a": 1}}', b"[" * 100_000])
def test_damaged_json_is_named_with_the_remedy(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"scores\.json is damaged \(.*\): judge it again$") as refused:
        read_json(file, remedy="judge it again")
    assert "\n" not in str(refused.value)
    file.write_text('{"a": 1}')
    assert read_json(file, remedy="") == {"a": 1}
