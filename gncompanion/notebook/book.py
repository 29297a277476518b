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

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gncompanion.notebook import figures
from gncompanion.notebook.claims import Ledger
from gncompanion.notebook.parameters import declared_parameters, injected_names
from gncompanion.tools import checks, paths
from gncompanion.tools.names import require_known

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = ["Notebook"]

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
        for injected in injected_names(namespace.get("In", ())):
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
        """Save a figure of this run: `figures.save`, with the name and the notebook filled in.

        Args:
            figure: The figure to draw.
            slug: What it shows, as in `figure_name`.
            arrays: The plotted arrays, by name.
            seeds: Seeds of the runs behind the figure.
            device: Device on which they ran, as torch names it.
            data_digest: Digest of the data set that they saw.
        """
        figures.save(
            figure,
            self.figure_name(slug),
            book=self,
            arrays=arrays,
            seeds=seeds,
            device=device,
            data_digest=data_digest,
        )

    def require(self, name: str, condition: bool, *, valid: str) -> Any:
        """Refuse a parameter's value unless a condition holds.

        Args:
            name: The parameter.
            condition: Whether its value will do.
            valid: What would be valid, as it goes on after "must be": "an even integer".

        Returns:
            The value.

        Raises:
            ValueError: The condition is false; the parameter, its value and what is valid are named.
        """
        checks.require(f"{self.name}: {name}", self.parameters[name], condition, valid)
        return self.parameters[name]

    def integer(self, name: str, low: int, high: int) -> int:
        """Check an integer parameter.

        Args:
            name: The parameter.
            low: The least valid value.
            high: The greatest valid value.

        Returns:
            The value.

        Raises:
            ValueError: It is no integer, or out of range.
        """
        return checks.whole(f"{self.name}: {name}", self.parameters[name], low=low, high=high)

    def integers(self, name: str, low: int, high: int) -> list[int]:
        """Check a parameter that lists integers, each once: seeds, sizes.

        Args:
            name: The parameter.
            low: The least valid entry.
            high: The greatest valid entry.

        Returns:
            The list.

        Raises:
            ValueError: It is empty, repeats an entry, or one is no integer or out of range.
        """
        values = self._list(name)
        condition = _distinct(values) and all(type(value) is int and low <= value <= high for value in values)
        self.require(name, condition, valid=f"a list of different integers from {low} to {high}")
        return values

    def number(self, name: str, low: float, high: float) -> float:
        """Check a parameter that is a real number.

        Args:
            name: The parameter.
            low: The least valid value.
            high: The greatest valid value.

        Returns:
            The value.

        Raises:
            ValueError: It is no number, or out of range.
        """
        value = self.parameters[name]
        condition = checks.is_number(value) and low <= value <= high
        number: float = self.require(name, condition, valid=f"a number from {low} to {high}")
        return number

    def choice(self, name: str, valid: Collection[str]) -> str:
        """Check a parameter that is one of some names.

        Args:
            name: The parameter.
            valid: The valid names.

        Returns:
            The value.

        Raises:
            ValueError: It is none of them.
        """
        value: str = self.parameters[name]
        require_known(f"{self.name}: unknown {name}", value, valid)
        return value

    def choices(self, name: str, valid: Collection[str]) -> list[str]:
        """Check a parameter that lists some of the valid names, each once.

        Args:
            name: The parameter.
            valid: The valid names.

        Returns:
            The list.

        Raises:
            ValueError: It is empty, repeats a name, or has one that is none of them.
        """
        values = self._list(name)
        for value in values:
            require_known(f"{self.name}: unknown entry of {name}", value, valid)
        self.require(name, _distinct(values), valid=f"different names out of {', '.join(valid)}")
        return values

    def _list(self, name: str) -> list[Any]:
        """A list as it is; text, as papermill's -p passes it, is read as "[a, b]", "a, b" or "a"."""
        value = self.parameters[name]
        if isinstance(value, str):
            import yaml

            with suppress(yaml.YAMLError):  # what cannot be read stays text, and is no valid entry
                value = yaml.safe_load(value if value.lstrip().startswith("[") else f"[{value}]")
        values = list(value) if isinstance(value, list | tuple) else [value]
        self.parameters[name] = values
        return values


def _distinct(values: Sequence[Any]) -> bool:
    return bool(values) and all(value not in values[:index] for index, value in enumerate(values))


def _brief(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
