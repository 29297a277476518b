"""Runs side by side in one network, against each of them trained by itself."""

from pathlib import Path

import pytest
import torch

from benchmarks.depth import experiment
from benchmarks.side_by_side import SideBySide
from gncompanion.experiment.run import stream
from gncompanion.lipschitz import input_gradient_norms

STEPS = 3


@pytest.mark.slow
@pytest.mark.parametrize("constraint", ["gn", "sn-operator"])
def test_each_run_is_the_experiments(constraint: str, tmp_path: Path) -> None:
    experiments = [experiment(constraint, 3, 5e-4, seed, steps=STEPS) for seed in (0, 1)]
    together = SideBySide(experiments)
    together.train(STEPS)
    noise = torch.Generator().manual_seed(stream("noise", 2))
    fake = together.sample(torch.randn(16, together.z_dim, generator=noise))
    scores, slopes = together.measure(fake)
    for r, alone in enumerate(experiments):
        run = alone.run(tmp_path / str(r), progress=False)
        x = run.sample(16, seed=2, training_mode=True)
        assert torch.allclose(x, fake[r], atol=1e-5)  # float32, and sums in another order
        assert torch.allclose(run.score(x), scores[r], atol=1e-4)
        assert torch.allclose(input_gradient_norms(run.score, x), slopes[r], atol=1e-4)
    assert not torch.allclose(slopes[0], slopes[1], atol=1e-2)  # two seeds are two runs
