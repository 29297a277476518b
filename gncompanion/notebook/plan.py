"""What to run: notebooks, each with its parameters, and every name and value checked beforehand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gncompanion.notebook.parameters import declared_kinds
from gncompanion.tools import paths
from gncompanion.tools.markup import read_yaml
from gncompanion.tools.names import require_known

__all__ = ["Job", "plan"]

_SCALES = ("small", "middle", "full")


@dataclass(frozen=True)
class Job:
    """One notebook to run with one set of parameters.

    Args:
        name: Name of the run: the notebook's, or that of its parameter file.
        notebook: The .ipynb file.
        parameters: Values that papermill injects; empty for the committed defaults.
        scale: "small", or the folder of the parameter file in notebooks/: "middle", "full".
    """

    name: str
    notebook: Path
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    scale: str = "small"

    @property
    def lasts(self) -> bool:
        """Whether its trainings take hours, and go on where they stopped."""
        return self.scale != "small"

    @property
    def executed(self) -> Path:
        """Where the executed notebook goes."""
        return paths.scratch() / "notebooks" / f"{self.name}.ipynb"

    @property
    def staging(self) -> Path:
        """Where its figures and claims wait until it has succeeded."""
        return paths.scratch() / "figures" / self.name

    @property
    def runs(self) -> Path:
        """Where its training runs go."""
        return paths.runs() if self.lasts else paths.scratch() / "runs" / self.name


def plan(
    only: Sequence[str] = (),
    *,
    parameters: Mapping[str, Any] | None = None,
    full: bool = False,
    middle: bool = False,
) -> list[Job]:
    """Choose what to run, and refuse every unknown notebook or parameter, and every bad value.

    Args:
        only: Notebooks by number or name, "04" or "04_theorem5"; all of them by default.
        parameters: Values by name, each for the notebooks that declare it; text, as from a command line, is
            read as each of them declares the parameter.
        full: Run each notebook once for each of its parameter files notebooks/full/NN_*.yml, not once with
            its defaults.
        middle: The same with notebooks/middle/NN_*.yml.

    Returns:
        The jobs, in the notebooks' order.

    Raises:
        ValueError: A notebook or a parameter does not exist, a value is not what its notebook declares, there
            is nothing to run, or two scales are chosen.
    """
    if full and middle:
        raise ValueError("choose one scale: full or middle")
    scale = _SCALES[middle + 2 * full]
    declared = {notebook: declared_kinds(notebook) for notebook in _chosen(only)}
    for name in parameters or {}:
        require_known("none of the notebooks has a parameter", name, sorted(set().union(*declared.values())))
    jobs = []
    for notebook, valid in declared.items():
        shared = {name: value for name, value in (parameters or {}).items() if name in valid}
        for run, settings in _settings(notebook, scale):
            for name in settings:
                require_known(f"{run}: {notebook.stem} has no parameter", name, valid)
            given = {**settings, **shared}
            values = {name: valid[name].take(f"{run}: {name}", value) for name, value in given.items()}
            jobs.append(Job(run, notebook, values, scale))
    if not jobs:
        raise ValueError(f"no notebooks/{scale}/NN_*.yml for {', '.join(file.stem for file in declared)}")
    return jobs


def _chosen(only: Sequence[str]) -> list[Path]:
    notebooks = sorted(paths.notebooks().glob("[0-9][0-9]_*.ipynb"))
    by_name = {key: file for file in notebooks for key in (file.stem[:2], file.stem)}
    for name in only:
        require_known("no notebook", name, by_name)
    chosen = {by_name[name] for name in only} if only else set(notebooks)
    if not chosen:
        raise ValueError("there are no notebooks yet")
    return sorted(chosen)


def _settings(notebook: Path, scale: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the parameters of each run of a notebook."""
    if scale == "small":
        yield notebook.stem, {}
        return
    for file in sorted((notebook.parent / scale).glob(f"{notebook.stem[:2]}_*.yml")):
        if "_twin-" in file.stem:  # a training that another file's notebook reads
            continue
        settings = read_yaml(file)
        if not isinstance(settings, Mapping):
            raise ValueError(f"{file} must hold a mapping of names to values")
        yield file.stem, dict(settings)
