"""What the small runs of notebooks 01, 02 and 11 cannot show: comparisons over training, with controls.

    python benchmarks/over_training.py 02 --output benchmarks/over_training_02.json

and likewise for 01 and 11. Written down before the first run was looked at. Distances are exact W1 of two
samples, medians are over five seeds.

02, the ring, three critic steps a generator step:
* weight: λ = 10 suits two-sided GP at a budget if its median W1 there is at most 1.25 times that of λ = 1. A
  trap is seen if, ten steps on, the median report of two-sided λ = 10 is negative, and of one-sided λ = 10
  positive.
* classes: 4, 8 and 16 Gaussians, neighbours always as far apart as 8 are on the circle of radius 2. Many
  classes hurt GP if, after 160 steps, the median ratio of its W1 to the control's (same seed) is more than
  1.25 times as large at 16 as at 4, with both controls, GN and SN.
* stability: rates ¼, 1 and 4 times 2e-3. A run fails if, after 80 steps, its W1 is above half of what it was
  untrained. Normalizations are stabler if SN and GN each fail less often than every penalty.

01, digits: the critic that estimates W1 best makes the best GAN unless GP and one-sided GP, each of which
estimates W1, end with a median W1 more than 1.1 times GN's, with one critic step (the notebook's runs) and
with five (here). A trap is seen if, with one critic step, two-sided GP's median report at 30 steps is
negative and one-sided GP's is not.

11, the ring: WGAN-GP's best r(x) is worse than the divergence's worst if the least of its medians exceeds
the greatest of the divergence's: at every look of the long runs but the first, and, in the sweep, with each
penalty at the learning rate that is best for it at `real-fake`, with one critic step and with five.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gncompanion import data
from gncompanion.experiment import Experiment
from gncompanion.notebook.provenance import provenance
from gncompanion.notebook.records import to_json
from gncompanion.theory.many_gans import CriticRule, Games, train_games
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools.files import write

NOTEBOOKS = {"01": "01_wgan_theory", "02": "02_lipschitz_constraints", "11": "11_wgan_divergence"}
Found = dict[str, Any]


def notebook_02() -> Iterator[tuple[str, Found]]:
    """Weights of gradient penalty, classes, and stability."""
    shared: dict[str, Any] = {"seeds": range(5), "n_dis": 3, "depth": 3}
    ring = data.load("ring")
    rules = {
        "GP two-sided, λ = 1": CriticRule("gp", 1.0),
        "GP two-sided, λ = 10": CriticRule("gp", 10.0),
        "GP one-sided, λ = 10": CriticRule("gp-one-sided", 10.0),
        "GN": CriticRule("gn"),
        "SN": CriticRule("sn"),
        "SN regularization, λ = 1": CriticRule("sn-regularization", 1.0),
    }
    for rate in (2e-3, 5e-4, 8e-3):
        looks = [0, 10, 20, 40, 80, 160, 320] if rate == 2e-3 else [0, 80]
        for name, rule in rules.items():
            games = Games(ring, rule, rate=rate, rate_generator=rate, **shared)
            yield f"ring / {name} / {rate:g}", train_games(games, looks) | {"looks": looks}
    for n in (4, 16):
        radius = 2 * math.sin(math.pi / 8) / math.sin(math.pi / n)  # neighbours 2 r sin(π/n) apart
        spread, looks = data.load("ring", n_modes=n, radius=radius), [0, 80, 160]
        for name in ("GP two-sided, λ = 1", "GN", "SN"):
            games = Games(spread, rules[name], **shared)
            yield f"classes / {name} / {n}", train_games(games, looks) | {"looks": looks, "radius": radius}


def notebook_01() -> Iterator[tuple[str, Found]]:
    """GANs on digits, with five critic steps."""
    timing = {"batch_critic": 32, "batch_generator": 32, "lr_critic": 1e-3, "lr_generator": 1e-3}
    looks = [10, 30, 60]
    timing |= {"ema_decay": None, "log_every": 10, "n_dis": 5, "steps": looks[-1], "checkpoint_every": 10}
    game: dict[str, Any] = {"dataset": "digits", "loss": "wasserstein", "device": "cpu", "schedule": timing}
    game |= {"network": "stage", "network_options": {"n_layers": 3, "width": 8}}
    for name, constraint in {"GP": "gp", "GP one-sided": "gp-one-sided", "GN": "gn"}.items():
        found: Found = {"looks": looks, "reported": [], "w1": []}
        for seed in range(5):
            experiment = Experiment(**game, constraint=constraint, seed=seed)
            run = experiment.run(keep_every=10)
            real, log = run.real(512, seed=1), run.history
            samples = [experiment.at(look).sample(512, training_mode=True) for look in looks]
            found["w1"].append([exact_w1(real, fake) for fake in samples])
            found["reported"].append(
                [a - b for a, b in zip(log["score_real"], log["score_fake"], strict=True)]
            )
        yield name, found | {"steps": log["step"]}


def notebook_11() -> Iterator[tuple[str, Found]]:
    """Where the penalty looks, over training; learning rates and critic steps."""
    penalties = {"WGAN-div": ("wgan-div", 2.0), "WGAN-GP": ("gp", 10.0)}
    penalties["WGAN-GP, one-sided"] = "gp-one-sided", 10.0
    plans: list[tuple[str, tuple[str, ...], float, int, list[int]]] = [
        ("long", ("real-fake", "both", "fake"), 5e-3, 1, [0, 75, 150, 300, 600, 1000])
    ]
    for n_dis, looks in ((1, [0, 150]), (5, [0, 60])):
        plans += [("sweep", ("real-fake", "fake"), rate, n_dis, looks) for rate in (1.25e-3, 5e-3, 2e-2)]
    for plan, places, rate, n_dis, looks in plans:
        for name, (kind, weight) in penalties.items():
            for at in places:
                rates = {"rate": rate, "rate_generator": rate / 5}
                games = Games(
                    data.load("ring"), CriticRule(kind, weight, at=at), range(5), n_dis=n_dis, **rates
                )
                found = train_games(games, looks) | {"looks": looks}
                yield f"{plan} / {name} / {at} / {rate:g} / {n_dis}", found


def main() -> None:
    """Run one notebook's part, and keep what it found after each setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", choices=NOTEBOOKS)
    parser.add_argument("--output", type=Path, required=True, help="a JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = {"01": notebook_01, "02": notebook_02, "11": notebook_11}
    content: Found = {"runs": {}, **provenance(NOTEBOOKS[options.notebook])}
    for name, found in parts[options.notebook]():
        content["runs"][name] = found
        print(name, [[round(value, 2) for value in row] for row in found["w1"]][-1], flush=True)
        write(options.output, (to_json(content, levels=2) + "\n").encode())


if __name__ == "__main__":
    main()
