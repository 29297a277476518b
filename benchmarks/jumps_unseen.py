"""What backpropagation says of a slope in parameter space, and what it is: claims 5 to 8 of jumps.md.

    python -m benchmarks.jumps_unseen

V is the population's objective, u the unit vector along its backpropagated gradient ∂V. The true slope is

    (V(θ + h u) − V(θ − h u)) / 2h,      h = δ / ‖∂V‖,      δ = 0.003, 0.01,

so that by backpropagation V should rise by δ. All values are on the same samples, in float64; their standard
error is that of 16 blocks. r is the true slope over ‖∂V‖.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.results import FOLDER, keep
from gncompanion.data import GaussianRing
from gncompanion.data.pairs import parallel_lines
from gncompanion.theory.critic_batch import Shape, fresh_critics
from gncompanion.theory.jump_game import BETAS, JumpGame, JumpRule, PlayerRows, fresh_rows, train_rows
from gncompanion.theory.unseen_slope import slope_along
from gncompanion.tools import paths
from gncompanion.tools.files import locked

NOTEBOOK = "07_discontinuity"
LOOKS, SEEDS, N, BLOCKS = [100, 300, 1000], range(10), 2**14, 16
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


def kept() -> dict[str, Any]:
    """The parts that are in the file."""
    file = FOLDER / "jumps_unseen.json"
    found: dict[str, Any] = json.loads(file.read_text())["found"] if file.exists() else {}
    return found


def main() -> None:
    """Train, measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="which; none = all that are not in the file yet")
    wanted = parser.parse_args().parts
    torch.set_num_threads(1)
    setting = {
        "looks": LOOKS,
        "seeds": list(SEEDS),
        "samples": N,
        "deltas": DELTAS,
        "lines_every": LINE_EVERY,
    }
    for name in wanted or [part for part in (*RULES, "two lines") if part not in kept()]:
        if name == "two lines":
            save(setting, {name: {"GN": on_lines(None), "softplus 20": on_lines(20.0)}})
            continue
        game, found = JumpGame(GaussianRing(), RULES[name], **SIZES), []
        for step, players in train_rows(game, fresh_rows(game, SEEDS), looks=LOOKS):
            rows = [PlayerRows(*(part[i : i + 1] for part in players)) for i in range(len(SEEDS))]
            found.append([both_players(game, row, i) for i, row in enumerate(rows)])
            print(name, step, flush=True)
        save(setting, {name: found})


def save(setting: dict[str, Any], part: dict[str, Any]) -> None:
    """Put a part into the file."""
    with locked(paths.scratch()):
        keep("jumps_unseen", NOTEBOOK, setting | {"found": kept() | part})


if __name__ == "__main__":
    main()
