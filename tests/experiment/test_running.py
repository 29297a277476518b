"""Running: trained once, resumed from what there is, loaded unchanged; a folder of another run is refused."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from gncompanion.experiment import Experiment
from gncompanion.training import NonFiniteLoss, checkpoint
from tests.helpers.experiments import RING, SHORT, same, weights

pytestmark = pytest.mark.usefixtures("runs")


def _as_if_trained_on_a_gpu(folder: Path) -> None:
    """Give a run what CUDA leaves in its files: a generator's 16 bytes, captured steps, rates in tensors."""
    settings = json.loads((folder / "settings.json").read_text())
    settings["device"], settings["schedule"]["captured"] = "cuda", True
    (folder / "settings.json").write_text(json.dumps(settings))
    state = checkpoint.newest(folder)
    state["random"] = torch.zeros(16, dtype=torch.uint8)
    for optimizer in state["optimizers"].values():
        for group in optimizer["param_groups"]:
            group |= {"capturable": True, "lr": torch.tensor(group["lr"])}
    checkpoint.save(folder, state.pop("step"), state)


def test_a_finished_run_is_loaded(steps_done: list[int]) -> None:
    experiment = Experiment(**RING)
    first = experiment.run()
    assert steps_done == [1, 2, 3]
    before = {path: path.stat().st_mtime_ns for path in experiment.folder().iterdir() if path.suffix}
    second = Experiment(**RING).run()
    assert steps_done == [1, 2, 3]
    assert same(weights(first), weights(second))
    assert first.history == second.history
    assert torch.equal(first.sample(5, average=True), second.sample(5, average=True))
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing is written again


def test_it_can_be_opened_from_its_folder(tmp_path: Path) -> None:
    trained = Experiment(**RING).run(tmp_path)
    assert same(weights(trained), weights(Experiment.of(tmp_path).run(tmp_path)))


def test_numbers_may_be_integers(tmp_path: Path) -> None:
    ones = {"lr_critic": 1, "lr_generator": 1, "betas": (0, 0.9), "ema_decay": 0}
    Experiment(**{**RING, "schedule": {**SHORT, **ones}}).run(tmp_path)


def test_a_partial_run_is_resumed(steps_done: list[int], tmp_path: Path) -> None:
    settings = {**RING, "schedule": {**SHORT, "steps": 7, "checkpoint_every": 3}}
    whole = Experiment(**settings).run(tmp_path / "whole")
    part = Experiment(**settings).run(str(tmp_path / "part"))
    last, middle = checkpoint.ordered(tmp_path / "part")
    last.unlink()
    (tmp_path / "part" / "log.csv").unlink()
    steps_done.clear()
    part = Experiment(**settings).run(tmp_path / "part")
    assert steps_done == [7]
    assert middle.exists()
    assert same(weights(whole), weights(part))
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "part")]
    assert logs[0] == logs[1]


def test_a_damaged_checkpoint_costs_its_steps_only(steps_done: list[int], runs: Path) -> None:
    settings = {**RING, "schedule": {**SHORT, "steps": 7, "checkpoint_every": 3}}
    experiment = Experiment(**settings)
    whole = experiment.run()
    last, before = checkpoint.ordered(experiment.folder())
    last.write_bytes(last.read_bytes()[:-100])
    steps_done.clear()
    with pytest.warns(UserWarning, match=f"damaged: {last.name}; using {before.name}, the one before"):
        again = experiment.run()
    assert steps_done == [7]
    assert same(weights(whole), weights(again))
    before.write_bytes(b"")
    checkpoint.ordered(experiment.folder())[0].write_bytes(b"")
    with pytest.raises(
        RuntimeError, match=re.escape(f"every checkpoint in {experiment.folder()} is damaged")
    ):
        experiment.run()


