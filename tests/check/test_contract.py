"""docs/contract.md: each promise names a test that is there, and what it shows runs."""

import ast
import re

import pytest
from click.testing import CliRunner

from gncompanion import cli
from gncompanion.tools import paths

PAGE = paths.root() / "docs" / "contract.md"
TEXT = PAGE.read_text(encoding="utf-8")
TESTS = re.findall(r"\[`(test_\w+)`\]\((\.\./tests/[\w/]+\.py)\)", TEXT)
LINKS = re.findall(r"\]\(([^)]+)\)", TEXT)


@pytest.mark.parametrize(("name", "file"), sorted(set(TESTS)))
def test_a_promise_names_a_test_that_is_there(name: str, file: str) -> None:
    tree = ast.parse((PAGE.parent / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_link_leads_somewhere() -> None:
    assert len(TESTS) > 15
    assert not [link for link in LINKS if not (PAGE.parent / link).exists()]


def test_each_promise_of_auto_has_its_test() -> None:
    (section,) = re.findall(r"## What `\"auto\"` promises\n\n(.*?)\n\n## ", TEXT, flags=re.DOTALL)
    promises = section.split("\n* ")
    assert len(promises) >= 7
    assert all("(../tests/" in promise for promise in promises)


def test_the_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    space: dict[str, object] = {}
    exec(code, space)
    assert "SiLU '1'" in capsys.readouterr().out


def test_the_perceptrons_price_is_what_is_said() -> None:
    (said,) = re.findall(r"perceptron below has (\d\.\d\d)", TEXT)
    (code,) = re.findall(r"```python\n(.*?)critic\[1\]", TEXT, flags=re.DOTALL)
    space: dict = {}
    exec(code, space)
    flops = space["report"].flops
    assert f"{flops.ratio(flops.auto):.2f}" == said


def test_the_command_runs() -> None:
    (command,) = re.findall(r"```console\n\$ gncompanion (.*)\n```", TEXT)
    result = CliRunner().invoke(cli.app, command.split())
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1] == "method    linear: the fast exact gradient"


def test_the_lowest_torch_is_the_declared_one() -> None:
    (declared,) = re.findall(r'^dependencies = \["torch>=([\d.]+)"\]', PROJECT, flags=re.MULTILINE)
    assert f"torch {declared}" in TEXT


PROJECT = (paths.root() / "pyproject.toml").read_text(encoding="utf-8")
