"""A training's state is all that the rest of it depends on: saved and loaded, it goes on bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gncompanion import data
from gncompanion.constraints import Constraint
from gncompanion.training import Networks, Schedule, Training, checkpoint
from gncompanion.training.random_states import kept_random_states
from tests.helpers.trainings import RING, SHORT, players, weights

MUCH = {"n_dis": 2, "lr_decay": "linear", "ema_start": 5}
CASES = [(constraint, MUCH) for constraint in ("none", "clipping", "gp", "sn", "sn-operator", "gn", "gn+cr")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constraint", "settings"), [*CASES, ("gn", {}), ("gn", {"ema_decay": None})], ids=str
)
def test_a_checkpoint_holds_everything(constraint: str, settings: dict[str, Any], tmp_path: Path) -> None:
    schedule = Schedule(
        **{**SHORT, "steps": 7, "checkpoint_every": 4, "log_every": 3, "ema_decay": 0.9, **settings}
    )
    digits = data.load("digits")

    def start(seed: int) -> Training:
        return Training(players(constraint, shape=(1, 8, 8)), digits, schedule, seed, tmp_path)

    whole = start(1)
    whole.run()
    last, middle = checkpoint.ordered(tmp_path)
    last.unlink()
    state = checkpoint.newest(tmp_path)
    assert state["step"] == 4
    part = start(2)  # so that what is not restored is another's
    for parameter in [*part.players.critic.parameters(), *part.players.generator.parameters()]:
        parameter.data.mul_(1.5)
    part.load(state)
    part.run()
    if whole.average:
        assert torch.equal(weights(part.average), weights(whole.average))
    expected, found = whole.state(), part.state()
    del expected["global_random"], found["global_random"]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)  # bit for bit, all the way down
    assert checkpoint.newest(tmp_path)["step"] == 7
    assert middle.exists()


def test_global_states_are_loaded(tmp_path: Path) -> None:
    """As a critic with dropout would need it, which draws from torch's global generator."""

    class Forgetful(Constraint):
        def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
            return nn.functional.dropout(critic(x), 0.5)

    def start() -> Training:
        net = players()
        rule = Networks(net.generator, net.critic, Forgetful(), net.loss)
        return Training(rule, RING, Schedule(**SHORT, checkpoint_every=4), folder=tmp_path)

    with kept_random_states():
        whole = start()
        whole.run()
        checkpoint.ordered(tmp_path)[0].unlink()
        part = start()
        part.load(checkpoint.newest(tmp_path))
        part.run()
    assert torch.equal(weights(part.players.critic), weights(whole.players.critic))