def test_another_runs_folder_is_refused(steps_done: list[int], tmp_path: Path) -> None:
    Experiment(**RING).run(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    steps_done.clear()
    other = {
        **RING,
        "loss": "bce",
        "seed": 1,
        "schedule": {**SHORT, "steps": 9, "betas": (0.5, 0.9)},
        "network_options": {"width": 16},
        "dataset_options": {"std": 0.5},
    }
    with pytest.raises(ValueError, match="holds a run with other settings") as caught:
        Experiment(**other).run(tmp_path)
    message = str(caught.value)
    listed = message.removeprefix(f"{tmp_path} holds a run with other settings: ").removesuffix(
        ". Use another folder."
    )
    data_digest = listed.split("; ")[0]
    assert re.fullmatch(r"data_digest is '[0-9a-f]{16}' there, '[0-9a-f]{16}' here", data_digest)
    assert listed.split("; ")[1:] == [
        "dataset_options.std is not set there, 0.5 here",
        "loss is 'hinge' there, 'bce' here",
        "network_options.depth is 2 there, not set here",
        "network_options.width is 8 there, 16 here",
        "schedule.betas is [0, 0.9] there, [0.5, 0.9] here",
        "schedule.steps is 3 there, 9 here",
        "seed is 0 there, 1 here",
    ]
    assert steps_done == []
    assert {path: path.read_bytes() for path in files} == files


def test_a_finished_run_of_another_device_is_opened_here(steps_done: list[int], tmp_path: Path) -> None:
    trained = Experiment(**RING).run(tmp_path)
    _as_if_trained_on_a_gpu(tmp_path)
    steps_done.clear()
    opened = Experiment.of(tmp_path, device="cpu").run(tmp_path)
    assert steps_done == []
    assert same(weights(trained), weights(opened))
    assert trained.history == opened.history
    assert opened.device.type == "cpu"


def test_an_unfinished_run_of_another_device_is_not(tmp_path: Path) -> None:
    Experiment(**RING).run(tmp_path)
    _as_if_trained_on_a_gpu(tmp_path)
    (tmp_path / "log.csv").unlink()
    with pytest.raises(ValueError, match="other settings: device is 'cuda' there, 'cpu' here"):
        Experiment.of(tmp_path, device="cpu").run(tmp_path)


def test_the_log() -> None:
    experiment = Experiment(**{**RING, "schedule": {**SHORT, "steps": 5, "log_every": 2}})
    run = experiment.run()
    header, *rows = (experiment.folder() / "log.csv").read_text().splitlines()
    assert header == "step,critic_loss,score_real,score_fake,generator_loss"
    columns = zip(*([float(value) for value in row.split(",")] for row in rows), strict=True)
    assert {
        name: list(column) for name, column in zip(header.split(","), columns, strict=True)
    } == run.history
    assert run.history["step"] == [2, 4, 5]


def test_the_settings_are_kept_beside() -> None:
    experiment = Experiment(**RING)
    experiment.run()
    kept = json.loads((experiment.folder() / "settings.json").read_text())
    assert kept == experiment.settings()
    assert (
        Experiment(**{name: kept[name] for name in (f.name for f in fields(Experiment))}).folder()
        == experiment.folder()
    )


def test_auto_is_what_there_is(steps_done: list[int]) -> None:
    here = "cuda" if torch.cuda.is_available() else "cpu"
    trained = Experiment(**{**RING, "device": here}).run()
    loaded = Experiment(**{**RING, "device": "auto"}).run()
    assert steps_done == [1, 2, 3]
    assert same(weights(trained), weights(loaded))
    assert loaded.device.type == here


def test_a_breakdown_saves_nothing() -> None:
    schedule = {**SHORT, "steps": 30, "lr_critic": 1e20, "checkpoint_every": 1}
    experiment = Experiment(**{**RING, "constraint": "none", "loss": "wasserstein", "schedule": schedule})
    for _ in range(2):  # the second time from the last good checkpoint, into the same
        with pytest.raises(
            NonFiniteLoss, match=r"^step \d+ of 30: .* finite \(critic_loss .*Lower the learning"
        ):
            experiment.run()
        state = checkpoint.newest(experiment.folder())
        if state:
            assert all(t.isfinite().all() for m in state["modules"].values() for t in m.values())
    assert not (experiment.folder() / "log.csv").exists()
