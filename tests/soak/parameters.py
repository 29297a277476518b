"""Gives every parameter of every notebook and every field of a row whatever people give, and counts.

    python -m tests.soak.parameters [TRIES]      TRIES a notebook, 150 by default, and a fifth of them a field

For each try the notebook's own cells run, from the one of parameters to the one that checks them, with the
value injected as papermill does; nothing is trained. Each try must be refused in one line, or accepted;
anything else is listed, and the exit code is then 1.
"""

import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gncompanion.notebook.parameters import declared_kinds
from gncompanion.papers import rows
from gncompanion.papers.row_fields import FIELDS
from gncompanion.tools import paths
from gncompanion.tools.kinds import Kind
from gncompanion.tools.refusals import explained
from tests.helpers.cells_that_check import run_checks
from tests.helpers.kinds import anything, as_text, valid

ROW = {"methods": {"GN": {"constraint": "gn", "loss": "bce"}}, "seeds": [0], "ema_decay": 0.9}


def main(tries: int) -> int:
    """Make the tries, and print a table.

    Args:
        tries: How many a notebook.

    Returns:
        The exit code.
    """
    faults: list[str] = []
    print(f"{'':30}{'tries':>8}{'refused':>9}{'accepted':>9}{'neither':>9}{'seconds':>9}")
    total: Counter[str] = Counter()
    for file in sorted(paths.notebooks().glob("[0-9]*.ipynb")):
        start, run = time.monotonic(), run_checks(file)
        counts = soak(declared_kinds(file), run, tries, faults)
        total += counts
        show(file.stem, counts, time.monotonic() - start)
    start = time.monotonic()
    counts = soak(FIELDS, as_row, len(FIELDS) * tries // 5, faults)
    total += counts
    show("fields of a row", counts, time.monotonic() - start)
    show("all", total, 0.0)
    print(*faults, sep="\n")
    return 1 if faults else 0


def as_row(name: str, value: Any) -> rows.Row:
    """Make a row with one field given."""
    return rows.row({**ROW, name: value})


def soak(
    kinds: dict[str, Kind], run: Callable[[str, Any], object], tries: int, faults: list[str]
) -> "Counter[str]":
    """Try values on names, and count how it ended."""
    counts: Counter[str] = Counter()
    given_values = st.sampled_from(sorted(kinds)).flatmap(
        lambda name: st.tuples(st.just(name), anything | valid(kinds[name]) | valid(kinds[name]).map(as_text))
    )

    @settings(
        max_examples=tries, deadline=None, database=None, phases=[Phase.generate], derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(pair=given_values)
    def check(pair: tuple[str, Any]) -> None:
        verdict = outcome(run, *pair)
        counts[verdict.partition(":")[0]] += 1
        if verdict.startswith("neither"):
            faults.append(f"{pair[0]}: {verdict}")

    check()
    return counts


def outcome(run: Callable[[str, Any], object], name: str, value: Any) -> str:
    """Say how one try ended: "refused", "accepted", or "neither: why"."""
    try:
        run(name, value)
    except Exception as fault:
        message = explained(fault)  # as the command line does
        if message is None:
            return f"neither: {type(fault).__name__}: {str(fault)[:200]}"
        return "refused" if len(message) < 1500 else f"neither: the message {message[:200]!r}"
    return "accepted"


def show(name: str, counts: "Counter[str]", seconds: float) -> None:
    """Print a line of the table."""
    numbers = (counts.total(), counts["refused"], counts["accepted"], counts["neither"])
    print(f"{name:30}{''.join(f'{number:9}' for number in numbers)[1:]}{seconds:9.0f}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 150))
