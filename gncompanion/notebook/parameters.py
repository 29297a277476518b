"""A notebook's parameters: its cell tagged `parameters`, which declares each of them in one line.

    steps: int = 500  # of the critic and of the generator, in turn; in [1, 10**6]

A line gives the name, the kind, the default, which is the example in messages, and at the end of its comment
what is valid. `papermill --help-notebook` prints it; what the notebook is given is read and checked by it:

    in [1, 10**6]        a number of this interval; ( and ) leave an end out
    in {ring, grid}      one of these names
    each in …            a list of them, each once; where one may come twice, all in …, or two in … for a pair

Without such an ending text is a line of text, True or False a truth value (with the default None, a truth
value or None), and a dict a mapping of options; what `shared_kinds` names is what it says there.
"""

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gncompanion.notebook.shared_kinds import shared_kind
from gncompanion.tools.kinds import Flag, Kind, Maybe, Name, Real, Text, Whole
from gncompanion.tools.nested_kinds import Options, Several

__all__ = ["declared_kinds", "declared_parameters", "injected_names"]

_VALID = re.compile(r"(?:^|[;,] )(?P<several>each |all |two |)in (?P<valid>[\[({].*[\])}])$")
_INTERVAL = re.compile(r"(?P<opening>[\[(])(?P<low>[^,]+), *(?P<high>[^,]+)(?P<closing>[\])])")


@dataclass(frozen=True)
class _Line:
    name: str
    annotation: str
    default: Any
    comments: tuple[str, ...]


def declared_parameters(notebook: Path) -> dict[str, Any]:
    """Read a notebook's parameters and their committed values.

    Args:
        notebook: The .ipynb file.

    Returns:
        The defaults by name, in the cell's order.

    Raises:
        ValueError: Not exactly one cell has the tag, or it holds more than assignments of literals.
    """
    return {line.name: line.default for line in _lines(notebook)}


def declared_kinds(notebook: Path) -> dict[str, Kind]:
    """Read what a notebook's parameters may be.

    Args:
        notebook: The .ipynb file.

    Returns:
        The kinds by name, in the cell's order.

    Raises:
        ValueError: As `declared_parameters`, or what is valid of a parameter cannot be read.
    """
    return {line.name: _kind(notebook.stem, line) for line in _lines(notebook)}


def injected_names(history: Iterable[str]) -> list[str]:
    """Tell which parameters papermill has set.

    Args:
        history: The text of the cells that have run, as IPython's `In` holds it.

    Returns:
        The names that papermill's own cell assigns; it begins with the comment "# Parameters".
    """
    cells = [cell for cell in history if cell.startswith("# Parameters\n")]
    return [name for cell in cells for name, *_ in _assignments(cell)]


def _lines(notebook: Path) -> list[_Line]:
    source = _tagged_cell(notebook)
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    try:
        return [
            _Line(name, annotation, ast.literal_eval(value), _within(comments, statement))
            for name, annotation, value, statement in _assignments(source)
        ]
    except ValueError:
        raise ValueError(f"{notebook.name}: the parameters cell may only assign literals to names") from None


def _tagged_cell(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    if len(tagged) != 1:
        raise ValueError(f"{notebook.name} has {len(tagged)} cells tagged 'parameters' instead of one")
    return tagged[0]


def _within(comments: dict[int, str], statement: ast.stmt) -> tuple[str, ...]:
    numbers = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    return tuple(comments[number] for number in numbers if number in comments)


def _assignments(source: str) -> Iterator[tuple[str, str, ast.expr, ast.stmt]]:
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, "", value, statement
            case ast.AnnAssign(target=ast.Name(id=name), annotation=hint, value=ast.expr() as value):
                yield name, ast.unparse(hint), value, statement
            case _:
                raise ValueError(ast.unparse(statement))


def _kind(notebook: str, line: _Line) -> Kind:
    """What a line of the cell says that its parameter may be."""
    endings = [found for comment in line.comments if (found := _VALID.search(comment))]
    if not endings:
        return shared_kind(line.name, line.default) or _plain_kind(line)
    ending, default = endings[-1], line.default
    several = ending["several"].strip()
    example = default[0] if isinstance(default, list) else default
    try:
        kind = _entry_kind(ending["valid"], example, whole="int" in line.annotation)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{notebook}: {line.name}: {ending[0]!r} is not understood: {error}") from None
    if several:
        return Several(
            kind, such_as=default, repeats=several != "each", count=2 if several == "two" else None
        )
    return Maybe(kind) if default is None else kind


def _entry_kind(valid: str, example: Any, *, whole: bool) -> Kind:
    if valid.startswith("{"):
        names = tuple(name.strip() for name in valid[1:-1].split(","))
        return Name(example, names)
    interval = _INTERVAL.fullmatch(valid)
    if interval is None:
        raise ValueError("an interval has two ends")
    low, high = (_number(ast.parse(interval[end].strip(), mode="eval").body) for end in ("low", "high"))
    if whole:
        return Whole(int(low), int(high), such_as=example)
    above, below = interval["opening"] == "(", interval["closing"] == ")"
    return Real(low, high, such_as=low if example is None else example, above=above, below=below)


def _number(expression: ast.expr) -> float:
    match expression:
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return float(_number(base) ** _number(exponent))
        case _:
            return float(ast.literal_eval(expression))


def _plain_kind(line: _Line) -> Kind:
    match line.default:
        case bool():
            return Flag(such_as=line.default)
        case None if line.annotation == "bool":
            return Maybe(Flag())
        case str():
            return Text(such_as=line.default or "small")
        case dict():
            return Options(such_as=line.default or {"width": 8})
        case [first, *_]:
            entry = _plain_kind(_Line(line.name, line.annotation, first, ()))
            return Several(entry, such_as=line.default)
        case int():
            return Whole(-(2**31), 2**31, such_as=line.default)
        case _:
            return Real(-1e300, 1e300, such_as=0.0 if line.default is None else line.default)
