"""A whole iteration of training: gradient normalization by the primitive against WGAN-GP as usually written.

    python benchmarks/iteration.py --network resnet --n-dis 5 --rounds 7

An iteration is n_dis critic steps and a generator's step of `gncompanion.training`, with sampling, optimizers
and averaged weights. Each round runs every method once, in turn, so that a busy machine is busy for all of
them; medians over the rounds, beside what counted FLOPs allow.
"""

import argparse
import statistics
import time

import torch
from tqdm import tqdm

from gncompanion.constraints import build
from gncompanion.cost import METHODS, count, iteration
from gncompanion.data import Images
from gncompanion.models import build as build_networks
from gncompanion.training import LOSSES, Networks, Schedule, Training

BASE = "GP, double backpropagation"
COMPARED = ("unconstrained", BASE, "GP, primitive", "GN, double backpropagation", "GN, primitive")
SHAPE = (3, 32, 32)


def training(method: str, network: str, batch: int, n_dis: int, device: str) -> Training:
    """A training on noise, of the networks at their full size."""
    rule = build(METHODS[method].constraint, **METHODS[method].options)
    generator, critic = build_networks(network, SHAPE, generator=torch.Generator().manual_seed(0))
    rule.prepare(critic)
    pixels = torch.randint(256, (1000, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    players = Networks(generator.to(device), critic.to(device), rule, LOSSES["hinge"])
    schedule = Schedule(n_dis=n_dis, batch_critic=batch, batch_generator=2 * batch)
    return Training(players, Images("noise", pixels, flip=True), schedule)


def main() -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["dcgan", "resnet"], default="dcgan")
    parser.add_argument("--n-dis", type=int, default=1, help="critic steps an iteration")
    parser.add_argument("--batch", type=int, default=64, help="real samples a critic step")
    parser.add_argument("--rounds", type=int, default=7, help="iterations of each method")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(COMPARED), metavar="METHOD")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    settings = (options.network, options.batch, options.n_dis, options.device)
    trainings = {
        method: training(method, *settings) for method in {BASE: 0, **dict.fromkeys(options.methods)}
    }
    times: dict[str, list[float]] = {method: [] for method in trainings}
    for _ in tqdm(range(options.rounds + 1), unit="round", leave=False):
        for method, run in trainings.items():
            start = time.perf_counter()
            run._iterate().sum().item()  # waits for a GPU
            times[method].append(time.perf_counter() - start)
    flops = {
        m: iteration(count(m, options.network, batch=options.batch), options.n_dis).flops for m in trainings
    }
    medians = {method: statistics.median(found[1:]) for method, found in times.items()}
    batches, threads = f"{options.batch}/{2 * options.batch}", torch.get_num_threads()
    print(f"{options.network}-32, batch {batches}, n_dis {options.n_dis}, {threads} threads")
    print(f"{'':30}{'s':>8}{'min–max':>14}{'/ WGAN-GP':>11}{'FLOPs':>8}")
    for method, found in times.items():
        spread = f"{min(found[1:]):.2f}–{max(found[1:]):.2f}"
        ratios = f"{medians[method] / medians[BASE]:11.2f}{flops[method] / flops[BASE]:8.2f}"
        print(f"{method:30}{medians[method]:8.2f}{spread:>14}{ratios}")


if __name__ == "__main__":
    main()
