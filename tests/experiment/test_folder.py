"""An experiment's folder: another for other settings, and for no others."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from gncompanion.data import DATASETS, GaussianRing
from gncompanion.experiment import Experiment
from gncompanion.training import Schedule
from tests.helpers.experiments import DIGITS, RING, SHORT, same, weights
from tests.helpers.pictures import save_random_picture

pytestmark = pytest.mark.usefixtures("runs")

OTHER_SCHEDULE = {
    "steps": 4,
    "n_dis": 2,
    "batch_critic": 9,
    "batch_generator": 9,
    "accumulation": 2,
    "lr_critic": 1e-4,
    "lr_generator": 1e-4,
    "betas": (0.5, 0.9),
    "lr_decay": "linear",
    "ema_decay": None,
    "ema_start": 1,
    "precision": "bfloat16",
    "channels_last": True,
    "captured": True,
    "log_every": 7,
    "checkpoint_every": 7,
}
OTHER = {
    "dataset": {"dataset": "grid"},
    "network": {"network": "resnet", "dataset": "digits", "network_options": {"width": 8}},
    "constraint": {"constraint": "none"},
    "loss": {"loss": "wasserstein"},
    "dataset_options": {"dataset_options": {"std": 0.1}},
    "network_options": {"network_options": {"width": 8, "depth": 3}},
    "constraint_options": {"constraint_options": {"method": "autograd"}},
    "seed": {"seed": 1},
    **{name: {"schedule": {**SHORT, name: value}} for name, value in OTHER_SCHEDULE.items()},
}


@pytest.mark.parametrize("name", OTHER)
def test_one_setting_makes_another_run(name: str) -> None:
    folder = Experiment(**RING).folder()
    assert Experiment(**{**RING, **OTHER[name]}).folder() != folder


def test_every_setting_is_tested() -> None:
    names = {f.name for cls in (Experiment, Schedule) for f in fields(cls)}
    assert names - {"schedule", "device"} == set(OTHER)


def test_the_device_and_the_data_count(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment(**RING)
    folder = experiment.folder()
    monkeypatch.setattr(Experiment, "_device", lambda self: torch.device("cuda:1"))
    assert experiment.folder() != folder
    assert experiment.settings()["device"] == "cuda"
    monkeypatch.undo()
    monkeypatch.setattr(type(experiment._data), "digest", "another")
    assert experiment.folder() != folder


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"network_options": {"depth": 2, "width": 8}},
        {"schedule": Schedule(**SHORT)},
        {"schedule": {**SHORT, "lr_critic": 2e-4, "betas": [0, 0.9]}},
        {"device": "cpu:0"},
    ],
    ids=str,
)
def test_equal_settings_are_one_run(other: dict[str, Any]) -> None:
    assert Experiment(**{**RING, **other}).folder() == Experiment(**RING).folder()


def test_numbers_and_sequences_are_compared_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def ring(sizes: Any) -> GaussianRing:
        given.append(sizes)
        return GaussianRing()

    def folder(weight: float, sizes: Any) -> Path:
        options = {"constraint_options": {"weight": weight}, "dataset_options": {"sizes": sizes}}
        return Experiment(**{**RING, "dataset": "sized", "constraint": "gp", **options}).folder()

    monkeypatch.setitem(DATASETS, "sized", ring)
    assert folder(10, [1, 2]) == folder(10.0, (1.0, 2.0))
    assert folder(10, [1, 2]) != folder(10, [2, 1])
    assert folder(10, [1, 2]) != folder(10.5, [1, 2])
    assert given[0] == given[1] == [1, 2]


def test_options_are_the_experiments_own() -> None:
    options: dict[str, Any] = {"width": 8, "depth": 2}
    experiment = Experiment(**{**RING, "network_options": options})
    folder = experiment.folder()
    options["width"] = 9
    assert experiment.folder() == folder
    assert Experiment(**{**RING, "dataset_options": {"radius": 2}}).dataset_options == {"radius": 2}


def test_paths_are_text(tmp_path: Path) -> None:
    experiment = Experiment(dataset="folder", dataset_options={"folder": tmp_path / "absent"})
    assert experiment.dataset_options == {"folder": str(tmp_path / "absent")}
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent"):
        experiment.folder()


def test_a_relative_folder_of_data_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_random_picture(tmp_path / "faces" / "1.png", 8, 8)
    monkeypatch.setenv("GNCOMPANION_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    experiment = Experiment(
        **{**DIGITS, "dataset": "folder", "dataset_options": {"folder": "faces", "size": 8}}
    )
    assert experiment.dataset_options == {"folder": str(tmp_path / "faces"), "size": 8}
    trained = experiment.run(tmp_path / "run")
    settings = tmp_path / "run" / "settings.json"
    settings.write_text(settings.read_text().replace(str(tmp_path / "faces"), "faces"))  # a former version's
    assert same(weights(trained), weights(experiment.run(tmp_path / "run", train=False)))
    assert Experiment.of(tmp_path / "run").dataset_options["folder"] == str(tmp_path / "faces")
    home = Experiment(dataset="folder", dataset_options={"folder": "~/faces"})
    assert home.dataset_options["folder"] == "~/faces"


def test_what_is_portable_needs_no_data_and_is_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment(**RING, constraint="gp", constraint_options={"weight": 10.0})
    whole = experiment.settings()
    assert (whole.pop("device"), whole.pop("data_digest")) == ("cpu", experiment._data.digest)
    monkeypatch.setitem(DATASETS, "ring", None)
    again = Experiment(**RING, constraint="gp", constraint_options={"weight": 10})
    assert again.portable_settings() == whole


def test_folders_of_earlier_versions_are_found() -> None:
    """Names that the first versions gave: a change of the digest would orphan every run on a disk."""
    schedule = {
        **{"steps": 7, "n_dis": 2, "batch_critic": 8, "batch_generator": 12, "ema_decay": 0.9},
        **{"ema_start": 2, "lr_decay": "linear", "log_every": 2, "checkpoint_every": 3},
    }
    assert Experiment(**{**DIGITS, "schedule": schedule}).folder().name == "digits-dcgan-gn-0-ac5d5af625"


def test_its_name_can_be_read(runs: Path) -> None:
    folder = Experiment(**DIGITS, constraint="gn+cr", seed=7).folder()
    assert folder.parent == runs
    assert re.fullmatch(r"digits-dcgan-gn\+cr-7-[0-9a-f]{10}", folder.name)
