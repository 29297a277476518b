"""All scores of a set of generated images at once, under the names that they may bear."""

from dataclasses import dataclass

from gncompanion.metrics.distances import Statistics, frechet_distance, inception_score, kernel_distance
from gncompanion.metrics.features import Features
from gncompanion.metrics.reference import Reference

__all__ = ["Scores", "evaluate"]


@dataclass(frozen=True)
class Scores:
    """What is measured of one set of generated images against one reference.

    Attributes:
        frechet: Fréchet distance.
        score: Inception Score, mean over splits.
        score_sd: Standard deviation of the Inception Score over splits.
        kernel: Kernel distance, mean over splits; it may be negative, since the estimate is unbiased.
        kernel_sd: Standard deviation of the kernel distance over splits.
        n: Number of generated images.
        n_reference: Number of real images.
        made_by: Name and digest of the feature map.
    """

    frechet: float
    score: float
    score_sd: float
    kernel: float
    kernel_sd: float
    n: int
    n_reference: int
    made_by: str

    def named(self) -> dict[str, float]:
        """Name the numbers as in the papers' tables, KID × 1000; features that are not Inception's say so.

        Returns:
            Distance, score and kernel distance by name; the deviations bear the same names with " sd".
        """
        name = self.made_by.split()[0]
        of = ("FID", "IS", "KID × 1000")
        if name != "inception":
            of = (f"Fréchet distance ({name})", f"score ({name})", f"kernel distance × 1000 ({name})")
        return {
            of[0]: self.frechet,
            of[1]: self.score,
            f"{of[1]} sd": self.score_sd,
            of[2]: 1000 * self.kernel,
            f"{of[2]} sd": 1000 * self.kernel_sd,
        }


def evaluate(fake: Features, reference: Reference, *, splits: int = 10, seed: int = 0) -> Scores:
    """Measure generated images against a reference.

    Args:
        fake: Features of the generated images; `fake.first(10_000)` where the protocol compares fewer.
        reference: Reference of the real images, by the same feature map.
        splits: Number of splits of the score, and of the kernel distance, there of
            min(n, n_reference) // splits images each.
        seed: Seed of the kernel distance's draws.

    Returns:
        All scores.

    Raises:
        ValueError: The feature maps differ, or there are fewer than two images per split.
    """
    if fake.made_by != reference.made_by:
        raise ValueError(f"features by {fake.made_by} cannot be compared with those by {reference.made_by}")
    score, score_sd = inception_score(fake.logits, splits=splits)
    kernel, kernel_sd = kernel_distance(fake.values, reference.values, splits=splits, seed=seed)
    frechet = frechet_distance(Statistics.of(fake.values), reference.statistics)
    return Scores(
        frechet, score, score_sd, kernel, kernel_sd, len(fake), reference.statistics.n, fake.made_by
    )
