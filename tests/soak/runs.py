"""The tiny training of the soak, as a row and as a notebook, and what its folder must hold."""

import hashlib
import json
import shutil
from pathlib import Path

import torch
import yaml

from gncompanion.tools import paths
from gncompanion.training import checkpoint
from tests.conftest import notebook_json

STEPS, EVERY = 150, 3
ROW = {
    "methods": {"GN": {"constraint": "gn", "loss": "bce"}},
    "seeds": [0],
    "network_options": {"width": 2, "z_dim": 4},
    "steps": STEPS,
    "batch_critic": 4,
    "batch_generator": 4,
    "ema_decay": 0.9,
    "log_every": 7,
    "checkpoint_every": EVERY,
    "metrics": "none",
    "device": "cpu",
}
FIGURES = 12  # files that the notebook makes, beside its claims
NOTEBOOK = f"""import os
from pathlib import Path
from gncompanion.notebook import Notebook
from gncompanion.papers.rows import read
book = Notebook("90_train", globals())
for (method, seed), experiment in read(Path(row)).experiments().items():
    experiment.run()
folder = Path(os.environ["GNCOMPANION_FIGURES"])
folder.mkdir(exist_ok=True)
for number in range({FIGURES}):
    (folder / f"90_{{number}}.txt").write_text(stamp * 10_000)
book.claims.record("id", "It is so.", source="001", verdict="holds")
_ = book.claims.save()"""


def write_row(folder: Path) -> Path:
    """Write the row's file."""
    file = folder / "90_row.yml"
    file.write_text(yaml.safe_dump(ROW))
    return file


def make_checkout(folder: Path) -> Path:
    """Make a checkout of the package and the notebook, with parameters of a full run."""
    shutil.copytree(paths.root() / "gncompanion", folder / "gncompanion")
    shutil.copy(paths.root() / "pyproject.toml", folder)
    (folder / "notebooks/full").mkdir(parents=True)
    declared = ('row: str = ""\nstamp: str = "none"', {"tags": ["parameters"]})
    (folder / "notebooks/90_train.ipynb").write_text(notebook_json(declared, NOTEBOOK))
    settings = {"row": str(write_row(folder)), "stamp": "full"}
    (folder / "notebooks/full/90_full.yml").write_text(yaml.safe_dump(settings))
    return folder


def run_folder(runs: Path) -> Path | None:
    """The one run's folder, once there is one."""
    return next(iter(sorted(file.parent for file in runs.glob("*/settings.json"))), None)


def step_in(runs: Path) -> int:
    """The step of the newest checkpoint."""
    folder = run_folder(runs)
    saved = checkpoint.ordered(folder) if folder else []
    return int(saved[0].name.split("-")[1]) if saved else 0


def damages(runs: Path) -> list[str]:
    """Name every file of a run under its final name that is not whole."""
    found = []
    for file in runs.glob("*/step-*.pt"):
        try:
            if hashlib.sha256(file.read_bytes()).hexdigest()[:8] != file.stem.split("-")[2]:
                found.append(str(file))
        except FileNotFoundError:
            continue
    for file in runs.glob("*/settings.json"):
        try:
            json.loads(file.read_text())
        except ValueError:
            found.append(str(file))
    return found


def leftovers(folder: Path) -> list[str]:
    """Name all hidden files but the lock."""
    return [str(path) for path in folder.rglob(".*") if path.name != ".lock"]


def differs(runs: Path, reference: Path) -> str:
    """Say in what a finished run differs from another, to the last bit; empty if in nothing."""
    one, other = run_folder(runs), run_folder(reference)
    if one is None or other is None or not (one / "log.csv").exists():
        return "it is not finished"
    states = [checkpoint.newest(each) for each in (one, other)]
    for state in states:
        assert state is not None
        del state["global_random"]  # of the process, which no part of the package draws from
    try:
        torch.testing.assert_close(*states, rtol=0, atol=0)
    except AssertionError as error:
        return str(error)
    return "" if (one / "log.csv").read_bytes() == (other / "log.csv").read_bytes() else "the logs differ"
