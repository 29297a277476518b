"""`gncompanion`, and `python -m gncompanion`: the command line, or one line that says what it lacks."""

import sys

from gncompanion.tools.extras import complaint

__all__ = ["main"]


def main() -> None:
    """Run the command line; exit code 2 where a package that it needs is not installed."""
    try:
        from gncompanion.cli import app
    except ModuleNotFoundError as missing:
        print(f"Error: {complaint(missing)}", file=sys.stderr)
        raise SystemExit(2) from None
    app(prog_name="gncompanion")


if __name__ == "__main__":
    main()
