"""The command line: `gncompanion reproduce | claims | train | evaluate | table | check`.

click rather than typer: `-p NAME VALUE`, as papermill has it, is an option with two values that may repeat.
"""

import json
import signal
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from gncompanion.notebook.plan import plan
from gncompanion.tools import paths
from gncompanion.tools.refusals import explained, require_writable

__all__ = ["app"]


class _BadInput(click.ClickException):
    """One line on standard error, and exit code 2."""

    exit_code = 2


class _Group(click.Group):
    """Commands for which what can be foreseen to go wrong ends in one line; --traceback shows the rest."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            line = explained(error)
            if line is None:
                raise
            if ctx.params["traceback"]:
                traceback.print_exc()
            raise _BadInput(line) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gncompanion", prog_name="gncompanion")
@click.option("--traceback", is_flag=True, help="Where a command is refused, also show the calls.")
def app(traceback: bool) -> None:
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
    for folder in (output or paths.figures(), paths.scratch()):
        require_writable(folder)
    if middle:
        from gncompanion.notebook.trainings import train_first

        if in_place and parameters:
            raise ValueError("in place only without -p: the copies are those of their parameter files")
        train_first(planned, workers=jobs)
    outcomes = running.reproduce(planned, workers=jobs or 1, output=output, in_place=in_place)
    if any(outcome.error for outcome in outcomes.values()):
        raise SystemExit(1)


@app.command()
@click.option("--markdown", is_flag=True, help="The table in docs/claims.md.")
def claims(markdown: bool) -> None:
    """Print what the notebooks assert, and what came out."""
    from gncompanion.notebook import claims as ledger

    if markdown:
        click.echo(ledger.ledger_table())
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
    require_writable(paths.runs())
    with joined() as share:
        waiting = select(files, _values(parameters), seeds=seeds, methods=methods)
        while waiting:
            chosen = waiting.pop(0)  # and with it, what it holds of the data
            if share.rank == 0:
                click.echo(f"{chosen.name}: {chosen.folder}")
            with LongRun(chosen.folder, quiet=share.rank > 0) as watch:
                try:
                    chosen.experiment.run(chosen.folder, watch=watch, keep_every=chosen.protocol.judged_every)
                except Stopped as stopped:
                    with suppress(OSError):  # the terminal may be what has ended
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

    Without a row, -p metrics classifier, -p n_samples 1000 and the like say how. With judged_every, the
    checkpoints on the way are judged too, and the best of them is kept beside the last.
    """
    from gncompanion.papers import curves, scoring
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
        run = one.experiment.run(one.folder, progress=False, train=False)
        best = None
        if one.protocol.judged_every is None:
            found = scoring.judge(run, one.protocol)
        else:
            all_scores = curves.scores_over_steps(one.experiment, one.protocol, one.folder)
            found, best = all_scores[one.experiment.schedule.steps], curves.best(all_scores)
        click.echo(f"{one.folder}: {_listed(found)}")
        if best:
            click.echo(
                f"  best by {best['chosen_by']}, after {best['step']} steps: {_listed(best['scores'])}"
            )
        scoring.keep(run, one.folder, one.protocol, found, best=best)


@app.command()
@_ROWS
@_SET
def table(files: Sequence[Path], parameters: Sequence[tuple[str, str]]) -> None:
    """Print the papers' tables, all rows by default, beside what was judged here."""
    from gncompanion.papers import tables

    click.echo(tables.markdown(tables.entries(files or tables.row_files(), _values(parameters))))


@app.command()
@click.argument("critic", metavar="MODULE:NAME")
@click.option("--shape", required=True, metavar="3,32,32", help="The shape of one sample.")
@click.option("--batch", type=int, default=8, show_default=True, help="How many samples.")
@click.option("--labels", type=int, metavar="N", help="Labels of N classes become the critic's second input.")
@click.option("--aux", is_flag=True, help="It returns (value, anything else), not its value alone.")
@click.option("--value", metavar="NAME", help="It returns a dictionary, with its value under this name.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An argument; may repeat.")
@click.option("--device", default="cpu", show_default=True, help="Where to check, such as cuda.")
@click.option("--seconds", is_flag=True, help="Also time the steps.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def check(
    critic: str,
    shape: str,
    options: Sequence[str],
    as_json: bool,
    aux: bool,
    value: str | None,
    **settings: Any,
) -> None:
    """Check a critic of yours: method, error, cost, coupling, state, remedies.

    MODULE:NAME is my_module:MyCritic or path/to/file.py:MyCritic: a class, a factory or an instance. Exit
    code 0 where its gradient is right, 1 where it is not, 2 where it cannot be checked.
    """
    from gncompanion.check.command import check_named
    from gncompanion.tools.markup import parse_yaml

    has_aux = aux if value is None else value
    report = check_named(critic, shape, options, parse=parse_yaml, has_aux=has_aux, **settings)
    click.echo(json.dumps(report.as_dict(), indent=1) if as_json else report)
    if not report.right:
        raise SystemExit(1)


def _listed(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{column} {value:.4g}" for column, value in scores.items())


def _values(parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The values by name, as text; which kind is due, what they are for declares."""
    names = [name for name, _ in parameters]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"-p {twice[0]} is given {names.count(twice[0])} times: give it once")
    return dict(parameters)
