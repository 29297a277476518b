"""Where a figure comes from: its commit, whether that is the whole truth, and when two runs are the same."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gncompanion.notebook.provenance import device_name, provenance, same_run
from gncompanion.tools import paths


def test_dirty_means_that_what_makes_the_figure_has_changed(
    make_checkout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded() -> tuple[str | None, bool | None]:
        source = provenance("04_theorem5")
        return source["commit"], source["dirty"]

    folder = make_checkout(nb04_theorem5=["x = 1"], nb05_other=["x = 1"])
    monkeypatch.setattr(paths, "root", lambda: folder)
    assert recorded() == (None, None)
    for command in ("init", "add .", "-c user.name=n -c user.email=e commit -m first"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True, capture_output=True)
    commit, dirty = recorded()
    assert len(commit) == 40
    assert dirty is False
    (folder / "notebooks/05_other.ipynb").write_text("{}")
    (folder / "figures").mkdir()
    (folder / "figures/04_old.png").touch()
    assert recorded() == (commit, False)
    (folder / "notebooks/04_theorem5.ipynb").write_text("{}")
    assert recorded() == (commit, True)


def sidecar(**changes: object) -> bytes:
    return json.dumps({"commit": "a", "dirty": False, "arrays": {"x": [0.1, 1.0]}} | changes).encode()


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ({}, {"commit": "b"}, True),
        ({}, {"commit": "b", "dirty": True}, True),
        ({}, {"commit": None, "dirty": None}, True),
        ({"dirty": True}, {"commit": "b", "dirty": True}, True),
        ({"dirty": True}, {"commit": "b"}, False),  # a clean commit says more than a dirty one
        ({"commit": None, "dirty": None}, {}, False),
        ({}, {"arrays": {"x": [0.1, 1.0000000000000002]}}, False),
        ({}, {"arrays": {"x": [0.1, 1]}}, False),
        ({}, {"arrays": {"x": [0.1, True]}}, False),
        ({}, {"seeds": []}, False),
    ],
)
def test_a_run_is_the_same_if_all_but_its_commit_is(old: dict, new: dict, same: bool) -> None:
    assert same_run(sidecar(**old), sidecar(**new)) is same


@pytest.mark.parametrize("old", [b"", b"{", b"[]", b"{}", b"\xff", sidecar()[:-1]])
def test_what_cannot_be_read_is_not_the_same(old: bytes) -> None:
    assert not same_run(old, sidecar())


def test_a_processor_is_named_by_its_architecture() -> None:
    assert device_name("cpu").startswith("cpu (")
