"""Files and arguments in YAML or JSON, read as plain values or refused in one line that names the place.

YAML is read as people mean it, not as YAML 1.1 has it: 2e-4 is a number; 010 and 1:30, which would be octal 8
and 90 seconds, stay text, and so does a date; a key that is given twice is refused.
"""

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

__all__ = ["parse_yaml", "read_json", "read_yaml"]

_BOOLEANS = r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"
_FLOATS = r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
_RESOLVED = {  # tag: what is read as it, and the characters that it can begin with
    "null": (r"~|null|Null|NULL|None|", ["~", "n", "N", ""]),
    "bool": (_BOOLEANS, list("yYnNtTfFoO")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (rf"{_FLOATS}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+0123456789.")),
}


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with other numbers, and without repeated keys and aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="write it out, without *", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key, mark = self.construct_object(key_node, deep=True), key_node.start_mark
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be a name", problem_mark=mark)
            if key in first:
                problem = f"{key!r} is given twice, first in line {first[key]}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
            first[key] = mark.line + 1
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in _RESOLVED.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


def parse_yaml(text: str) -> Any:
    """Read a text as YAML.

    >>> parse_yaml("{lr: 2e-4, steps: 010}")
    {'lr': 0.0002, 'steps': '010'}

    Args:
        text: The text.

    Returns:
        Plain values: numbers, text, truth values, None, lists and dictionaries.

    Raises:
        ValueError: It is not YAML, gives a key twice, or refers to another part of itself; names the line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        line = f"line {place.line + 1}: " if place else ""
        raise ValueError(line + " ".join((error.problem or error.context or "").split())) from None
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # a character, a number, a depth beyond reading
        raise ValueError(" ".join(str(error).split())) from None


def read_yaml(file: Path) -> Any:
    """Read a YAML file.

    Args:
        file: The file.

    Returns:
        As `parse_yaml`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not YAML in UTF-8; names the file, and the line.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}")
    try:
        return parse_yaml(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{file} is not YAML: {error}") from None


def read_json(file: Path, *, remedy: str) -> dict[str, Any]:
    """Read a file in which this package keeps a JSON object.

    Args:
        file: The file.
        remedy: What to do when it is damaged, as a whole clause: "judge the run again".

    Returns:
        The object.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else; names the file and the remedy.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({' '.join(str(error).split())}): {remedy}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} is damaged (no JSON object): {remedy}")
    return content
