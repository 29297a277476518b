"""`gncompanion check`: what it takes, what it prints, its exit codes; and one line where it cannot check."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gncompanion import cli

MODULE = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, width, act="relu"):
        super().__init__()
        between = {"relu": nn.ReLU(), "silu": nn.SiLU(), "root": nn.Threshold(9, 0)}[act]
        self.net = nn.Sequential(nn.Linear(2, width), between, nn.Linear(width, 1))

    def forward(self, x, y=None):
        f = self.net(x)
        return f if y is None else f + y[:, None]

class Both(Small):
    def forward(self, x):
        return self.net(x), x.exp()

class Named(Small):
    def forward(self, x):
        return {"score": self.net(x), "x": x.exp()}

class Root(Small):
    def forward(self, x):
        return (x - x).sum(1).sqrt() + self.net(x)[:, 0]

def factory(**options):
    return Small(4, **options)

def nothing():
    return None

def on_the_fly(*layers, **options):
    return lambda x: x.relu().sum(1)

class Holder:
    critic = Small(3)

number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with critics, which is the current one; what it does to imports is undone."""
    (tmp_path / "critics_here.py").write_text(MODULE)
    (tmp_path / "needs.py").write_text("import a_package_that_is_not_there")
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "beside.py").write_text("from torch import nn\nmake = nn.ReLU")
    (tmp_path / "sub" / "torch.py").write_text(
        "from beside import make\nfrom torch import nn\n"
        "critic = nn.Sequential(nn.Linear(2, 3), make(), nn.Linear(3, 1))"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["check", *arguments])


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("critics_here:Small", ["--option", "width=5"]),
        ("critics_here:factory", []),
        ("critics_here:factory", ["--option", "act=relu", "--batch", "3"]),
        ("critics_here:Holder.critic", ["--labels", "4"]),
        ("critics_here:on_the_fly", ["--option", "anything=1"]),
        ("critics_here:Both", ["--option", "width=5", "--aux"]),
        ("critics_here:Named", ["--option", "width=5", "--value", "score"]),
        ("critics_here.py:factory", []),
        ("sub/torch.py:critic", []),
    ],
)
def test_critics_are_found_and_built(target: str, options: list[str]) -> None:
    result = check(target, "--shape", "2", *options)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith(f"critic    {target}, ")
    assert lines[1] == "method    linear: the fast exact gradient"
    assert lines[-1] == "verdict   the gradient is right"


def test_json() -> None:
    result = check("critics_here:factory", "--shape", "2", "--option", "act=silu", "--json", "--seconds")
    found = json.loads(result.output)
    assert (found["method"], found["right"], found["shape"]) == ("autograd", True, [2])
    assert found["seconds"]["plain"] > 0
    assert "SiLU" in found["remedies"][0]


def test_a_wrong_gradient_is_exit_code_1() -> None:
    result = check("critics_here:Root", "--shape", "2", "--option", "width=3")
    assert result.exit_code == 1
    assert "verdict   THE GRADIENT IS NOT RIGHT" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["critics_here", "--shape", "2"], "'critics_here' must be module:name or path/to/file.py:name"),
        (["critics_her:Small", "--shape", "2"], "no module 'critics_her' in "),
        (["nowhere.py:Small", "--shape", "2"], "there is no file nowhere.py"),
        (["needs:Small", "--shape", "2"], "needs imports a_package_that_is_not_there, which is"),
        (["broken:f", "--shape", "2"], "broken cannot be imported: SyntaxError: "),
        (["broken.py:f", "--shape", "2"], "broken.py cannot be imported: SyntaxError: "),
        (["critics_here:Smal", "--shape", "2"], "critics_here has no 'Smal', did you mean 'Small'? (valid: "),
        (["critics_here:number", "--shape", "2"], "critics_here:number is a int, not a critic"),
        (["critics_here:nothing", "--shape", "2"], "critics_here:nothing made a NoneType, not a critic"),
        (["critics_here:Small", "--shape", "2"], "Small needs a value for width: give it by --option"),
        (["critics_here:Small", "--shape", "2", "--option", "widht=2"], "'widht', did you mean 'width'?"),
        (["critics_here:Small", "--shape", "2", "--option", "width"], "--option width must be name=value"),
        (["critics_here:factory", "--shape", "2", "--option", "b=1"], "cannot be built: TypeError: "),
        (["critics_here:Holder.critic", "--shape", "2", "--option", "b=1"], "is already built: options go"),
        (["critics_here:factory", "--shape", "2,x"], "--shape 2,x must be whole numbers from 1 on"),
        (["critics_here:factory", "--shape", "0"], "--shape 0 must be whole numbers from 1 on"),
        (["critics_here:factory", "--shape", "3"], "for x of shape (8, 3): is --shape right"),
        (["critics_here:factory", "--shape", "2", "--batch", "0"], "batch=0 must be an integer from 1 on"),
        (["critics_here:factory", "--shape", "2", "--device", "abacus"], "'abacus' cannot be used here"),
        (["critics_here:Named", "--option", "width=2", "--shape", "2", "--value", "f"], "has no 'f' (valid"),
        (["critics_here:Both", "--option", "width=2", "--shape", "2"], "not tuple: has_aux=True takes (val"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = check(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
