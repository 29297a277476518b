"""The command line's refusals: one line with file, value and remedy, exit code 2, before anything has run."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gncompanion import cli
from gncompanion.notebook import reproduce as running
from gncompanion.papers.selection import select
from gncompanion.tools.refusals import Refusal
from gncompanion.training import Schedule

METHODS = "methods: {GN: {constraint: gn, loss: bce}}\n"
RING = "dataset: ring\nnetwork: mlp\n"
CLASSIFIER = "metrics: classifier\n"


@pytest.fixture(autouse=True)
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNCOMPANION_RUNS", "runs")
    monkeypatch.chdir(tmp_path)
    Path("row.yml").write_text(f"{METHODS}seeds: [0]\nsteps: 1\nmetrics: none\n")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def refused(arguments: str, message: str) -> None:
    result = invoke(*arguments.split())
    assert result.exit_code == 2, result.output
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: {message}"), line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seeds: [0]\nsteps: 1\nsteps: 2\n", "is not YAML: line 3: 'steps' is given twice, first in line 2"),
        ("seeds: [1000000000000000000]", "seeds=[1000000000000000000] must be a list of different integers"),
        ("seeds: [0]\nsteps: 010", "steps='010' must be an integer from 1 to 1000000000, such as 1000"),
        ("seeds: [0]\nsteps: 1:30", "steps='1:30' must be an integer from 1 to 1000000000, such as 1000"),
        (
            "seeds: [0]\nn_samples: 1000000000000000000",
            "n_samples=1000000000000000000 must be an integer from",
        ),
        ("seeds: [0]\ndevice: cpu:7", "device='cpu:7' cannot be used here, take auto or cpu: all processors"),
        ("seeds: [0]\nlabel: .nan", "label=nan must be a line of text, such as 'small'"),
        ("seeds: [0]\ndataset_options: {a: .inf}", "dataset_options: a=inf must be finite, such as 1.0"),
        (
            "seeds: [0]\nnetwork_options: {width: 100000}",
            "network 'dcgan': width=100000 must be an integer of",
        ),
        (
            f"seeds: [0]\n{RING}dataset_options: {{radius: true}}",
            "data set 'ring': radius=True must be a number",
        ),
        ("seeds: [0]\ncaptured: true\ndevice: cpu", "captured=True records CUDA graphs: it needs a GPU"),
        (
            f"seeds: [0]\n{CLASSIFIER}references: {{x: {{splt: a}}}}",
            "references: x: data set 'digits' has no op",
        ),
        (
            f"seeds: [0]\n{RING}{CLASSIFIER}references: {{x: {{}}}}",
            "references: x: data set 'ring' holds no im",
        ),
    ],
)
def test_a_senseless_row_is_refused_before_any_work(content: str, message: str) -> None:
    metrics = "" if "metrics" in content else "metrics: none\n"
    Path("bad.yml").write_text(f"{content.rstrip()}\n{METHODS}{metrics}")
    refused("train -f bad.yml", f"bad.yml{' ' if message.startswith('is') else ': '}{message}")
    assert not Path("runs").exists()


def test_a_method_is_named_by_text() -> None:
    Path("bad.yml").write_text("methods: {7: {constraint: gn, loss: bce}}\nseeds: [0]\n")
    refused("train -f bad.yml", "bad.yml: methods: the name=7 must be text: put it into quotation marks")


def test_text_that_is_not_utf_8_is_refused() -> None:
    Path("bad.yml").write_bytes("methods: {Grün: 1}".encode("latin-1"))
    refused("train -f bad.yml", "bad.yml is not UTF-8 (byte 12): save it as UTF-8")


def test_a_parameter_given_twice_is_refused() -> None:
    refused("train -f row.yml -p steps 2 -p steps 3", "-p steps is given 2 times: give it once")


def test_what_is_no_yaml_is_refused() -> None:
    refused("train -f row.yml -p methods [}", "row.yml: methods='[}' must be a mapping of names to mappings")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "00 -p learning_rate 0",
            "00_start_here: learning_rate=0.0 must be a number above 0, up to 1, such as",
        ),
        ("00 -p learning_rate inf", "00_start_here: learning_rate='inf' must be a number above 0, up to 1"),
        ("00 -p steps 2 -p steps 3", "-p steps is given 2 times: give it once"),
        (
            "01 -p device abc",
            "01_wgan_theory: device='abc' cannot be used here, take auto or cpu: Expected one",
        ),
        (
            "01 -p thetas [0.1,0.1]",
            "01_wgan_theory: thetas='[0.1,0.1]' must be a list of different numbers ab",
        ),
        (
            "02 -p clips [.nan]",
            "02_lipschitz_constraints: clips='[.nan]' must be a list of different numbers",
        ),
        (
            "07 -p games {}",
            "07_discontinuity: games={} must be a mapping of names to mappings of network, width",
        ),
        (
            "07 -p games {ring:{}}",
            "07_discontinuity: games: ring={} needs a value for network, width, steps",
        ),
        (
            "07 -p critic_rate 0",
            "07_discontinuity: critic_rate=0.0 must be a number above 0, up to 1, such as",
        ),
        (
            "10 -p device abc",
            "10_cost: device='abc' cannot be used here, take auto or cpu: Expected one of cpu",
        ),
        (
            "11 -p ks [1,1]",
            "11_wgan_divergence: ks='[1,1]' must be a list of different numbers above 0, up to",
        ),
        (
            "11 -p width 1000000000000000000",
            "11_wgan_divergence: width=1000000000000000000 must be an integer",
        ),
    ],
)
def test_a_senseless_parameter_is_refused_before_any_work(arguments: str, message: str) -> None:
    refused(f"reproduce {arguments}", message)


def test_numbers_and_truth_values_may_be_written_as_people_do() -> None:
    options = "dataset_options: {radius: 1e1}\nnetwork_options: {width: 4}\nlr_critic: 2e-4\n"
    Path("row.yml").write_text(f"{METHODS}{RING}{options}seeds: [0]\nsteps: 1\nmetrics: none\n")
    (chosen,) = select([Path("row.yml")], {"average": "false", "betas": "[0,0.5]", "ema_decay": "None"})
    assert chosen.experiment.schedule == Schedule(steps=1, betas=(0.0, 0.5), ema_decay=None)
    assert chosen.experiment.dataset_options == {"radius": 10.0}


def test_a_place_that_cannot_be_written_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").touch()
    place = Path("file").resolve()
    refused(
        "reproduce 00 --output file", "file: a file is where a folder should be. Move it, or name another"
    )
    monkeypatch.setenv("GNCOMPANION_RUNS", "file/runs")
    refused(
        "train -f row.yml", f"{place}/runs: a part of its path is a file, not a folder. Move that file, or"
    )
    monkeypatch.setenv("GNCOMPANION_BUILD", "file")
    refused("reproduce 00", f"{place}: a file is where a folder should be. Move it, or name another folder.")


def test_a_damaged_file_of_a_run_is_named() -> None:
    assert invoke("train", "-f", "row.yml").exit_code == 0
    (folder,) = Path("runs").resolve().glob("digits-*")
    (folder / "scores.json").write_text("{")
    refused("table -f row.yml", f"{folder}/scores.json is damaged (Expecting property name")
    (folder / "settings.json").write_bytes(b"")
    refused(f"evaluate {folder} -p metrics none", f"{folder}/settings.json is damaged (Expecting value")


def test_the_rest_is_shown_when_asked_for() -> None:
    Path("bad.yml").write_text("methods: [")
    result = invoke("--traceback", "train", "-f", "bad.yml")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.output
    assert result.output.splitlines()[-1].startswith("Error: bad.yml is not YAML: ")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            OSError(28, "No space left on device", "log.csv"),
            2,
            "Error: log.csv: no space is left on its disk.",
        ),
        (EOFError("Ran out of input"), 2, "Error: a file ends too early: Ran out of input. Delete it, or"),
        (Refusal("every checkpoint in runs/a is damaged"), 2, "Error: every checkpoint in runs/a is damaged"),
        (KeyError("a fault of ours"), 1, ""),
    ],
)
def test_what_can_be_foreseen_is_one_line(
    error: Exception, code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(running, "reproduce", fail)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    result = invoke("reproduce", "00")
    assert result.exit_code == code
    assert result.output.startswith(line)
    assert result.output.count("\n") == (1 if line else 0)
