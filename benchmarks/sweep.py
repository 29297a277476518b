"""One learning rate for all methods, by the criterion in notebooks/middle/README.md.

    python benchmarks/sweep.py notebooks/middle/09_photographs.yml --output notebooks/middle/sweep.json

Judges what `gncompanion train -f FILE -p steps 250 -p lr_critic R -p lr_generator R` has finished, of as many
seeds as all rates have, and prints the scores and the rate that the criterion takes.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from gncompanion import data
from gncompanion.experiment import Experiment
from gncompanion.metrics import COLLAPSED_BELOW, mean_difference
from gncompanion.notebook.provenance import provenance
from gncompanion.papers.curves import scores_over_steps
from gncompanion.papers.rows import Row, read
from gncompanion.tools.files import write

RATES = (1e-4, 2e-4, 5e-4, 1e-3)
METHODS = ("GN-GAN", "SN-GAN", "WGAN-GP")
NOTEBOOK = "09_image_generation"
STEPS, N_DIFFERENCE, FALLBACK = 250, 500, 2e-4


def swept(file: Path, rate: float) -> Row:
    """The row at one rate, as short as the sweep is."""
    changes = {"steps": STEPS, "judged_every": STEPS, "lr_critic": rate, "lr_generator": rate}
    return read(file, changes)


def measured(row: Row, experiment: Experiment) -> dict[str, float]:
    """The kernel distance of one finished run, and how much its samples differ beside real ones."""
    (scores,) = scores_over_steps(experiment, row.protocol).values()
    kernel = next(value for name, value in scores.items() if name.startswith("kernel"))
    samples = experiment.at(STEPS).sample(N_DIFFERENCE, training_mode=row.protocol.training_mode)
    return {"kernel × 1000": kernel, "difference": mean_difference(samples)}


def chosen(found: dict[float, list[dict[str, float]]], real: float) -> float:
    """The rate that the criterion takes."""
    fit = {
        rate: statistics.median(run["kernel × 1000"] for run in runs)
        for rate, runs in found.items()
        if all(run["difference"] >= COLLAPSED_BELOW * real for run in runs)
    }
    return min(fit, key=lambda rate: fit[rate], default=FALLBACK)


def main() -> None:
    """Print and keep the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the row")
    parser.add_argument("--output", type=Path, help="a JSON file")
    options = parser.parse_args()
    rows = {rate: swept(options.file, rate) for rate in RATES}
    every = {rate: row.experiments() for rate, row in rows.items()}
    seeds = [
        seed
        for seed in read(options.file).seeds
        if all(runs[method, seed].is_finished() for runs in every.values() for method in METHODS)
    ]
    first = rows[RATES[0]]
    images = data.load(first.dataset, **first.dataset_options)
    real = mean_difference(images.sample(N_DIFFERENCE, torch.Generator().manual_seed(0))[0])
    named: dict[str, Any] = {}
    found: dict[float, list[dict[str, float]]] = {rate: [] for rate in RATES}
    for rate, method, seed in ((r, m, s) for r in RATES for m in METHODS for s in seeds):
        one = measured(rows[rate], every[rate][method, seed])
        found[rate].append(one)
        named[f"{rate:g}, {method}, seed {seed}"] = one
        print(
            f"{rate:<8g}{method:10}{seed:3}" + "".join(f"   {k} {v:.4g}" for k, v in one.items()), flush=True
        )
    content = {"runs": named, "difference of real images": real, "seeds": seeds, **provenance(NOTEBOOK)}
    content["rate"] = chosen(found, real) if seeds else FALLBACK
    if options.output:
        write(
            options.output,
            (json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode(),
        )
    print(f"real images' difference {real:.4g}; {len(seeds)} seeds")
    print(f"rate {content['rate']:g}")


if __name__ == "__main__":
    main()
