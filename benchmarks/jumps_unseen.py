"""What backpropagation says of a slope in parameter space, and what it is: claims 5 to 8 of jumps.md.

    python -m benchmarks.jumps_unseen

V is the population's objective, u the unit vector along its backpropagated gradient ∂V. The true slope is

    (V(θ + h u) − V(θ − h u)) / 2h,      h = δ / ‖∂V‖,      δ = 0.003, 0.01,

so that by backpropagation V should rise by δ. All values are on the same samples, in float64; their standard
error is that of 16 blocks. r is the true slope over ‖∂V‖.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.results import keep
from gncompanion.data import GaussianRing
from gncompanion.data.pairs import parallel_lines
from gncompanion.theory.critic_batch import Shape, fresh_critics
from gncompanion.theory.jump_game import BETAS, JumpGame, JumpRule, PlayerRows, fresh_rows, train_rows
from gncompanion.theory.unseen_slope import slope_along

NOTEBOOK = "07_discontinuity"
LOOKS, SEEDS, N, BLOCKS = [0, 100, 300, 1000], range(10), 2**14, 16
DELTAS = (3e-3, 1e-2)
SIZES = {"width": 32, "depth": 2}
RULES = {
    "GN": JumpRule(),
    "softplus 20": JumpRule(beta=20),
    "softplus 20, gates frozen": JumpRule(beta=20, critic_sees=False, generator_sees=False),
}
LINE_STEPS, LINE_EVERY = 1000, 20


def compared(value: Callable[..., Tensor], theta: Tensor, *, sees: bool) -> dict[str, object]:
    """The slope along the gradient that training would follow, as plain values."""
    found = slope_along(partial(value, sees=sees), value, theta, DELTAS)
    return {"length": found.length, "ratio": found.ratios, "error": found.errors}


def both_players(game: JumpGame, players: PlayerRows, seed: int) -> dict[str, object]:
    """The generator's and the critic's slopes for one row of players, and the share of samples with n = 0."""
    random = torch.Generator().manual_seed(seed)
    z, real = game.noise(1, N, random).double(), game.real(1, N, random).double()
    generator, critic = (part.double() for part in players)
    with torch.no_grad():
        fake = game.samples(generator, z)
    others = torch.cat([real, fake], 1)[:, :: 2 * N // 4096]

    def blocks(score: Tensor) -> Tensor:
        return score.view(BLOCKS, -1).mean(1)

    def of_generator(theta: Tensor, *, sees: bool = True) -> Tensor:
        return blocks(game.score(critic, game.samples(theta, z), sees=sees, others=others))

    def of_critic(theta: Tensor, *, sees: bool = True) -> Tensor:
        real_score, fake_score = (blocks(game.score(theta, x, sees=sees)) for x in (real, fake))
        return real_score - fake_score

    x = fake.clone().requires_grad_()
    (push,) = torch.autograd.grad(game.score(critic, x, sees=False, others=others).sum(), x)
    return {
        "generator": compared(of_generator, generator, sees=game.rule.generator_sees),
        "critic": compared(of_critic, critic, sees=game.rule.critic_sees),
        "no slope": (push.norm(dim=2) == 0).double().mean().item(),
    }


def on_lines(beta: float | None) -> list[list[float]]:
    """A critic's value on two lines at distance 1 while it is trained to raise it, for each seed and look."""
    pair, rule, shape = parallel_lines(1.0), JumpRule(beta=beta), Shape(2, *SIZES.values())
    game, random = JumpGame(GaussianRing(), rule, **SIZES), torch.Generator().manual_seed(5)
    theta = fresh_critics(shape, SEEDS).float().requires_grad_()
    adam, s = torch.optim.Adam([theta], lr=1e-3, betas=BETAS), len(SEEDS)

    def batch(n: int) -> list[Tensor]:
        return [side.sample(s * n, random)[0].view(s, n, 2) for side in (pair.real, pair.fake)]

    def value(n: int) -> Tensor:
        return game.value(PlayerRows(theta, theta), *batch(n), sees=True)

    values = []
    for step in range(LINE_STEPS + 1):
        if step % LINE_EVERY == 0:
            values.append(value(4096).tolist())
        (gradient,) = torch.autograd.grad(-value(64).sum(), theta)
        theta.grad = gradient
        adam.step()
    return values


def main() -> None:
    """Train, measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looks", type=int, nargs="+", default=LOOKS, help="steps after which to look")
    looks = parser.parse_args().looks
    torch.set_num_threads(1)
    lines = {"GN": on_lines(None), "softplus 20": on_lines(20.0)}
    for name, values in lines.items():
        found = torch.tensor(values)
        print(
            f"two lines, {name}: last / greatest {(found[-1] / found.amax(0)).sort().values.numpy().round(2)}"
        )
    every = {}
    for name, rule in RULES.items():
        game = JumpGame(GaussianRing(), rule, **SIZES)
        every[name] = []
        for step, players in train_rows(game, fresh_rows(game, SEEDS), looks=looks):
            rows = [PlayerRows(*(part[i : i + 1] for part in players)) for i in range(len(SEEDS))]
            every[name].append([both_players(game, row, i) for i, row in enumerate(rows)])
            for who in ("generator", "critic"):
                ratios = torch.tensor([one[who]["ratio"] for one in every[name][-1]])
                print(f"{name}, {step}, {who}: r {ratios[:, 0].sort().values.numpy().round(2)}", flush=True)
    keep(
        "jumps_unseen",
        NOTEBOOK,
        {"looks": looks, "seeds": list(SEEDS), "samples": N, "deltas": DELTAS, "ring": every, "lines": lines}
        | {"lines_every": LINE_EVERY},
    )


if __name__ == "__main__":
    main()
