"""The printed tables as arithmetic: what GN-GAN's and GraN's own numbers say against them."""

import pytest

from gncompanion.papers import tables
from gncompanion.papers.printed import PrintedNumber, lead, printed_number, ranking

PRINTED = {entry.row: entry.printed for entry in tables.entries(tables.row_files())}
WACV = {row: printed for row, printed in PRINTED.items() if "_wacv_" in row}


def test_every_printed_number_is_read() -> None:
    for printed in PRINTED.values():
        for text in printed.values():
            assert printed_number(text).mean > 0
    assert printed_number("9.55±.47") == PrintedNumber(9.55, 0.47)
    with pytest.raises(ValueError, match="'–' is no printed number"):
        printed_number("–")


def test_a_lead_is_in_standard_errors_of_the_means() -> None:
    ours, theirs = PrintedNumber(8.0, 0.3), PrintedNumber(7.0, 0.4)
    assert lead("IS", ours, theirs, seeds=25) == pytest.approx(10.0)  # 1 / (0.5 / 5)
    assert lead("FID", ours, theirs, seeds=25) == pytest.approx(-10.0)
    with pytest.raises(ValueError, match="no deviation"):
        lead("FID", PrintedNumber(1.0), theirs)


def test_with_cr_the_cnn_on_cifar10_loses_to_sn() -> None:
    ours, theirs = (PRINTED[f"09_cifar10_cnn_{kind}-gan-cr"]["FID test"] for kind in ("gn", "sn"))
    assert (ours, theirs) == ("22.89±1.5", "18.72")
    assert lead("FID test", printed_number(ours), printed_number(theirs)) < -6


@pytest.mark.parametrize(
    ("data", "column", "is_first"),
    [
        ("cifar10", "IS", False),
        ("cifar10", "FID", True),
        ("cifar10", "KID × 1000", False),
        ("stl10", "KID × 1000", False),
    ],
)
def test_gran_is_not_first_across_families_everywhere(data: str, column: str, is_first: bool) -> None:
    numbers = {
        row: printed[column] for row, printed in WACV.items() if data + "_" in row and column in printed
    }
    assert ("gran" in ranking(column, numbers)[0]) is is_first
