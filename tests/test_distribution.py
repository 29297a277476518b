"""What is released: a wheel that needs torch alone, and an sdist with all that its tests need.

Both are built by setuptools itself, from a copy of what git knows, without a network; the wheel runs in a
Python that sees torch, what torch declares to need, and nothing else.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gncompanion.tools import paths

pytestmark = pytest.mark.slow

ROOT = paths.root()
BUILD = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"


def known_to_git() -> list[str]:
    """The files that are committed, or would be by `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("what belongs into a release is what git knows, and this is no git checkout")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [file for file in listed.split("\0") if file and (ROOT / file).is_file()]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for file in known_to_git():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    return folder


def build(kind: str, source: Path, output: Path) -> Path:
    command = [sys.executable, "-W", "ignore", "-c", BUILD, f"build_{kind}", str(output)]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return output / built.stdout.splitlines()[-1]


def test_the_sdist_holds_what_git_knows(source: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", source, tmp_path)) as archive:
        files = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    made_by_setuptools = {file for file in files if ".egg-info/" in file} | {"PKG-INFO", "setup.cfg"}
    assert files - made_by_setuptools == set(known_to_git())


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, unpacked, and links to torch and to what torch needs."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(build("wheel", source, folder)) as wheel:
        wheel.extractall(folder)
    for name in needed("torch"):
        for file in distribution(name).files or ():
            top = Path(distribution(name).locate_file(file.parts[0]))
            if file.parts[0] not in ("..", "__pycache__") and not (folder / top.name).exists():
                (folder / top.name).symlink_to(top)
    return folder


def needed(name: str) -> set[str]:
    """A distribution and all that it needs, as far as it is installed here."""
    found, todo = set(), [name]
    while todo:
        name = todo.pop()
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            wanted = [Requirement(line) for line in lines]
            todo += [
                need.name for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})
            ]
    return found


def python(installed: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code where nothing but the folder and the standard library can be imported."""
    code = f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}"
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, cwd=installed, capture_output=True, text=True)


README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAIN = """
import torch
from torch.nn import Linear, ReLU, Sequential
my_critic = Sequential(Linear(2, 8), ReLU(), Linear(8, 1))
my_generator = Sequential(Linear(128, 8), ReLU(), Linear(8, 2))
batches = torch.randn(3, 16, 2)
{readme}
assert all(weight.grad.isfinite().all() for weight in my_critic.parameters())
import gncompanion
print(gncompanion.__version__, gncompanion.__file__)
"""


def test_the_readmes_gan_needs_torch_alone(installed: Path) -> None:
    (readme,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = python(installed, TRAIN.format(readme=readme))
    assert done.returncode == 0, done.stderr
    version, file = done.stdout.split()
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert Path(file).is_relative_to(installed)


@pytest.mark.parametrize("module", ["numpy", "click", "matplotlib", "tqdm", "gncompanion.metrics"])
def test_nothing_else_is_in_reach(module: str, installed: Path) -> None:
    assert "ModuleNotFoundError" in python(installed, f"import {module}").stderr


def test_the_command_line_says_which_extra_it_lacks(installed: Path) -> None:
    done = python(installed, "from gncompanion.__main__ import main; main()")
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()  # before it, torch may say that it has found no NumPy
    assert last == "Error: click is not installed: pip install 'gncompanion[train]'"
