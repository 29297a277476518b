"""The command line: `gncompanion reproduce | claims | train | evaluate | table`.

click rather than typer: `-p NAME VALUE`, as papermill has it, is an option with two values that may repeat.
"""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gncompanion.notebook.plan import parse_value, plan
from gncompanion.tools.extras import complaint

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
@click.option(
    "--middle",
    is_flag=True,
    help="Once for each of notebooks/middle/NN_*.yml: photographs, for hours on two cores.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="How many at a time; 1, with --middle a training for each core.",
)
@click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where figures and claims go, if not figures/."
)
@click.option("--in-place", is_flag=True, help="Also renew the outputs in notebooks/, for maintainers.")
def reproduce(
    notebooks: Sequence[str],
    only: Sequence[str],
    full: bool,
    middle: bool,
    jobs: int | None,
    parameters: Sequence[tuple[str, str]],
    output: Path | None,
    in_place: bool,
) -> None:
    """Run NOTEBOOKS ("04" or "04_theorem5"; all of them by default) and gather their figures and claims."""
    from gncompanion.notebook import reproduce as running

    planned = plan([*only, *notebooks], parameters=_values(parameters), full=full, middle=middle)
    if middle:
        from gncompanion.notebook.trainings import train_first

        if in_place and parameters:
            raise ValueError("in place only without -p: the copies are those of their parameter files")
        train_first(planned, workers=jobs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended politely, it ends its kernels too
    outcomes = running.reproduce(planned, workers=jobs or 1, output=output, in_place=in_place)
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
    from gncompanion.papers.selection import select
    from gncompanion.training import NonFiniteLoss
    from gncompanion.training.distributed import joined
    from gncompanion.training.long_run import LongRun

    if not files:
        raise ValueError("nothing to train: name a row with -f")
    with joined() as share:
        for chosen in select(files, _values(parameters), seeds=seeds, methods=methods):
            if share.rank == 0:
                click.echo(f"{chosen.name}: {chosen.folder}")
            with LongRun(chosen.folder, quiet=share.rank > 0) as watch:
                try:
                    chosen.experiment.run(chosen.folder, watch=watch, keep_every=chosen.protocol.judged_every)
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
    from gncompanion.papers import scoring
    from gncompanion.papers.selection import open_runs, select

    if runs and (files or seeds or methods):
        raise ValueError("name runs' folders or a row, not both; --seed and --method choose from a row")
    if device and not runs:
        raise ValueError("--device is for runs' folders; a row is judged where it was trained")
    if not (runs or files):
        raise ValueError("nothing to judge: name runs' folders, or a row with -f")
    values = _values(parameters)
    chosen = open_runs(runs, values, device=device) if runs else []
    chosen += select(files, values, seeds=seeds, methods=methods)
    for one in chosen:
        if not one.experiment.is_finished(one.folder):
            raise ValueError(f"{one.folder} holds no finished run: gncompanion train goes on with it")
    for one in chosen:
        run = one.experiment.run(one.folder, progress=False)
        found = scoring.judge(run, one.protocol)
        click.echo(f"{one.folder}: {', '.join(f'{column} {value:.4g}' for column, value in found.items())}")
        scoring.keep(run, one.folder, one.protocol, found)


@app.command()
@_ROWS
def table(files: Sequence[Path]) -> None:
    """Print the papers' tables, all rows by default, beside what was judged here."""
    from gncompanion.papers import tables

    click.echo(tables.markdown(tables.entries(files or tables.row_files())))


def _values(parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {name: parse_value(value) for name, value in parameters}
