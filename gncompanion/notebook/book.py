"""A notebook's view of itself: its parameters, checked, and the names of the files it leaves behind.

The set-up cell, after the one tagged `parameters`, makes one object that the rest of the notebook uses:

    book = Notebook("04_theorem5", globals())

A value is the committed default, or comes from an edited cell, or from a cell that papermill injects. From
papermill's command line much comes as text, `-p methods '[sn, gn]'`. Each is read and checked as the cell of
parameters declares it, and then stands under its name in the notebook. Of a misspelt name papermill only
warns, and the notebook would run with the defaults; here it is an error.

A run with parameters of its own never overwrites the committed figures: its files bear a suffix,
`04_slug-n_layers=8`.
"""

import hashlib
import json
import re
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gncompanion.notebook import figures
from gncompanion.notebook.claims import Ledger
from gncompanion.notebook.parameters import declared_kinds, declared_parameters, injected_names
from gncompanion.tools import checks, paths
from gncompanion.tools.markup import read_json
from gncompanion.tools.names import require_known
from gncompanion.tools.refusals import explained, require_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = ["BadParameter", "Notebook"]

_LONGEST_SUFFIX = 60


class BadParameter(ValueError):
    """A notebook was given what it cannot run with; a notebook shows the one line, without the calls."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [f"{type(self).__name__}: {self}"]


class Notebook:
    """The run of one notebook: its parameters and the files it leaves behind.

    Making it reads the parameters in the namespace, checks them, and sets the figures' style.

    Args:
        name: The notebook's file name without its ending, "04_theorem5".
        namespace: The notebook's `globals()`, after its parameters cell.

    Attributes:
        name: As given.
        defaults: The committed values of the parameters, by name.
        parameters: Their values in this run.

    Raises:
        BadParameter: There is no such notebook, one of its parameters is missing from the namespace or is not
            what the notebook declares, papermill injected one that the notebook does not have, or figures
            cannot be written.
    """

    def __init__(self, name: str, namespace: MutableMapping[str, Any]) -> None:
        files = {file.stem: file for file in sorted(paths.notebooks().glob("[0-9][0-9]_*.ipynb"))}
        self.name = name
        try:
            require_known("no notebook", name, files)
            self.defaults = declared_parameters(files[name])
            self.parameters = self._read(files[name], namespace)
            require_writable(paths.figures())
        except ValueError as error:
            raise BadParameter(str(error)) from None
        except OSError as error:
            raise BadParameter(explained(error) or str(error)) from None
        namespace.update(self.parameters)
        figures.style()

    def _read(self, file: Path, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters in the notebook's namespace, as it declares them."""
        for injected in injected_names(namespace.get("In", ())):
            require_known(f"{self.name} has no parameter", injected, self.defaults)
        if missing := sorted(self.defaults.keys() - namespace.keys()):
            raise ValueError(f"{self.name}: {', '.join(missing)} not set; run the parameters cell first")
        kinds = declared_kinds(file).items()
        return {name: kind.take(f"{self.name}: {name}", namespace[name]) for name, kind in kinds}

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

    def result(self, program: str) -> dict[str, Any]:
        """Read what one of the programs in benchmarks/ has found, which takes longer than a notebook may.

        Args:
            program: The program's name, "jumps_controls".

        Returns:
            The content of benchmarks/<program>.json.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It holds something else than a JSON object.
        """
        file = paths.root() / "benchmarks" / f"{program}.json"
        return read_json(file, remedy=f"python -m benchmarks.{program} makes it anew")

    def require(self, name: str, condition: bool, *, valid: str) -> Any:
        """Refuse a parameter's value unless a condition holds.

        Args:
            name: The parameter.
            condition: Whether its value will do.
            valid: What would be valid, as it goes on after "must be": "an even integer".

        Returns:
            The value.

        Raises:
            BadParameter: The condition is false; the parameter, its value and what is valid are named.
        """
        try:
            checks.require(f"{self.name}: {name}", self.parameters[name], condition, valid)
        except ValueError as error:
            raise BadParameter(str(error)) from None
        return self.parameters[name]


def _brief(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
