"""A critic alone against a plain loop, closed forms, and what each constraint allows."""

import math

import pytest
import torch

from gncompanion import constraints
from gncompanion.data import gaussians_on_line, shifted_boxes
from gncompanion.models import build
from gncompanion.training import LOSSES, NonFiniteLoss, Schedule, TrainedCritic, train_critic

SMALL = {"width": 16, "depth": 2}
SHORT = Schedule(steps=5, batch_critic=8, lr_critic=1e-2)
BOXES = shifted_boxes(1.0)


def plain_loop(seed: int, betas: tuple[float, float]) -> torch.Tensor:
    """Five steps with a gradient penalty, written out."""
    random = torch.Generator().manual_seed(seed)
    _, critic = build("mlp", (2,), generator=random, **SMALL)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2, betas=betas)
    for _ in range(5):
        real, fake = BOXES.real.sample(8, random)[0], BOXES.fake.sample(8, random)[0]
        epsilon = torch.rand(8, 1, generator=random)
        between = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
        (g,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        loss = critic(fake).mean() - critic(real).mean() + 10 * ((g.norm(dim=1) - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return critic(torch.zeros(1, 2)).detach()


def test_training_is_the_plain_loop() -> None:
    trained = train_critic(BOXES, "gp", schedule=SHORT, network_options=SMALL, seed=3)
    # float32's rounding, five steps of Adam on; another order of operations, not another step
    torch.testing.assert_close(
        trained.score(torch.zeros(1, 2)).detach(), plain_loop(3, SHORT.betas), rtol=1e-3, atol=1e-5
    )
    assert len(trained.losses) == 5 and not trained._players.critic.training


def test_a_seed_is_a_critic() -> None:
    scores = [
        train_critic(BOXES, "gn", schedule=SHORT, network_options=SMALL, seed=seed).estimate()
        for seed in (0, 0, 1)
    ]
    assert scores[0] == scores[1] != scores[2]


def test_estimate_and_objective_of_a_known_critic() -> None:
    rule = constraints.build("wgan-div", k=3.0, p=2.0)
    critic = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.Flatten(0))
    critic[0].weight.data = torch.tensor([[-2.0, 0.0]])
    players = type(train_critic(BOXES, "none", schedule=SHORT)._players)(
        None, critic, rule, LOSSES["wasserstein"], fake=BOXES.fake
    )
    trained = TrainedCritic(BOXES, [], players)
    # E f(real) − E f(fake) = 2 W1; ‖∇f‖ = 2 everywhere, so the penalty is 3 · 2². 0.05: five standard errors
    assert trained.estimate(10_000) == pytest.approx(2.0, abs=0.05)
    assert trained.estimate(10_000) - trained.objective(10_000) == pytest.approx(12.0, abs=1e-4)


def test_clipping_holds_after_the_last_step_and_spectral_normalization_bounds_the_estimate() -> None:
    clipped = train_critic(BOXES, "clipping", schedule=SHORT, constraint_options={"c": 0.02})
    assert max(p.abs().max().item() for p in clipped._players.critic.parameters()) <= 0.02
    schedule = Schedule(steps=100, batch_critic=64, lr_critic=5e-3, lr_decay="linear")
    flat = train_critic(BOXES, "sn", schedule=schedule, network_options=SMALL)
    assert 0.8 < flat.estimate() < 1.05  # W1 = 1; above it by power iteration's lag and the samples' scatter


def test_the_discriminator_becomes_p_over_p_plus_q() -> None:
    pair = gaussians_on_line(1.0)
    schedule = Schedule(steps=300, batch_critic=256, lr_critic=1e-2, lr_decay="linear")
    trained = train_critic(pair, "none", loss="bce", schedule=schedule, network_options=SMALL)
    x = torch.linspace(-1, 2, 7)[:, None]
    expected = torch.sigmoid((1 - 2 * x.flatten()) / 2)  # log p − log q = (1 − 2x)/2
    assert (torch.sigmoid(trained.score(x)) - expected).abs().max() < 0.1


def test_a_loss_that_is_not_finite_is_named() -> None:
    schedule = Schedule(steps=3, batch_critic=4, lr_critic=1e30)
    with pytest.raises(NonFiniteLoss, match=r"step \d of 3: the critic's loss is (nan|inf|-inf)"):
        train_critic(BOXES, "none", schedule=schedule, network_options=SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"constraint": "gpp"}, "'gpp', did you mean 'gp'"),
        ({"loss": "w"}, "unknown loss 'w'"),
        ({"network": "dcgan"}, "no form for data of shape"),
        ({"network_options": {"widht": 3}}, "did you mean 'width'"),
        ({"constraint_options": {"weight": -1.0}}, "weight=-1.0 must be a finite number from 0 on"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_critic(BOXES, **{"constraint": "gp", **arguments})


def test_losses_fall() -> None:
    schedule = Schedule(steps=100, batch_critic=64, lr_critic=5e-3)
    losses = train_critic(BOXES, "gp", schedule=schedule, network_options=SMALL).losses
    assert sum(losses[-20:]) / 20 < -0.7 < losses[0] and all(map(math.isfinite, losses))
