"""A finished run, judged: its samples' features against those of real images.

    run ──samples──> feature map ──> IS,  and for each reference: FID, KID

A protocol names its references: CIFAR-10's "FID train" compares 50 000 samples with the training images,
"FID test" the first 10 000 of them with the test images. Real images are never flipped. What was measured is
kept in the run's folder, with how.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gncompanion import data
from gncompanion.data import Images
from gncompanion.experiment import Run
from gncompanion.metrics import (
    EfficientNet,
    FeatureMap,
    Features,
    Inception,
    Reference,
    Scores,
    evaluate,
    extract,
    open_reference,
    precision_and_recall,
    require_efficientnet,
    require_weights,
    train_classifier,
)
from gncompanion.tools import checks, paths
from gncompanion.tools.files import write_json
from gncompanion.tools.names import require_known

__all__ = [
    "METRIC_FAMILIES",
    "EvaluationProtocol",
    "judge",
    "keep",
    "require_metrics",
    "scores_file",
]

METRIC_FAMILIES = ("inception", "efficientnet", "classifier", "none")
BATCH = 100  # samples at a time; in training mode their statistics normalise them
SCORES = "scores.json"


@dataclass(frozen=True)
class EvaluationProtocol:
    """How samples are judged.

    Attributes:
        metrics: The family of metrics: "inception" (FID, KID, IS), "efficientnet" (the same, precision and
            recall of EfficientNet-Lite0's features, for photographs, which are not called so), "classifier"
            (of a small classifier's features, for digits), or "none".
        n_samples: Number of generated samples, from 2 on.
        references: The real images to compare with, by column: the data set's options that differ ("split"),
            and `n_samples` where fewer are compared. Of the first, the kernel distance is reported too.
        average: Whether to judge the generator's averaged weights.
        training_mode: Whether its batch normalization is in training mode, as in the official code.
        published_weights: Whether the Inception weights must be the published ones; the scores of others say
            that they are.
        judged_every: Number of generator steps between two at which a run is judged on its way (`curves`), a
            multiple of those between checkpoints; None = at the end alone.

    Raises:
        ValueError: The metrics are unknown, or a number is out of range.

    Source: Fréchet Inception Distance, FID (arXiv 1706.08500); Kernel Inception Distance, KID (arXiv
    1801.01401); Inception Score, IS (arXiv 1606.03498).
    """

    metrics: str = "inception"
    n_samples: int = 50_000
    references: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"FID": {}})
    average: bool = False
    training_mode: bool = False
    published_weights: bool = True
    judged_every: int | None = None

    def __post_init__(self) -> None:
        require_known("unknown metrics", self.metrics, METRIC_FAMILIES)
        checks.whole("n_samples", self.n_samples, low=2)
        filled = isinstance(self.references, Mapping) and len(self.references) > 0
        checks.require("references", self.references, filled, "a mapping such as {FID: {}}")
        for column, options in self.references.items():
            if not isinstance(options, Mapping):
                raise ValueError(f"{column}: {options!r} must be a mapping such as {{split: test}}")
            n = options.get("n_samples", self.n_samples)
            checks.whole(f"{column}: n_samples", n, low=2, high=self.n_samples)
        if self.judged_every is not None:
            checks.whole("judged_every", self.judged_every)
        for name in ("average", "training_mode", "published_weights"):
            checks.flag(name, getattr(self, name))


def require_metrics(
    protocol: EvaluationProtocol, dataset: str | None = None, options: Mapping[str, Any] | None = None
) -> None:
    """Refuse a protocol that cannot be followed here, before the training that it would judge.

    Args:
        protocol: How samples are to be judged.
        dataset: The name of the data set that is trained on; None = the real images are not looked for.
        options: That data set's options in training.

    Raises:
        FileNotFoundError: The Inception weights are missing, or real images; says where to put which, and how
            to go without.
        ModuleNotFoundError: A package that computes the features or the distances is missing.
        ValueError: The weights are not the published ones, or the protocol's references are no images of the
            data set, or too few, or lack the labels that a classifier learns from.
    """
    if dataset is not None and protocol.metrics != "none":
        _require_references(protocol, dataset, options or {})
    if protocol.metrics == "efficientnet":
        require_efficientnet()
    if protocol.metrics != "inception":
        return
    try:
        require_weights(verify=protocol.published_weights)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Or train without judging: metrics none.") from None


def _require_references(protocol: EvaluationProtocol, dataset: str, options: Mapping[str, Any]) -> None:
    for index, (column, reference) in enumerate(protocol.references.items()):
        try:
            images = _images(dataset, _options(options, reference))
        except ValueError as error:
            raise ValueError(f"references: {column}: {error}") from None
        found, splits = len(images), _splits(protocol, column)
        if found // splits < 2:
            raise ValueError(
                f"{column}: {found} real images cannot be split into {splits} parts of at least 2 for the "
                f"kernel distance: set n_samples to {max(2, found)} or less, or take more images"
            )
        if protocol.metrics == "classifier" and index == 0:  # it learns from the first
            _require_labels(images)


def _require_labels(images: Images) -> Tensor:
    if images.labels is None:
        raise ValueError(f"{images.name} has no labels to train a classifier with: choose other metrics")
    return images.labels


def judge(run: Run, protocol: EvaluationProtocol) -> dict[str, float]:
    """Measure a run's samples.

    Args:
        run: The finished run.
        protocol: How to judge it.

    Returns:
        Numbers by column, empty for "none".

    Raises:
        ValueError: The data set has no labels to train a classifier with, or holds no images or too few.
        FileNotFoundError, ModuleNotFoundError: As in `require_metrics`.
    """
    name, trained, references = run.settings["dataset"], run.settings["dataset_options"], protocol.references
    require_metrics(protocol, name, trained)
    if protocol.metrics == "none":
        return {}
    real = {column: _images(name, _options(trained, options)) for column, options in references.items()}
    feature_map = _feature_map(protocol, run)
    fake = extract(feature_map, _samples(run, protocol))
    found: dict[str, float] = {}
    for column, images in real.items():
        n = references[column].get("n_samples", protocol.n_samples)
        reference = _reference(images, feature_map)
        scores = evaluate(fake.first(n), reference, splits=_splits(protocol, column))
        first = not found
        found |= _named(scores, column, first=first)
        if first and protocol.metrics == "efficientnet":
            found |= _precision_and_recall(fake.first(n), reference)
    return found


def keep(
    run: Run,
    folder: Path,
    protocol: EvaluationProtocol,
    found: Mapping[str, float],
    *,
    best: Mapping[str, Any] | None = None,
) -> Path:
    """Write what was measured into the run's folder, with how.

    Args:
        run: The finished run.
        folder: The run's folder.
        protocol: How it was judged.
        found: The numbers that `judge` returned.
        best: The best checkpoint on the way, from `curves.best`; None = the last alone was judged.

    Returns:
        The file.
    """
    content = {"scores": dict(found), "protocol": asdict(protocol), "settings": dict(run.settings)}
    content |= {} if best is None else {"best": dict(best)}
    write_json(scores_file(folder), content)
    return scores_file(folder)


def scores_file(folder: Path) -> Path:
    """Name the file of a run's scores, in the run's folder."""
    return folder / SCORES


def _images(name: str, options: Mapping[str, Any]) -> Images:
    images = data.load(name, **options)
    if not isinstance(images, Images):
        raise ValueError(f"data set {name!r} holds no images: there is nothing to judge")
    return images


def _splits(protocol: EvaluationProtocol, column: str) -> int:
    """The number of parts that the scores of a column are means over."""
    n: int = protocol.references[column].get("n_samples", protocol.n_samples)
    return min(10, n // 2)


def _options(trained: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """The data set's options in training, with those that a reference changes."""
    chosen = {name: value for name, value in reference.items() if name != "n_samples"}
    return {**trained, **chosen}


def _pixels(images: Images) -> Tensor:
    return images.pixels if images.white == 255 else images.images


def _feature_map(protocol: EvaluationProtocol, run: Run) -> FeatureMap:
    if protocol.metrics == "inception":
        return _inception(str(run.device), protocol.published_weights)
    if protocol.metrics == "efficientnet":
        return _efficientnet(str(run.device))
    options = _options(run.settings["dataset_options"], next(iter(protocol.references.values())))
    return _classifier(run.settings["dataset"], json.dumps(options, sort_keys=True))


@lru_cache(maxsize=1)  # many runs in a row are judged by one map
def _inception(device: str, published: bool) -> FeatureMap:
    return Inception(device, verify=published)


@lru_cache(maxsize=1)
def _efficientnet(device: str) -> FeatureMap:
    return EfficientNet(device)


@lru_cache(maxsize=1)
def _classifier(name: str, options: str) -> FeatureMap:
    images = _images(name, json.loads(options))
    return train_classifier(_pixels(images), _require_labels(images))


def _reference(images: Images, feature_map: FeatureMap) -> Reference:
    folder = paths.data() / "references"
    return open_reference(_pixels(images), feature_map, name=images.name, digest=images.digest, folder=folder)


def _samples(run: Run, protocol: EvaluationProtocol) -> Iterator[Tensor]:
    for seed, start in enumerate(range(0, protocol.n_samples, BATCH)):
        drawn = run.sample(BATCH, seed=seed, average=protocol.average, training_mode=protocol.training_mode)
        yield drawn[: protocol.n_samples - start]


def _precision_and_recall(fake: Features, reference: Reference) -> dict[str, float]:
    """Compare equally many images of each side, the real ones evenly spaced; {} where there are too few."""
    n = min(len(fake), len(reference.values))
    if n < 4:
        return {}
    evenly = torch.arange(n) * len(reference.values) // n
    precision, recall = precision_and_recall(fake.values[:n], reference.values[evenly])
    name = fake.made_by.split()[0]
    return {f"precision ({name})": precision, f"recall ({name})": recall}


def _named(scores: Scores, column: str, *, first: bool) -> dict[str, float]:
    """Name the numbers by the protocol's columns; features that are not Inception's keep their own names."""
    (distance, value), *others = scores.named().items()
    if distance == "FID":
        distance = column
    elif not first:
        distance = f"{distance}, {column}"
    return {distance: value, **(dict(others) if first else {})}
