"""Data sets by name, and what has to be installed for them."""

import subprocess
import sys
from typing import Any

import pytest

from gncompanion.data import DATASETS, GaussianRing, load


def test_every_name_without_a_needed_option_loads() -> None:
    fetched = {"cifar10", "cifar100", "stl10", "celeba-hq", "lsun-church", "folder"}
    assert set(DATASETS) == {"ring", "grid", "digits"} | fetched
    for name in set(DATASETS) - fetched:
        assert load(name).name == name


def test_options_reach_the_data_set() -> None:
    assert load("ring", n_modes=3, radius=1.0) == GaussianRing(n_modes=3, radius=1.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "rings",
            {},
            r"unknown data set 'rings', did you mean 'ring'\? \(valid: ring, grid, digits, cifar10,",
        ),
        ("mnist", {}, r"unknown data set 'mnist' \(valid: "),
        ("ring", {"n_mode": 3}, r"'n_mode', did you mean 'n_modes'\? \(valid: n_modes, radius, std\)"),
        ("digits", {"flip": True}, "data set 'digits' has no option 'flip'"),
        ("folder", {}, "data set 'folder' needs a value for folder"),
    ],
)
def test_unknown_names_and_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, **options)


ALONE = """
import sys
import torch  # which warns where it finds no NumPy, and is therefore imported before there is none
for name in ("numpy", "scipy", "sklearn", "torchvision", "PIL", "tqdm"):
    sys.modules[name] = None  # whoever imports it now fails
from gncompanion import data
x, _ = data.load("ring").sample(3, torch.Generator())
pair = data.shifted_boxes(1.0)
print(tuple(x.shape), pair.w1)
"""


def test_toys_need_torch_alone() -> None:
    found = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert found.stdout == "(3, 2) 1.0\n"
