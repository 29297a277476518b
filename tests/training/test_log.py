"""The log's rows, and the check that stops a run whose loss or weights are not finite."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gncompanion.data import Pair, Sampler
from gncompanion.training import (
    COLUMNS,
    LOSSES,
    Loss,
    NonFiniteLoss,
    Schedule,
    Training,
    checkpoint,
    train_critic,
)
from tests.helpers.trainings import RING, SHORT, players


def test_rows_of_the_log(tmp_path: Path) -> None:
    schedule = Schedule(**{**SHORT, "steps": 11, "log_every": 4, "checkpoint_every": 6})
    training = Training(players(), RING, schedule, folder=tmp_path)
    training.run()
    assert [row["step"] for row in training.log] == [4, 6, 8, 11]


class Breaking:
    """The hinge loss, whose nth value is NaN."""

    def __init__(self, side: str, nth: int, *, value: float = float("nan")) -> None:
        self.calls, self.nth, self.value = 0, nth, value
        parts = {name: getattr(LOSSES["hinge"], name) for name in ("critic", "generator")}
        self.loss = Loss(**{**parts, side: lambda *scores: self.broken(parts[side](*scores))})

    def broken(self, loss: Tensor) -> Tensor:
        self.calls += 1
        return loss * self.value if self.calls == self.nth else loss


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("side", "n_dis", "nth", "step", "saved"),
    [
        ("critic", 1, 1, 1, None),
        ("critic", 1, 5, 5, None),
        ("critic", 1, 7, 7, 6),
        ("critic", 3, 22, 8, 6),  # the first of the eighth step's three
        ("critic", 3, 24, 8, 6),  # the last of them
        ("generator", 2, 6, 6, None),  # the step of the checkpoint itself
        ("generator", 1, 12, 12, 6),
        ("generator", 1, 14, 14, 12),  # the last step of all
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(
    side: str, n_dis: int, nth: int, step: int, saved: int | None, value: float, tmp_path: Path
) -> None:
    schedule = Schedule(**{**SHORT, "steps": 14, "n_dis": n_dis, "log_every": 4, "checkpoint_every": 6})
    net = players(loss=Breaking(side, nth, value=value).loss)
    training = Training(net, RING, schedule, folder=tmp_path)
    with pytest.raises(NonFiniteLoss) as caught:
        training.run()
    message = str(caught.value)
    assert message.startswith(f"step {step} of 14: a loss is not finite (critic_loss ")
    assert message.endswith("Lower the learning rate.")
    values = dict(part.split(" ") for part in message.split("(")[1].split(")")[0].split(", "))
    assert list(values) == list(COLUMNS)
    assert not math.isfinite(float(values[f"{side}_loss"]))
    last = checkpoint.newest(tmp_path)
    if saved is None:
        assert "; there is no checkpoint yet. " in message
        assert last is None
    else:
        assert f"; the last good checkpoint is {tmp_path / f'step-{saved:06d}-'}" in message
        assert last["step"] == saved
        assert all(
            weight.isfinite().all() for module in last["modules"].values() for weight in module.values()
        )
        training.load(last)  # and from there it goes on, the bad values forgotten
        training.run()
        assert training.step == 14


def test_no_folder_no_checkpoint() -> None:
    with pytest.raises(NonFiniteLoss, match=r"^step 2 of 6: .*; there is no checkpoint yet\. "):
        Training(players(loss=Breaking("critic", 2).loss), RING, Schedule(**SHORT)).run()


def test_a_finite_loss_with_a_gradient_that_is_not(tmp_path: Path) -> None:
    def edge(fake: Tensor) -> Tensor:
        calls.append(1)
        loss = -fake.mean()
        return loss + (0 * loss).sqrt() if len(calls) == 6 else loss  # √0 = 0, with slope ∞

    calls: list[int] = []
    net = players(loss=Loss(critic=LOSSES["hinge"].critic, generator=edge))
    training = Training(net, RING, Schedule(**SHORT, checkpoint_every=5), folder=tmp_path)
    message = r"^step 6 of 6: a weight of the generator is nan; the last good .* is .*step-000005-"
    with pytest.raises(NonFiniteLoss, match=message):
        training.run()
    assert checkpoint.newest(tmp_path)["step"] == 5


@pytest.mark.parametrize("steps_a_checkpoint", [1, 4])
def test_a_learning_rate_too_high_is_found_out(steps_a_checkpoint: int, tmp_path: Path) -> None:
    settings = {**SHORT, "steps": 40, "lr_critic": 1e20, "checkpoint_every": steps_a_checkpoint}
    net = players("none", "wasserstein")
    with pytest.raises(NonFiniteLoss, match=r"^step \d+ of 40: "):
        Training(net, RING, Schedule(**settings), folder=tmp_path).run()
    good = checkpoint.newest(tmp_path)
    assert good is None or all(torch.isfinite(w).all() for m in good["modules"].values() for w in m.values())


def test_data_that_are_not_finite_are_said_to_be() -> None:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        x = torch.rand(n, 2, generator=generator)
        return torch.where(x < 0.2, torch.inf, x)

    with pytest.raises(NonFiniteLoss) as caught:
        Training(players(), Sampler("half-open", (2,), draw), Schedule(**SHORT)).run()
    advice = "The data are not finite themselves: mend the data set 'half-open'."
    assert str(caught.value).endswith(f"; there is no checkpoint yet. {advice}")
    pair = Pair("half-open", RING, Sampler("half-open", (2,), draw), 0.0)
    with pytest.raises(NonFiniteLoss, match=f"{advice}$"):
        train_critic(pair, "none", schedule=Schedule(**SHORT), network_options={"width": 4, "depth": 1})
