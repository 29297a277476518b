from collections.abc import Callable
from pathlib import Path

import pytest

import gncompanion
from gncompanion.tools import paths

CHECKOUT = Path(gncompanion.__file__).resolve().parents[1]
VARIABLES = {
    "GNCOMPANION_FIGURES": paths.figures,
    "GNCOMPANION_BUILD": paths.scratch,
    "GNCOMPANION_DATA": paths.data,
    "GNCOMPANION_RUNS": paths.runs,
}


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The package in site-packages, the working directory elsewhere: no checkout in sight."""
    monkeypatch.setattr(
        paths, "__file__", str(tmp_path / "site-packages" / "gncompanion" / "tools" / "paths.py")
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return tmp_path


def test_the_checkout_is_found_from_another_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.root() == CHECKOUT
    assert paths.notebooks() == CHECKOUT / "notebooks"
    assert paths.figures() == CHECKOUT / "figures"
    assert paths.scratch() == CHECKOUT / "build"
    assert paths.data() == CHECKOUT / "data"
    assert paths.runs() == CHECKOUT / "data" / "runs"


def test_an_installed_package_finds_the_checkout_that_it_is_run_in(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = installed / "checkout"
    for folder in ("notebooks", "gncompanion"):
        (checkout / folder).mkdir(parents=True)
    (checkout / "pyproject.toml").touch()
    monkeypatch.chdir(checkout / "notebooks")
    assert paths.root() == checkout


@pytest.mark.parametrize("missing", ["pyproject.toml", "notebooks", "gncompanion"])
def test_a_folder_that_lacks_a_part_is_no_checkout(
    installed: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for entry in {"pyproject.toml", "notebooks", "gncompanion"} - {missing}:
        (installed / "elsewhere" / entry).mkdir()
    with pytest.raises(FileNotFoundError, match="checkout"):
        paths.root()


@pytest.mark.parametrize("function", [paths.root, paths.notebooks])
def test_without_a_checkout_the_remedy_is_to_run_from_one(
    installed: Path, function: Callable[[], Path]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"run from inside a checkout$"):
        function()


@pytest.mark.parametrize("variable", ["GNCOMPANION_FIGURES", "GNCOMPANION_DATA"])
def test_without_a_checkout_the_remedy_names_the_variable(installed: Path, variable: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"run from inside a checkout, or set {variable}"):
        VARIABLES[variable]()


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_overrides_and_creates_nothing(
    installed: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(installed / "new"))
    assert VARIABLES[variable]() == installed / "new"
    assert not (installed / "new").exists()


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    default = VARIABLES[variable]()
    monkeypatch.setenv(variable, "")
    assert VARIABLES[variable]() == default


def test_a_relative_override_is_of_the_working_directory(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNCOMPANION_DATA", "here")
    assert paths.data() == installed / "elsewhere" / "here"


def test_runs_lie_in_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GNCOMPANION_DATA", str(tmp_path))
    assert paths.runs() == tmp_path / "runs"
