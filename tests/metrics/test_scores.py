"""All scores at once are each of them, under names that they may bear."""

from pathlib import Path

import pytest

from gncompanion.metrics import (
    Features,
    Reference,
    Statistics,
    evaluate,
    extract,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from tests.helpers.pictures import Moments, moments_reference, pictures


def test_evaluate_is_each_score(tmp_path: Path) -> None:
    real, fake = pictures(20), pictures(24, seed=1)
    found, kept = extract(Moments(), [fake]), moments_reference(real, Moments(), tmp_path)
    scores = evaluate(found, kept, splits=4, seed=3)
    assert scores.frechet == frechet_distance(Statistics.of(found.values), kept.statistics)
    assert (scores.score, scores.score_sd) == inception_score(found.logits, splits=4)
    assert (scores.kernel, scores.kernel_sd) == kernel_distance(found.values, kept.values, splits=4, seed=3)
    assert (scores.n, scores.n_reference) == (24, 20)


def test_only_inceptions_scores_bear_the_papers_names(tmp_path: Path) -> None:
    moments, kept = extract(Moments(), [pictures(20)]), moments_reference(pictures(20), Moments(), tmp_path)
    assert set(evaluate(moments, kept, splits=2).named()) == {
        "Fréchet distance (moments)",
        "score (moments)",
        "score (moments) sd",
        "kernel distance × 1000 (moments)",
        "kernel distance × 1000 (moments) sd",
    }
    named = evaluate(
        Features(moments.values, moments.logits, "inception 0"),
        Reference(kept.statistics, kept.values + 1, "inception 0"),
        splits=2,
    ).named()
    assert set(named) == {"FID", "IS", "IS sd", "KID × 1000", "KID × 1000 sd"}
    assert named["KID × 1000"] > 1000  # of a shift by 1 in six features


def test_other_feature_maps_are_not_compared(tmp_path: Path) -> None:
    fake = extract(Moments(), [pictures(20)])
    kept = moments_reference(pictures(20), Moments(), tmp_path)
    with pytest.raises(ValueError, match="features by moments 1 cannot be compared with those by moments 0"):
        evaluate(Features(fake.values, fake.logits, "moments 1"), kept)
