"""The runs behind notebook 08 that take longer than a notebook may.

    python benchmarks/counter_experiment.py switch shift toy digits own-case

Each part enters benchmarks/counter_experiment.json as it ends.

Criteria, written before any of these runs, and before the notebook's switch and shift, was looked at. A
generator is *at the origin* if the mean norm of its samples is below a quarter of the real samples', in the
coordinates that the critic sees. A setting *works* if the median of W1 over its seeds is at most half of what
all samples at the origin would have, and *fails* if it is above three quarters; between them it is left open.

switch      A generator that GN has trained (norm within a quarter of the real samples' in each seed) goes on
            with the inner product: "it collapses" if it is at the origin in every seed at the last look, and
            the control, which goes on with GN, at no look in any seed. Ten seeds, a fresh critic and the kept
            one. Would miss: a collapse slower than the run, one that stops half way. (The first run had 400
            steps after the switch, and 8 and 6 of ten were at the origin; it was then made three times as
            long.)
shift       Data and generator moved by (4, 0): "it ends at the origin there too" if each of ten seeds is
            there at the last look. Independently of where it ends: the critic "plays its own game" if, over
            the second half of the looks, the median over seeds of value/bound is above 1/2, of the cosine
            with x at real samples above 1/2 and at generated ones below -1/2; GN's critic, in the same
            coordinates, must not. Would miss: a game that is won later than the run lasts.
cap         "Something must cap the critic's incentive, the score or the loss": with random biases, each of
            D/n, D/(n + eps) and GraN fails with the Wasserstein loss and works with the hinge; GN works with
            both. One that does not is named, and the claim is then not "holds". Would miss: a cap that only
            slows.
own case    Zero biases, digits: "not collapsed" if it is at the origin in no seed. Random biases: "collapses
            to the origin of the coordinates" if it is there in at least four of five seeds, and if of black,
            grey and the mean image the predicted one ([0, 1]: black; centred: grey; mean subtracted: the mean
            image) is the nearest to the mean sample. Would miss: a collapse to one image elsewhere that is
            nearer to it by chance.
floor       The inner product and D/n of critics without biases are equal as functions; they differ as
            rounding errors grow. The largest difference of W1 between them over seeds, of the same world and
            loss, is the floor: a difference of two medians below it is not called one.
reset       "The critic must learn the intercept" if *value back, squashed* does not work, also if the
            critic's layers are put back to their first norms after each step; if it works then, the scale's
            drift was the cause.
"""

import argparse
import json
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gncompanion.constraints import build
from gncompanion.data import load
from gncompanion.experiment import Experiment
from gncompanion.lipschitz import scan_line
from gncompanion.metrics import Statistics, extract, frechet_distance, train_classifier
from gncompanion.models import MLPCritic
from gncompanion.notebook.provenance import provenance
from gncompanion.theory.game_batch import Game, GameBatch, Look, Sizes
from gncompanion.theory.game_scores import SCORES
from gncompanion.theory.own_case import measured_run, own_case
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools import paths
from gncompanion.tools.files import write

LOSSES = ("hinge", "wasserstein")
N = 512  # real samples, and generated ones, that are compared
DRAWN = 16  # images, and eight times as many points, of the first seed that are kept
TOY = {"sizes": Sizes(width=32, depth=2, z_dim=8, batch=64, rate=2e-3), "steps": 800, "seeds": range(5)}
DIGITS = {"sizes": Sizes(width=64, depth=2, z_dim=16, batch=32, rate=2e-3), "steps": 400, "seeds": range(5)}
OWN_CASE = {"steps": 80, "batch": 32, "rate": 2e-3, "bias_std": 0.1, "seeds": range(3)}
OUTPUT = "benchmarks/counter_experiment.json"

PLANE = {
    "sizes": TOY["sizes"],
    "seeds": range(10),
    "trained_steps": 600,
    "switch_steps": 1200,
    "switch_looks": 24,
    "steps": 800,
    "looks": 16,
}
ARMS = {
    "inner product, new critic": ("inner", False),
    "inner product, GN's critic": ("inner", True),
    "GN, new critic": ("GN", False),
    "GN, its own critic": ("GN", True),
}

Cell = dict[str, Any]


def toy_games() -> list[Game]:
    """The 2 × 4 × 2 table, the ladder, and the ladder with its scale put back."""
    cells = [(s, b, False) for s, b in product(SCORES, ("none", "random"))]
    parts = ("inner, squashed", "value back", "value back, squashed", "D/(n+ε)")
    cells += [(part, "random", False) for part in parts]
    cells += [(score, "frozen", False) for score in ("D/n", "GN")]
    cells += [(score, "random", True) for score in ("value back", "value back, squashed", "GN")]
    every = product(cells, LOSSES, TOY["seeds"])
    return [Game(s, biases=b, reset=r, loss=loss, seed=seed) for (s, b, r), loss, seed in every]


