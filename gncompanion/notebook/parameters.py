"""A notebook's view of itself: its parameters, checked, and the names of the files it leaves behind.

The set-up cell, after the one tagged `parameters`, makes one object that the rest of the notebook uses:

    book = Notebook("04_theorem5", globals())
    n_layers = book.integer("n_layers", 1, 32)

A value is the committed default, or comes from an edited cell, or from a cell that papermill injects. Of a
misspelt name papermill only warns, and the notebook would run with the defaults; here it is an error. A list
comes from papermill's command line as text, `-p methods '[sn, gn]'`, and is read as a list where one is due.

A run with parameters of its own never overwrites the committed figures: its files bear a suffix,
`04_slug-n_layers=8`.
"""

import ast
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gncompanion.notebook import figures
from gncompanion.notebook.claims import Ledger
from gncompanion.tools import paths
from gncompanion.tools.names import require_known

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = ["Notebook", "declared_parameters"]

_LONGEST_SUFFIX = 60


class Notebook:
    """The run of one notebook: its parameters and the files it leaves behind.

    Making it sets the figures' style.

    Args:
        name: The notebook's file name without its ending, "04_theorem5".
        namespace: The notebook's `globals()`, after its parameters cell.

    Attributes:
        name: As given.
        defaults: The committed values of the parameters, by name.
        parameters: Their values in this run.

    Raises:
        ValueError: There is no such notebook, its parameters are not literals, one is missing from the
            namespace, or papermill injected one that the notebook does not have.
    """

    def __init__(self, name: str, namespace: Mapping[str, Any]) -> None:
        files = {file.stem: file for file in sorted(paths.notebooks().glob("[0-9][0-9]_*.ipynb"))}
        require_known("no notebook", name, files)
        self.name = name
        self.defaults = declared_parameters(files[name])
        for injected in _injected_names(namespace.get("In", ())):
            require_known(f"{name} has no parameter", injected, self.defaults)
        if missing := sorted(self.defaults.keys() - namespace.keys()):
            raise ValueError(f"{name}: {', '.join(missing)} not set; run the parameters cell first")
        self.parameters = {parameter: namespace[parameter] for parameter in self.defaults}
        figures.style()

    @property
    def overrides(self) -> dict[str, Any]:
        """The parameters whose values are not the committed ones."""
        return {key: value for key, value in self.parameters.items() if value != self.defaults[key]}

    @property
    def suffix(self) -> str:
        """What sets this run's files apart: "" for the committed parameters, else "-" and the overrides.

        The parameter `label` replaces the rest where a notebook has one; a long list becomes a digest.
        """
        overrides = self.overrides
        if not overrides:
            return ""
        every = "-".join(f"{key}={_brief(value)}" for key, value in overrides.items())
        text = str(overrides.get("label") or every)
        if len(text) > _LONGEST_SUFFIX or not re.fullmatch(r"[\w.,=+-]+", text):
            text = hashlib.sha256(json.dumps(overrides, sort_keys=True).encode()).hexdigest()[:12]
        return f"-{text}"

    @cached_property
    def claims(self) -> Ledger:
        """The ledger of this run."""
        return Ledger(self)

    def figure_name(self, slug: str) -> str:
        """Name a figure of this run.

        Args:
            slug: What it shows, in lower case: letters, digits and "_".

        Returns:
            The notebook's number, "_", the slug and the run's suffix.
        """
        return f"{self.name[:2]}_{slug}{self.suffix}"

    def save(
        self,
        figure: "Figure",
        slug: str,
        *,
        arrays: "Mapping[str, ArrayLike]",
        seeds: Sequence[int] = (),
        device: str = "cpu",
        data_digest: str | None = None,
    ) -> None:
        """Save a figure of this run: `figures.save`, with the name and the notebook filled in."""
        provenance = {"book": self, "seeds": seeds, "device": device, "data_digest": data_digest}
        figures.save(figure, self.figure_name(slug), arrays=arrays, **provenance)

    def require(self, name: str, condition: bool, *, valid: str) -> Any:
        """Refuse a parameter's value unless a condition holds.

        Args:
            name: The parameter.
            condition: Whether its value will do.
            valid: What would: "an even integer".

        Returns:
            The value.

        Raises:
            ValueError: The condition is false; the parameter, its value and what is valid are named.
        """
        if not condition:
            raise ValueError(f"{self.name}: {name} = {self.parameters[name]!r}; it must be {valid}")
        return self.parameters[name]

    def integer(self, name: str, low: int, high: int) -> int:
        """The value of an integer parameter.

        Args:
            name: The parameter.
            low: The least valid value.
            high: The greatest.

        Raises:
            ValueError: It is no integer, or out of range.
        """
        condition = _is_integer(self.parameters[name], low, high)
        return self.require(name, condition, valid=f"an integer from {low} to {high}")

    def integers(self, name: str, low: int, high: int) -> list[int]:
        """The value of a parameter that lists integers, each once: seeds, sizes.

        Args:
            name: The parameter.
            low: The least valid entry.
            high: The greatest.

        Raises:
            ValueError: It is empty, repeats an entry, or one is no integer or out of range.
        """
        values = self._list(name)
        condition = all(_is_integer(value, low, high) for value in values) and _distinct(values)
        return self.require(name, condition, valid=f"a list of different integers from {low} to {high}")

    def number(self, name: str, low: float, high: float) -> float:
        """The value of a parameter that is a real number.

        Args:
            name: The parameter.
            low: The least valid value.
            high: The greatest.

        Raises:
            ValueError: It is no number, or out of range.
        """
        value = self.parameters[name]
        condition = _is_integer(value, low, high) or (isinstance(value, float) and low <= value <= high)
        return self.require(name, condition, valid=f"a number from {low} to {high}")

    def choice(self, name: str, valid: Collection[str]) -> str:
        """The value of a parameter that is one of some names.

        Args:
            name: The parameter.
            valid: The names.

        Raises:
            ValueError: It is none of them.
        """
        require_known(f"{self.name}: unknown {name}", self.parameters[name], valid)
        return self.parameters[name]

    def choices(self, name: str, valid: Collection[str]) -> list[str]:
        """The value of a parameter that lists some of the valid names, each once.

        Args:
            name: The parameter.
            valid: The names.

        Raises:
            ValueError: It is empty, repeats a name, or has one that is none of them.
        """
        values = self._list(name)
        for value in values:
            require_known(f"{self.name}: unknown entry of {name}", value, valid)
        return self.require(name, _distinct(values), valid=f"different names out of {', '.join(valid)}")

    def _list(self, name: str) -> list[Any]:
        """A list as it is; text, as papermill's -p passes it, is read as "[a, b]", "a, b" or "a"."""
        value = self.parameters[name]
        if isinstance(value, str):
            import yaml

            with suppress(yaml.YAMLError):  # what cannot be read stays text, and is no valid entry
                value = yaml.safe_load(value if value.lstrip().startswith("[") else f"[{value}]")
        self.parameters[name] = list(value) if isinstance(value, list | tuple) else [value]
        return self.parameters[name]


