"""Precision and recall of generated images, by balls around features.

    precision   the share of generated images that lie in the ball of a real one
    recall      the share of real images that lie in the ball of a generated one

The ball of an image reaches to its k-th nearest neighbour among its own kind. Precision falls where images
are bad, recall where kinds of images are missing. Both depend on the number of images, so that only sets of
equal sizes can be compared; real images against other real ones are below 1, and are the yardstick.

Source: Kynkäänniemi et al. 2019 (Improved precision and recall, 1904.06991); torch-fidelity's
`prc_features_to_metric`.
"""

from torch import Tensor

from gncompanion.tools.checks import whole

__all__ = ["precision_and_recall"]


def precision_and_recall(fake: Tensor, real: Tensor, *, neighbours: int = 3) -> tuple[float, float]:
    """Compute precision and recall of generated images.

    Args:
        fake: Features of the generated images, (N, d).
        real: Features of as many real images, (N, d).
        neighbours: Which nearest neighbour a ball reaches to, from 1 to N − 1.

    Returns:
        Precision and recall, each from 0 to 1.

    Raises:
        ValueError: The features differ in shape, or there are too few images for that neighbour.
    """
    if fake.ndim != 2 or fake.shape != real.shape:
        raise ValueError(
            "precision and recall compare as many generated as real images of equal features, "
            f"not {tuple(fake.shape)} with {tuple(real.shape)}"
        )
    whole("neighbours", neighbours, high=len(fake) - 1)
    from torch_fidelity.metric_prc import prc_features_to_metric

    found = prc_features_to_metric(
        fake.double(), real.double(), prc_neighborhood=neighbours, prc_batch_size=2000, save_cpu_ram=True,
        verbose=False,
    )  # fmt: skip
    return found["precision"], found["recall"]
