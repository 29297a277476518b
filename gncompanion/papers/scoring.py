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

from torch import Tensor

from gncompanion import data
from gncompanion.data import Images
from gncompanion.experiment import Run
from gncompanion.metrics import (
    FeatureMap,
    Inception,
    Reference,
    Scores,
    evaluate,
    extract,
    open_reference,
    require_weights,
    train_classifier,
)
from gncompanion.tools import paths
from gncompanion.tools.files import write
from gncompanion.tools.names import require_known

__all__ = ["METRICS", "Protocol", "judge", "keep", "require", "scores_file"]

METRICS = ("inception", "classifier", "none")
BATCH = 100  # samples at a time; in training mode their statistics normalise them
SCORES = "scores.json"


@dataclass(frozen=True)
class Protocol:
    """How samples are judged.

    Args:
        metrics: "inception" (FID, KID, IS), "classifier" (the same of a small classifier's features, for
            digits, which are not called so), or "none".
        n_samples: generated samples, ≥ 2.
        references: by column, the data set's options that differ ("split"), and `n_samples` where fewer are
            compared. Of the first, the kernel distance is reported too.
        average: judge the generator's averaged weights.
        training_mode: with its batch normalization in training mode, as the official code does.
        published_weights: whether the Inception weights must be the published ones; the scores of others say
            that they are.

    Raises:
        ValueError: for unknown metrics, or a number out of range.
    """

    metrics: str = "inception"
    n_samples: int = 50_000
    references: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"FID": {}})
    average: bool = False
    training_mode: bool = False
    published_weights: bool = True

    def __post_init__(self) -> None:
        require_known("unknown metrics", self.metrics, METRICS)
        if type(self.n_samples) is not int or self.n_samples < 2:
            raise ValueError(f"n_samples={self.n_samples!r} must be an integer from 2 on")
        if not isinstance(self.references, Mapping) or not self.references:
            raise ValueError(f"references={self.references!r} must be a mapping such as {{FID: {{}}}}")
        for column, options in self.references.items():
            if not isinstance(options, Mapping):
                raise ValueError(f"{column}: {options!r} must be a mapping such as {{split: test}}")
            n = options.get("n_samples", self.n_samples)
            if type(n) is not int or not 2 <= n <= self.n_samples:
                raise ValueError(f"{column}: n_samples={n!r} must be an integer from 2 to {self.n_samples}")
        for name in ("average", "training_mode", "published_weights"):
            if type(value := getattr(self, name)) is not bool:
                raise ValueError(f"{name}={value!r} must be True or False")


def require(protocol: Protocol) -> None:
    """Refuse a protocol that cannot be followed here, before the training that it would judge.

    Raises:
        FileNotFoundError: the Inception weights are missing; says where to put which, and how to go without.
        ModuleNotFoundError: pytorch-fid or torch-fidelity is missing.
        ValueError: the weights are not the published ones.
    """
    if protocol.metrics != "inception":
        return
    try:
        require_weights(verify=protocol.published_weights)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Or train without judging: metrics none.") from None


def judge(run: Run, protocol: Protocol) -> dict[str, float]:
    """Measure a run's samples.

    Args:
        run: the run.
        protocol: how.

    Returns:
        Numbers by column, empty for "none".

    Raises:
        ValueError: the data set has no labels to train a classifier with, or holds no images.
        FileNotFoundError, ModuleNotFoundError: as in `require`.
    """
    require(protocol)
    if protocol.metrics == "none":
        return {}
    real = {column: _real(run, options) for column, options in protocol.references.items()}
    feature_map = _feature_map(protocol, run)
    fake = extract(feature_map, _samples(run, protocol))
    found: dict[str, float] = {}
    for column, images in real.items():
        n = protocol.references[column].get("n_samples", protocol.n_samples)
        scores = evaluate(fake.first(n), _reference(images, feature_map), splits=min(10, n // 2))
        found |= _named(scores, column, first=not found)
    return found


def keep(run: Run, folder: Path, protocol: Protocol, found: Mapping[str, float]) -> Path:
    """Write what was measured into the run's folder, with how.

    Args:
        run: the run.
        folder: its folder.
        protocol: how it was judged.
        found: what `judge` returned.

    Returns:
        The file.
    """
    content = {"scores": dict(found), "protocol": asdict(protocol), "settings": run.experiment.settings()}
    write(scores_file(folder), (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    return scores_file(folder)


def scores_file(folder: Path) -> Path:
    """Name the file of a run's scores."""
    return folder / SCORES


def _real(run: Run, options: Mapping[str, Any]) -> Images:
    images = data.load(run.experiment.dataset, **{**run.experiment.dataset_options, **_chosen(options)})
    if not isinstance(images, Images):
        raise ValueError(f"data set {run.experiment.dataset!r} holds no images: there is nothing to judge")
    return images


def _chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "n_samples"}


def _pixels(images: Images) -> Tensor:
    return images.pixels if images.white == 255 else images.images


def _feature_map(protocol: Protocol, run: Run) -> FeatureMap:
    if protocol.metrics == "inception":
        return _inception(str(run.device), protocol.published_weights)
    options = run.experiment.dataset_options | _chosen(next(iter(protocol.references.values())))
    return _classifier(run.experiment.dataset, json.dumps(options, sort_keys=True))


@lru_cache(maxsize=1)  # many runs in a row are judged by one map
def _inception(device: str, published: bool) -> FeatureMap:
    return Inception(device, verify=published)


@lru_cache(maxsize=1)
def _classifier(name: str, options: str) -> FeatureMap:
    images = data.load(name, **json.loads(options))
    if images.labels is None:
        raise ValueError(f"{images.name} has no labels to train a classifier with: choose other metrics")
    return train_classifier(_pixels(images), images.labels)


def _reference(images: Images, feature_map: FeatureMap) -> Reference:
    folder = paths.data() / "references"
    return open_reference(_pixels(images), feature_map, name=images.name, digest=images.digest, folder=folder)


def _samples(run: Run, protocol: Protocol) -> Iterator[Tensor]:
    for seed, start in enumerate(range(0, protocol.n_samples, BATCH)):
        drawn = run.sample(BATCH, seed=seed, average=protocol.average, training_mode=protocol.training_mode)
        yield drawn[: protocol.n_samples - start]


def _named(scores: Scores, column: str, *, first: bool) -> dict[str, float]:
    """Name the numbers by the protocol's columns; features that are not Inception's keep their own names."""
    (distance, value), *others = scores.named().items()
    if distance == "FID":
        distance = column
    elif not first:
        distance = f"{distance}, {column}"
    return {distance: value, **(dict(others) if first else {})}
