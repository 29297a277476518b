"""The files around the package agree: what is declared, pinned, installed, described and promised."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from gncompanion.tools import paths

ROOT = paths.root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ALL = [Requirement(line) for group in (PROJECT["dependencies"], *EXTRAS.values()) for line in group]
DECLARED = [
    requirement for requirement in ALL if requirement.name != "gncompanion"
]  # one extra needs another


def read_pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line.split("  #")[0]) for line in lines if not line.startswith("#")]


PINS = read_pins()
HERE = {canonicalize_name(pin.name): pin for pin in PINS if pin.marker is None or pin.marker.evaluate()}


def test_every_pin_is_one_exact_version() -> None:
    for pin in PINS:
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert not specifier.version.endswith("*")
    assert len({str(pin) for pin in PINS}) == len(PINS)
    assert [pin.name for pin in PINS[:-1]] == sorted(pin.name for pin in PINS[:-1])


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_what_is_declared_is_pinned_within_bounds(requirement: Requirement) -> None:
    (pin,) = HERE[canonicalize_name(requirement.name)].specifier
    assert requirement.specifier.contains(pin.version)


def test_what_is_installed_is_pinned() -> None:
    """All that the declared packages need in turn, as their installed versions say, has its pin."""
    missing = {name for name in closure(DECLARED) if name not in HERE}
    assert not missing


def closure(requirements: Iterable[Requirement]) -> set[str]:
    found: set[tuple[str, str]] = set()

    def visit(requirement: Requirement, parent_extras: Iterable[str]) -> None:
        markers = [{"extra": extra} for extra in parent_extras] or [{"extra": ""}]
        if requirement.marker and not any(requirement.marker.evaluate(marker) for marker in markers):
            return
        node = (canonicalize_name(requirement.name), ",".join(sorted(requirement.extras)))
        if node in found:
            return
        found.add(node)
        try:
            needed = requires(node[0]) or []
        except PackageNotFoundError:  # an extra that is not installed here
            return
        for line in needed:
            visit(Requirement(line), requirement.extras)

    for requirement in requirements:
        visit(requirement, ())
    return {name for name, _ in found}


@pytest.mark.parametrize("name", ["pot", "setuptools", "torchvision", "uv"])
def test_surprising_pins_have_their_reason(name: str) -> None:
    (line,) = re.findall(rf"^{name}==.*$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    assert "  # " in line


@pytest.mark.parametrize(
    "name", ["constraints.txt", "environment.yml", "pyproject.toml", "Makefile", ".ci/run"]
)
def test_names_no_registry(name: str) -> None:
    assert not re.search(r"https?:|index-url|find-links|file:", (ROOT / name).read_text())


def test_conda_takes_python_and_pip_and_leaves_the_rest_to_pip() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, nested = environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]
    assert pip == "pip"
    version = re.fullmatch(r"python=(\d+\.\d+)", python)[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert nested["pip"][:2] == ["-c constraints.txt", f"-e .[{','.join(EXTRAS)}]"]


def test_conda_lists_what_is_declared_at_the_pinned_versions() -> None:
    *_, nested = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    names = sorted({canonicalize_name(requirement.name) for requirement in DECLARED})
    assert nested["pip"][2:] == [f"{name}{HERE[name].specifier}" for name in names]


def test_make_installs_the_pins_and_all_extras() -> None:
    makefile = re.sub(r"\s*\\\n\s*", " ", (ROOT / "Makefile").read_text())
    (install,) = re.findall(r"uv pip install (.*)", makefile)
    assert "--constraints constraints.txt --build-constraints constraints.txt" in install
    assert f"--editable '.[{','.join(EXTRAS)}]'" in install


def test_make_help_lists_the_targets() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make (\w+)", listed, flags=re.MULTILINE) == [
        "help",
        "figures",
        "check",
        "test",
        "lab",
        "clean",
    ]


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "make test"


def sources() -> Iterator[tuple[str, str]]:
    for file in [
        ROOT / "conftest.py",
        *(ROOT / "gncompanion").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
    ]:
        yield file.name, file.read_text(encoding="utf-8")
    for file in paths.notebooks().rglob("*.ipynb"):
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield file.name, "".join(cell["source"])


def test_what_is_imported_is_declared() -> None:
    ours = {"gncompanion", "tests", "benchmarks"}  # tests share helpers, and critics with the benchmarks
    origin = packages_distributions() | {name: ["gncompanion"] for name in ours}
    declared = {canonicalize_name(requirement.name) for requirement in DECLARED} | {"gncompanion"}
    for file, source in sources():
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names):
                distributions = {canonicalize_name(distribution) for distribution in origin.get(name, [name])}
                assert distributions & declared, (
                    f"{file} imports {name}, which pyproject.toml does not declare"
                )


def test_citation_names_this_version_and_both_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    first_authors = [paper["authors"][0]["family-names"] for paper in citation["references"]]
    assert first_authors == ["Wu", "Bhaskara"]
    assert [paper["year"] for paper in citation["references"]] == [2021, 2022]


def test_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert versions[0] == PROJECT["version"]
    assert versions == sorted(versions, key=Version, reverse=True)


def test_the_map_has_every_file_of_the_package() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"```\n(gncompanion/\n.*?)```", guide, flags=re.DOTALL)
    named, folder = set(), ""
    for line in tree.splitlines()[1:]:
        name = line.split()[0]
        assert len(line.split()) > 1, f"{name}: say what it is for"
        folder = folder if line.startswith("    ") else name if name.endswith("/") else ""
        named |= {folder + name} - {folder + folder}
    files = {
        file for file in (ROOT / "gncompanion").rglob("*") if file.suffix in (".py", ".mplstyle", ".typed")
    }
    rooms = {str(file.relative_to(ROOT / "gncompanion")) for file in files if file.name != "__init__.py"}
    assert named - {"__init__.py"} == rooms


def test_what_the_guide_points_to_is_there() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:gncompanion|tests|notebooks|data|figures|benchmarks)/[\w./]*)`", guide)
    assert len(named) > 20
    assert not [name for name in named if "NN_" not in name and not (ROOT / name).exists()]


def test_the_package_alone_needs_torch_alone() -> None:
    assert [Requirement(line).name for line in PROJECT["dependencies"]] == ["torch"]


@pytest.mark.parametrize("target", ["check", "test"])
def test_make_looks_at_style_and_types_before_it_tests(target: str) -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "--always-make", "PYTHON=python3", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    tools = re.findall(r"\.venv/bin/(ruff check|ruff format|mypy|pytest)", recipe)
    assert tools == ["ruff check", "ruff format", "mypy", "pytest"]


def test_the_readmes_gan_trains_both_networks() -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert len([line for line in code.splitlines() if line.strip()]) <= 20

    def network(n_in: int, n_out: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(n_in, 8), torch.nn.ReLU(), torch.nn.Linear(8, n_out))

    networks = {"my_critic": network(2, 1), "my_generator": network(128, 2)}
    before = {name: [weight.clone() for weight in net.parameters()] for name, net in networks.items()}
    exec(code, {**networks, "batches": torch.randn(3, 16, 2)})
    for name, net in networks.items():
        for old, new in zip(before[name], net.parameters(), strict=True):
            assert not torch.equal(old, new), name
            assert new.isfinite().all()