def declared_parameters(notebook: Path) -> dict[str, Any]:
    """Read a notebook's parameters: the assignments in its cell tagged `parameters`.

    Args:
        notebook: The .ipynb file.

    Returns:
        The defaults by name, in the cell's order.

    Raises:
        ValueError: Not exactly one cell has the tag, or it holds more than assignments of literals.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    if len(tagged) != 1:
        raise ValueError(f"{notebook.name} has {len(tagged)} cells tagged 'parameters' instead of one")
    try:
        return {name: ast.literal_eval(value) for name, value in _assignments(tagged[0])}
    except ValueError:
        raise ValueError(f"{notebook.name}: the parameters cell may only assign literals to names") from None


def _assignments(source: str) -> Iterator[tuple[str, ast.expr]]:
    for statement in ast.parse(source).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                yield name, value
            case _:
                raise ValueError(ast.unparse(statement))


def _injected_names(history: Iterable[str]) -> list[str]:
    """The names that papermill has set, from IPython's history: its cell begins with this comment."""
    cells = [cell for cell in history if cell.startswith("# Parameters\n")]
    return [name for cell in cells for name, _ in _assignments(cell)]


def _is_integer(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _distinct(values: Sequence[Any]) -> bool:
    return bool(values) and all(value not in values[:index] for index, value in enumerate(values))


def _brief(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
