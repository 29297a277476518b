"""Theorem 5's experiment over training, with its controls: for notebook 04, which reads the result.

    python -m benchmarks.depth usual gn         trains, and leaves a file for each depth in build/depth/
    python -m benchmarks.depth hurried sn-operator --depths 3
    python -m benchmarks.depth --gather         writes benchmarks/depth.json from all of them

Scikit-learn's digits, critics of 3, 6 and 9 convolutions under operator SN and GN, the Wasserstein loss: the
runs of notebook 04, seeds side by side (`benchmarks.side_by_side`). "usual" is the notebook's rate 5·10⁻⁴,
seeds 0 to 4; "hurried" is eight times that, seeds 0 to 9. Every run is looked at again and again: 512 real
and as many generated samples, the same in all runs but for what the generators make of the noise.

The criteria, written down before the runs. "The median of the runs" is that over seeds.

    sn-too-flat            holds if the median of SN's L_D lies below 0.7 at each depth and each look after
                           step 0
    sn-flatter-with-depth  holds if at each look the median of L_D falls by a tenth at least from 3 to 6 and
                           from 6 to 9 convolutions; "holds if the critic is fresh" if it does at step 0 and
                           not later; else it fails
    gn-flatter-with-depth  the same for the median slope of GN's critics, real and generated samples together,
                           after step 0
    sn-typically-steeper   that SN's critic is steeper than GN's at the typical generated sample: holds if at
                           each depth and each look after step 0 the median over the samples, then over the
                           runs, is greater
    sn-underestimates      holds if SN's critics report less than half of the exact W1, less its floor between
                           two sets of real samples, in every run and at each look after step 0
    stuck                  a run is stuck at a look if its L_D is less than half the median of the runs of the
                           same method and depth at the usual rate, at the nearest look
    deep-gn                "deep GN critics are not always stable" holds if a run of 9 convolutions at the
                           usual rate is stuck at the last look; "holds if the learning rate is high" if only
                           hurried ones are; depth is to blame only if at least three more of the ten are
                           stuck with 9 convolutions than with 3, and GN only if at least three more are than
                           of SN's
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch

from benchmarks.side_by_side import SideBySide
from gncompanion.data import digits
from gncompanion.experiment import Experiment
from gncompanion.experiment.run import stream
from gncompanion.metrics import Classifier, inception_score, to_uint8, train_classifier
from gncompanion.notebook.provenance import provenance
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools import paths
from gncompanion.tools.files import write

METHODS, DEPTHS, N = ("sn-operator", "gn"), (3, 6, 9), 512
RATES = {"usual": (5e-4, 5, (0, 150, 600, 2000)), "hurried": (4e-3, 10, (0, 150, 300))}
PARTS, RESULT = paths.scratch() / "depth", paths.root() / "benchmarks" / "depth.json"


def experiment(method: str, depth: int, rate: float, seed: int, *, steps: int = 2000) -> Experiment:
    """One of notebook 04's runs, but for its number of steps."""
    rates = {"lr_critic": rate, "lr_generator": rate}
    return Experiment(
        dataset="digits",
        network="stage",
        loss="wasserstein",
        constraint=method,
        network_options={"n_layers": depth, "width": 8},
        schedule={"steps": steps, "batch_critic": 32, "batch_generator": 32, "ema_decay": None} | rates,
        seed=seed,
        device="cpu",
    )


def looked_at(runs: SideBySide, judge: Classifier | None) -> dict[str, list[float]]:
    """What one look sees: a number for each run."""
    random = torch.Generator().manual_seed(stream("real", 2))
    real, again = (runs.data.sample(N, random)[0] for _ in range(2))
    z = torch.randn(N, runs.z_dim, generator=torch.Generator().manual_seed(stream("noise", 2)))
    fake = runs.sample(z)
    score_real, slope_real = runs.measure(real.expand(runs.runs, *real.shape))
    score_fake, slope_fake = runs.measure(fake)
    slopes = torch.cat([slope_real, slope_fake], dim=1)
    found = {
        "L_D": slopes.amax(1),
        "median slope": slopes.median(1).values,
        "median slope, real": slope_real.median(1).values,
        "median slope, generated": slope_fake.median(1).values,
        "reported": score_real.mean(1) - score_fake.mean(1),
        "W1": torch.tensor([exact_w1(real, own) for own in fake]),
        "W1 between real samples": torch.tensor([exact_w1(real, again)] * runs.runs),
    }
    if judge:
        scores = [inception_score(judge(to_uint8(own))[1])[0] for own in fake]
        found["classifier's score"] = torch.tensor(scores)
    return {name: [round(value, 5) for value in values.tolist()] for name, values in found.items()}


def train(kind: str, method: str, depths: Sequence[int], last: int) -> None:
    """Train all seeds of some settings from look to look, and keep what is seen as soon as it is."""
    rate, n_seeds, looks = RATES[kind]
    data = digits()
    judge = train_classifier(data.images, data.labels, seed=0) if kind == "usual" else None
    runs = {d: SideBySide([experiment(method, d, rate, seed) for seed in range(n_seeds)]) for d in depths}
    seen: dict[int, dict[int, Any]] = {depth: {} for depth in depths}
    for look, depth in product([look for look in looks if look <= last], depths):
        runs[depth].train(look)
        seen[depth][look] = looked_at(runs[depth], judge)
        content = {"rate": rate, "seeds": n_seeds, "looks": seen[depth]}
        write(PARTS / f"{kind}-{method}-{depth}.json", (json.dumps(content, indent=1) + "\n").encode())
        print(kind, method, depth, look, {name: seen[depth][look][name] for name in ("L_D", "reported")})


def gather() -> None:
    """Put all parts into one file, with where they come from."""
    result: dict[str, Any] = {"samples": N, "provenance": provenance("04_theorem5")}
    for kind in RATES:
        result[kind] = {
            method: {
                depth: json.loads(file.read_text())
                for depth in DEPTHS
                if (file := PARTS / f"{kind}-{method}-{depth}.json").exists()
            }
            for method in METHODS
        }
    write(RESULT, (json.dumps(result, ensure_ascii=False) + "\n").encode())


def main() -> None:
    """Train what was asked for, or gather what was trained."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", nargs="?", choices=sorted(RATES))
    parser.add_argument("method", nargs="?", choices=METHODS)
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, choices=DEPTHS)
    parser.add_argument("--last", type=int, default=2000, help="the last look, in steps")
    parser.add_argument("--gather", action="store_true", help="write the result")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.gather:
        gather()
        return
    train(options.kind, options.method, options.depths, options.last)


if __name__ == "__main__":
    main()
