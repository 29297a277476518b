"""The command line: what is wrong is said in one line, and nothing has run by then."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

import gncompanion
from gncompanion import cli
from gncompanion.notebook import reproduce as running
from gncompanion.notebook.claims import Ledger
from gncompanion.notebook.execute import Outcome
from gncompanion.notebook.plan import Job
from gncompanion.tools import extras, paths


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


@pytest.fixture
def ran(make_checkout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Job], dict]]:
    """The calls of `reproduce.reproduce`, which is not carried out; a job with n = 5 fails."""
    cell = ("n: int = 3  # how many; in [1, 9]", {"tags": ["parameters"]})
    folder = make_checkout(nb90_one=[cell], nb91_two=[cell])
    calls = []

    def record(jobs: list[Job], **options: object) -> dict[Job, Outcome]:
        calls.append((jobs, options))
        return {job: Outcome(1, 1, "five" if job.parameters.get("n") == 5 else None) for job in jobs}

    monkeypatch.setattr(paths, "notebooks", lambda: folder / "notebooks")
    monkeypatch.setattr(running, "reproduce", record)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    return calls


def test_version() -> None:
    assert invoke("--version").output == f"gncompanion, version {version('gncompanion')}\n"


def test_the_package_tells_its_version_too() -> None:
    assert gncompanion.__version__ == version("gncompanion")
    with pytest.raises(AttributeError, match="module 'gncompanion' has no attribute 'versoin'"):
        _ = gncompanion.versoin


def test_a_missing_package_is_one_line_with_its_extra(ran: list, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'papermill'", name="papermill")

    monkeypatch.setattr(extras.metadata, "requires", lambda _: ['papermill>=2.6; extra == "notebooks"'])
    monkeypatch.setattr(running, "reproduce", fail)
    result = invoke("reproduce", "90")
    assert result.exit_code == 2
    assert result.output == "Error: papermill is not installed: pip install 'gncompanion[notebooks]'\n"


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


def test_claims_as_text_and_as_the_pages_table(figures_folder: Path) -> None:
    ledger = Ledger(SimpleNamespace(name="04_theorem5", parameters={}, suffix=""))
    ledger.record("id", "It is so.", source="001", verdict="holds")
    ledger.save()
    assert invoke("claims").output.split() == ["04_theorem5", "holds", "It", "is", "so.", "[001]"]
    assert (
        "| [04](../notebooks/04_theorem5.ipynb) | It is so. | 001 | holds |"
        in invoke("claims", "--markdown").output
    )


class TestRows:
    """train, evaluate and table: bad input is one line and exit code 2, and nothing is trained."""

    @pytest.fixture(autouse=True)
    def row(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GNCOMPANION_RUNS", "runs")
        monkeypatch.chdir(tmp_path)
        methods = "methods: {GN: {constraint: gn, loss: bce}}"
        Path("row.yml").write_text(f"{methods}\nseeds: [0]\nsteps: 1\nmetrics: none\n")
        Path("bad.yml").write_text("methods: [")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("train", "nothing to train: name a row with -f"),
            ("train -f rwo.yml", "no file rwo.yml"),
            ("train -f .", "no file ."),
            ("train -f bad.yml", "bad.yml is not YAML: "),
            ("train -f row.yml -p stepz 3", "row.yml: unknown setting of a row 'stepz', did you mean"),
            ("train -f row.yml -p steps 0", "row.yml: steps=0 must be an integer from 1 to 1000000000, such"),
            ("train -f row.yml -p network dcgn", "row.yml: unknown network 'dcgn', did you mean 'dcgan'?"),
            ("train -f row.yml -p dataset cifar10", "CIFAR10 is not in "),
            ("train -f row.yml --seed 7", "row.yml has no seed 7 (valid: 0)"),
            ("train -f row.yml --method GM", "row.yml has no method 'GM' (valid: GN)"),
            ("evaluate", "nothing to judge: name runs' folders, or a row with -f"),
            ("evaluate run -p metrics none", "no run in run: there is no settings.json"),
            ("evaluate run -p metric none", "unknown setting of a protocol 'metric', did you mean"),
            ("evaluate run -f row.yml", "name runs' folders or a row, not both"),
            ("evaluate run --seed 0", "name runs' folders or a row, not both"),
            ("evaluate -f row.yml --device cpu", "--device is for runs' folders; a row is judged where it"),
            ("table -f rwo.yml", "no file rwo.yml"),
        ],
    )
    def test_bad_input_is_one_line_and_exit_code_2(self, arguments: str, message: str) -> None:
        result = invoke(*arguments.split())
        assert result.exit_code == 2, result.output
        (line,) = result.output.splitlines()
        assert line.startswith(f"Error: {message}")
        assert not list(Path().glob("runs/*/step-*"))

    def test_what_is_not_finished_is_not_judged(self) -> None:
        output = invoke("evaluate", "-f", "row.yml").output
        assert output.endswith("holds no finished run: gncompanion train goes on with it\n")

    def test_a_training_that_breaks_down_says_where_in_one_line(self) -> None:
        result = invoke("train", "-f", "row.yml", "-p", "lr_critic", "1e30", "-p", "steps", "9")
        assert result.exit_code == 1
        assert result.output.splitlines()[-1].startswith("Error: step ")

    def test_trained_judged_and_tabulated(self) -> None:
        for command in ("train", "evaluate", "table"):
            result = invoke(command, "-f", "row.yml")
            assert result.exit_code == 0, result.output
        assert result.output.splitlines()[-1] == "| row | GN | any | – | not yet run | – | float32 |"
