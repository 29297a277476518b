"""`python -m gncompanion` is `gncompanion`."""

from gncompanion.cli import app

app(prog_name="gncompanion")
