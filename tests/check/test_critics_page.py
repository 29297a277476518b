"""docs/critics.md is what its script writes: each critic, its method, its coupling and what is in the way."""

import pytest

from benchmarks.public_critics import CRITICS, HEAD, PAGE, Row, cells, checked

TEXT = PAGE.read_text(encoding="utf-8")
LINES = {text.split(" | ")[0].removeprefix("| "): text for text in TEXT.removeprefix(HEAD).splitlines()}
COLUMNS = ("critic", "source", "method", "error", "twice", "auto", "coupling", "reason")
LARGE = {"GN-GAN, CNN", "GN-GAN, ResNet", "BigGAN", "AutoGAN, E²GAN"}


def test_the_page_has_each_critic() -> None:
    assert TEXT.startswith(HEAD)
    assert list(LINES) == [row.name for row in CRITICS]
    assert {row.name for row in CRITICS} >= LARGE


@pytest.mark.parametrize(
    "row",
    [pytest.param(r, id=r.name, marks=[pytest.mark.slow] if r.name in LARGE else []) for r in CRITICS],
)
def test_a_row_is_what_the_check_finds(row: Row) -> None:
    """All but errors, whose digits are one machine's, and FLOPs, which for attention are one torch's."""
    found = checked(row)
    assert found.right or found.failure, str(found)
    assert found.astray == ()
    written, now = [cell.strip() for cell in LINES[row.name].strip("|").split("|")], cells(row, found)
    for column, old, new in zip(COLUMNS, written, now, strict=True):
        if column not in ("error", "twice", "auto"):
            assert old == new, f"{column}: python benchmarks/public_critics.py --write"
