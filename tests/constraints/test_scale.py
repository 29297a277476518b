import math

import pytest
import torch

from gncompanion.constraints import build
from gncompanion.lipschitz import upper_products
from gncompanion.models import MLPCritic


def test_a_spectrally_normalized_critic_gets_the_constant_asked_for() -> None:
    critic = MLPCritic(2, width=8, depth=2, generator=torch.Generator().manual_seed(0)).double()
    constraint = build("sn+scale", sn={"n_iterations": 50}, scale={"K": 3.0})
    constraint.prepare(critic)
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    critic.train()
    critic(x)
    critic.eval()
    score = constraint.score(critic, x)
    assert torch.equal(score, 3 * critic(x))
    assert upper_products(critic, (2,))[-1].item() == pytest.approx(1, rel=1e-3)  # 100 power iterations


@pytest.mark.parametrize("K", [0, -1, math.inf, math.nan, "2"])
def test_a_bad_constant_is_refused(K: object) -> None:
    with pytest.raises(ValueError, match=r"K=.* must be a (positive, finite )?number"):
        build("scale", K=K)


def test_it_does_not_go_with_another_score() -> None:
    with pytest.raises(ValueError, match="each define the critic's score"):
        build("gn+scale", scale={"K": 2.0})
