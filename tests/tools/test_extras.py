"""What is missing is named in one line, with the extra that brings it."""

import pytest

from gncompanion.tools import extras

DECLARED = [
    "torch>=2.4",
    'click>=8.1; extra == "train"',
    'Pillow>=10; extra == "train"',
    'gncompanion[train]; extra == "notebooks"',
    "pot>=0.9.5; extra == 'notebooks'",
    'types-psutil; extra == "test"',
    'snakemake-executor-plugin-slurm>=2; python_version > "3" and extra == "scale"',
]


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.metadata, "requires", lambda _: DECLARED)


def missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("click", "click is not installed: pip install 'gncompanion[train]'"),
        ("click.testing", "click is not installed: pip install 'gncompanion[train]'"),
        ("PIL.Image", "PIL is not installed: pip install 'gncompanion[train]'"),
        ("ot", "ot is not installed: pip install 'gncompanion[notebooks]'"),
        (
            "snakemake_executor_plugin_slurm",
            "snakemake_executor_plugin_slurm is not installed: pip install 'gncompanion[scale]'",
        ),
        ("gncompanion.nothing", "No module named 'gncompanion.nothing'"),
        ("somebody_elses", "No module named 'somebody_elses'"),
        ("torch", "No module named 'torch'"),
    ],
)
def test_the_extra_is_named_if_there_is_one(module: str, line: str) -> None:
    assert extras.complaint(missing(module)) == line


def test_an_error_that_says_more_is_left_as_it_is() -> None:
    error = ModuleNotFoundError("FID needs click and weights", name="click")
    assert extras.complaint(error) == "FID needs click and weights"


def test_nothing_begins_without_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    extras.require_modules("json", "pytest")
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "click" else name)
    with pytest.raises(ModuleNotFoundError, match=r"^click is not installed: .*\[train\]'$"):
        extras.require_modules("json", "click")


def test_a_package_that_is_not_installed_declares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> list[str]:
        raise extras.metadata.PackageNotFoundError

    monkeypatch.setattr(extras.metadata, "requires", absent)
    assert extras.complaint(missing("click")) == "No module named 'click'"
