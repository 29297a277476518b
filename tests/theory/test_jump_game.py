"""GANs in one batch: the package's own steps, and what each gradient sees, by finite differences."""

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from gncompanion import GradientNorm
from gncompanion.constraints import build
from gncompanion.data import GaussianRing
from gncompanion.models import MLPCritic, MLPGenerator
from gncompanion.theory.jump_game import (
    JumpGame,
    JumpRule,
    PlayerRows,
    fresh_rows,
    layer_norms,
    noisy_push,
    train_rows,
)
from gncompanion.training import LOSSES, Networks

RING = GaussianRing()


def points(n: int, seed: int, rows: int = 2) -> Tensor:
    return torch.randn(rows, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_double(players: PlayerRows) -> PlayerRows:
    return PlayerRows(*(part.double() for part in players))


def by_package(game: JumpGame, players: PlayerRows, real: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Both gradients of the first row by the package's networks, constraint and loss."""
    critic = MLPCritic(2, width=game.width, depth=game.depth).double()
    generator = MLPGenerator(8, 2, width=game.width, depth=game.depth).double()
    vector_to_parameters(players.critic[0], critic.parameters())
    vector_to_parameters(players.generator[0], generator.parameters())
    networks = Networks(generator, critic, build("gn"), LOSSES["hinge"])
    fake = generator(z[0])
    real_score, fake_score, _ = networks.score.both(real[0], fake.detach(), None)
    of_critic = torch.autograd.grad(networks.loss.critic(real_score, fake_score), critic.parameters())
    of_generator = torch.autograd.grad(networks.loss.generator(networks.score(fake)), generator.parameters())
    return parameters_to_vector(of_critic), parameters_to_vector(of_generator)


def test_both_gradients_are_those_of_the_packages_own_steps() -> None:
    game = JumpGame(RING, width=8, depth=2)
    players = PlayerRows(*(part.requires_grad_() for part in in_double(fresh_rows(game, [3, 4]))))
    real, z = points(16, 0), torch.randn(2, 16, 8).double()
    fake = game.samples(players.generator, z)
    value = game.value(players, real, fake.detach(), sees=True)
    score = game.score(players.critic, fake, sees=True).mean(1)
    ours = (
        torch.autograd.grad(-value.sum(), players.critic)[0][0],
        torch.autograd.grad(-score.sum(), players.generator)[0][0],
    )
    for mine, expected in zip(ours, by_package(game, players, real, z), strict=True):
        assert torch.allclose(mine, expected, rtol=1e-10, atol=1e-14) and expected.abs().max() > 1e-3


@pytest.mark.parametrize("sees", [True, False])
def test_only_moving_gates_give_a_smooth_critics_whole_derivative(sees: bool) -> None:
    game = JumpGame(RING, JumpRule(beta=5.0), width=8, depth=2)
    critic, x = fresh_rows(game, [0, 1]).critic.double(), points(4, 1)
    x.requires_grad_()
    (push,) = torch.autograd.grad(game.score(critic, x, sees=sees).sum(), x)
    step = torch.zeros_like(x)
    step[..., 0] = 1e-6
    moved = [game.score(critic, x + s * step, sees=True) for s in (1, -1)]
    off = ((moved[0] - moved[1]) / 2e-6 - push[..., 0]).abs().max().item()
    assert off < 1e-8 if sees else off > 1e-4


def test_an_independent_norm_leaves_no_jump_in_the_samples() -> None:
    critic = fresh_rows(JumpGame(RING), [0]).critic.double()
    line = torch.linspace(-2, 2, 50_001, dtype=torch.float64)
    x = torch.stack([line, 0.3 + 0 * line], 1)[None]
    largest = {}
    for norm in ("own", "independent"):
        score = JumpGame(RING, JumpRule(norm)).score(critic, x, sees=True, others=points(64, 2, rows=1))
        largest[norm] = score.diff().abs().max().item()
    assert largest["independent"] < 4e-4 < 1e-3 < largest["own"]  # steps of 8e-5 along x


def test_of_two_estimates_at_noisy_samples_only_one_sees_the_jumps() -> None:
    estimates = {}
    for seen in (True, False):
        game = JumpGame(RING, JumpRule(noise=0.3, noise_seen=seen, pairs=20_000), width=8, depth=2)
        critic, x = fresh_rows(game, [0]).critic.double(), points(2, 4, rows=1)
        estimates[seen] = noisy_push(game, critic, x, torch.Generator().manual_seed(0))
    step = torch.tensor([0.05, 0.0]).double()
    ends = []
    for s in (1, -1):
        epsilon = torch.randn(50_000, 2, generator=torch.Generator().manual_seed(1)).double()
        near = (x[0, :, None] + s * step + 0.3 * epsilon).view(1, -1, 2)
        ends.append(game.score(critic, near, sees=True).view(2, -1).mean(1))
    slope = (ends[0] - ends[1]) / 0.1
    seeing, blind = ((estimates[seen][0, :, 0] - slope).abs() for seen in (True, False))
    assert seeing.max() < 0.02 and blind.max() > 3 * seeing.max()


def test_training_moves_both_the_same_way_again_and_leaves_the_start_alone() -> None:
    game = JumpGame(RING, width=8, depth=1)
    start = fresh_rows(game, [0, 1])
    kept = [part.clone() for part in start]
    found = [dict(train_rows(game, start, looks=[0, 3], batch=4)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(start, kept, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(found[0][3], found[1][3], strict=True))
    assert all((a != b).any(1).all() for a, b in zip(found[0][3], start, strict=True))
    assert torch.equal(found[0][0].critic, start.critic)


def test_scaling_back_changes_no_score() -> None:
    game, looks = JumpGame(RING, JumpRule(reset=True), width=8, depth=2), [0, 1]
    kept = JumpGame(RING, width=8, depth=2)
    start = fresh_rows(game, [0, 1])
    (_, begun), (_, one) = train_rows(game, start, looks=looks, batch=8, rate=0.05)
    _, (_, other) = train_rows(kept, start, looks=looks, batch=8, rate=0.05)
    norms = [layer_norms(game.shape, rows.critic) for rows in (begun, one, other)]
    assert torch.allclose(norms[1], norms[0], rtol=1e-5) and not torch.allclose(norms[2], norms[0], rtol=1e-2)
    x = points(16, 5).float()
    scores = [game.score(rows.critic, x, sees=True) for rows in (one, other)]
    assert torch.allclose(*scores, atol=1e-5) and scores[0].abs().max() > 0.01


def test_a_detached_norm_leaves_the_task_term() -> None:
    x, seen = points(8, 6), {}
    for detach in (False, True):
        game = JumpGame(RING, JumpRule(detach=detach), width=8, depth=2)
        critic = fresh_rows(game, [0, 1]).critic.double().requires_grad_()
        (gradient,) = torch.autograd.grad(game.score(critic, x, sees=True).sum(), critic)
        seen[detach] = (gradient[:, -9:] * critic[:, -9:]).sum(1).abs()  # along the last layer
    assert seen[False].max() < 1e-12 and seen[True].min() > 1e-3


def test_other_formulas_are_the_packages() -> None:
    game = JumpGame(RING, JumpRule(formula="gran", eps=0.1), width=8, depth=2)
    critic, x = fresh_rows(game, [3]).critic.double(), points(8, 7, rows=1)
    network = MLPCritic(2, width=8, depth=2).double()
    vector_to_parameters(critic[0], network.parameters())
    expected = GradientNorm(network, "gran", eps=0.1)(x[0])
    assert torch.allclose(game.score(critic, x, sees=True)[0], expected, rtol=1e-12, atol=0)


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown norm 'mean'"):
        JumpRule("mean")
    with pytest.raises(ValueError, match="beta=-1 must be positive"):
        JumpRule(beta=-1)
    with pytest.raises(ValueError, match=r"noise=-0\.1 must be 0 or more"):
        JumpRule(noise=-0.1)
