"""The settings of the counter-experiment on images: plain values, one mapping of `Experiment`'s for each.

The blog post's author trained images; what his critic's biases started from, his loss and his pixels' range
are not known. So: {hinge, Wasserstein} × {zero, random biases} × {pixels in [-1, 1], in [0, 1]} for the inner
product, and GN beside it. Both are `InnerProduct`s, with the intercept lost and with it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor

from gncompanion.theory.wasserstein import exact_w1

__all__ = ["COORDINATES", "measured_run", "own_case"]

COORDINATES = {"[-1, 1]": {}, "[0, 1]": {"scale": 0.5, "shift": 0.5}}
_SCORES = {"inner": {}, "GN": {"intercept": "full", "squash": True}}


def own_case(
    dataset: Mapping[str, Any], network: Mapping[str, Any], schedule: Mapping[str, Any], *, bias_std: float
) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """Write the settings down.

    Args:
        dataset: `dataset` and `dataset_options`, and `network`, as `Experiment` has them.
        network: The network's own options.
        schedule: How long and how fast to train.
        bias_std: Deviation of the critic's first biases, where they are random.

    Returns:
        Settings without a seed, by score, biases, loss and pixels' range. GN's loss is the hinge alone: for a
        score in [-1, 1] the two have the same gradients.
    """
    biases = {"zero": {}, "random": {"bias_std": bias_std}}
    losses = ("hinge", "wasserstein")
    cells = list(product(["inner"], ["zero", "random"], losses, COORDINATES))
    cells += [("GN", kind, "hinge", "[-1, 1]") for kind in ("zero", "random")]
    return {
        (score, kind, loss, pixels): {
            **dataset,
            "network_options": {**network, **biases[kind]},
            "constraint": "inner-product",
            "constraint_options": {**_SCORES[score], **COORDINATES[pixels]},
            "loss": loss,
            "schedule": dict(schedule),
        }
        for score, kind, loss, pixels in cells
    }


def measured_run(
    real: Tensor, fake: Tensor, *, scale: float = 1.0, shift: Tensor | float = 0.0
) -> dict[str, Any]:
    """Measure a run in the data's own coordinates, and how near it is to the origin of its critic's.

    Args:
        real: Real samples, (N, ...).
        fake: Generated ones, (M, ...).
        scale: The factor of the critic's coordinates.
        shift: What is added to them.

    Returns:
        `w1`, the exact distance; `norm`, the mean norm in the critic's coordinates over the real samples';
        `origin`, the distance from all of them at that origin. Of a run that broke down `w1` alone, None.
    """
    real, fake = real.flatten(1), fake.flatten(1)
    if not fake.isfinite().all() or fake.abs().max() > 1e6:
        return {"w1": None}
    norms = [(scale * x + shift).norm(dim=1).mean() for x in (real, fake)]
    away = (real + torch.as_tensor(shift) / scale).norm(dim=1).mean()
    return {"w1": exact_w1(real, fake), "norm": (norms[1] / norms[0]).item(), "origin": away.item()}
