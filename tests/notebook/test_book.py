"""A notebook's view of itself: parameters read, checked and in the files' names; none is misspelt."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gncompanion.notebook.book import BadParameter, Notebook, figures
from gncompanion.tools import paths

DEFAULTS: dict[str, Any] = {
    "n_layers": 3,
    "rate": 2e-4,
    "methods": ["sn", "gn"],
    "seeds": [0, 1],
    "label": "",
}
CELL = """# The small run
n_layers: int = 3  # convolutions; in [1, 32]
rate: float = 2e-4  # in [0, 1]
methods: list[str] = ["sn", "gn"]  # each in {sn, gn, gp}
seeds: list[int] = [0, 1]  # each in [0, 99]
label: str = ""
"""
TAG = {"tags": ["parameters"]}


@pytest.fixture
def checkout(make_checkout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_checkout(nb04_theorem5=[(CELL, TAG), "later = n_layers"], nb05_other=[("a = 1", TAG)])
    monkeypatch.setattr(paths, "notebooks", lambda: folder / "notebooks")
    return folder


def book(**values: Any) -> Notebook:
    return Notebook("04_theorem5", DEFAULTS | values)


def test_reads_the_committed_defaults(checkout: Path) -> None:
    assert book().defaults == book().parameters == DEFAULTS
    assert list(book().defaults) == list(DEFAULTS)


def test_an_unknown_notebook_is_refused(checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"no notebook '04_theorem', did you mean '04_theorem5'\?"):
        Notebook("04_theorem", DEFAULTS)


def test_the_parameters_cell_comes_first(checkout: Path) -> None:
    with pytest.raises(
        ValueError, match="label, methods, rate, seeds not set; run the parameters cell first"
    ):
        Notebook("04_theorem5", {"n_layers": 3})


def test_a_misspelt_injected_parameter_is_refused(checkout: Path) -> None:
    history = ["", CELL, "# Parameters\nn_layers = 8\n", "import torch"]
    assert book(n_layers=8, In=history).overrides == {"n_layers": 8}
    history[2] = "# Parameters\nn_layers = 8\nn_layer = 9\n"
    with pytest.raises(
        ValueError, match=r"04_theorem5 has no parameter 'n_layer', did you mean 'n_layers'\?"
    ):
        book(In=history)


def test_only_overrides_are_in_the_names(checkout: Path) -> None:
    assert book().figure_name("depth") == "04_depth"
    assert book(n_layers=8).figure_name("depth") == "04_depth-n_layers=8"
    assert book(n_layers=8, methods=["gp", "gn"]).suffix == "-n_layers=8-methods=gp+gn"
    assert book(n_layers=8, label="deep").suffix == "-deep"


@pytest.mark.parametrize("value", ["a" * 80, "a/b", "../up", "a b", "ü" * 80])
def test_a_name_that_cannot_be_a_file_name_becomes_a_digest(value: str, checkout: Path) -> None:
    suffix = book(label=value).suffix
    assert len(suffix) == 13
    assert book(label=f"{value}, more").suffix != suffix
    assert len(book(seeds=list(range(60))).suffix) == 13


def test_saves_under_the_runs_name(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(figures, "save", lambda *arguments, **options: calls.append((arguments, options)))
    run, figure = book(n_layers=8), SimpleNamespace()
    assert run.save(figure, "depth", arrays={"x": [1]}, seeds=[0], device="cuda", data_digest="d") is None
    options = {"book": run, "arrays": {"x": [1]}, "seeds": [0], "device": "cuda", "data_digest": "d"}
    assert calls == [((figure, "04_depth-n_layers=8"), options)]


def test_a_programs_result_is_read_or_its_program_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "root", lambda: checkout)
    (checkout / "benchmarks").mkdir()
    (checkout / "benchmarks" / "slow.json").write_text('{"seeds": [0, 1]}')
    assert book().result("slow") == {"seeds": [0, 1]}
    (checkout / "benchmarks" / "slow.json").write_text("[0, 1]")
    with pytest.raises(ValueError, match=r"python -m benchmarks\.slow makes it anew"):
        book().result("slow")


def test_the_ledger_has_the_runs_name(checkout: Path, figures_folder: Path) -> None:
    run = book(n_layers=8)
    run.claims.record("a", "A.", source="001", verdict="holds")
    assert run.claims.save().name == "04_theorem5-n_layers=8.claims.json"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("n_layers", [0, 33, "x", 2.0, True, None, [3]], "must be an integer from 1 to 32, such as 3$"),
        ("rate", [-1, 1.5, "x", True, float("nan")], "must be a number from 0 to 1, such as 0.0002$"),
        (
            "seeds",
            [[], [0, 0], [-1], ["x"], [True], "x", "[0", "0.5", None, {"a": 1}],
            r"must be a list of different integers from 0 to 99, such as \[0, 1\]$",
        ),
        (
            "methods",
            ["[nope]", '["nope"]', "sn, nope", ["nope"], "nope", ["sn", 3], "[sn"],
            r"unknown entry of methods .* \(valid: sn, gn, gp\)$",
        ),
        ("methods", [[], ["sn", "sn"], ""], "must be a list of different names out of sn, gn, gp, such as "),
        (
            "label",
            [None, True, ["a"], float("nan"), "a\nb", "\ud800"],
            "must be a line of text, such as 'small'$",
        ),
    ],
)
def test_what_is_declared_is_held(name: str, values: list[Any], message: str, checkout: Path) -> None:
    for value in values:
        with pytest.raises(BadParameter, match=message) as refused:
            book(**{name: value})
        assert str(refused.value).startswith("04_theorem5: ")
        assert "\n" not in str(refused.value)


def test_what_is_declared_passes_and_stands_in_the_notebook(checkout: Path) -> None:
    given = DEFAULTS | {"n_layers": "8", "rate": "1e-3", "methods": "[gp]", "seeds": 7, "label": 2024}
    run = Notebook("04_theorem5", given)
    assert run.parameters == {"n_layers": 8, "rate": 1e-3, "methods": ["gp"], "seeds": [7], "label": "2024"}
    assert given == run.parameters


def test_a_condition_on_several_is_held_too(checkout: Path) -> None:
    assert book().require("n_layers", True, valid="anything") == 3
    with pytest.raises(BadParameter, match="04_theorem5: n_layers=3 must be even"):
        book().require("n_layers", False, valid="even")


def test_a_notebook_shows_one_line(checkout: Path) -> None:
    with pytest.raises(BadParameter) as refused:
        book(n_layers=0)
    (line,) = refused.value._render_traceback_()
    assert line == "BadParameter: 04_theorem5: n_layers=0 must be an integer from 1 to 32, such as 3"


def test_figures_that_cannot_be_written_are_refused_before_any_work(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GNCOMPANION_FIGURES", str(tmp_path / "file/figures"))
    with pytest.raises(BadParameter, match="file/figures: a part of its path is a file, not a folder"):
        book()


@pytest.mark.parametrize("text", ["[sn, gn]", '["sn", "gn"]', "sn, gn", "sn,gn", " [sn,gn]"])
def test_text_is_read_as_a_list_and_is_then_no_override(text: str, checkout: Path) -> None:
    run = book(methods=text, seeds="0, 1")
    assert run.parameters["methods"] == ["sn", "gn"]
    assert run.parameters["seeds"] == [0, 1]
    assert run.suffix == ""


def test_one_value_is_a_list_of_one(checkout: Path) -> None:
    run = book(methods="gn", seeds=7)
    assert run.parameters["methods"] == ["gn"]
    assert run.parameters["seeds"] == [7]
