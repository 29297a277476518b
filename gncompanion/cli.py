"""The command line: `gncompanion reproduce` and `gncompanion claims`.

click rather than typer: `-p NAME VALUE`, as papermill has it, is an option with two values that may repeat.
"""

import signal
from collections.abc import Sequence
from pathlib import Path

import click

from gncompanion import claims as ledger
from gncompanion import reproduce as running

__all__ = ["app"]


class _Group(click.Group):
    """Commands whose bad input ends in one line and exit code 2, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (ValueError, FileNotFoundError) as error:
            failure = click.ClickException(str(error))
            failure.exit_code = 2
            raise failure from None


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
    values = {name: running.parse_value(value) for name, value in parameters}
    planned = running.plan([*only, *notebooks], parameters=values, full=full)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended politely, it ends its kernels too
    outcomes = running.reproduce(planned, workers=jobs, output=output, in_place=in_place)
    if any(outcome.error for outcome in outcomes.values()):
        raise SystemExit(1)


@app.command()
@click.option("--markdown", is_flag=True, help="The table in README.md.")
def claims(markdown: bool) -> None:
    """Print what the notebooks assert, and what came out."""
    if markdown:
        click.echo(ledger.markdown())
        return
    for notebook, entries in ledger.load_all().items():
        click.echo(notebook)
        for claim in entries:
            click.echo(f"  {claim.verdict:<20} {claim.statement} [{claim.source}]")
