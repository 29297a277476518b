"""GANs whose jumps are removed, or seen: controls 1 to 4 of benchmarks/jumps.md.

    python -m benchmarks.jumps_controls           or some of CONTROLS by name, in several processes

Ten seeds of each control at once, the same initial weights and draws in all. Keeps the exact W1 of every seed
after each look, the critic's value on its population and the mean slope that the generator gets.
"""

import argparse
import json
import time
from typing import Any

import torch

from benchmarks.results import FOLDER, keep
from gncompanion.data import GaussianRing
from gncompanion.theory.jump_game import JumpGame, JumpRule, PlayerRows, fresh_rows, train_rows
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools import paths
from gncompanion.tools.files import locked

NOTEBOOK = "07_discontinuity"
LOOKS, SEEDS, N = [0, 100, 300, 1000], range(10), 512
SIZES = {"width": 32, "depth": 2}


def smooth(beta: float) -> dict[str, JumpRule]:
    """Critics with Softplus(β): both players see gates move, the critic alone does, none does."""
    return {
        f"softplus {beta:g}, both see": JumpRule(beta=beta),
        f"softplus {beta:g}, generator blind": JumpRule(beta=beta, generator_sees=False),
        f"softplus {beta:g}, both blind": JumpRule(beta=beta, generator_sees=False, critic_sees=False),
    }


def noisy(noise: float) -> dict[str, JumpRule]:
    """Noise on the generator's samples, whose gradient sees the jumps or does not."""
    return {
        f"noise {noise}, {'sees' if seen else 'blind'}": JumpRule(noise=noise, noise_seen=seen, pairs=4)
        for seen in (True, False)
    }


CONTROLS = {
    "GN": JumpRule(),
    "independent batch": JumpRule("independent"),
    **smooth(80),
    **smooth(20),
    **smooth(5),
    **noisy(0.1),
    **noisy(0.3),
    "batch mean": JumpRule("batch"),
}


def measured(game: JumpGame, players: PlayerRows) -> dict[str, list[float]]:
    """W1, V and the generator's mean slope for each seed, on N fresh samples a side."""
    random, s = torch.Generator().manual_seed(99), len(players.critic)
    real, fake = game.real(s, N, random), game.samples(players.generator, game.noise(s, N, random))
    others = torch.cat([game.real(s, N, random), fake], 1) if game.rule.norm == "independent" else None
    value = game.value(players, real, fake, sees=True, others=others)
    x = fake.clone().requires_grad_()
    score = game.score(players.critic, x, sees=game.rule.generator_sees, others=others)
    (push,) = torch.autograd.grad(score.sum(), x)
    return {
        "w1": [exact_w1(*pair) for pair in zip(real, fake, strict=True)],
        "value": value.tolist(),
        "slope": push.norm(dim=2).mean(1).tolist(),
    }


def main() -> None:
    """Train and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("controls", nargs="*", help="which; none = all that are not in the file yet")
    wanted = parser.parse_args().controls
    torch.set_num_threads(1)
    game = JumpGame(GaussianRing(), **SIZES)
    start = fresh_rows(game, SEEDS)
    random = torch.Generator().manual_seed(98)
    floor = [exact_w1(*game.real(2, N, random)) for _ in SEEDS]
    setting = {"looks": LOOKS, "seeds": list(SEEDS), "samples": N, "floor": floor}
    for name in wanted or CONTROLS.keys() - kept():
        began, game = time.process_time(), JumpGame(GaussianRing(), CONTROLS[name], **SIZES)
        at_looks = [measured(game, players) for _, players in train_rows(game, start, looks=LOOKS)]
        found = {kind: [one[kind] for one in at_looks] for kind in at_looks[0]}
        with locked(paths.scratch()):
            keep("jumps_controls", NOTEBOOK, {**setting, "controls": kept() | {name: found}})
        print(f"{name:35} {time.process_time() - began:.0f} s", flush=True)


def kept() -> dict[str, Any]:
    """The controls that are in the file."""
    file = FOLDER / "jumps_controls.json"
    controls: dict[str, Any] = json.loads(file.read_text())["controls"] if file.exists() else {}
    return controls


if __name__ == "__main__":
    main()
