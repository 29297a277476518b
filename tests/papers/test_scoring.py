"""Runs judged: the numbers are those of the metrics' own functions; what cannot be judged is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from gncompanion import data, metrics
from gncompanion.cli import app
from gncompanion.experiment import Experiment, Run
from gncompanion.papers import scoring
from gncompanion.papers.scoring import (
    EvaluationProtocol,
    judge,
    keep,
    require_metrics,
    scores_file,
)
from gncompanion.tools import paths
from tests.helpers.pictures import Moments, save_random_picture

NAMES = [
    "Fréchet distance (classifier)",
    "score (classifier)",
    "score (classifier) sd",
    "kernel distance × 1000 (classifier)",
    "kernel distance × 1000 (classifier) sd",
]
TINY = {
    "network_options": {"width": 2, "z_dim": 4},
    "schedule": {"steps": 2, "batch_critic": 4, "batch_generator": 4},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Experiment(**TINY).run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def feature_map() -> metrics.FeatureMap:
    digits = data.load("digits")
    return metrics.train_classifier(digits.images, digits.labels)


@pytest.fixture(autouse=True)
def one_classifier(feature_map: metrics.FeatureMap, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained once, which takes seconds."""
    scoring._classifier.cache_clear()
    monkeypatch.setattr(scoring, "train_classifier", lambda *_: feature_map)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": "clasifier"}, "unknown metrics 'clasifier', did you mean 'classifier'? (valid: inc"),
        ({"metrics": None}, "unknown metrics None"),
        ({"n_samples": 1}, "n_samples=1 must be an integer from 2 on"),
        ({"n_samples": 1e4}, "n_samples=10000.0 must be an integer from 2 on"),
        ({"references": {}}, "references={} must be a mapping such as {FID: {}}"),
        ({"references": ["FID"]}, "references=['FID'] must be a mapping"),
        ({"references": {"FID": None}}, "FID: None must be a mapping such as {split: test}"),
        ({"references": {"FID": {"n_samples": 1}}}, "FID: n_samples=1 must be an integer from 2 to 50000"),
        ({"n_samples": 9, "references": {"FID": {"n_samples": 10}}}, "FID: n_samples=10 must be an integer"),
        ({"average": 1}, "average=1 must be True or False"),
        ({"training_mode": "yes"}, "training_mode='yes' must be True or False"),
        ({"published_weights": None}, "published_weights=None must be True or False"),
    ],
)
def test_a_bad_protocol_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        EvaluationProtocol(**change)


def test_numbers_are_those_of_the_metrics_on_the_same_samples(
    run: Run, feature_map: metrics.FeatureMap
) -> None:
    found = judge(
        run, EvaluationProtocol("classifier", 250, references={"all": {}, "fewer": {"n_samples": 120}})
    )
    assert list(found) == [*NAMES, f"{NAMES[0]}, fewer"]
    images = data.load("digits").images
    real = metrics.extract(feature_map, metrics.batches(images))
    fake = metrics.extract(feature_map, (run.sample(100, seed=seed) for seed in range(3)))
    distances = [
        metrics.frechet_distance(metrics.Statistics.of(fake.values[:n]), metrics.Statistics.of(real.values))
        for n in (250, 120)
    ]
    assert [found[NAMES[0]], found[f"{NAMES[0]}, fewer"]] == pytest.approx(distances, rel=1e-6)
    assert found[NAMES[1]] == pytest.approx(metrics.inception_score(fake.logits[:250], splits=10)[0])


