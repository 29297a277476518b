"""Steps in parts: those of the whole batch, in float64 and to rounding, and with less memory."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from gncompanion import constraints, data
from gncompanion.models import build
from gncompanion.training import LOSSES, Networks, Schedule, Training, improve_critic, improve_generator
from tests.helpers.draws import seeded
from tests.helpers.trainings import RING, players, weights

DIGITS = data.load("digits")


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def after_both_steps(net: Networks, real: Tensor, y: Tensor | None, *, parts: int) -> Tensor:
    """Gradients and values of one step of each player; SGD, whose step is the gradient."""
    net = copy.deepcopy(net)
    critic = torch.optim.SGD(net.critic.parameters(), lr=1.0)
    generator = torch.optim.SGD(net.generator.parameters(), lr=1.0)
    values = improve_critic(net, critic, real, seeded(2), y, parts=parts)
    loss = improve_generator(net, generator, 12, seeded(3), parts=parts)
    told = torch.stack([*values, loss])
    return torch.cat([weights(net.critic), weights(net.generator), told])


@pytest.mark.parametrize("parts", [2, 6])
@pytest.mark.parametrize("loss", ["non_saturating", "hinge"])
@pytest.mark.parametrize(
    ("constraint", "options"),
    [("gn", {}), ("gran", {"eps": 0.1}), ("pgn", {}), ("none", {}), ("inner-product", {})],
)
def test_a_step_in_parts_is_the_step_of_the_whole_batch(
    constraint: str, options: dict[str, float], loss: str, parts: int
) -> None:
    net = players(constraint, loss, **options)
    net = Networks(net.generator.double(), net.critic.double(), net.constraint, net.loss)
    real = RING.sample(6, seeded(1))[0].double()
    whole, found = (after_both_steps(net, real, None, parts=n) for n in (1, parts))
    assert (found - whole).abs().max() <= 1e-12 * whole.abs().max()


@pytest.mark.parametrize("network", ["dcgan", "biggan"])
def test_batch_normalization_and_labels_see_the_whole_batch(network: str) -> None:
    options = {"n_classes": 10} if network == "biggan" else {}
    G, D = build(network, (1, 8, 8), generator=seeded(), width=2, z_dim=3, **options)
    net = Networks(G.double(), D.double(), constraints.build("gn"), LOSSES["hinge"])
    real, y = DIGITS.sample(6, seeded(1))
    y = y if network == "biggan" else None
    whole, found = (after_both_steps(net, real.double(), y, parts=n) for n in (1, 3))
    assert (found - whole).abs().max() <= 1e-12 * whole.abs().max()


def test_a_training_in_parts_is_the_training_of_whole_batches() -> None:
    def end(parts: int) -> Tensor:
        net = players("gn")
        net = Networks(net.generator.double(), net.critic.double(), net.constraint, net.loss)
        schedule = Schedule(steps=4, n_dis=2, batch_critic=6, batch_generator=12, accumulation=parts)
        run = Training(net, InFloat64(), schedule)
        run.run(progress=False)
        return torch.cat([weights(net.critic), weights(net.generator)])

    # Adam divides by the gradient's size, and so turns a rounding of it into one of the step.
    torch.testing.assert_close(end(3), end(1), rtol=1e-8, atol=1e-8)


class InFloat64:
    """The ring, in float64."""

    name, shape, n_classes, digest = "ring", (2,), None, ""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return RING.sample(n, generator)[0].double(), None
