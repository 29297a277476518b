"""A notebook's view of itself: parameters checked and in the files' names; a misspelt one is an error."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gncompanion.notebook.book import Notebook, figures
from gncompanion.tools import paths

DEFAULTS: dict[str, Any] = {
    "n_layers": 3,
    "rate": 2e-4,
    "methods": ["sn", "gn"],
    "seeds": [0, 1],
    "label": "",
}
CELL = """# The small run
n_layers: int = 3  # 1 to 32
rate: float = 2e-4
methods: list[str] = ["sn", "gn"]
seeds = [0, 1]
label = ""
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


@pytest.mark.parametrize("value", [list(range(60)), ["a/b"], ["../up"], ["a b"], [], ["ü" * 80]])
def test_a_name_that_cannot_be_a_file_name_becomes_a_digest(value: list, checkout: Path) -> None:
    suffix = book(methods=value).suffix
    assert suffix == "-methods=" if value == [] else len(suffix) == 13
    assert book(methods=[*value, "more"]).suffix != suffix


def test_saves_under_the_runs_name(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(figures, "save", lambda *arguments, **options: calls.append((arguments, options)))
    run, figure = book(n_layers=8), SimpleNamespace()
    assert run.save(figure, "depth", arrays={"x": [1]}, seeds=[0], device="cuda", data_digest="d") is None
    options = {"book": run, "arrays": {"x": [1]}, "seeds": [0], "device": "cuda", "data_digest": "d"}
    assert calls == [((figure, "04_depth-n_layers=8"), options)]


def test_the_ledger_has_the_runs_name(checkout: Path, figures_folder: Path) -> None:
    run = book(n_layers=8)
    run.claims.record("a", "A.", source="001", verdict="holds")
    assert run.claims.save().name == "04_theorem5-n_layers=8.claims.json"


@pytest.mark.parametrize("value", [0, 33, "x", "8", 2.0, True, None, [3]])
def test_integer_refuses(value: object, checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"04_theorem5: n_layers=.* must be an integer from 1 to 32"):
        book(n_layers=value).integer("n_layers", 1, 32)


@pytest.mark.parametrize("value", [-1, 1.5, "x", True, float("nan")])
def test_number_refuses(value: object, checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"rate=.* must be a number from 0 to 1"):
        book(rate=value).number("rate", 0, 1)


@pytest.mark.parametrize("value", [[], [0, 0], [-1], ["x"], [True], "x", "[0", "0.5", None])
def test_integers_refuses(value: object, checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"seeds=.* must be a list of different integers from 0 to 99"):
        book(seeds=value).integers("seeds", 0, 99)


@pytest.mark.parametrize("value", ["[nope]", '["nope"]', "sn, nope", ["nope"], "nope", ["sn", 3], "[sn"])
def test_choices_refuses_with_the_valid_ones(value: object, checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown entry of methods .* \(valid: sn, gn, gp\)"):
        book(methods=value).choices("methods", ["sn", "gn", "gp"])


@pytest.mark.parametrize("value", [[], ["sn", "sn"], ""])
def test_choices_are_some_and_different(value: object, checkout: Path) -> None:
    with pytest.raises(ValueError, match="must be different names out of sn, gn, gp"):
        book(methods=value).choices("methods", ["sn", "gn", "gp"])


def test_choice_refuses_with_the_valid_ones(checkout: Path) -> None:
    with pytest.raises(
        ValueError, match=r"unknown label 'rings', did you mean 'ring'\? \(valid: ring, grid\)"
    ):
        book(label="rings").choice("label", ["ring", "grid"])


def test_what_is_valid_is_returned(checkout: Path) -> None:
    run = book(label="ring")
    assert run.integer("n_layers", 3, 3) == 3
    assert run.number("rate", 0, 1) == 2e-4
    assert run.choice("label", {"ring": 0}) == "ring"
    assert run.integers("seeds", 0, 1) == [0, 1]
    assert run.choices("methods", ["gn", "sn"]) == ["sn", "gn"]
    assert run.require("n_layers", True, valid="anything") == 3


@pytest.mark.parametrize("text", ["[sn, gn]", '["sn", "gn"]', "sn, gn", "sn,gn", " [sn,gn]"])
def test_text_is_read_as_a_list_and_is_then_no_override(text: str, checkout: Path) -> None:
    run = book(methods=text, seeds="0, 1")
    assert run.choices("methods", ["sn", "gn"]) == ["sn", "gn"]
    assert run.integers("seeds", 0, 9) == [0, 1]
    assert run.suffix == ""


def test_one_value_is_a_list_of_one(checkout: Path) -> None:
    run = book(methods="gn", seeds=7)
    assert run.choices("methods", ["sn", "gn"]) == ["gn"]
    assert run.integers("seeds", 0, 9) == [7]
