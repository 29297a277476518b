"""The ledger: four verdicts, no numbers in the table, the same bytes again, and the page made from it."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gncompanion.notebook import claims
from gncompanion.notebook.claims import Claim, Ledger
from gncompanion.tools import paths


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(SimpleNamespace(name="04_theorem5", parameters={"n_layers": 3}, suffix=""))


def fill(ledger: Ledger) -> Ledger:
    ledger.record(
        "monotone", "Depth lowers L.", source="001, Theorem 5", verdict="holds", evidence={"worst": 1e-13}
    )
    ledger.record("tight", "|L| is 1.", source="001", verdict="holds if the weights are orthogonal")
    return ledger


@pytest.mark.parametrize("verdict", ["holds", "fails", "needs the full run", "holds if n > 3"])
def test_the_four_verdicts(verdict: str) -> None:
    assert Claim("id", "s", "001", verdict).verdict == verdict


@pytest.mark.parametrize(
    "verdict", ["", "Holds", "holds if ", "holds if", "holds, if n > 3", "true", "holds\n"]
)
def test_no_other_verdict(verdict: str) -> None:
    with pytest.raises(ValueError, match=r"claim 'id': the verdict .* is none of 'holds', 'fails'"):
        Claim("id", "s", "001", verdict)


@pytest.mark.parametrize("value", [float("nan"), np.float32("inf"), torch.tensor([1.0, float("nan")])])
def test_evidence_is_finite(value: object) -> None:
    with pytest.raises(ValueError, match="claim 'id': evidence that is not finite"):
        Claim("id", "s", "001", "holds", {"value": value})


def test_a_cell_may_run_again(ledger: Ledger) -> None:
    table = fill(ledger).table()
    assert fill(ledger).table() == table


def test_two_claims_may_not_share_an_id(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match=r"claim 'tight' is already entered: '\|L\| is 1.'"):
        fill(ledger).record("tight", "Something else.", source="001", verdict="fails")


def test_the_table_has_the_verdicts_and_not_the_evidence(ledger: Ledger) -> None:
    assert fill(ledger).table().splitlines() == [
        "1. Depth lowers L. [001, Theorem 5]",
        "   → holds",
        "2. |L| is 1. [001]",
        "   → holds if the weights are orthogonal",
    ]
    ledger.record("long", "word " * 60, source="001", verdict="holds if " + "word " * 40)
    assert max(map(len, ledger.table().splitlines())) <= 100


def test_saves_the_same_bytes_again(ledger: Ledger, figures_folder: Path) -> None:
    first = fill(ledger).save()
    content = first.read_bytes()
    assert first == figures_folder / "04_theorem5.claims.json"
    assert fill(ledger).save().read_bytes() == content
    read = json.loads(content)
    assert [claim["id"] for claim in read["claims"]] == ["monotone", "tight"]
    assert read["claims"][0]["evidence"] == {"worst": 1e-13}
    assert read["parameters"] == {"n_layers": 3}


def test_numbers_of_any_kind_are_evidence(ledger: Ledger, figures_folder: Path) -> None:
    evidence = {"a": np.float64(0.5), "b": np.arange(2), "c": torch.tensor(0.25), "d": [np.int64(1)]}
    ledger.record("id", "s", source="001", verdict="holds", evidence=evidence)
    read = json.loads(ledger.save().read_text())
    assert read["claims"][0]["evidence"] == {"a": 0.5, "b": [0, 1], "c": 0.25, "d": [1]}


def test_an_empty_ledger_is_not_saved(ledger: Ledger, figures_folder: Path) -> None:
    with pytest.raises(ValueError, match="04_theorem5 has recorded no claim"):
        ledger.save()


def test_reads_the_default_runs_in_the_notebooks_order(ledger: Ledger, figures_folder: Path) -> None:
    fill(ledger).save()
    for name, suffix in (("01_wgan", ""), ("02_lipschitz", "-n=8"), ("04_theorem5", "-n=8")):
        other = Ledger(SimpleNamespace(name=name, parameters={}, suffix=suffix))
        other.record("other", "Other.", source="002", verdict="fails")
        other.save()
    everything = claims.load_all()
    assert list(everything) == ["01_wgan", "04_theorem5"]
    assert [claim.id for claim in everything["04_theorem5"]] == ["monotone", "tight"]
    assert claims.ledger_table().splitlines()[2:] == [
        "| [01](../notebooks/01_wgan.ipynb) | Other. | 002 | fails |",
        "| [04](../notebooks/04_theorem5.ipynb) | Depth lowers L. | 001, Theorem 5 | holds |",
        r"| [04](../notebooks/04_theorem5.ipynb) | \|L\| is 1. | 001 | holds if the weights are orthogonal |",
    ]


def test_the_middle_scale_has_a_column_of_its_own(
    ledger: Ledger, figures_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path / "notebooks")
    middle = tmp_path / "notebooks" / "middle"
    middle.mkdir(parents=True)
    (middle / "04_some.yml").write_text("label: some\n")
    fill(ledger).save()
    for label, verdict in (("some", "fails"), ("other", "holds")):
        run = SimpleNamespace(name="04_theorem5", parameters={"label": label}, suffix=f"-{label}")
        other = Ledger(run)
        other.record("monotone", "Depth lowers L.", source="001, Theorem 5", verdict=verdict)
        other.record("photographs", "Seen on photographs.", source="002", verdict=verdict)
        other.save()
    assert claims.ledger_table().splitlines() == [
        "| notebook | claim | source | verdict | photographs, middle scale |",
        "|---|---|---|---|---|",
        "| [04](../notebooks/04_theorem5.ipynb) | Depth lowers L. | 001, Theorem 5 | holds | fails |",
        r"| [04](../notebooks/04_theorem5.ipynb) | \|L\| is 1. | 001 "
        "| holds if the weights are orthogonal | – |",
        "| [04](../notebooks/04_theorem5.ipynb) | Seen on photographs. | 002 | – | fails |",
    ]


def marked(document: str, mark: str) -> str:
    """What stands between a pair of marks in a document."""
    text = (paths.root() / document).read_text(encoding="utf-8")
    found = re.search(rf"<!-- {mark} -->\n(.*?)\n<!-- end -->", text, flags=re.DOTALL)
    assert found, f"{document} has lost its marks {mark!r}"
    return found[1]


def test_the_ledger_page_has_the_table_of_the_committed_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GNCOMPANION_FIGURES", raising=False)
    assert marked("docs/claims.md", "gncompanion claims --markdown") == claims.ledger_table(), (
        "replace the table by what `gncompanion claims --markdown` prints"
    )


@pytest.mark.parametrize("document", ["README.md", "docs/claims.md"])
def test_the_counts_are_those_of_the_committed_claims(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GNCOMPANION_FIGURES", raising=False)
    text = " ".join((paths.root() / document).read_text(encoding="utf-8").split())
    assert claims.counted() in text, f"{document} must say: {claims.counted()}"
