"""The ledger: what each notebook asserts, where the claim comes from, and what came out.

A verdict is one of four:

    holds                  seen, within a tolerance that the notebook defends
    fails                  seen to be false: a result, not an embarrassment
    holds if <condition>   with the condition as measured
    needs the full run     not to be decided by the small run

A notebook records its claims, prints `table()`, which holds no measured number, and saves the numbers as
evidence in figures/NN_name.claims.json. The table in docs/claims.md is made from those files.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

from gncompanion.notebook.records import Book, to_json
from gncompanion.tools import paths
from gncompanion.tools.files import write
from gncompanion.tools.markup import read_json, read_yaml

__all__ = ["Claim", "Ledger", "counted", "ledger_table", "load_all", "load_middle"]

_ENDING = ".claims.json"


@dataclass(frozen=True)
class Claim:
    """One statement that a notebook puts to the test.

    Args:
        id: A slug, unique in its notebook.
        statement: One sentence, without measured numbers.
        source: Where it is claimed: paper and equation, theorem or figure.
        verdict: "holds", "fails", "holds if <condition>" or "needs the full run".
        evidence: The measured numbers behind the verdict, by name.

    Raises:
        ValueError: The verdict is none of the four, or a number of the evidence is not finite.
    """

    id: str
    statement: str
    source: str
    verdict: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"holds|fails|needs the full run|holds if \S.*", self.verdict):
            valid = "'holds', 'fails', 'holds if <condition>' or 'needs the full run'"
            raise ValueError(f"claim {self.id!r}: the verdict {self.verdict!r} is none of {valid}")
        try:
            to_json(self.evidence, levels=0)
        except ValueError:
            raise ValueError(
                f"claim {self.id!r}: evidence that is not finite: {dict(self.evidence)}"
            ) from None


class Ledger:
    """The claims of one run of one notebook, in the order in which they were recorded.

    Args:
        book: The notebook; its name and suffix name the file.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._claims: dict[str, Claim] = {}

    def record(
        self, id: str, statement: str, *, source: str, verdict: str, evidence: Mapping[str, Any] | None = None
    ) -> None:
        """Enter a claim; a cell that runs again enters its claim again, in the old place.

        Args:
            id: A slug, unique in the notebook.
            statement: One sentence, without measured numbers.
            source: Where it is claimed: paper and equation, theorem or figure.
            verdict: "holds", "fails", "holds if <condition>" or "needs the full run".
            evidence: The measured numbers behind the verdict, by name.

        Raises:
            ValueError: Another statement has this id, or the claim is not valid (see `Claim`).
        """
        claim = Claim(id, statement, source, verdict, evidence or {})
        if self._claims.get(id, claim).statement != statement:
            raise ValueError(f"claim {id!r} is already entered: {self._claims[id].statement!r}")
        self._claims[id] = claim

    def table(self) -> str:
        """Say in plain text what was claimed and what came out, without the evidence.

        Returns:
            Two or more lines per claim, at most 100 characters wide.
        """
        return "\n".join(
            fill(f"{number}. {claim.statement} [{claim.source}]", width=100, subsequent_indent="   ")
            + "\n"
            + fill(f"→ {claim.verdict}", width=100, initial_indent="   ", subsequent_indent="     ")
            for number, claim in enumerate(self._claims.values(), 1)
        )

    def save(self) -> Path:
        """Write the claims with their evidence into `paths.figures()`; the same claims give the same bytes.

        Returns:
            The file's path: NN_name.claims.json, with the suffix of a run with parameters of its own.

        Raises:
            ValueError: No claim was recorded.
        """
        if not self._claims:
            raise ValueError(f"{self._book.name} has recorded no claim")
        content = {
            "notebook": self._book.name,
            "parameters": self._book.parameters,
            "claims": [asdict(claim) for claim in self._claims.values()],
        }
        path = paths.figures() / f"{self._book.name}{self._book.suffix}{_ENDING}"
        write(path, (to_json(content, levels=3) + "\n").encode())
        return path


def load_all() -> dict[str, list[Claim]]:
    """Read the claims of every notebook's run with default parameters from `paths.figures()`.

    Returns:
        The claims as recorded, by the notebook's name, in the notebooks' order.
    """
    files = [file for file in sorted(paths.figures().glob(f"*{_ENDING}")) if "-" not in file.name]
    return {name: claims for name, _, claims in map(_read, files)}


def load_middle() -> dict[str, list[Claim]]:
    """Read the claims of every run with a parameter file in notebooks/middle/, known by its label.

    Returns:
        The claims as recorded, by the notebook's name, in the notebooks' order; of several runs of a notebook
        the first that has recorded a claim.
    """
    files = sorted((paths.notebooks() / "middle").glob("*.yml"))
    labels = {read_yaml(file)["label"] for file in files}
    found: dict[str, dict[str, Claim]] = {}
    for name, label, claims in map(_read, sorted(paths.figures().glob(f"*-*{_ENDING}"))):
        if label in labels:
            found[name] = {claim.id: claim for claim in claims} | found.get(name, {})
    return {name: list(claims.values()) for name, claims in found.items()}


def ledger_table() -> str:
    """The claims of `load_all` and `load_middle` as the table of docs/claims.md, a column of verdicts each.

    Returns:
        A Markdown table with one row per claim; without the middle column where nothing was run at that
        scale.
    """
    small, middle = load_all(), load_middle()
    columns = [small, middle] if middle else [small]
    lines = []
    for name in sorted(small.keys() | middle.keys()):
        verdicts = [{claim.id: claim.verdict for claim in scale.get(name, [])} for scale in columns]
        statements = {claim.id: claim for scale in columns for claim in scale.get(name, [])}
        for id, claim in statements.items():
            cells = (claim.statement, claim.source, *(verdict.get(id, "–") for verdict in verdicts))
            lines.append(f"| [{name[:2]}](../notebooks/{name}.ipynb) | {' | '.join(map(_cell, cells))} |")
    heads = ["notebook", "claim", "source", "verdict", *(["photographs, middle scale"] if middle else [])]
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *lines])


def counted() -> str:
    """Count the verdicts of `load_all`, for the README and for the head of docs/claims.md.

    Returns:
        One line, such as "9 claims: 4 hold, 2 hold under a condition, 2 fail, 1 need the full run".
    """
    verdicts = [claim.verdict for claims in load_all().values() for claim in claims]
    hold, fail, wait = (verdicts.count(kind) for kind in ("holds", "fails", "needs the full run"))
    conditional = len(verdicts) - hold - fail - wait
    return (
        f"{len(verdicts)} claims: {hold} hold, {conditional} hold under a condition, {fail} fail, "
        f"{wait} need the full run"
    )


def _read(file: Path) -> tuple[str, str | None, list[Claim]]:
    """A ledger's notebook, its run's label and its claims."""
    ledger = read_json(file, remedy="run its notebook again (gncompanion reproduce)")
    claims = [Claim(**claim) for claim in ledger["claims"]]
    return ledger["notebook"], ledger["parameters"].get("label"), claims


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
