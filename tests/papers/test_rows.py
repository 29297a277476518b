"""Rows of tables: flat files become experiments, bad ones are refused by name, all rows here build."""

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gncompanion import data
from gncompanion.data import Images
from gncompanion.experiment import Experiment
from gncompanion.papers import tables
from gncompanion.papers.rows import Row, read, row
from gncompanion.papers.scoring import EvaluationProtocol
from gncompanion.training import Schedule

METHODS = {"GN": {"constraint": "gn", "loss": "bce"}, "SN": {"constraint": "sn", "loss": "hinge"}}
FLAT = {"methods": METHODS, "seeds": [3, 5], "network_options": {"width": 2, "z_dim": 4}, "device": "cpu"}
FILES = tables.row_files()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown setting of a row 'stepz', did you mean 'steps'? (valid: methods, seeds, "),
        ({"schedule": {}}, "unknown setting of a row 'schedule'"),
        ({"protocol": {}}, "unknown setting of a row 'protocol'"),
        (
            {"methods": {}},
            "methods={} must be a mapping of names to mappings of constraint, constraint_options, ",
        ),
        ({"methods": ["gn"]}, "methods=['gn'] must be a mapping"),
        (
            {"methods": {"GN": None}},
            "methods: GN=None must be a mapping of constraint, constr",
        ),
        (
            {"methods": {"GN": {"constraint": "gn"}}},
            "methods: GN={'constraint': 'gn'} needs a value for loss, such",
        ),
        (
            {"methods": {"GN": {**METHODS["GN"], "los": 1}}},
            "methods: GN has no setting 'los', did you mean 'loss'?",
        ),
        (
            {"seeds": []},
            "seeds=[] must be a list of different integers from 0 to 1000000000, such as [0, 1, 2]",
        ),
        ({"seeds": 3}, "seeds=3 must be a list"),
        ({"seeds": "012"}, "seeds='012' must be a list"),
        ({"seeds": [0, 0]}, "seeds=[0, 0] must be a list of different"),
        ({"seeds": [0, -1]}, "seeds=[0, -1] must be"),
        ({"seeds": [0.5]}, "seeds=[0.5] must be"),
        ({"seeds": [[0]]}, "seeds=[[0]] must be"),
        ({"printed": {"FID": 19.31}}, "printed: FID=19.31 must be a line of text, such as '21.7'"),
        ({"printed": "19.31"}, "printed='19.31' must be"),
        ({"steps": 0}, "steps=0 must be an integer from 1 to 1000000000, such as 1000"),
        ({"metrics": "fid"}, "unknown metrics 'fid' (valid: inception, efficientnet, classifier, none)"),
        ({"n_samples": 1}, "n_samples=1 must be an integer from 2 to 10000000, such as 50000"),
        ({"judged_every": 0}, "judged_every=0 must be an integer from 1 to 1000000000, or None, such as"),
        (
            {"steps": 40, "checkpoint_every": 10, "judged_every": 15},
            "judged_every=15 must be a multiple of checkpoint_every=10 that divides steps=40",
        ),
        (
            {"steps": 50, "checkpoint_every": 10, "judged_every": 20},
            "judged_every=20 must be a multiple of checkpoint_every=10 that divides steps=50",
        ),
        (
            {"average": True, "ema_decay": None},
            "average=True judges averaged weights, of which ema_decay=None",
        ),
    ],
)
def test_a_bad_setting_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        row({**FLAT, **change})


@pytest.mark.parametrize("name", ["methods", "seeds"])
def test_what_has_no_default_must_be_given(name: str) -> None:
    with pytest.raises(ValueError, match=f"a row needs a value for {name}"):
        row({key: value for key, value in FLAT.items() if key != name})


def test_fields_of_schedule_and_protocol_stand_beside_the_others() -> None:
    made = row({**FLAT, "steps": 7, "betas": [0.5, 0.9], "n_samples": 20, "metrics": "classifier"})
    assert made.schedule == Schedule(steps=7, betas=(0.5, 0.9))
    assert made.protocol == EvaluationProtocol(metrics="classifier", n_samples=20)
    assert made == Row(
        **FLAT, schedule=Schedule(steps=7, betas=(0.5, 0.9)), protocol=EvaluationProtocol("classifier", 20)
    )


def test_one_experiment_a_method_and_seed() -> None:
    made = row({**FLAT, "steps": 7}).experiments()
    assert list(made) == [("GN", 3), ("GN", 5), ("SN", 3), ("SN", 5)]
    common = {"network_options": FLAT["network_options"], "schedule": Schedule(steps=7), "device": "cpu"}
    assert made["SN", 5] == Experiment(**common, constraint="sn", loss="hinge", seed=5)


def test_a_file_says_the_same_and_parameters_replace_its_own(tmp_path: Path) -> None:
    file = tmp_path / "row.yml"
    file.write_text("methods: {GN: {constraint: gn, loss: bce}}\nseeds: [0]\nsteps: 9\nlr_critic: 4.0e-4\n")
    assert read(file).schedule == Schedule(steps=9, lr_critic=4e-4)
    assert read(file, {"steps": 3}).schedule == Schedule(steps=3, lr_critic=4e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- methods", "row.yml must hold a mapping of names to values"),
        ("", "row.yml must hold a mapping of names to values"),
        ("methods: [", "row.yml is not YAML: line 1: expected the node content"),
        ("seeds: [0]", "row.yml: a row needs a value for methods"),
    ],
)
def test_a_bad_file_is_named_in_one_line(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "row.yml"
    file.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        read(file)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "row.yml", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"no file {re.escape(str(place))}$"):
            read(place)


class TestRowsThatAreHere:
    """Those of notebooks/full/; random images of the right shape take their data's place."""

    @pytest.fixture(autouse=True)
    def no_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("cifar10", "cifar100", "stl10", "celeba-hq", "lsun-church"):
            monkeypatch.setitem(data.DATASETS, name, stand_in(name))

    def test_there_are_rows(self) -> None:
        assert len(FILES) > 0

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_it_reads_and_prints_what_it_measures(self, file: Path) -> None:
        made = read(file)
        measured = {"IS", "KID × 1000", *made.protocol.references}
        assert made.printed.keys() <= measured
        assert made.source
        assert made.label in file.stem
        for options in made.protocol.references.values():
            chosen = {name: value for name, value in options.items() if name != "n_samples"}
            data.load(made.dataset, **{**made.dataset_options, **chosen})

    @pytest.mark.slow
    def test_all_networks_and_constraints_build(self) -> None:
        built = set()
        for file in FILES:
            made = read(file)
            shape = data.load(made.dataset, **made.dataset_options).shape
            parts = (shape, made.network, made.network_options, list(made.methods.values()))
            if repr(parts) not in built:
                experiments = replace(made, seeds=made.seeds[:1], device="cpu").experiments()
                assert len(experiments) == len(made.methods)
                for experiment in experiments.values():
                    experiment.validate()
                built.add(repr(parts))


def stand_in(name: str) -> Callable[..., Images]:
    """A maker with the options of the data set's own, of a few random images."""
    sizes, classes = {"cifar10": 32, "cifar100": 32, "stl10": 48}, {"cifar10": 10, "cifar100": 100}
    signature = inspect.signature(data.DATASETS[name])

    def make(**options: Any) -> Images:
        size = options.get("size", sizes.get(name, 256))
        pixels = torch.randint(256, (4, 3, size, size), generator=torch.Generator().manual_seed(0))
        labels = torch.arange(4) + classes[name] - 4 if name in classes else None
        return Images(name, pixels.to(torch.uint8), labels=labels)

    make.__signature__ = signature
    return make
