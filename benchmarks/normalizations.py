"""GN, its relatives and its norm held constant, over training at ten seeds: see normalizations.md.

python -m benchmarks.normalizations           or some of RUNS by name, in several processes
"""

import argparse
import json
import time
from typing import Any

import torch

from benchmarks.results import FOLDER, keep
from gncompanion.data import GaussianRing
from gncompanion.theory.critic_batch import values_and_gradients
from gncompanion.theory.jump_game import JumpGame, JumpRule, PlayerRows, fresh_rows, layer_norms, train_rows
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools import paths
from gncompanion.tools.files import locked

NAME, NOTEBOOK = "normalizations", "06_gradient_analysis"
LOOKS, SEEDS, N = [0, 100, 300, 1000], range(10), 512
RATE, SLOW = 1e-3, 2e-4
RUNS = {
    "GN": (JumpRule(), RATE),
    "detached": (JumpRule(detach=True), RATE),
    "detached, reset": (JumpRule(detach=True, reset=True), RATE),
    "GN, slow": (JumpRule(), SLOW),
    "detached, slow": (JumpRule(detach=True), SLOW),
    "detached, reset, slow": (JumpRule(detach=True, reset=True), SLOW),
    "ζ = 0": (JumpRule(formula="gn-0"), RATE),
    "ζ = 1": (JumpRule(formula="gn-1"), RATE),
    "Softplus": (JumpRule(beta=1.0), RATE),
    "units 0.1": (JumpRule(units=0.1), RATE),
    "units 10": (JumpRule(units=10.0), RATE),
    **{f"GraN, ε = {eps:g}": (JumpRule(formula="gran", eps=eps), RATE) for eps in (1e-4, 1e-2, 1.0)},
}


def measured(game: JumpGame, players: PlayerRows) -> dict[str, list[float]]:
    """What is kept of each seed, at N real and N generated samples, in float64."""
    random, s = torch.Generator().manual_seed(99), len(players.critic)
    real, fake = game.real(s, N, random), game.samples(players.generator, game.noise(s, N, random))
    critic, rule = players.critic.double(), game.rule
    x = rule.units * torch.cat([real, fake], 1).double()
    f, g = values_and_gradients(game.shape, critic, x, beta=rule.beta)
    n = g.norm(dim=2)
    at_foot, _ = values_and_gradients(game.shape, critic, x - (f / n.square())[..., None] * g, beta=rule.beta)
    size = layer_norms(game.shape, critic).prod(1)
    sign = torch.cat([torch.ones(N), -torch.ones(N)])
    return {
        "w1": [exact_w1(*pair) for pair in zip(real, fake, strict=True)],
        "gn slope": (n / (n + f.abs())).square().median(1).values.tolist(),
        "n": n.median(1).values.tolist(),
        "n over norms": (n.median(1).values / size).tolist(),
        "distance": (f / n).abs().median(1).values.tolist(),
        "wrong side": (sign * f < 0).double().mean(1).tolist(),
        "foot is a zero": (at_foot.abs() <= 1e-9 * n).double().mean(1).tolist(),
        "n² share": (n.square() / (n.square() + rule.eps)).median(1).values.tolist(),
    }


def kept() -> dict[str, Any]:
    """The runs that are in the file."""
    file = FOLDER / f"{NAME}.json"
    runs: dict[str, Any] = json.loads(file.read_text())["runs"] if file.exists() else {}
    return runs


def main() -> None:
    """Train and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", help="which; none = all that are not in the file yet")
    wanted = parser.parse_args().runs
    torch.set_num_threads(1)
    setting = {"looks": LOOKS, "seeds": list(SEEDS), "samples": N}
    for name in wanted or [run for run in RUNS if run not in kept()]:
        began, (rule, rate) = time.process_time(), RUNS[name]
        game = JumpGame(GaussianRing(), rule, width=32, depth=2)
        start = fresh_rows(game, SEEDS)
        looks = [measured(game, rows) for _, rows in train_rows(game, start, looks=LOOKS, rate=rate)]
        found = {kind: [one[kind] for one in looks] for kind in looks[0]}
        with locked(paths.scratch()):
            keep(NAME, NOTEBOOK, {**setting, "runs": kept() | {name: found}})
        print(f"{name:25} {time.process_time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
