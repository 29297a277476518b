"""The command line: `gncompanion reproduce | claims | train | evaluate | table`.

click rather than typer: `-p NAME VALUE`, as papermill has it, is an option with two values that may repeat.
"""

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gncompanion.notebook.plan import parse_value, plan
from gncompanion.tools.extras import complaint

if TYPE_CHECKING:
    from gncompanion.experiment import Experiment
    from gncompanion.papers.rows import Row
    from gncompanion.papers.scoring import Protocol

__all__ = ["app"]


class _BadInput(click.ClickException):
    """One line on standard error, and exit code 2."""

    exit_code = 2


class _Group(click.Group):
    """Commands whose bad input, or a missing package, ends in one line and without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as missing:
            raise _BadInput(complaint(missing)) from None
        except (ValueError, FileNotFoundError) as error:
            raise _BadInput(str(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gncompanion", prog_name="gncompanion")
def app() -> None:
    """Gradient normalization for GANs, run and checked claim by claim."""


@app.command()
@click.argument("notebooks", nargs=-1)
@click.option("--only", multiple=True, metavar="NN", help="NOTEBOOKS in other words: --only 01 02 03.")
@click.option("--full", is_flag=True, help="Once for each of notebooks/full/NN_*.yml: the papers' settings.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="How many at a time.")
@click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where figures and claims go, if not figures/."
)
@click.option("--in-place", is_flag=True, help="Also renew the outputs in notebooks/, for maintainers.")
def reproduce(
    notebooks: Sequence[str],
    only: Sequence[str],
    full: bool,
    jobs: int,
    parameters: Sequence[tuple[str, str]],
    output: Path | None,
    in_place: bool,
) -> None:
    """Run NOTEBOOKS ("04" or "04_theorem5"; all of them by default) and gather their figures and claims."""
    from gncompanion.notebook import reproduce as running

    values = {name: parse_value(value) for name, value in parameters}
    planned = plan([*only, *notebooks], parameters=values, full=full)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended politely, it ends its kernels too
    outcomes = running.reproduce(planned, workers=jobs, output=output, in_place=in_place)
    if any(outcome.error for outcome in outcomes.values()):
        raise SystemExit(1)


@app.command()
@click.option("--markdown", is_flag=True, help="The table in README.md.")
def claims(markdown: bool) -> None:
    """Print what the notebooks assert, and what came out."""
    from gncompanion.notebook import claims as ledger

    if markdown:
        click.echo(ledger.readme_table())
        return
    for notebook, entries in ledger.load_all().items():
        click.echo(notebook)
        for claim in entries:
            click.echo(f"  {claim.verdict:<20} {claim.statement} [{claim.source}]")


_ROWS = click.option(
    "-f", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A row of a table, notebooks/full/NN_*.yml; may repeat.",
)  # fmt: skip
_SET = click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
_SEED = click.option("--seed", "seeds", multiple=True, type=int, help="Only this one of the row's seeds.")
_METHOD = click.option("--method", "methods", multiple=True, help="Only this one of the row's methods.")


@app.command()
@_ROWS
@_SET
@_SEED
@_METHOD
def train(
    files: Sequence[Path],
    parameters: Sequence[tuple[str, str]],
    seeds: Sequence[int],
    methods: Sequence[str],
) -> None:
    """Train the experiments of a row, or go on with them; a signal ends at a checkpoint.

    What the row's metrics need must be here; -p metrics none trains without.

    On several GPUs: torchrun --standalone --nproc_per_node=4 --no-python gncompanion train -f FILE
    """
    from gncompanion.experiment import Stopped
    from gncompanion.training import NonFiniteLoss
    from gncompanion.training.distributed import joined
    from gncompanion.training.long_run import LongRun

    if not files:
        raise ValueError("nothing to train: name a row with -f")
    with joined() as share:
        for name, experiment, _ in list(_experiments(files, parameters, seeds, methods)):
            folder = experiment.folder()
            if share.rank == 0:
                click.echo(f"{name}: {folder}")
            with LongRun(folder, quiet=share.rank > 0) as watch:
                try:
                    experiment.run(folder, watch=watch)
                except Stopped as stopped:
                    click.echo(stopped, err=True)
                    raise SystemExit(128 + (watch.signal or signal.SIGTERM)) from None
                except NonFiniteLoss as broken:
                    raise click.ClickException(str(broken)) from None
            if watch.signal:  # it came with the last step
                raise SystemExit(128 + watch.signal)


@app.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@_ROWS
@_SET
@_SEED
@_METHOD
@click.option("--device", help="Where to open RUNS, such as cpu; by default where they were trained.")
def evaluate(
    runs: Sequence[Path],
    files: Sequence[Path],
    parameters: Sequence[tuple[str, str]],
    seeds: Sequence[int],
    methods: Sequence[str],
    device: str | None,
) -> None:
    """Judge RUNS, finished runs' folders, or those of a row, and keep the scores beside them.

    Without a row, -p metrics classifier, -p n_samples 1000 and the like say how.
    """
    from gncompanion.papers import scoring as evaluation

    if runs and (files or seeds or methods):
        raise ValueError("name runs' folders or a row, not both; --seed and --method choose from a row")
    if device and not runs:
        raise ValueError("--device is for runs' folders; a row is judged where it was trained")
    planned = _runs(runs, parameters, device) if runs else _runs_of_rows(files, parameters, seeds, methods)
    for folder, experiment, _ in planned:
        if not experiment.is_finished(folder):
            raise ValueError(f"{folder} holds no finished run: gncompanion train goes on with it")
    for folder, experiment, protocol in planned:
        run = experiment.run(folder, progress=False)
        found = evaluation.judge(run, protocol)
        click.echo(f"{folder}: {', '.join(f'{column} {value:.4g}' for column, value in found.items())}")
        evaluation.keep(run, folder, protocol, found)


def _runs(
    folders: Sequence[Path], parameters: Sequence[tuple[str, str]], device: str | None
) -> list[tuple[Path, "Experiment", "Protocol"]]:
    from gncompanion.experiment import Experiment
    from gncompanion.papers.scoring import Protocol, require
    from gncompanion.tools.names import require_known

    values = {name: parse_value(value) for name, value in parameters}
    for name in values:
        require_known("unknown setting of a protocol", name, tuple(Protocol.__dataclass_fields__))
    require(protocol := Protocol(**values))
    return [(folder, Experiment.of(folder, device=device), protocol) for folder in folders]


def _runs_of_rows(
    files: Sequence[Path], parameters: Sequence[tuple[str, str]], seeds: Sequence[int], methods: Sequence[str]
) -> list[tuple[Path, "Experiment", "Protocol"]]:
    if not files:
        raise ValueError("nothing to judge: name runs' folders, or a row with -f")
    chosen = _experiments(files, parameters, seeds, methods)
    return [(experiment.folder(), experiment, row.protocol) for _, experiment, row in chosen]


@app.command()
@_ROWS
def table(files: Sequence[Path]) -> None:
    """Print the papers' tables, all rows by default, beside what was judged here."""
    from gncompanion.papers import tables as results

    click.echo(results.markdown(results.entries(files or results.row_files())))


def _experiments(
    files: Sequence[Path], parameters: Sequence[tuple[str, str]], seeds: Sequence[int], methods: Sequence[str]
) -> Iterator[tuple[str, "Experiment", "Row"]]:
    """Make the experiments of all rows, each with a name to print; refuses whatever does not exist."""
    from gncompanion.papers import rows
    from gncompanion.papers import scoring as evaluation
    from gncompanion.tools.names import require_known

    values = {name: parse_value(value) for name, value in parameters}
    for file in files:
        row = rows.read(file, values)
        for seed in seeds:
            require_known(f"{file} has no seed", seed, row.seeds)
        for method in methods:
            require_known(f"{file} has no method", method, row.methods)
        evaluation.require(row.protocol)
        for (method, seed), experiment in row.experiments().items():
            if (not seeds or seed in seeds) and (not methods or method in methods):
                yield f"{file.stem}, {method}, seed {seed}", experiment, row