def digit_games(mean: tuple[float, ...]) -> list[Game]:
    """The 2 × 4 × 2 table, and the author's own case in three coordinates."""
    frames = {"[-1, 1]": (1.0, 0.0), "[0, 1]": (0.5, 0.5), "mean subtracted": (1.0, tuple(-m for m in mean))}
    cells = [(s, b, "[-1, 1]") for s, b in product(SCORES, ("none", "random"))]
    cells += product(("inner", "GN"), ("zero", "random"), frames)
    cells = [(*cell, loss) for cell in dict.fromkeys(cells) for loss in LOSSES]
    cells = [cell for cell in cells if cell[0] != "GN" or cell[-1] == "hinge"]  # GN's are the same
    every = product(cells, DIGITS["seeds"])
    return [
        Game(s, biases=b, loss=loss, seed=seed, scale=frames[f][0], shift=frames[f][1])
        for (s, b, f, loss), seed in every
    ]


class Judge:
    """The features in which digits are compared, and the three images that a collapse could end at."""

    def __init__(self, random: torch.Generator) -> None:
        self.data = load("digits")
        self.real = self.data.sample(N, random)[0]
        pictures, labels = self.data.sample(4096, random)
        self.features = train_classifier(pictures, labels, steps=300, width=8)
        self.reference = Statistics.of(extract(self.features, [self.real]).values)
        self.mean = self.data.images.mean(0).flatten()
        grey = torch.zeros_like(self.mean)
        self.ends = {"black": grey - 1, "grey": grey, "mean image": self.mean}

    def __call__(self, fake: Tensor, **frame: Any) -> Cell:
        found = measured_run(self.real, fake, **frame)
        if found["w1"] is None:
            return found
        values = extract(self.features, [fake.view(-1, 1, 8, 8).clamp(-1, 1)]).values
        found["features"] = frechet_distance(Statistics.of(values), self.reference)
        centre = fake.flatten(1).mean(0)
        return found | {"to": {name: (centre - end).norm().item() for name, end in self.ends.items()}}


def key(game: Game) -> str:
    """Name a game's setting, all but its seed."""
    pixels = {1.0: "[-1, 1]" if game.shift == 0.0 else "mean subtracted", 0.5: "[0, 1]"}[game.scale]
    return " | ".join([game.score, game.biases + (", reset" if game.reset else ""), game.loss, pixels])


def kept(samples: Tensor, n: int) -> list[Any]:
    """A few samples, rounded, as a file may hold them; [] where they are not finite."""
    few = samples[:n].flatten(1)
    return [[round(v, 2) for v in row] for row in few.tolist()] if few.isfinite().all() else []


def collect(table: dict[str, Any], name: str, found: Cell, samples: Tensor, n: int) -> None:
    """Add a run to its setting's row: lists over seeds, and samples of the first."""
    row = table.setdefault(name, {"samples": kept(samples, n)})
    for column, value in found.items():
        row.setdefault(column, []).append(value)


def listed(numbers: Tensor) -> list[Any]:
    """Numbers as a file may hold them."""
    return np.round(numbers.tolist(), 4).tolist()


def jumps(critic: MLPCritic, rule: str, ends: Tensor) -> float:
    """The share of a score's total variation on segments, (k, 2, 2), that is jumps at a critic's kinks."""
    up = jump = 0.0
    for line in (scan_line(critic, *pair) for pair in ends):
        near = torch.stack([line.t - 1e-9, line.t + 1e-9], dim=1).flatten()[1:-1]
        change = build(rule).score(critic, line.at(near)).detach().diff().abs()
        up, jump = up + change[::2].sum().item(), jump + change[1::2].sum().item()
    return jump / (up + jump)


def switch() -> dict[str, Any]:
    """Train generators with GN, and go on with the inner product or, as the control, with GN."""
    ring, seeds, sizes = load("ring"), PLANE["seeds"], PLANE["sizes"]
    real = ring.sample(256, torch.Generator().manual_seed(0))[0]
    trained = GameBatch([Game("GN", seed=s) for s in seeds], ring, sizes)
    untrained = trained.look(real).norm
    trained.play(PLANE["trained_steps"])
    found = {
        "untrained": listed(untrained),
        "samples": {"before": kept(trained.sample(N)[0], 128)},
        "norm": {},
    }
    ends = 3 * (2 * torch.rand(4, 2, 2, generator=torch.Generator().manual_seed(1)).double() - 1)
    for arm, (score, keep) in ARMS.items():
        games = [Game(score, seed=s) for s in seeds]
        batch = GameBatch(games, ring, sizes, start=trained, keep_critics=keep, seed=1)
        look = batch.follow(PLANE["switch_steps"], real, looks=PLANE["switch_looks"])
        found["norm"][arm], found["samples"][arm] = listed(look.norm), kept(batch.sample(N)[0], 128)
        rule = {"inner": "inner-product", "GN": "gn"}[score]
        critics = [batch.shape.critic(theta) for theta in batch.critics.detach().double()]
        found.setdefault("jumps", {})[arm] = [jumps(critic, rule, ends) for critic in critics]
    return found


