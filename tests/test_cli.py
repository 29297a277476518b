"""The command line: what is wrong is said in one line, and nothing has run by then."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from gncompanion import cli, paths
from gncompanion.claims import Ledger
from gncompanion.reproduce import Job, Outcome


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


@pytest.fixture
def ran(make_checkout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Job], dict]]:
    """The calls of `reproduce.reproduce`, which is not carried out; a job with n = 5 fails."""
    cell = ("n: int = 3  # how many", {"tags": ["parameters"]})
    folder = make_checkout(nb90_one=[cell], nb91_two=[cell])
    calls = []

    def record(jobs: list[Job], **options: object) -> dict[Job, Outcome]:
        calls.append((jobs, options))
        return {job: Outcome(1, 1, "five" if job.parameters.get("n") == 5 else None) for job in jobs}

    monkeypatch.setattr(paths, "notebooks", lambda: folder / "notebooks")
    monkeypatch.setattr(cli.running, "reproduce", record)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    return calls


def test_version() -> None:
    assert invoke("--version").output == f"gncompanion, version {version('gncompanion')}\n"


def test_reproduce_passes_on_what_it_is_told(ran: list) -> None:
    result = invoke("reproduce", "--only", "91", "90", "-p", "n", "4", "--jobs", "2", "--output", "out")
    assert result.exit_code == 0, result.output
    ((jobs, options),) = ran
    assert [(job.name, job.parameters) for job in jobs] == [("90_one", {"n": 4}), ("91_two", {"n": 4})]
    assert options == {"workers": 2, "output": Path("out"), "in_place": False}


def test_a_failed_notebook_is_exit_code_1(ran: list) -> None:
    assert invoke("reproduce", "90", "-p", "n", "5").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "m", "8"), "Error: none of the notebooks has a parameter 'm' (valid: n)"),
        (("--only", "04"), "Error: no notebook '04' (valid: 90, 90_one, 91, 91_two)"),
        (("--full",), "Error: no notebooks/full/NN_*.yml for 90_one, 91_two"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], message: str, ran: list) -> None:
    result = invoke("reproduce", *arguments)
    assert result.exit_code == 2
    assert result.output.splitlines() == [message]
    assert ran == []


def test_claims_as_text_and_as_the_readmes_table(figures_folder: Path) -> None:
    ledger = Ledger(SimpleNamespace(name="04_theorem5", parameters={}, suffix=""))
    ledger.record("id", "It is so.", source="001", verdict="holds")
    ledger.save()
    assert invoke("claims").output.split() == ["04_theorem5", "holds", "It", "is", "so.", "[001]"]
    assert (
        "| [04](notebooks/04_theorem5.ipynb) | It is so. | 001 | holds |"
        in invoke("claims", "--markdown").output
    )
