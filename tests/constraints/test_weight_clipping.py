"""Weight clipping moves what lies outside the box to its edge, and nothing else."""

import torch

from gncompanion.constraints.weight_clipping import WeightClipping
from tests.helpers.critics_by_hand import conv


def test_clipping_after_a_step() -> None:
    critic = conv()
    before = torch.cat([p.detach().flatten().clone() for p in critic.parameters()])
    WeightClipping(0.1).after_step(critic)
    after = torch.cat([p.detach().flatten() for p in critic.parameters()])
    outside = before.abs() > 0.1
    assert outside.any()
    assert torch.equal(after[~outside], before[~outside])
    assert torch.equal(after[outside], 0.1 * before[outside].sign())