def test_the_mode_and_the_average_are_those_that_the_protocol_says(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, sample = [], run.sample

    def noted(n: int, **how: Any) -> torch.Tensor:
        asked.append(how)
        return sample(n, **how)

    monkeypatch.setattr(run, "sample", noted)
    judge(run, EvaluationProtocol("classifier", 20, references={"all": {}}, average=True, training_mode=True))
    assert asked == [{"seed": 0, "average": True, "training_mode": True}]


def test_inceptions_columns_bear_the_protocols_names() -> None:
    scores = metrics.Scores(9.0, 7.0, 0.1, 0.01, 0.002, 10, 10, "inception 1f0c")
    assert scoring._named(scores, "FID train", first=True) == {
        "FID train": 9.0, "IS": 7.0, "IS sd": 0.1, "KID × 1000": 10.0, "KID × 1000 sd": 2.0,
    }  # fmt: skip
    assert scoring._named(scores, "FID test", first=False) == {"FID test": 9.0}


def test_other_weights_make_no_fid() -> None:
    scores = metrics.Scores(9.0, 7.0, 0.1, 0.01, 0.002, 10, 10, "unverified-inception 1f0c")
    assert not {"FID", "FID train", "IS"} & scoring._named(scores, "FID train", first=True).keys()


def test_photographs_are_also_judged_by_precision_and_recall(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GNCOMPANION_DATA", str(tmp_path))
    monkeypatch.setattr(scoring, "EfficientNet", lambda device: Moments())  # its features are not the matter
    scoring._efficientnet.cache_clear()
    found = judge(run, EvaluationProtocol("efficientnet", 50, references={"all": {}, "again": {}}))
    scoring._efficientnet.cache_clear()
    assert [name for name in found if name.startswith(("prec", "rec"))] == [
        "precision (moments)", "recall (moments)"
    ]  # fmt: skip
    real = metrics.extract(Moments(), metrics.batches(data.load("digits").images)).values
    fake = metrics.extract(Moments(), [run.sample(100)[:50]]).values
    evenly = real[torch.arange(50) * len(real) // 50]
    assert (found["precision (moments)"], found["recall (moments)"]) == metrics.precision_and_recall(
        fake, evenly
    )


def test_a_missing_package_is_named_before_photographs_are_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics.efficientnet, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="EfficientNet-Lite0's features need efficientnet-lite-pyt"):
        require_metrics(EvaluationProtocol("efficientnet"))


def test_nothing_is_measured_for_none(run: Run) -> None:
    assert judge(run, EvaluationProtocol("none")) == {}


def test_what_holds_no_images_or_no_labels_is_refused(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = {"dataset": "ring", "network": "mlp", "network_options": {"width": 4, "depth": 1}}
    points = Experiment(**{**TINY, **ring}).run(tmp_path / "ring")
    with pytest.raises(ValueError, match="data set 'ring' holds no images: there is nothing to judge"):
        judge(points, EvaluationProtocol("classifier"))
    monkeypatch.setattr(run.dataset, "labels", None)
    monkeypatch.setattr(scoring.data, "load", lambda *_, **__: run.dataset)
    with pytest.raises(ValueError, match="digits has no labels to train a classifier with"):
        judge(run, EvaluationProtocol("classifier", 20))


def test_scores_are_kept_with_how(run: Run, tmp_path: Path) -> None:
    protocol = EvaluationProtocol("classifier", 20, references={"half": {"n_samples": 10}})
    assert keep(run, tmp_path, protocol, {"IS": 7.0}) == scores_file(tmp_path)
    content = json.loads(scores_file(tmp_path).read_text())
    assert content["scores"] == {"IS": 7.0}
    assert EvaluationProtocol(**content["protocol"]) == protocol
    assert content["settings"] == run.settings


class TestWithoutInceptionsWeights:
    """The file is named, and no step is trained."""

    @pytest.fixture(autouse=True)
    def no_weights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setattr("gncompanion.metrics.inception.find_spec", lambda _: True)

    def test_the_protocol_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="Or train without judging: metrics none") as refused:
            require_metrics(EvaluationProtocol())
        for told in ("pt_inception-2015-12-05-6726825d.pth", "6726825d…", str(tmp_path / "torch")):
            assert told in str(refused.value)
        require_metrics(EvaluationProtocol("none"))
        require_metrics(EvaluationProtocol("classifier"))

    def test_training_does_not_begin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GNCOMPANION_RUNS", str(tmp_path / "runs"))
        file = tmp_path / "row.yml"
        file.write_text("methods: {GN: {constraint: gn, loss: bce}}\nseeds: [0]\nsteps: 1\n")
        result = CliRunner().invoke(app, ["train", "-f", str(file)])
        assert result.exit_code == 2
        assert result.output.startswith("Error: FID, KID and IS need the Inception weights")
        assert not paths.runs().exists()


def few_images(folder: Path) -> dict[str, Any]:
    """The settings of an experiment on eight images of two classes."""
    for number in range(8):
        save_random_picture(folder / f"{number % 2}" / f"{number}.png", 8, 8, seed=number)
    return {**TINY, "dataset": "folder", "dataset_options": {"folder": str(folder), "size": 8}}


def test_too_few_real_images_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNCOMPANION_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GNCOMPANION_RUNS", str(tmp_path / "runs"))
    settings = few_images(tmp_path / "eight")
    protocol = EvaluationProtocol("classifier", 10)
    message = "FID: 8 real images cannot be split into 5 parts of at least 2 for the kernel distance: set"
    with pytest.raises(ValueError, match=message):
        require_metrics(protocol, "folder", settings["dataset_options"])
    require_metrics(EvaluationProtocol("classifier", 9), "folder", settings["dataset_options"])
    require_metrics(EvaluationProtocol("none", 10), "folder", settings["dataset_options"])
    row = {
        "methods": {"GN": {"constraint": "gn", "loss": "bce"}}, "seeds": [0], "steps": 1, "dataset": "folder",
        "dataset_options": settings["dataset_options"], "metrics": "classifier", "n_samples": 10,
    }  # fmt: skip
    (tmp_path / "row.yml").write_text(json.dumps(row))
    result = CliRunner().invoke(app, ["train", "-f", str(tmp_path / "row.yml")])
    assert result.exit_code == 2
    assert result.output.startswith("Error: ") and message in result.output
    assert not paths.runs().exists()
