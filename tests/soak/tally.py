"""What went wrong, counted by kind."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field

WRONGS = ("lost", "hung", "damaged", "orphaned", "left")


@dataclass
class Tally:
    """One row of the table.

    Args:
        kind: What was tried.
    """

    kind: str
    tries: Counter[str] = field(default_factory=Counter)
    wrongs: Counter[str] = field(default_factory=Counter)
    start: float = field(default_factory=time.monotonic)

    def tried(self, what: str) -> None:
        """Count a try, by what was done: the table sums them up."""
        self.tries[what] += 1

    def wrong(self, kind: str, what: str) -> None:
        """Count something that went wrong, and tell what."""
        assert kind in WRONGS
        self.wrongs[kind] += 1
        print(f"{self.kind}: {kind}: {what}", file=sys.stderr, flush=True)

    def check(self, fine: bool, kind: str, what: str) -> None:
        """Count something as wrong unless it is fine."""
        if not fine:
            self.wrong(kind, what)

    def row(self) -> str:
        """A row of the table, and below it what was tried."""
        numbers = " | ".join(str(self.wrongs[kind]) for kind in WRONGS)
        tries = ", ".join(f"{count} {what}" for what, count in sorted(self.tries.items()))
        seconds = time.monotonic() - self.start
        return f"| {self.kind} | {self.tries.total()} | {numbers} | {seconds:.0f} s | {tries} |"

    @staticmethod
    def head() -> str:
        """The table's head."""
        return "\n".join(
            [f"| kind | tries | {' | '.join(WRONGS)} | took | of these |", "|---" * (len(WRONGS) + 4) + "|"]
        )