def shift() -> dict[str, Any]:
    """Train with the inner product and with GN, around the origin and away from it."""
    ring, seeds = load("ring"), PLANE["seeds"]
    real = ring.sample(256, torch.Generator().manual_seed(0))[0]
    cells = list(product(("inner", "GN"), {"centred": 0.0, "moved": (4.0, 0.0)}.items()))
    games = [Game(score, shift=place, seed=s) for score, (_, place) in cells for s in seeds]
    looks = GameBatch(games, ring, PLANE["sizes"]).follow(PLANE["steps"], real, looks=PLANE["looks"])
    parts = [part.view(len(cells), len(seeds), -1) for part in looks]
    return {
        f"{score} | {name}": {
            field: listed(part[row]) for field, part in zip(Look._fields, parts, strict=True)
        }
        for row, (score, (name, _)) in enumerate(cells)
    }


def toy() -> dict[str, Any]:
    """Play all games on the ring."""
    ring, random = load("ring"), torch.Generator().manual_seed(0)
    real, other = (ring.sample(N, random)[0] for _ in range(2))
    batch = GameBatch(toy_games(), ring, TOY["sizes"])
    batch.play(TOY["steps"])
    table: dict[str, Any] = {}
    for game, fake in zip(batch.games, batch.sample(N), strict=True):
        collect(table, key(game), measured_run(real, fake), fake, 8 * DRAWN)
    return {"rows": table, "floor": exact_w1(real, other)}


def digits() -> dict[str, Any]:
    """Play all games on digits, with perceptrons."""
    judge = Judge(torch.Generator().manual_seed(0))
    games = digit_games(tuple(judge.mean.tolist()))
    batch = GameBatch(games, judge.data, DIGITS["sizes"])
    batch.play(DIGITS["steps"])
    table: dict[str, Any] = {}
    for game, fake in zip(games, batch.sample(N), strict=True):
        shift = torch.as_tensor(game.shift)
        collect(table, key(game), judge(fake, scale=game.scale, shift=shift), fake, DRAWN)
    return {"rows": table, "floor": exact_w1(judge.real, judge.data.sample(N, batch.random)[0])}


def dcgan() -> dict[str, Any]:
    """Train the author's own case on digits, with the papers' CNN."""
    judge, rate, batch = Judge(torch.Generator().manual_seed(0)), OWN_CASE["rate"], OWN_CASE["batch"]
    schedule = {"steps": OWN_CASE["steps"], "log_every": OWN_CASE["steps"], "ema_decay": None}
    schedule |= {"batch_critic": batch, "batch_generator": batch, "lr_critic": rate, "lr_generator": rate}
    world = {"dataset": "digits", "network": "dcgan"}
    settings = own_case(world, {"width": 8, "z_dim": 16}, schedule, bias_std=OWN_CASE["bias_std"])
    left_out = {("zero", "[0, 1]"), ("zero", "GN")}  # of the full list, for the time they take
    settings = {c: v for c, v in settings.items() if not {(c[1], c[3]), (c[1], c[0])} & left_out}
    table: dict[str, Any] = {}
    for seed, (cell, setting) in product(OWN_CASE["seeds"], settings.items()):
        fake = Experiment(**setting, seed=seed).run(progress=False).sample(N, seed=1, training_mode=True)
        frame = {"scale": 0.5, "shift": 0.5} if cell[-1] == "[0, 1]" else {}
        collect(table, " | ".join(cell), judge(fake, **frame), fake, DRAWN)
        print(seed, cell, table[" | ".join(cell)]["norm"][-1], flush=True)
    return {"rows": table, "floor": exact_w1(judge.real, judge.data.sample(N, torch.Generator())[0])}


PARTS = {
    "switch": (switch, PLANE),
    "shift": (shift, PLANE),
    "toy": (toy, TOY),
    "digits": (digits, DIGITS),
    "own-case": (dcgan, OWN_CASE),
}


def described(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as plain values."""
    plain = {name: list(v) if isinstance(v, range) else v for name, v in settings.items()}
    return plain | ({"sizes": plain["sizes"]._asdict()} if "sizes" in plain else {})


def main(names: Sequence[str] | None = None) -> None:
    """Run parts, and put each into the file as it ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=PARTS)
    torch.set_num_threads(1)
    file = Path(paths.root() / OUTPUT)
    for name in parser.parse_args(names).parts:
        play, settings = PARTS[name]
        started = time.process_time()
        origin, date = provenance("08_counter_experiment"), time.strftime("%Y-%m-%d")
        found = play() | {"settings": described(settings), "date": date, **origin}
        found["processor_seconds"] = round(time.process_time() - started)
        content = json.loads(file.read_text()) if file.exists() else {}
        content[name] = found
        write(file, (json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main()
