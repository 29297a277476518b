"""Is the critic a good function to climb? Claims 9 and 10 of benchmarks/jumps.md.

    python -m benchmarks.jumps_potential

At each look the exact optimal transport from N generated to N real samples gives every generated one a
displacement; kept is the mean cosine between it and the gradient of the score there, and W1. All methods have
the hinge, the same steps, weights and draws:

    GN, batch mean    as in `jump_game`
    inner product     ⟨∇D / ‖∇D‖, x⟩
    none              D
    GP                D, less 10 (‖∇D‖ − 1)² at random points between real and generated samples
    SN                D of the network whose weights are divided by their exact spectral norms
"""

import torch
from torch import Tensor
from torch.nn.functional import relu

from benchmarks.results import keep
from gncompanion.data import GaussianRing
from gncompanion.theory.critic_batch import values_and_gradients
from gncompanion.theory.jump_game import BETAS, JumpGame, JumpRule, PlayerRows, fresh_rows
from gncompanion.theory.wasserstein import transport_plan

NOTEBOOK = "07_discontinuity"
LOOKS, SEEDS, N, BATCH, RATE = [50, 100, 200, 400], range(10), 512, 64, 1e-3
METHODS = ("GN", "GP", "SN", "none", "batch mean", "inner product")
GAMES = {
    name: JumpGame(GaussianRing(), JumpRule("batch" if name == "batch mean" else "own"), width=32, depth=2)
    for name in METHODS
}


def spectrally_normalized(game: JumpGame, critic: Tensor) -> Tensor:
    """The critics' numbers with every weight matrix divided by its spectral norm, (S, P)."""
    parts = []
    for weight, bias in game.shape.layers(critic):
        sigma = torch.linalg.matrix_norm(weight, 2)[:, None, None]
        parts += [(weight / sigma).flatten(1), bias.flatten(1)]
    return torch.cat(parts, 1)


def score(method: str, critic: Tensor, x: Tensor) -> Tensor:
    """What the losses see, (S, N)."""
    game = GAMES[method]
    if method in ("GN", "batch mean"):
        return game.score(critic, x, sees=True)
    if method == "SN":
        critic = spectrally_normalized(game, critic)
    f, g = values_and_gradients(game.shape, critic, x)
    return (g / g.norm(dim=2, keepdim=True) * x).sum(2) if method == "inner product" else f


def critic_loss(method: str, critic: Tensor, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """The hinge, and the penalty of GP, summed over seeds."""
    scores = score(method, critic, torch.cat([real, fake], 1))
    loss = relu(1 - scores[:, : real.shape[1]]).mean(1) + relu(1 + scores[:, real.shape[1] :]).mean(1)
    if method == "GP":
        t = torch.rand(*real.shape[:2], 1, generator=random)
        _, g = values_and_gradients(GAMES[method].shape, critic, torch.lerp(real, fake, t))
        loss = loss + 10 * (g.norm(dim=2) - 1).square().mean(1)
    return loss.sum()


def measured(method: str, rows: PlayerRows) -> dict[str, list[float]]:
    """The mean cosine at N generated samples of each seed, and W1 to as many real ones."""
    game, random, s = GAMES[method], torch.Generator().manual_seed(99), len(SEEDS)
    real, x = game.real(s, N, random), game.samples(rows.generator, game.noise(s, N, random)).detach()
    x.requires_grad_()
    (push,) = torch.autograd.grad(score(method, rows.critic, x).sum(), x)
    found: dict[str, list[float]] = {"cosine": [], "w1": []}
    for mine, theirs, up in zip(x.detach(), real, push, strict=True):
        plan = transport_plan(mine, theirs).float()
        cosine = torch.nn.functional.cosine_similarity(up, N * plan @ theirs - mine, dim=1)
        found["cosine"].append(cosine.mean().item())
        found["w1"].append((plan * torch.cdist(mine, theirs)).sum().item())
    return found


def followed(method: str) -> list[dict[str, list[float]]]:
    """All seeds of one method, looked at on their way."""
    game, random, s = GAMES[method], torch.Generator().manual_seed(0), len(SEEDS)
    rows = PlayerRows(*(part.clone().requires_grad_() for part in fresh_rows(game, SEEDS)))
    adams = [torch.optim.Adam([part], lr=RATE, betas=BETAS) for part in rows]
    found = []
    for step in range(1, LOOKS[-1] + 1):
        real, z = game.real(s, BATCH, random), game.noise(s, BATCH, random)
        loss = critic_loss(method, rows.critic, real, game.samples(rows.generator, z).detach(), random)
        (rows.critic.grad,) = torch.autograd.grad(loss, rows.critic)
        adams[1].step()
        fake = game.samples(rows.generator, game.noise(s, BATCH, random))
        loss = -score(method, rows.critic.detach(), fake).mean(1).sum()
        (rows.generator.grad,) = torch.autograd.grad(loss, rows.generator)
        adams[0].step()
        if step in LOOKS:
            found.append(measured(method, rows))
    return found


def main() -> None:
    """Train, measure and keep."""
    torch.set_num_threads(1)
    every = {}
    for method in METHODS:
        looks = followed(method)
        every[method] = {kind: [look[kind] for look in looks] for kind in looks[0]}
        medians = [
            torch.tensor(every[method][kind]).median(1).values.numpy().round(2) for kind in every[method]
        ]
        print(f"{method:15} cosine {medians[0]}   W1 {medians[1]}", flush=True)
    keep("jumps_potential", NOTEBOOK, {"looks": LOOKS, "seeds": list(SEEDS), "samples": N, "methods": every})


if __name__ == "__main__":
    main()
